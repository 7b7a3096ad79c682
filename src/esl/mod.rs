//! The event socket of the switch: bytes in, frames and events out; commands in, bytes out.
//!
//! It knows `mod_event_socket` and nothing else: no webhooks, no SQLite, no HTTP.

mod event;
mod frame;

pub use event::{Event, EventError, peek_name};
pub use frame::{Cutter, Frame, FrameError, Kind, Limits};
