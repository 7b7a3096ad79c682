//! `/v2/api_auth`: an API key exchanged for a token, as Kazoo's clients do first.
//!
//! Such a token is good for a day and is not kept: it names its account and its end and is sealed with a key
//! of this process, so log-ins leave nothing behind. It ends with its API key, and with the process; a Kazoo
//! client then logs in again.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::ApiState;
use super::auth::{Peer, hash, peer};
use super::envelope::{Data, Problem, Reply};
use super::route::Route;
use crate::store::StoreError;
use crate::store::tokens::{self, StoredToken, TokenKind};
use crate::time::Timestamp;

/// How long a token is good.
const GOOD_FOR: Duration = Duration::from_secs(24 * 3_600);

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::put("/v2/api_auth", log_in, "Exchange an API key for a token")
            .takes(json!({
                "type": "object",
                "properties": { "api_key": { "type": "string", "minLength": 1 } },
                "required": ["api_key"],
            }))
            .gives(json!({
                "type": "object",
                "properties": { "account_id": { "type": "string" } },
                "required": ["account_id"],
            }))
            .status(201)
            .open(),
    ]
}

/// What seals tokens.
pub(super) struct Sealer([u8; 32]);

impl Sealer {
    /// A new key from the system's randomness.
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self(key))
    }

    fn mac(&self, claim: &str, key: &StoredToken) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(claim.as_bytes());
        mac.update(&key.hash);
        mac
    }

    fn token(&self, account_id: &str, key: &StoredToken, end: Timestamp) -> String {
        let claim = format!("{account_id}.{}", end.unix_seconds());
        let seal = self.mac(&claim, key).finalize().into_bytes();
        format!("{claim}.{}", URL_SAFE_NO_PAD.encode(seal))
    }

    /// The account that a token names, where it is one of ours and still good.
    pub(super) async fn account(
        &self,
        api: &ApiState,
        token: &str,
    ) -> Result<Option<Arc<str>>, StoreError> {
        let Some((claim, seal)) = token.rsplit_once('.') else {
            return Ok(None);
        };
        let Some((account_id, end)) = claim.rsplit_once('.') else {
            return Ok(None);
        };
        let (Ok(seal), Ok(end)) = (URL_SAFE_NO_PAD.decode(seal), end.parse::<i64>()) else {
            return Ok(None);
        };
        let account_id: Arc<str> = account_id.into();
        let asked = Arc::clone(&account_id);
        let key = api
            .store
            .read(move |connection| tokens::api_key(connection, &asked))
            .await?;
        let is_good = end > api.clock.now().unix_seconds()
            && key.is_some_and(|key| self.mac(claim, &key).verify_slice(&seal).is_ok());
        Ok(is_good.then_some(account_id))
    }
}

/// Who logs in.
struct From(Peer);

impl FromRequestParts<ApiState> for From {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, Self::Rejection> {
        Ok(Self(peer(parts)))
    }
}

async fn log_in(
    State(api): State<ApiState>,
    From(peer): From,
    Data(data): Data,
) -> Result<Reply, Problem> {
    let api_key = match data.get("api_key") {
        Some(Value::String(api_key)) => hash(api_key),
        None => {
            return Err(Problem::mistake(
                "api_key",
                "required",
                "Field is required but missing",
            ));
        }
        Some(_) => {
            return Err(Problem::mistake(
                "api_key",
                "type",
                "Value did not match type(s): string",
            ));
        }
    };
    api.doorkeeper.let_try(peer, &api_key)?;
    let found = api
        .store
        .read(move |connection| tokens::find(connection, TokenKind::ApiKey, &api_key))
        .await?;
    let key = found.ok_or_else(|| api.doorkeeper.failed(peer, "The API key is not valid"))?;
    let Some(account_id) = &key.account_id else {
        return Err(api.doorkeeper.failed(peer, "The API key is not valid"));
    };
    api.doorkeeper.succeeded(api_key);
    let token = api
        .sealer
        .token(account_id, &key, api.clock.now().after(GOOD_FOR));
    let data = json!({ "account_id": &**account_id });
    Ok(Reply::created(data).auth_token(token))
}
