//! Calls from their first event to the last, and what is told of them.

mod captures;
mod gaps;
mod stories;
mod storms;
mod tools;
