//! Speaking to the running daemon as everybody does: over REST. Address and token come from the same
//! configuration that it was started with.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use switchhook::app::admin_token_file;
use switchhook::config::Config;

/// Why the daemon did not do what it was asked, for the person who asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum RestError {
    #[error(
        "cannot read the admin token: {path}: {source}; name it in [api] admin_token or admin_token_file, or run this as the daemon's user"
    )]
    Token {
        path: std::path::PathBuf,
        source: std::io::Error,
    },
    #[error(
        "no switchhook answers at {address}: {source}; is it running, and is [api] listen the same for it and for this command?"
    )]
    Unreachable {
        address: SocketAddr,
        source: reqwest::Error,
    },
    #[error("{address} answered what is no answer of a switchhook: {text}")]
    NotOurs { address: SocketAddr, text: String },
    #[error("{message}{}", details(.data))]
    Refused { message: String, data: Value },
    #[error(transparent)]
    Http(#[from] reqwest::Error),
}

/// The fields that a refusal names, each on a line.
fn details(data: &Value) -> String {
    let mut text = String::new();
    if let Some(cause) = data["cause"].as_str() {
        text.push_str(&format!(": {cause}"));
    }
    for (field, rules) in data.as_object().into_iter().flatten() {
        for rule in rules
            .as_object()
            .into_iter()
            .flat_map(|rules| rules.values())
        {
            if let Some(message) = rule["message"].as_str() {
                text.push_str(&format!("\n  {field}: {message}"));
            }
        }
    }
    text
}

/// How long the daemon may take to say how it is.
const HEALTH_WITHIN: Duration = Duration::from_secs(5);

/// The daemon's API.
pub(super) struct Rest {
    address: SocketAddr,
    /// `None` for what needs none.
    token: Option<String>,
    client: Client,
}

impl Rest {
    /// The daemon that runs with `config`, spoken to with the admin token.
    pub(super) fn of(config: &Config) -> Result<Self, RestError> {
        let token = match &config.api.admin_token {
            Some(token) => token.0.clone(),
            None => {
                let path = admin_token_file(&config.store.path);
                std::fs::read_to_string(&path)
                    .map_err(|source| RestError::Token { path, source })?
                    .trim()
                    .to_owned()
            }
        };
        let token = Some(token);
        Ok(Self {
            token,
            ..Self::without_token(config)?
        })
    }

    /// The daemon that runs with `config`, for what anybody may ask.
    pub(super) fn without_token(config: &Config) -> Result<Self, RestError> {
        // The only reason to refuse is that there is one already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // The configuration was checked: it is an address.
        let mut address: SocketAddr = match config.api.listen.parse() {
            Ok(address) => address,
            Err(_) => SocketAddr::from(([127, 0, 0, 1], 8000)),
        };
        // Who listens everywhere is spoken to here.
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        Ok(Self {
            address,
            token: None,
            client: Client::builder().no_proxy().build()?,
        })
    }

    /// Where the daemon should be.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a page of health says, good or bad.
    pub(super) async fn health(&self, path: &str) -> Result<Value, RestError> {
        let unreachable = |source| RestError::Unreachable {
            address: self.address,
            source,
        };
        let url = format!("http://{}{path}", self.address);
        let request = self.client.get(url).timeout(HEALTH_WITHIN);
        let answer = request.send().await.map_err(unreachable)?;
        let text = answer.text().await.map_err(unreachable)?;
        let mut envelope = envelope_in(&text).unwrap_or_default();
        match envelope["data"].take() {
            Value::Null => Err(self.not_ours(&text)),
            data => Ok(data),
        }
    }

    fn not_ours(&self, text: &str) -> RestError {
        RestError::NotOurs {
            address: self.address,
            text: text.chars().take(200).collect(),
        }
    }

    /// What an answer says that is not good.
    fn refused(&self, text: &str) -> RestError {
        match envelope_in(text) {
            Some(mut envelope) => RestError::Refused {
                message: envelope["message"].as_str().unwrap_or("refused").to_owned(),
                data: envelope["data"].take(),
            },
            None => self.not_ours(text),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        data: Option<Value>,
    ) -> Result<Response, RestError> {
        let mut request = self
            .client
            .request(method, format!("http://{}{path}", self.address));
        if let Some(token) = &self.token {
            request = request.header("X-Auth-Token", token);
        }
        if let Some(data) = data {
            request = request
                .header("Content-Type", "application/json")
                .body(json!({ "data": data }).to_string());
        }
        request
            .send()
            .await
            .map_err(|source| RestError::Unreachable {
                address: self.address,
                source,
            })
    }

    /// What a request is answered with: the whole envelope.
    async fn envelope(
        &self,
        method: Method,
        path: &str,
        data: Option<Value>,
    ) -> Result<Value, RestError> {
        let response = self.send(method, path, data).await?;
        let is_good = response.status().is_success();
        let text = response.text().await?;
        match is_good {
            true => envelope_in(&text).ok_or_else(|| self.not_ours(&text)),
            false => Err(self.refused(&text)),
        }
    }

    /// The `data` of the answer.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        data: Option<Value>,
    ) -> Result<Value, RestError> {
        Ok(self.envelope(method, path, data).await?["data"].take())
    }

    /// The `data` of `GET path`.
    pub(super) async fn get(&self, path: &str) -> Result<Value, RestError> {
        self.call(Method::GET, path, None).await
    }

    /// The first `most` items of a listing, over as many pages as it takes.
    pub(super) async fn list(&self, path: &str, most: usize) -> Result<Vec<Value>, RestError> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let mut items = Vec::new();
        let mut start = String::new();
        loop {
            let size = (most - items.len()).min(200);
            let page = format!("{path}{separator}page_size={size}{start}");
            let mut envelope = self.envelope(Method::GET, &page, None).await?;
            if let Value::Array(page) = envelope["data"].take() {
                items.extend(page);
            }
            let next = match &envelope["next_start_key"] {
                Value::String(next) => next.clone(),
                Value::Number(next) => next.to_string(),
                _ => return Ok(items),
            };
            if items.len() >= most {
                return Ok(items);
            }
            start = format!("&start_key={}", part(&next));
        }
    }

    /// The live feed, as bytes that come and come.
    pub(super) async fn feed(&self) -> Result<Response, RestError> {
        let response = self.send(Method::GET, "/v2/events", None).await?;
        match response.status().is_success() {
            true => Ok(response),
            false => Err(self.refused(&response.text().await?)),
        }
    }
}

/// The envelope of an answer: an object, where another program may answer with a list or a number.
fn envelope_in(text: &str) -> Option<Value> {
    let envelope = serde_json::from_str(text).ok();
    envelope.filter(Value::is_object)
}

/// A part of a path, whatever is in it.
pub(super) fn part(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'_' | b'.' => {
                (byte as char).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
