//! `?id=` of a request that makes something: the id that it is to have. Configuration that is kept for many
//! servers is the same on each of them; a customer's token gets an id that we make, as in Kazoo.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde_json::{Value, json};

use super::ApiState;
use super::auth::{Access, Reach};
use super::envelope::Problem;
use super::query::Query;

pub(super) const NAME: &str = "id";
pub(super) const ABOUT: &str =
    "The id that it is to have (admin token only); one is made where there is none";

/// Words that stand in paths where an id could stand.
const TAKEN: &[&str] = &["attempts"];

/// What an id looks like, for those who ask beforehand.
pub(super) fn schema() -> Value {
    json!({ "type": "string", "pattern": "^[0-9A-Za-z][0-9A-Za-z_-]{0,63}$" })
}

/// Whether something can have this id.
///
/// # Errors
/// What is wrong with it.
pub fn check_id(id: &str) -> Result<(), String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let begins_well = id.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if !begins_well || id.len() > 64 || !id.bytes().all(is_plain) {
        return Err(
            "An id is 1 to 64 letters, digits, - and _, and begins with a letter or digit".into(),
        );
    }
    match TAKEN.contains(&id) {
        false => Ok(()),
        true => Err(format!("{id} is a word of the API and no id")),
    }
}

/// The id that was chosen, where one was.
pub(super) struct ChosenId(pub(super) Option<Arc<str>>);

impl FromRequestParts<ApiState> for ChosenId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &ApiState) -> Result<Self, Problem> {
        let Ok(query) = Query::from_request_parts(parts, api).await;
        let Some(id) = query.text(NAME) else {
            return Ok(Self(None));
        };
        let access = Access::from_request_parts(parts, api).await?;
        if access.reach != Reach::Everything {
            return Err(Problem::forbidden("Only the admin token may choose an id"));
        }
        match check_id(id) {
            Ok(()) => Ok(Self(Some(id.into()))),
            Err(message) => Err(Problem::mistake(NAME, "format", &message)),
        }
    }
}
