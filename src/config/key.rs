//! The types that keys have: read from TOML or the environment, and shown again.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use toml::Value;
use toml::de::DeValue;

use crate::call::Source;

/// Milliseconds, as keys that end in `_ms` give them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Millis(pub Duration);

pub(super) const fn ms(millis: u64) -> Millis {
    Millis(Duration::from_millis(millis))
}

/// A value that is never shown.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Hidden(pub String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// How safe a commit is (`[store] durability`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Survives a crash of the process.
    Process,
    /// Survives the loss of power.
    Power,
}

/// How log lines are written (`[log] format`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// What may be shown of a key's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// The value itself.
    Value(Value),
    /// There is one, and it is nobody's business.
    Secret,
    /// There is none.
    Unset,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => value.fmt(f),
            Self::Secret => f.write_str("***"),
            Self::Unset => f.write_str("not set"),
        }
    }
}

/// A type that a key can have.
pub(super) trait Key: Sized + Clone + PartialEq {
    /// What a right value looks like.
    const WANTED: &'static str;

    /// What a right list of them looks like.
    const WANTED_LIST: &'static str = "a list";

    fn read(value: &DeValue<'_>) -> Option<Self>;

    /// What [`read`](Self::read) would make the same of, unless it is a secret.
    fn shown(&self) -> Shown;

    /// Whether an environment variable's text is the value as it stands, and not TOML.
    const PLAIN: bool = false;
}

impl Key for String {
    const WANTED: &'static str = "a text";
    const WANTED_LIST: &'static str = "a list of texts";
    const PLAIN: bool = true;

    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }

    fn shown(&self) -> Shown {
        Shown::Value(self.as_str().into())
    }
}

impl Key for Hidden {
    const WANTED: &'static str = "a text";
    const PLAIN: bool = true;

    fn read(value: &DeValue<'_>) -> Option<Self> {
        String::read(value).map(Self)
    }

    fn shown(&self) -> Shown {
        Shown::Secret
    }
}

impl Key for PathBuf {
    const WANTED: &'static str = "a path";
    const PLAIN: bool = true;

    fn read(value: &DeValue<'_>) -> Option<Self> {
        String::read(value).map(Self::from)
    }

    fn shown(&self) -> Shown {
        Shown::Value(self.to_string_lossy().as_ref().into())
    }
}

impl<T: Key> Key for Option<T> {
    const WANTED: &'static str = T::WANTED;
    const PLAIN: bool = T::PLAIN;

    fn read(value: &DeValue<'_>) -> Option<Self> {
        T::read(value).map(Some)
    }

    fn shown(&self) -> Shown {
        self.as_ref().map_or(Shown::Unset, T::shown)
    }
}

impl Key for bool {
    const WANTED: &'static str = "true or false";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_bool()
    }

    fn shown(&self) -> Shown {
        Shown::Value((*self).into())
    }
}

impl Key for u64 {
    const WANTED: &'static str = "a whole number, not negative";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        let integer = value.as_integer()?;
        Self::from_str_radix(integer.as_str(), integer.radix()).ok()
    }

    fn shown(&self) -> Shown {
        Shown::Value(i64::try_from(*self).unwrap_or(i64::MAX).into())
    }
}

impl Key for u32 {
    const WANTED: &'static str = "a whole number, not negative";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        u64::read(value)?.try_into().ok()
    }

    fn shown(&self) -> Shown {
        u64::from(*self).shown()
    }
}

impl Key for u16 {
    const WANTED: &'static str = "a port from 1 to 65535";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        u64::read(value)?.try_into().ok()
    }

    fn shown(&self) -> Shown {
        u64::from(*self).shown()
    }
}

impl Key for Millis {
    const WANTED: &'static str = "a whole number of milliseconds";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        u64::read(value).map(ms)
    }

    fn shown(&self) -> Shown {
        u64::try_from(self.0.as_millis())
            .unwrap_or(u64::MAX)
            .shown()
    }
}

impl<T: Key> Key for Vec<T> {
    const WANTED: &'static str = T::WANTED_LIST;

    fn read(value: &DeValue<'_>) -> Option<Self> {
        value
            .as_array()?
            .iter()
            .map(|item| T::read(item.get_ref()))
            .collect()
    }

    fn shown(&self) -> Shown {
        let items = self.iter().map(|item| match item.shown() {
            Shown::Value(value) => value,
            // No list of secrets, or of what may be missing, is configured.
            Shown::Secret | Shown::Unset => Value::String("***".into()),
        });
        Shown::Value(Value::Array(items.collect()))
    }
}

impl Key for IpNet {
    const WANTED: &'static str = "a network such as 10.0.0.0/8";
    const WANTED_LIST: &'static str = "a list of networks such as \"10.0.0.0/8\"";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        let text = value.as_str()?;
        text.parse()
            .or_else(|_| text.parse().map(|address: std::net::IpAddr| address.into()))
            .ok()
    }

    fn shown(&self) -> Shown {
        Shown::Value(self.to_string().into())
    }
}

/// A [`Key`] that is one word of a list.
macro_rules! words {
    ($type:ty, $wanted:literal, $($word:literal => $value:expr),+) => {
        impl Key for $type {
            const WANTED: &'static str = $wanted;
            const WANTED_LIST: &'static str = concat!("a list of ", $wanted);
            const PLAIN: bool = true;

            fn read(value: &DeValue<'_>) -> Option<Self> {
                match value.as_str()?.to_ascii_lowercase().as_str() {
                    $($word => Some($value),)+
                    _ => None,
                }
            }

            fn shown(&self) -> Shown {
                let words = [$(($word, $value)),+];
                let word = words.iter().find(|(_, value)| value == self);
                word.map_or(Shown::Unset, |(word, _)| Shown::Value((*word).into()))
            }
        }
    };
}

words!(Durability, "\"process\" or \"power\"", "process" => Durability::Process, "power" => Durability::Power);
words!(LogFormat, "\"text\" or \"json\"", "text" => LogFormat::Text, "json" => LogFormat::Json);
words!(Source, "\"variable\", \"number\", \"realm\", \"default\"",
    "variable" => Source::Variable, "number" => Source::Number, "realm" => Source::Realm, "default" => Source::Default);
