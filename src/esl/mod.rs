//! The event socket of the switch: bytes in, frames and events out; commands in, bytes out.
//!
//! It knows `mod_event_socket` and nothing else: no webhooks, no SQLite, no HTTP. [`Client`] is our connection to
//! the switch; [`Outbound`] is a call on a connection that the switch opens to us.

mod backoff;
mod client;
mod codec;
mod command;
mod event;
mod frame;
mod handle;
mod link;
mod login;
mod names;
mod outbound;
mod pending;
mod session;
mod status;
mod wanted;

pub use backoff::Backoff;
pub use client::{Client, ClientConfig, LoginError, Notice};
pub use codec::{Codec, CodecError};
pub use command::{Command, CommandError, Password};
pub use event::{Event, EventError, peek_name};
pub use frame::{Cutter, Frame, FrameError, Kind, Limits};
pub use handle::{ApiError, ApiResult, Handle};
pub use link::LinkError;
pub use login::{Credentials, Login};
pub use outbound::{Outbound, OutboundError};
pub use status::{Status, StatusReader};
pub use wanted::Wanted;
