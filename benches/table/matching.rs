//! What it costs to find the hooks of a fact, and to change one hook of many.

use std::hint::black_box;
use std::sync::Arc;

use serde_json::json;
use switchhook::call::{Account, Accounts, Rules};
use switchhook::hook::{Document, Hook, Index, Router, Secrets, Settings};
use switchhook::time::Timestamp;

use crate::machine::{best, row, row_us};
use crate::stream::facts;

pub(crate) fn rows() {
    let mut facts = facts();
    let mut first = None;
    for hooks in [10_i64, 1_000, 100_000] {
        // As many hooks an account as there are, so that a fact finds the same number of them.
        let accounts = (hooks / 10).clamp(1, 10_000);
        let name = |account: i64| format!("account-{account}");
        let index = Arc::new(Index::new(
            (0..hooks).map(|key| hook(key + 1, &name(key % accounts))),
        ));
        let directory = Accounts::new(
            Rules::default(),
            (0..accounts).map(|account| Account {
                id: name(account).as_str().into(),
                ..Account::default()
            }),
        );
        let router = Router::new(Arc::clone(&index));
        for (number, fact) in (0_i64..).zip(&mut facts) {
            fact.account_id = name(number % accounts).as_str().into();
        }
        let each = best(facts.len(), || {
            for fact in &facts {
                black_box(router.route(fact, &directory));
            }
        });
        row_us(
            &format!("matching: a fact told to 10 hooks of {hooks} (vs. of 10)"),
            each,
            *first.get_or_insert(each),
        );
        if hooks == 100_000 {
            let change = best(1, || index.put(hook(1, &name(0))));
            row(
                "matching: one hook of 100,000 changed (vs. limit 5 ms)",
                &format!("{:.2} ms", change / 1e3),
                "5 ms",
                change / 5e3,
            );
        }
    }
}

fn hook(key: i64, account: &str) -> Hook {
    let document: Document = json!({"name": "bench", "hook": "all", "uri": "http://127.0.0.1:1/",
        "format": "json", "modifiers": {"digit": "1"}})
    .as_object()
    .expect("an object")
    .clone();
    Hook {
        key,
        id: format!("{key:032x}").into(),
        account_id: account.into(),
        settings: Settings::read(&document).expect("a sound hook"),
        document,
        disable_reason: None,
        created: Timestamp(0),
        modified: Timestamp(0),
        secrets: Secrets::default(),
    }
}
