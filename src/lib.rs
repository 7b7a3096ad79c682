//! switchhook: a sidecar beside a FreeSWITCH media server that tells your servers about calls by webhook.
//!
//! # The map of the house
//!
//! An event goes one way, and nothing comes back against it:
//!
//! ```text
//! FreeSWITCH ──socket──▶ esl ──Event──▶ call ──Fact──▶ hook ──Delivery──▶ store ──committed──▶ delivery ──HTTP──▶ endpoint
//!                                                                           ▲                     │
//!                                                                           └──────outcomes───────┘
//! dialplan `socket`, `event` ──▶ callflow ──(webhook action)──▶ the same store and delivery; answers go back to the call
//! REST ──▶ api ──▶ registry ──▶ store, hook
//! ```
//!
//! | room | knows | must not know |
//! | --- | --- | --- |
//! | [`esl`] | the event-socket wire: frames, events, commands, the connection | webhooks, SQLite, HTTP |
//! | [`call`] | channels and calls: an event in, facts out; no I/O, no clock of its own | hooks, HTTP, SQLite |
//! | [`hook`] | what a hook is, which facts it wants, what it is sent | sockets, HTTP clients |
//! | [`store`] | SQLite: one writer thread with group commit, a few readers | HTTP, the switch |
//! | [`delivery`] | when, where and how to send; order, limits, retries, signatures | the switch |
//! | [`callflow`] | the action tree, an entry a module, a runner over a call that the switch hands over | REST, SQLite |
//! | [`timeline`] | what was seen of a call and what became of it, for `explain` | sockets, HTTP |
//! | [`registry`] | hooks and accounts as they are now, alike in store, index and delivery | the wire |
//! | [`api`] | REST: envelope, auth, a file a resource | the wire |
//! | [`console`] | the files of the web page at `/`, which uses the public API alone | everything else |
//! | [`app`] | all of them: builds, starts and stops the parts in order | |
//!
//! In front of the house stand `src/main.rs` and `src/cli`, the command line: a file a command. `serve`, `demo`,
//! `record` and `replay` build the rooms; what manages a running daemon speaks to it over REST, as everybody does.
//!
//! Beside the rooms: [`trigger`] (the catalogue of what a hook can ask for), [`time`] (instants, and the clock
//! that is passed in), [`config`] (the configuration, read and checked whole; what a reload can change), [`tally`]
//! (numbers that a room keeps while it works; [`api`] collects them for `/metrics`, and no room knows who reads them).
//!
//! # What must hold
//!
//! 1. The switch is never harmed: the socket is always being read, nothing on the read path waits for HTTP, and
//!    the wait for the store is bounded.
//! 2. Committed before the first attempt: a delivery is in SQLite before its first byte goes out, an outcome
//!    before it is forgotten.
//! 3. One event, one id: `webhook-id` is the same on every retry and after a restart.
//! 4. Every call ends: who was told of a `channel_create` is told of its `channel_destroy`, once.
//! 5. Order within a call: to one hook, a later event waits for the earlier one's first attempt.
//! 6. One bad endpoint harms nobody else.
//! 7. Bad input gets a clear error and changes nothing.

pub mod api;
pub mod app;
pub mod call;
pub mod callflow;
pub mod config;
pub mod console;
pub mod delivery;
pub mod esl;
pub mod hook;
pub mod registry;
pub mod store;
pub mod tally;
pub mod time;
pub mod timeline;
pub mod trigger;
