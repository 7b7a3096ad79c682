//! Who asks, and which accounts that may be about.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tracing::warn;

use super::ApiState;
use super::envelope::{Opened, Problem};
use crate::store::StoreError;
use crate::store::tokens::{self, TokenKind};

/// Failed log-ins from one address before it has to wait, unless the daemon is told otherwise, and how many
/// more a second it has after that.
const FAILURES_AT_ONCE: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
const FAILURES_PER_SECOND: NonZeroU32 = NonZeroU32::new(1).expect("not zero");
/// Addresses remembered before those that have been quiet are forgotten.
const ADDRESSES: usize = 10_000;
/// Good tokens remembered before the memory starts anew.
const TOKENS: usize = 10_000;

/// The address at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// SHA-256 of a token: all that is kept of it.
pub(super) fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Which accounts a token reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reach {
    /// Every one.
    Everything,
    /// This one and all below it.
    Account(Arc<str>),
}

/// Changes the admin token of a running API.
#[derive(Clone)]
pub struct AdminToken(pub(super) Arc<Doorkeeper>);

impl AdminToken {
    /// Another token counts from now on; only its hash is kept. What was asked for with the one before goes on to
    /// its end, but for a stream of events, which ends soon.
    pub fn change(&self, admin_token: &str) {
        self.0.change_admin(admin_token);
    }
}

/// Knows the admin token, and who has tried too often.
pub(super) struct Doorkeeper {
    admin: ArcSwap<[u8; 32]>,
    failures: DefaultKeyedRateLimiter<IpAddr>,
    /// Who has to wait, and until when. A std mutex: it is never held across an await.
    shut_out: Mutex<HashMap<IpAddr, Instant>>,
    /// Hashes of tokens that were good. They are looked at even where their address has to wait: somebody
    /// who guesses must not shut out those who know, who may share his address behind a proxy.
    welcome: Mutex<HashSet<[u8; 32]>>,
}

impl Doorkeeper {
    pub(super) fn new(admin_token: &str) -> Self {
        Self::knowing(hash(admin_token), FAILURES_AT_ONCE)
    }

    /// Another one for the same token, that lets an address fail so often before it has to wait.
    pub(super) fn forgiving(&self, failures: NonZeroU32) -> Self {
        Self::knowing(**self.admin.load(), failures)
    }

    fn knowing(admin: [u8; 32], failures: NonZeroU32) -> Self {
        let quota = Quota::per_second(FAILURES_PER_SECOND).allow_burst(failures);
        Self {
            admin: ArcSwap::from_pointee(admin),
            failures: RateLimiter::hashmap(quota),
            shut_out: Mutex::default(),
            welcome: Mutex::default(),
        }
    }

    /// Whether `hash` is the admin token's. Takes as long whatever it is.
    fn is_admin(&self, hash: &[u8; 32]) -> bool {
        self.admin.load().ct_eq(hash).into()
    }

    /// Another admin token counts from now on, and the one before no more.
    fn change_admin(&self, admin_token: &str) {
        let new = hash(admin_token);
        let before = self.admin.swap(Arc::new(new));
        // Every reload comes here. The others are as good as they were, and may share an address with a guesser.
        if *before != new {
            self.welcome().remove(&*before);
        }
    }

