//! What a value has to be besides of the right type.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::key::{Hidden, Millis};
use crate::callflow::modules;

/// Says what is wrong with a value.
pub(super) type Rule<T> = fn(&T) -> Result<(), String>;

pub(super) fn anything<T>(_: &T) -> Result<(), String> {
    Ok(())
}

pub(super) fn from_one<T: PartialOrd + From<u8>>(value: &T) -> Result<(), String> {
    match *value >= T::from(1) {
        true => Ok(()),
        false => Err("must be at least 1".into()),
    }
}

pub(super) fn some_time(value: &Millis) -> Result<(), String> {
    match value.0.is_zero() {
        false => Ok(()),
        true => Err("must be at least 1 millisecond".into()),
    }
}

#[expect(clippy::ptr_arg, reason = "a rule gets the key's own type")]
pub(super) fn not_empty(value: &String) -> Result<(), String> {
    match value.trim().is_empty() {
        false => Ok(()),
        true => Err("must not be empty".into()),
    }
}

#[expect(clippy::ptr_arg, reason = "a rule gets the key's own type")]
pub(super) fn a_file(value: &PathBuf) -> Result<(), String> {
    match value.as_os_str().is_empty() {
        false => Ok(()),
        true => Err("must not be empty".into()),
    }
}

#[expect(clippy::ptr_arg, reason = "a rule gets the key's own type")]
pub(super) fn callflow_modules(value: &Vec<String>) -> Result<(), String> {
    let ids: Vec<&str> = modules().iter().map(|module| module.id).collect();
    match value.iter().find(|id| !ids.contains(&id.as_str())) {
        None => Ok(()),
        Some(id) => Err(format!("{id:?} is no module; there are {}", ids.join(", "))),
    }
}

/// An address to listen on, or nothing.
pub(super) fn address_or_empty(value: &String) -> Result<(), String> {
    match value.is_empty() {
        true => Ok(()),
        false => address(value),
    }
}

pub(super) fn address(value: &String) -> Result<(), String> {
    value.parse::<SocketAddr>().map(drop).map_err(|_| {
        format!("{value:?} is no address and port such as 127.0.0.1:8000 or [::1]:8000")
    })
}

pub(super) fn log_filter(value: &String) -> Result<(), String> {
    tracing_subscriber::EnvFilter::try_new(value)
        .map(drop)
        .map_err(|error| format!("is no level or filter such as info or switchhook=debug: {error}"))
}

pub(super) fn not_blank(value: &Option<Hidden>) -> Result<(), String> {
    match value {
        Some(text) if text.0.trim().is_empty() => Err("must not be empty".into()),
        _ => Ok(()),
    }
}
