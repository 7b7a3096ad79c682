//! switchhook: a sidecar beside a FreeSWITCH media server that tells your servers about calls by webhook.

pub mod call;
pub mod callflow;
pub mod config;
pub mod delivery;
pub mod esl;
pub mod hook;
pub mod store;
pub mod time;
pub mod trigger;