    /// Refuses an address that has failed too often, before its next guess is looked at.
    pub(super) fn let_try(&self, peer: Peer, hash: &[u8; 32]) -> Result<(), Problem> {
        if self.welcome().contains(hash) {
            return Ok(());
        }
        let address = network(peer.0);
        let now = Instant::now();
        let mut shut_out = self.shut_out.lock().expect("no panic while it is held");
        match shut_out.get(&address) {
            Some(until) if now < *until => Err(Problem::too_many_requests(*until - now)),
            Some(_) => {
                shut_out.remove(&address);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A log-in was good.
    pub(super) fn succeeded(&self, hash: [u8; 32]) {
        let mut welcome = self.welcome();
        if welcome.len() > TOKENS {
            welcome.clear();
        }
        welcome.insert(hash);
    }

    fn welcome(&self) -> MutexGuard<'_, HashSet<[u8; 32]>> {
        self.welcome.lock().expect("no panic while it is held")
    }

    /// A log-in has failed: what it is answered with.
    pub(super) fn failed(&self, peer: Peer, message: &str) -> Problem {
        let address = network(peer.0);
        if self.failures.len() > ADDRESSES {
            self.failures.retain_recent();
        }
        let Err(too_often) = self.failures.check_key(&address) else {
            return Problem::invalid_credentials(message);
        };
        let pause = too_often.wait_time_from(DefaultClock::default().now());
        let pause = pause.max(Duration::from_millis(1));
        let now = Instant::now();
        let mut shut_out = self.shut_out.lock().expect("no panic while it is held");
        if shut_out.len() > ADDRESSES {
            shut_out.retain(|_, until| now < *until);
        }
        if shut_out.insert(address, now + pause).is_none() {
            warn!(peer = %peer.0, "too many failed log-ins, it has to wait");
        }
        Problem::too_many_requests(pause)
    }
}

/// What counts as one address: of IPv6 the network, because a host has all of it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let network = u128::from(v6) & !u128::from(u64::MAX);
            Ipv6Addr::from(network).into()
        }
        v4 => v4,
    }
}

/// Somebody with a good token.
#[derive(Debug, Clone)]
pub(super) struct Access {
    /// What it reaches.
    pub(super) reach: Reach,
}

impl Access {
    /// Whether it reaches an account.
    pub(super) fn reaches(&self, api: &ApiState, account_id: &str) -> bool {
        match &self.reach {
            Reach::Everything => true,
            Reach::Account(top) => api.registry.is_within(account_id, top),
        }
    }

    /// Refuses what the token does not reach, and what is not there. To a token that reaches some accounts
    /// only, those beyond it and those that do not exist look the same.
    pub(super) fn require(&self, api: &ApiState, account_id: &str) -> Result<(), Problem> {
        if !self.reaches(api, account_id) {
            return Err(Problem::forbidden("This token does not reach the account"));
        }
        match api.registry.has_account(account_id) {
            true => Ok(()),
            false => Err(Problem::bad_identifier(account_id)),
        }
    }
}

/// The token of a request: `X-Auth-Token`, `Authorization: Bearer`, or `auth_token` in the envelope.
fn token(parts: &Parts) -> Option<String> {
    let header = |name| parts.headers.get(name)?.to_str().ok();
    let bearer = || {
        let (scheme, token) = header(AUTHORIZATION.as_str())?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    };
    let enclosed = || parts.extensions.get::<Opened>()?.auth_token.clone();
    header("x-auth-token")
        .or_else(bearer)
        .map(str::to_owned)
        .or_else(enclosed)
        .filter(|token| !token.is_empty())
}

impl FromRequestParts<ApiState> for Access {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &ApiState) -> Result<Self, Problem> {
        let Some(token) = token(parts) else {
            return Err(Problem::invalid_credentials(
                "A token is needed: X-Auth-Token: TOKEN, or Authorization: Bearer TOKEN",
            ));
        };
        let peer = peer(parts);
        let hash = hash(&token);
        api.doorkeeper.let_try(peer, &hash)?;
        if api.doorkeeper.is_admin(&hash) {
            api.doorkeeper.succeeded(hash);
            return Ok(Self {
                reach: Reach::Everything,
            });
        }
        let Some(reach) = reach_of(api, &token, hash).await? else {
            return Err(api.doorkeeper.failed(peer, "The token is not valid"));
        };
        api.doorkeeper.succeeded(hash);
        // Given back as Kazoo does; the admin token never is.
        if let Some(opened) = parts.extensions.get::<Opened>() {
            opened.echo(token);
        }
        Ok(Self { reach })
    }
}

