//! The read path: an event of the switch, the facts in it, the deliveries of each, into the store.
//!
//! Nothing here waits for HTTP, and the wait for the store is bounded: a store that stalls longer than that
//! sheds events, which is counted and logged once. Afterwards what was shed has never happened: the call model
//! goes back to what the store remembers, and asking the switch what is alive mends the rest.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use crate::api::Feed;
use crate::call::{Fact, Payload, Place, Snapshot, Tracker, TrackerConfig, Wanted};
use crate::callflow::{EVENT_SUBCLASS, action_of_event};
use crate::esl::{Client, Command, Event, Notice, Wanted as Subscription};
use crate::hook::{Record, Router};
use crate::registry::Registry;
use crate::store::channels::{self, ChannelChange};
use crate::store::{Intake, Store, StoreError};
use crate::tally::Tally;
use crate::time::{Clock, Timestamp};
use crate::timeline::{Notes, Scribe};
use crate::trigger::{Trigger, TriggerSet};

/// Tags of the questions we ask the switch; those from [`FIRST_DUMP`] on are for one channel each.
const CORE_UUID: u32 = 0;
const CHANNELS: u32 = 1;
const FIRST_DUMP: u32 = 2;
/// As many unknown channels are asked about; what the list says must do for the others.
const MOST_DUMPS: usize = 500;

/// The pause before a stalled store is asked again what it remembers.
const RECALL_PAUSE: Duration = Duration::from_millis(200);

/// The legs that the store remembers: Unique-ID and state.
type Legs = Vec<(String, Vec<u8>)>;

/// Numbers of the read path, for health and metrics.
#[derive(Debug, Default)]
pub struct PipelineStats {
    /// Events whose facts could not be stored.
    pub shed: AtomicU64,
    /// Legs that are alive.
    pub live_legs: AtomicU64,
    /// What happened, by [`Trigger`], wanted or not.
    pub facts: Tally<{ Trigger::COUNT }>,
}

/// A list of channels, and the questions about them that are still open.
struct Gathering {
    snapshot: Snapshot,
    /// The row that each question is about.
    rows: Vec<usize>,
    open: usize,
}

/// The read path's state.
pub(super) struct Pipeline {
    client: Client,
    tracker: Tracker,
    router: Router,
    registry: Arc<Registry>,
    store: Store,
    feed: Feed,
    clock: Clock,
    stats: Arc<PipelineStats>,
    /// How long the store may keep the read path waiting.
    patience: Duration,
    facts: Vec<Fact>,
    /// Writes down what is seen; `None` where nobody wants that.
    scribe: Option<Scribe>,
    core_uuid: Arc<str>,
    /// How many lists of channels are on their way.
    lists: u32,
    /// The switch's list of channels, until all that is asked about them has been answered.
    gathering: Option<Gathering>,
    /// The time of the last event, and when it was read: what the switch's clock says.
    last_event: Option<(Timestamp, Instant)>,
    /// Events shed since the store last took one.
    shed: u64,
    /// What the store remembers, once it takes events again. There while events are shed.
    recall: Option<oneshot::Receiver<Legs>>,
    /// Events shed since the connection was made or lost, for `switch_*`.
    shed_unsaid: u64,
    all_calls: bool,
    /// What legs run is among what is subscribed.
    sees_applications: bool,
}

impl Pipeline {
    pub(super) fn new(
        client: Client,
        tracker_config: TrackerConfig,
        registry: Arc<Registry>,
        store: Store,
        feed: Feed,
        clock: Clock,
        patience: Duration,
    ) -> Self {
        let router = Router::new(Arc::clone(registry.index()));
        Self {
            client,
            tracker: Tracker::new(tracker_config),
            router,
            registry,
            store,
            feed,
            clock,
            stats: Arc::default(),
            patience,
            facts: Vec::new(),
            scribe: None,
            core_uuid: "".into(),
            lists: 0,
            gathering: None,
            last_event: None,
            shed: 0,
            recall: None,
            shed_unsaid: 0,
            all_calls: false,
            sees_applications: false,
        }
    }

    /// Keeps a timeline of every call.
    pub(super) fn noted_by(mut self, scribe: Option<Scribe>) -> Self {
        self.scribe = scribe;
        self
    }

    pub(super) fn stats(&self) -> Arc<PipelineStats> {
        Arc::clone(&self.stats)
    }

