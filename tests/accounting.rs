//! Delivery keeps its accounts: whatever happens to a hook, to a row or to an outcome, nothing stays pending that
//! nobody looks after, and nothing waits for ever for what will not come.

mod support;

use std::time::Duration;

use serde_json::json;
use support::office::{Office, Open};
use support::receiver::{Behaviour, Receiver};
use switchhook::delivery::replay;
use switchhook::hook::{Hook, Settings};
use switchhook::store::attempts::AttemptResult;
use switchhook::store::deliveries::Span;
use switchhook::store::hooks;
use switchhook::time::{Clock, Timestamp};
use switchhook::trigger::Trigger;
use tokio::time::{Instant, timeout};

/// Longer than anything here takes, shorter than the time-out of a request.
const SOON: Duration = Duration::from_secs(8);

#[tokio::test]
async fn an_outcome_that_cannot_be_written_holds_up_nothing() {
    for harm in [
        "UPDATE deliveries SET ad_hoc = '{' WHERE id = 1",
        "DELETE FROM deliveries WHERE id = 1",
    ] {
        let mut receiver = Receiver::start().await;
        let office = Office::new();
        let harmful = harmful(&office);
        receiver.decide_by(move |request| {
            if request.field("call_id") == "harmed" {
                harmful(harm);
            }
            Behaviour::status(204)
        });
        let open = office.open().await;
        open.add_hook(&receiver.uri("/"), json!({})).await;
        open.happens("harmed", Trigger::ChannelCreate);
        receiver.next().await;
        open.happens("whole", Trigger::ChannelCreate);
        receiver.next().await;
        open.attempts_when(|attempts| !attempts.is_empty()).await;
        assert!(receiver.rest().is_empty(), "{harm}: not again and again");
        // It waits for every outcome.
        timeout(SOON, open.close()).await.expect(harm);
    }
}

/// Changes the database behind the back of everybody.
fn harmful(office: &Office) -> impl Fn(&str) + Send + 'static {
    let path = office.database();
    move |sql| {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.busy_timeout(SOON).unwrap();
        assert_eq!(connection.execute(sql, ()).unwrap(), 1);
    }
}

#[tokio::test]
async fn a_hook_that_is_moved_does_not_wait_for_where_it_was() {
    let mut jammed = Receiver::start().await;
    jammed.behave(Behaviour::Stall);
    let mut well = Receiver::start().await;
    let mut office = Office::new();
    office.config.in_flight = 2;
    let open = office.open().await;
    let hook = open.add_hook(&jammed.uri("/"), json!({})).await;
    for call in 0..5 {
        open.happens(&format!("call-{call}"), Trigger::ChannelCreate);
    }
    jammed.take(2).await;
    let began = Instant::now();
    let mut document = hook.document.clone();
    document.insert("uri".into(), json!(well.uri("/")));
    let settings = Settings::read(&document).unwrap();
    let moved = Hook {
        document,
        settings,
        ..hook
    };
    open.put(moved);
    well.take(3).await;
    assert!(began.elapsed() < SOON, "the others time out after 10 s");
    open.crash().await;
}

/// The hook as it is when its owner has switched it off, or on again.
async fn switch(open: &Open, hook: &Hook, on: bool) -> Hook {
    let (key, id) = (hook.key, hook.id.clone());
    let changed = open.store.write(move |tx| match on {
        true => hooks::reenable(tx, "default", &id),
        false => hooks::disable(tx, key, "by a test"),
    });
    changed.await.unwrap().expect("it was otherwise")
}

#[tokio::test]
async fn what_is_committed_for_a_hook_just_switched_off_is_skipped() {
    let mut receiver = Receiver::start().await;
    let open = Office::new().open().await;
    let hook = open.add_hook(&receiver.uri("/"), json!({})).await;
    // Made out while it was on, committed when it is off and all that was pending has ended.
    let late = open.record("late", Trigger::ChannelCreate, Clock::system().now());
    open.happens("first", Trigger::ChannelCreate);
    receiver.next().await;
    open.settled().await;
    open.put(switch(&open, &hook, false).await);
    open.happens("meanwhile", Trigger::ChannelCreate);
    open.attempts_when(|attempts| attempts.len() == 2).await;
    open.store.offer(late).unwrap();
    open.attempts_when(|attempts| attempts.len() == 3).await;
    let counts = open.settled().await;
    assert_eq!((counts["delivered"], counts["skipped"]), (1, 2));
    assert!(receiver.rest().is_empty());
    open.close().await;
}