/// What a token reaches that is not the admin's; `None` where it is not good.
async fn reach_of(
    api: &ApiState,
    token: &str,
    hash: [u8; 32],
) -> Result<Option<Reach>, StoreError> {
    if let Some(account_id) = api.sealer.account(api, token).await? {
        return Ok(Some(Reach::Account(account_id)));
    }
    let found = api
        .store
        .read(move |connection| tokens::find(connection, TokenKind::Token, &hash))
        .await?;
    Ok(found.map(|token| match token.account_id {
        Some(account_id) => Reach::Account(account_id),
        None => Reach::Everything,
    }))
}

/// The token of a request that goes on for long: it may be revoked meanwhile.
pub(super) struct Pass(String);

impl Pass {
    /// Whether it is still good. A store that does not say changes nothing.
    pub(super) async fn is_good(&self, api: &ApiState) -> bool {
        let hash = hash(&self.0);
        api.doorkeeper.is_admin(&hash) || !matches!(reach_of(api, &self.0, hash).await, Ok(None))
    }
}

impl FromRequestParts<ApiState> for Pass {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, Self::Rejection> {
        Ok(Self(token(parts).unwrap_or_default()))
    }
}

/// The address a request comes from.
pub(super) fn peer(parts: &Parts) -> Peer {
    let unknown = Peer(Ipv6Addr::UNSPECIFIED.into());
    parts.extensions.get::<Peer>().copied().unwrap_or(unknown)
}

/// The ids in a path, percent-decoded.
#[derive(Debug)]
pub(super) struct Ids(Vec<(String, String)>);

impl Ids {
    /// The id called `name` in the route's path.
    pub(super) fn get(&self, name: &str) -> Result<Arc<str>, Problem> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, id)| id.as_str().into())
            .ok_or_else(|| Problem::not_found("There is nothing at this path"))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Ids {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::not_found("The path is not UTF-8"))?;
        let owned = params
            .iter()
            .map(|(name, id)| (name.to_owned(), id.to_owned()));
        Ok(Self(owned.collect()))
    }
}

/// The account in a request's path, which is there and which its token reaches.
#[derive(Debug)]
pub(super) struct Scope {
    /// The account.
    pub(super) account_id: Arc<str>,
    /// Whether the token is the admin's or that of an account above this one, and not its own.
    pub(super) is_from_above: bool,
    /// The other ids in the path.
    ids: Ids,
}

impl Scope {
    /// The id called `name` in the route's path.
    pub(super) fn id(&self, name: &str) -> Result<Arc<str>, Problem> {
        self.ids.get(name)
    }
}

impl FromRequestParts<ApiState> for Scope {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &ApiState) -> Result<Self, Problem> {
        let access = Access::from_request_parts(parts, api).await?;
        let ids = Ids::from_request_parts(parts, api).await?;
        let account_id = ids.get("account_id")?;
        access.require(api, &account_id)?;
        let is_from_above = match &access.reach {
            Reach::Everything => true,
            Reach::Account(own) => *own != account_id,
        };
        Ok(Self {
            account_id,
            is_from_above,
            ids,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_knows_is_welcome_though_the_configuration_was_reloaded() {
        let guesser = Peer(Ipv6Addr::LOCALHOST.into());
        let doorkeeper = Doorkeeper::new("first");
        let [first, customer] = ["first", "customer"].map(hash);
        doorkeeper.succeeded(first);
        doorkeeper.succeeded(customer);
        let shut_out = || doorkeeper.let_try(guesser, &hash("guess")).is_err();
        while !shut_out() {
            doorkeeper.failed(guesser, "no");
        }
        doorkeeper.change_admin("first");
        assert!(doorkeeper.let_try(guesser, &first).is_ok());
        assert!(doorkeeper.let_try(guesser, &customer).is_ok());
        doorkeeper.change_admin("second");
        assert!(doorkeeper.let_try(guesser, &first).is_err());
        assert!(doorkeeper.let_try(guesser, &customer).is_ok());
    }
}