    /// Reads until `stop` is done. `legs` is what an earlier run remembered.
    pub(super) async fn run(mut self, legs: Legs, stop: impl Future<Output = ()>) {
        self.remember(&legs);
        tokio::pin!(stop);
        let mut changes = self.registry.changes();
        self.subscribe();
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                changed = changes.changed() => match changed {
                    Ok(()) => self.subscribe(),
                    Err(_) => break,
                },
                legs = recalled(&mut self.recall) => self.on_recalled(legs),
                notice = self.client.next() => self.on_notice(notice).await,
            }
        }
    }

    /// Asks the switch for exactly what hooks and tracker need.
    fn subscribe(&mut self) {
        let (mut triggers, switch_events) = self.registry.index().wanted();
        if let Some(scribe) = &mut self.scribe {
            scribe.learn(&self.registry.index().all());
        }
        self.all_calls = self.tracker.met_subscription();
        if self.all_calls {
            triggers = triggers.union(TriggerSet::all());
        }
        let wanted = Wanted {
            triggers,
            switch_events,
        };
        let (names, subclasses) = wanted.events_needed();
        let mut subscription = Subscription::default();
        // Actions of the dialplan need no hook.
        let subclasses = subclasses.iter().map(String::as_str);
        let custom = subclasses
            .chain([EVENT_SUBCLASS])
            .map(|subclass| format!("CUSTOM {subclass}"));
        for event in names.iter().cloned().chain(custom) {
            if let Err(problem) = subscription.insert(&event) {
                warn!(
                    event,
                    "a hook asks for a switch event that cannot be asked for: {problem}"
                );
            }
        }
        let saw = std::mem::replace(
            &mut self.sees_applications,
            names.contains("CHANNEL_EXECUTE"),
        );
        self.tracker.want(wanted);
        self.client.subscribe(subscription);
        // Of calls that are under way it was not seen what they run, and a hook that has just come wants to know.
        if self.sees_applications && !saw {
            self.ask_for_channels();
        }
    }

    async fn on_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Event(event) => self.on_event(&event).await,
            Notice::Connected => {
                self.ask(CORE_UUID, "global_getvar core_uuid");
                self.ask_for_channels();
                self.say_of_switch(Trigger::SwitchConnected, "connected")
                    .await;
            }
            Notice::Disconnected { reason } => {
                self.gathering = None;
                self.last_event = None;
                let reason = reason.to_string();
                self.say_of_switch(Trigger::SwitchDisconnected, &reason)
                    .await;
            }
            Notice::BadEvent(problem) => {
                warn!("an event of the switch could not be read and is passed over: {problem}");
            }
            Notice::Reply { tag, result } => {
                let answer = result.map_err(|problem| {
                    debug!(tag, "the switch gave no answer: {problem}");
                });
                match tag {
                    CORE_UUID => self.on_core_uuid(answer.unwrap_or_default().trim()),
                    CHANNELS => self.on_channels(&answer.unwrap_or_default()).await,
                    tag => self.on_dump(tag, &answer.unwrap_or_default()).await,
                }
            }
        }
    }

    fn ask_for_channels(&mut self) {
        self.tracker.asks_for_channels();
        self.lists += 1;
        self.ask(CHANNELS, "show channels as json");
    }

    fn ask(&mut self, tag: u32, line: &str) {
        match Command::api(line) {
            Ok(command) => self.client.request(tag, command),
            Err(problem) => error!(line, "cannot be asked of the switch: {problem}"),
        }
    }

    async fn on_event(&mut self, event: &Event) {
        let accounts = self.registry.accounts();
        let place = self.tracker.on_event(event, &accounts, &mut self.facts);
        if let Some(at) = event.number("Event-Date-Timestamp") {
            self.last_event = Some((Timestamp(at), Instant::now()));
        }
        if !matches!(self.tracker.core_uuid(), "") && self.tracker.core_uuid() != &*self.core_uuid {
            self.core_uuid = self.tracker.core_uuid().into();
        }
        if event.name() == "HEARTBEAT" && self.tracker.heartbeat(event).is_some() {
            info!("the switch counts other sessions than we do: asking it which are alive");
            self.ask_for_channels();
        }
        let action = self.action_in(event);
        self.tell(place.map(|place| (event, place)), action).await;
    }

    /// The webhook action that the dialplan's `event` application asks for.
    fn action_in(&self, event: &Event) -> Option<Record> {
        let accounts = self.registry.accounts();
        let index = self.registry.index();
        let find = |account_id: &str, id: &str| index.get(account_id, id);
        match action_of_event(event, &accounts, self.tracker.config(), find) {
            Ok(action) => {
                let record = action?.record(&self.router, &accounts);
                self.feed.recorded(&record);
                Some(record)
            }
            Err(problem) => {
                warn!(
                    call_id = event
                        .text("Unique-ID")
                        .as_deref()
                        .map(tracing::field::display),
                    "the dialplan's webhook event is passed over: {problem}"
                );
                None
            }
        }
    }

    fn on_core_uuid(&mut self, answer: &str) {
        if !answer.is_empty() && !answer.starts_with('-') {
            self.core_uuid = answer.into();
        }
    }

    /// Takes the switch's list of channels, and asks about those that are new to us.
    async fn on_channels(&mut self, answer: &str) {
        self.lists = self.lists.saturating_sub(1);
        // Of two that were asked for the later one says it all. What is asked about the channels of the first
        // would be answered behind it, and be taken for what is asked about its own.
        if answer.is_empty() || self.lists > 0 {
            return;
        }
        let core_uuid = Some(self.core_uuid.to_string()).filter(|known| !known.is_empty());
        let snapshot = match Snapshot::parse(core_uuid, answer.as_bytes()) {
            Ok(snapshot) => snapshot,
            Err(problem) => {
                warn!("the switch's list of channels cannot be read: {problem}");
                return;
            }
        };
        let strangers: HashSet<String> = self
            .tracker
            .strangers(&snapshot)
            .map(str::to_owned)
            .collect();
        let rows: Vec<usize> = (snapshot.channels.iter().enumerate())
            .filter(|(_, row)| strangers.contains(&row.uuid))
            .map(|(index, _)| index)
            .take(MOST_DUMPS)
            .collect();
        for (tag, row) in (FIRST_DUMP..).zip(&rows) {
            let line = format!("uuid_dump {} json", snapshot.channels[*row].uuid);
            self.ask(tag, &line);
        }
        self.gathering = Some(Gathering {
            snapshot,
            open: rows.len(),
            rows,
        });
        self.reconcile().await;
    }

    async fn on_dump(&mut self, tag: u32, answer: &str) {
        let Some(gathering) = &mut self.gathering else {
            return;
        };
        let Some(row) = gathering.rows.get((tag - FIRST_DUMP) as usize) else {
            return;
        };
        // A channel that has ended meanwhile is answered with -ERR.
        gathering.snapshot.channels[*row].dump = Event::from_json(answer.as_bytes()).ok();
        gathering.open = gathering.open.saturating_sub(1);
        self.reconcile().await;
    }

    /// Compares what we remember with what the switch says is alive, once everything was answered.
    async fn reconcile(&mut self) {
        let Some(gathering) = self.gathering.take_if(|gathering| gathering.open == 0) else {
            return;
        };
        let accounts = self.registry.accounts();
        let now = self.switch_time();
        self.tracker
            .reconcile(&gathering.snapshot, now, &accounts, &mut self.facts);
        self.tell(None, None).await;
    }

    /// What the switch's clock says.
    fn switch_time(&self) -> Timestamp {
        match self.last_event {
            Some((at, read)) => at.after(read.elapsed()),
            None => self.clock.now(),
        }
    }

    /// A fact of the connection itself.
    async fn say_of_switch(&mut self, trigger: Trigger, reason: &str) {
        let mut payload = Payload::default();
        payload.set("reason", reason);
        payload.set(
            "shed_events",
            i64::try_from(self.shed_unsaid).unwrap_or(i64::MAX),
        );
        self.shed_unsaid = 0;
        self.facts.push(Fact::without_call(
            trigger,
            self.clock.now(),
            Arc::clone(&self.core_uuid),
            self.registry.accounts().fallback(),
            payload,
        ));
        self.tell(None, None).await;
    }

    /// Hands the facts that somebody wants to the store, and with them what was seen and what the tracker
    /// remembers, so that a restart knows of every leg whose beginning was told.
    async fn tell(&mut self, seen: Option<(&Event, Place)>, action: Option<Record>) {
        let accounts = self.registry.accounts();
        let mut intake = Intake::default();
        intake.records.extend(action);
        let mut notes = self.scribe.as_ref().map(|scribe| scribe.begin(seen));
        for fact in self.facts.drain(..) {
            let record = self.router.route(&fact, &accounts);
            self.stats.facts.add(fact.trigger as usize, 1);
            if let Some(notes) = &mut notes {
                let recorded = record.as_ref().map_or(0, |record| record.deliveries.len());
                notes.add(&fact, recorded);
            }
            if let Some(record) = record {
                self.feed.recorded(&record);
                intake.records.push(record);
            }
        }
        intake.steps = notes.map(Notes::finish).unwrap_or_default();
        let changed = self.tracker.changed().into_iter();
        intake
            .channels
            .extend(changed.map(|(uuid, state)| ChannelChange {
                uuid: uuid.as_ref().into(),
                state: state.map(|state| state.into_bytes().into()),
            }));
        if !intake.is_empty() {
            let now = self.clock.now();
            for record in &mut intake.records {
                record.due_by(now);
            }
            self.store(intake).await;
        }
        self.count_legs();
        // A call with a subscription of its own is met in an event or in the switch's list.
        if self.tracker.met_subscription() != self.all_calls {
            self.subscribe();
        }
    }

    async fn store(&mut self, intake: Intake) {
        // Once it has been too long, no later event waits before the store has said what it remembers.
        let refused = match self.recall {
            None => offer(&self.store, intake, self.patience).await.err(),
            Some(_) => Some(intake),
        };
        if let Some(intake) = refused {
            self.on_shed(&intake);
        }
    }

    fn on_shed(&mut self, intake: &Intake) {
        if self.recall.is_none() {
            let first = intake.records.first();
            let problem = self.store.health().last_error;
            error!(
                call_id = first
                    .and_then(|record| record.call_id.as_deref())
                    .map(tracing::field::display),
                "the store has taken nothing for {:?}: events are shed until it does ({}); look at the disk of [store] path",
                self.patience,
                problem.as_deref().unwrap_or("it is slow")
            );
            let (answer, recall) = oneshot::channel();
            self.recall = Some(recall);
            tokio::spawn(ask_what_it_remembers(self.store.clone(), answer));
        }
        self.shed += 1;
        self.shed_unsaid += 1;
        self.stats.shed.fetch_add(1, Ordering::Relaxed);
    }

    /// The store takes events again: the call model goes on from what was told.
    fn on_recalled(&mut self, legs: Option<Legs>) {
        self.recall = None;
        // The store is closed: this is the end.
        let Some(legs) = legs else {
            return;
        };
        warn!(
            shed_events = self.shed,
            "the store takes events again; asking the switch what is alive"
        );
        self.shed = 0;
        self.gathering = None;
        self.tracker.forget();
        self.remember(&legs);
        self.subscribe();
        self.ask_for_channels();
    }

    fn remember(&mut self, legs: &Legs) {
        let states = legs
            .iter()
            .filter_map(|(uuid, state)| Some((uuid.as_str(), std::str::from_utf8(state).ok()?)));
        for problem in self.tracker.restore(states) {
            warn!("{problem}");
        }
        self.count_legs();
    }

    fn count_legs(&self) {
        let live = self.tracker.live_legs() as u64;
        self.stats.live_legs.store(live, Ordering::Relaxed);
    }
}