#[tokio::test]
async fn a_hook_that_is_on_again_before_all_was_skipped_gets_the_rest() {
    const BACKLOG: u64 = 4_000;
    let receiver = Receiver::start().await;
    receiver.behave(Behaviour::Stall);
    let office = Office::new();
    let open = office.open().await;
    let hook = open.add_hook(&receiver.uri("/"), json!({})).await;
    for call in 0..BACKLOG {
        open.happens(&format!("call-{call}"), Trigger::ChannelCreate);
    }
    let disabled = switch(&open, &hook, false).await;
    open.crash().await;

    receiver.behave(Behaviour::status(204));
    let open = office.open().await;
    open.put(disabled);
    open.put(switch(&open, &hook, true).await);
    let counts = open.settled().await;
    let of = |state| counts.get(state).copied().unwrap_or_default();
    assert_eq!(of("delivered") + of("skipped"), BACKLOG, "{counts:?}");
    assert!(of("delivered") > 0, "{counts:?}");
    open.close().await;
}

#[tokio::test]
async fn one_delivery_is_sent_again_and_a_hook_that_is_off_gets_nothing() {
    let mut receiver = Receiver::start().await;
    let open = Office::new().open().await;
    let hook = open.add_hook(&receiver.uri("/"), json!({})).await;
    open.happens("call", Trigger::ChannelCreate);
    let first = receiver.next().await;
    let attempts = open.attempts_when(|attempts| attempts.len() == 1).await;
    let id = attempts[0].delivery.id;
    let resend = async || replay::resend(&open.store, &open.delivery, hook.key, id).await;
    assert!(resend().await.unwrap());
    let again = receiver.next().await;
    assert_eq!(again.header("webhook-id"), first.header("webhook-id"));
    assert_eq!(again.body, first.body);
    open.attempts_when(|attempts| attempts.len() == 2).await;

    open.put(switch(&open, &hook, false).await);
    assert!(resend().await.unwrap());
    let attempts = open.attempts_when(|attempts| attempts.len() == 3).await;
    assert_eq!(attempts[2].attempt.result, AttemptResult::Skipped);
    open.settled().await;
    assert!(receiver.rest().is_empty());

    let nothing = replay::resend(&open.store, &open.delivery, hook.key, 4_711).await;
    assert!(!nothing.unwrap(), "there is no such delivery");
    open.close().await;
}

#[tokio::test]
async fn all_that_was_missed_is_counted_and_then_sent_again() {
    const MISSED: u64 = 1_200;
    let mut receiver = Receiver::start().await;
    receiver.behave(Behaviour::status(500));
    let open = Office::new().open().await;
    let hook = open
        .add_hook(&receiver.uri("/"), json!({"retries": 0}))
        .await;
    let began = Clock::system().now();
    for call in 0..MISSED {
        open.happens(&format!("call-{call}"), Trigger::ChannelCreate);
    }
    assert_eq!(open.settled().await["failed"], MISSED);
    receiver.rest();
    receiver.behave(Behaviour::status(204));

    let span = Span::new(began, Timestamp(i64::MAX));
    let counted = replay::recoverable(&open.store, hook.key, span).await;
    assert_eq!(counted.unwrap(), MISSED);
    assert!(receiver.rest().is_empty(), "counting sends nothing");
    let recovered = replay::recover(&open.store, &open.delivery, hook.key, span).await;
    assert_eq!(recovered.unwrap(), MISSED);
    assert_eq!(open.settled().await["delivered"], MISSED);
    assert_eq!(receiver.rest().len() as u64, MISSED, "each once");
    let left = replay::recoverable(&open.store, hook.key, span).await;
    assert_eq!(left.unwrap(), 0);
    open.close().await;
}
