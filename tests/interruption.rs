//! Calls that survive interruption: the socket dropped at every event of every recorded call, the sidecar
//! killed, the switch restarted or gone. Whatever is missed, what was begun is ended, once.

mod support;
// Made for the stories of calls; here only a part of it is needed.
#[allow(dead_code)]
#[path = "calls/tools.rs"]
mod tools;

#[path = "interruption/complete.rs"]
mod complete;
#[path = "interruption/cuts.rs"]
mod cuts;
#[path = "interruption/daemon.rs"]
mod daemon;
#[path = "interruption/list.rs"]
mod list;
