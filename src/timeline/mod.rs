//! What was seen of a call and what became of it, for `explain`.
//!
//! [`Scribe`] writes down each event of a channel with the facts that it was taken for, as the read path
//! passes; [`Timeline`] puts that together again with deliveries and attempts. Which hook wanted a fact is not
//! written down: the filters are asked again, with the hooks as they are then, which costs the read path nothing
//! however many hooks there are. A hook that was changed since is said to be.

mod explain;
mod opinion;
mod scribe;
mod told;

pub use explain::{Entry, Sent, Timeline};
pub use opinion::Opinion;
pub use scribe::{Notes, Scribe};
pub use told::Told;
