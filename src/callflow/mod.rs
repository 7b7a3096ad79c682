//! Webhook actions on demand, and the callflows around them.
//!
//! Three ways lead in: the dialplan's `event` application ([`action_of_event`]), its `socket` application
//! ([`serve`]), and stored callflows, which the socket reaches by id or by the number that was dialled. A
//! [`Flow`] is a tree of modules; each module is one entry in `modules/` that says what its data may be and
//! which applications of the switch it becomes. The runner walks a flow over a live call, [`dry_run`] walks it
//! over none. The room knows neither REST nor SQLite: what it needs of the house it asks of a [`Desk`].

mod action;
mod desk;
mod dry;
mod flow;
mod modules;
mod path;
mod report;
mod runner;
mod schema;
mod server;
mod text;

pub use action::{ActionError, EVENT_SUBCLASS, WebhookAction, action_of_event};
pub use desk::{Desk, DeskError, StoredFlow, WebhookAnswer};
pub use dry::{Step, dry_run};
pub use flow::{Flow, Rules, check_callflow};
pub use modules::{Category, Children, Module, modules};
pub use runner::{CallflowConfig, REMOTE_MODULES};
pub use schema::{Field, Kind};
pub use server::{CallflowStats, serve};
pub use text::REMOTE_VARIABLES;