/// Hands something to the store, which has a bounded time to make room.
async fn offer(store: &Store, intake: Intake, patience: Duration) -> Result<(), Intake> {
    let Err(intake) = store.offer(intake) else {
        return Ok(());
    };
    match tokio::time::timeout(patience, store.room_for(&intake)).await {
        Ok(()) => store.offer(intake),
        Err(_) => Err(intake),
    }
}

/// What the store remembers of the legs, behind all that it has taken, as soon as it has room for more.
async fn ask_what_it_remembers(store: Store, answer: oneshot::Sender<Legs>) {
    store.room().await;
    loop {
        match store.write(|tx| channels::all(tx)).await {
            Ok(legs) => {
                // A pipeline that has ended wants to know nothing any more.
                let _ = answer.send(legs);
                return;
            }
            Err(StoreError::Closed) => return,
            Err(problem) => {
                debug!("the store does not say what it remembers, asking again: {problem}");
                tokio::time::sleep(RECALL_PAUSE).await;
            }
        }
    }
}

/// The answer, when it comes; `None` where there will be none.
async fn recalled(recall: &mut Option<oneshot::Receiver<Legs>>) -> Option<Legs> {
    match recall {
        Some(recall) => recall.await.ok(),
        None => std::future::pending().await,
    }
}
