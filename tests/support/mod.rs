//! What the tests share: recorded streams of a real switch, and a switch that plays them.

// Every test binary compiles all of it and uses its own part.
#![allow(dead_code, unreachable_pub)]

pub mod api;
pub mod backlog;
pub mod caller;
pub mod capture;
pub mod daemon;
pub mod exchange;
pub mod nats;
pub mod office;
pub mod pattern;
pub mod receiver;
pub mod stage;
pub mod switch;
