//! How legs and calls are written down to survive a restart: one JSON text a leg.
//!
//! A call's own state is written beside one of its legs, the first that lives.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::book::Book;
use super::fact::{CallType, Subscription};
use super::leg::Leg;
use super::state::Call;
use crate::time::Timestamp;

/// A stored leg that cannot be read. The others are restored all the same; the next snapshot of the switch
/// finds this one again, if it lives.
#[derive(Debug, thiserror::Error)]
#[error(
    "the stored state of leg {uuid} is unreadable ({reason}); it is left out until the switch is asked"
)]
pub struct RestoreError {
    /// Unique-ID of the leg.
    pub uuid: String,
    /// What is wrong with it.
    #[source]
    pub reason: serde_json::Error,
}

/// A leg as it is written.
#[derive(Serialize)]
struct Written<'a> {
    core: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    switch: Option<&'a str>,
    leg: &'a Leg,
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<&'a Call>,
}

/// A leg as it is read.
#[derive(Deserialize)]
struct Read {
    core: Box<str>,
    switch: Option<Box<str>>,
    leg: Leg,
    call: Option<Call>,
}

impl Book {
    /// What has changed since the last time: Unique-ID and state of each leg, `None` where it has ended. From
    /// the first time on, or from when legs were restored, changes are kept; that one gives everything.
    pub(super) fn changed(
        &mut self,
        core: &str,
        switch: Option<&str>,
    ) -> Vec<(Arc<str>, Option<String>)> {
        let changed = match &mut self.changes {
            Some(changes) => std::mem::take(changes),
            none => {
                *none = Some(Default::default());
                self.legs.keys().cloned().collect()
            }
        };
        changed
            .into_iter()
            .map(|uuid| {
                let state = self.legs.get(&uuid).map(|leg| {
                    let call = self
                        .calls
                        .get(&leg.call)
                        .filter(|call| call.members.first() == Some(&uuid));
                    let written = Written {
                        core,
                        switch,
                        leg,
                        call,
                    };
                    // A leg with its call is about 1,300 bytes.
                    let mut text = Vec::with_capacity(1_536);
                    serde_json::to_writer(&mut text, &written)
                        .expect("numbers, words and lists only");
                    String::from_utf8(text).expect("JSON is UTF-8")
                });
                (uuid, state)
            })
            .collect()
    }

    /// Takes a stored leg in; gives back the Core-UUID of the switch that it lived in, and the switch's name.
    pub(super) fn restore(
        &mut self,
        uuid: &str,
        state: &str,
    ) -> Result<(Box<str>, Option<Box<str>>), RestoreError> {
        let Read {
            core,
            switch,
            mut leg,
            call,
        } = serde_json::from_str(state).map_err(|reason| RestoreError {
            uuid: uuid.to_owned(),
            reason,
        })?;
        leg.uuid = uuid.into();
        let known = self
            .calls
            .entry(Arc::clone(&leg.call))
            .or_insert_with(|| Call::new(Arc::clone(&leg.call), leg.created));
        if let Some(mut call) = call {
            call.root = Arc::clone(&known.root);
            call.members = std::mem::take(&mut known.members);
            *known = call;
        }
        known.members.push(Arc::clone(&leg.uuid));
        self.met_subscription |= known.subscription.is_some();
        self.legs.insert(Arc::clone(&leg.uuid), leg);
        Ok((core, switch))
    }
}

/// A value that serde cannot write as it is, in a plain form that it can.
pub(super) trait Plain: Sized {
    /// As it is written, which copies nothing.
    type Shown<'a>: Serialize
    where
        Self: 'a;
    /// As it is read.
    type Form: serde::de::DeserializeOwned;
    fn show(&self) -> Self::Shown<'_>;
    fn read(form: Self::Form) -> Self;
}

impl Plain for Arc<str> {
    type Shown<'a> = &'a str;
    type Form = Box<str>;

    fn show(&self) -> &str {
        self
    }

    fn read(form: Box<str>) -> Self {
        form.into()
    }
}

impl Plain for Timestamp {
    type Shown<'a> = i64;
    type Form = i64;

    fn show(&self) -> i64 {
        self.0
    }

    fn read(micros: i64) -> Self {
        Self(micros)
    }
}

impl Plain for CallType {
    type Shown<'a> = &'static str;
    type Form = Box<str>;

    fn show(&self) -> &'static str {
        self.id()
    }

    fn read(id: Box<str>) -> Self {
        Self::from_id(&id).unwrap_or(Self::Inbound)
    }
}

impl Plain for Arc<Subscription> {
    type Shown<'a> = (&'a str, Option<&'a str>, Option<&'a str>, Option<&'a str>);
    type Form = (
        Box<str>,
        Option<Box<str>>,
        Option<Box<str>>,
        Option<Box<str>>,
    );

    fn show(&self) -> Self::Shown<'_> {
        (
            &self.uri,
            self.events.as_deref(),
            self.verb.as_deref(),
            self.format.as_deref(),
        )
    }

    fn read((uri, events, verb, format): Self::Form) -> Self {
        Self::new(Subscription {
            uri,
            events,
            verb,
            format,
        })
    }
}

impl<T: Plain> Plain for Option<T> {
    type Shown<'a>
        = Option<T::Shown<'a>>
    where
        T: 'a;
    type Form = Option<T::Form>;

    fn show(&self) -> Self::Shown<'_> {
        self.as_ref().map(|item| item.show())
    }

    fn read(form: Self::Form) -> Self {
        form.map(T::read)
    }
}

impl<T: Serialize + serde::de::DeserializeOwned> Plain for Arc<[T]> {
    type Shown<'a>
        = &'a [T]
    where
        T: 'a;
    type Form = Vec<T>;

    fn show(&self) -> &[T] {
        self
    }

    fn read(form: Vec<T>) -> Self {
        form.into()
    }
}

/// Fewer or more than there are now have been written by another version: what is missing is not known.
impl<T: Plain, const N: usize> Plain for [Option<T>; N] {
    type Shown<'a>
        = Vec<Option<T::Shown<'a>>>
    where
        T: 'a;
    type Form = Vec<Option<T::Form>>;

    fn show(&self) -> Self::Shown<'_> {
        self.iter().map(|item| item.show()).collect()
    }

    fn read(form: Self::Form) -> Self {
        let mut items = form.into_iter();
        std::array::from_fn(|_| items.next().flatten().map(T::read))
    }
}

/// For `#[serde(with = …)]`.
pub(super) mod plain {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Plain;

    pub(in super::super) fn serialize<T: Plain, S: Serializer>(
        value: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        value.show().serialize(to)
    }

    pub(in super::super) fn deserialize<'de, T: Plain, D: Deserializer<'de>>(
        from: D,
    ) -> Result<T, D::Error> {
        T::Form::deserialize(from).map(T::read)
    }
}
