//! The query string: pages and filters.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde_json::Value;

use super::envelope::{Problem, Reply};
use crate::hook::Mistakes;
use crate::time::Timestamp;

/// Items of a page, unless the request says otherwise.
const USUAL_PAGE: usize = 50;
/// Items of a page at most.
const LARGEST_PAGE: usize = 1_000;
/// Items of a listing that is not to be cut into pages. What is left has a next page all the same.
const LARGEST_LISTING: usize = 10_000;

/// What `page_size` may be, for those who ask beforehand.
pub(super) fn page_size_schema() -> serde_json::Value {
    serde_json::json!({
        "type": "integer", "minimum": 1, "maximum": LARGEST_PAGE, "default": USUAL_PAGE,
    })
}

/// The latest time that can be said, in Gregorian seconds: far off, and a whole number to every client.
const LATEST: i64 = 300_000_000_000;

/// A time in Gregorian seconds, for those who ask beforehand.
pub(super) fn gregorian_schema() -> serde_json::Value {
    serde_json::json!({ "type": "integer", "minimum": 0, "maximum": LATEST })
}

/// The instant of a Gregorian second that can be meant.
pub(super) fn instant(seconds: i64) -> Option<Timestamp> {
    ((0..=LATEST).contains(&seconds)).then(|| Timestamp::from_gregorian(seconds))
}

/// The pairs of a query string.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, String)>);

/// Which page of a listing is wanted.
#[derive(Debug, Clone)]
pub(super) struct Paging {
    /// `start_key`.
    pub(super) start_key: Option<String>,
    /// `page_size`.
    pub(super) size: usize,
}

impl Paging {
    /// The page of a listing that is in memory, each item known by its `key`.
    pub(super) fn of<T>(
        self,
        all: &[T],
        key: impl Fn(&T) -> &str,
        view: impl Fn(&T) -> Value,
    ) -> Result<Reply, Problem> {
        let first = match &self.start_key {
            None => 0,
            Some(start) => (all.iter())
                .position(|item| key(item) == start)
                .ok_or_else(|| Problem::unknown_start_key(start))?,
        };
        let next = all.get(first + self.size);
        let next = next.map(|item| key(item).to_owned());
        let items = all.iter().skip(first).take(self.size).map(view);
        Ok(Reply::page(items, self.start_key, next))
    }
}

impl Query {
    /// Reads a query string.
    pub(super) fn read(query: &str) -> Self {
        Self(
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// A value, where there is one that is not empty; of several the last.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.value(name).filter(|value| !value.is_empty())
    }

    fn value(&self, name: &str) -> Option<&str> {
        let mut pairs = self.0.iter().rev();
        let found = pairs.find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A value read by `read`, which says what is wrong with it.
    fn parsed<T>(
        &self,
        name: &str,
        mistakes: &mut Mistakes,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match read(self.value(name)?) {
            Ok(value) => Some(value),
            Err(message) => {
                mistakes.say(name, "format", &message);
                None
            }
        }
    }

    /// A word of a list.
    pub(super) fn word<T>(
        &self,
        name: &str,
        mistakes: &mut Mistakes,
        from_id: impl FnOnce(&str) -> Option<T>,
        list: &str,
    ) -> Option<T> {
        self.parsed(name, mistakes, |text| {
            from_id(text).ok_or_else(|| format!("Value is none of: {list}"))
        })
    }

    /// Yes or no.
    pub(super) fn yes(&self, name: &str, mistakes: &mut Mistakes) -> Option<bool> {
        self.parsed(name, mistakes, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("Value must be true or false".into()),
        })
    }

    /// An instant in Gregorian seconds.
    pub(super) fn gregorian(&self, name: &str, mistakes: &mut Mistakes) -> Option<Timestamp> {
        self.parsed(name, mistakes, |text| {
            text.parse().ok().and_then(instant).ok_or_else(|| {
                "Value must be a time in Gregorian seconds, such as 63962467223".into()
            })
        })
    }

    /// `page_size`, `start_key` and `paginate`.
    pub(super) fn paging(&self, mistakes: &mut Mistakes) -> Paging {
        let size = self.parsed("page_size", mistakes, |text| {
            text.parse::<usize>()
                .ok()
                .filter(|size| (1..=LARGEST_PAGE).contains(size))
                .ok_or_else(|| format!("Value must be a whole number from 1 to {LARGEST_PAGE}"))
        });
        let size = match self.yes("paginate", mistakes) {
            Some(false) => LARGEST_LISTING,
            _ => size.unwrap_or(USUAL_PAGE),
        };
        Paging {
            start_key: self.text("start_key").map(str::to_owned),
            size,
        }
    }

    /// Refuses the request where there are mistakes.
    pub(super) fn refuse(mistakes: Mistakes) -> Result<(), Problem> {
        mistakes.none().map_err(Problem::validation)
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}
