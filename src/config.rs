//! The configuration: read and checked once, every mistake listed with file and line.
//!
//! Each key is one line in [`sections!`]: name, type, default, rule. A file may set it, and
//! `SWITCHHOOK_SECTION__KEY` overrides the file.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::call::Source;
use crate::callflow::REMOTE_MODULES;

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file and the line, or the environment variable.
    pub place: String,
    /// `section.key`, empty where it is the file itself.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.key.is_empty() {
            true => write!(f, "{}: {}", self.place, self.message),
            false => write!(f, "{}: {}: {}", self.place, self.key, self.message),
        }
    }
}

/// Milliseconds, as keys that end in `_ms` give them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Millis(pub Duration);

const fn ms(millis: u64) -> Millis {
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

/// A type that a key can have.
trait Key: Sized {
    /// What a right value looks like.
    const WANTED: &'static str;

    fn read(value: &DeValue<'_>) -> Option<Self>;

    /// Whether an environment variable's text is the value as it stands, and not TOML.
    const PLAIN: bool = false;
}

impl Key for String {
    const WANTED: &'static str = "a text";
    const PLAIN: bool = true;

    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

impl Key for Hidden {
    const WANTED: &'static str = "a text";
    const PLAIN: bool = true;

    fn read(value: &DeValue<'_>) -> Option<Self> {
        String::read(value).map(Self)
    }
}

impl Key for PathBuf {
    const WANTED: &'static str = "a path";
    const PLAIN: bool = true;

    fn read(value: &DeValue<'_>) -> Option<Self> {
        String::read(value).map(Self::from)
    }
}

impl<T: Key> Key for Option<T> {
    const WANTED: &'static str = T::WANTED;
    const PLAIN: bool = T::PLAIN;

    fn read(value: &DeValue<'_>) -> Option<Self> {
        T::read(value).map(Some)
    }
}

impl Key for bool {
    const WANTED: &'static str = "true or false";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_bool()
    }
}

impl Key for u64 {
    const WANTED: &'static str = "a whole number, not negative";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        let integer = value.as_integer()?;
        Self::from_str_radix(integer.as_str(), integer.radix()).ok()
    }
}

impl Key for u32 {
    const WANTED: &'static str = "a whole number, not negative";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        u64::read(value)?.try_into().ok()
    }
}

impl Key for u16 {
    const WANTED: &'static str = "a port from 1 to 65535";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        u64::read(value)?.try_into().ok()
    }
}

impl Key for Millis {
    const WANTED: &'static str = "a whole number of milliseconds";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        u64::read(value).map(ms)
    }
}

impl<T: Key> Key for Vec<T> {
    const WANTED: &'static str = "a list";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        value
            .as_array()?
            .iter()
            .map(|item| T::read(item.get_ref()))
            .collect()
    }
}

impl Key for IpNet {
    const WANTED: &'static str = "a network such as 10.0.0.0/8";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        let text = value.as_str()?;
        text.parse()
            .or_else(|_| text.parse().map(|address: std::net::IpAddr| address.into()))
            .ok()
    }
}

/// A [`Key`] that is one word of a list.
macro_rules! words {
    ($type:ty, $wanted:literal, $($word:literal => $value:expr),+) => {
        impl Key for $type {
            const WANTED: &'static str = $wanted;
            const PLAIN: bool = true;

            fn read(value: &DeValue<'_>) -> Option<Self> {
                match value.as_str()?.to_ascii_lowercase().as_str() {
                    $($word => Some($value),)+
                    _ => None,
                }
            }
        }
    };
}

words!(Durability, "\"process\" or \"power\"", "process" => Durability::Process, "power" => Durability::Power);
words!(LogFormat, "\"text\" or \"json\"", "text" => LogFormat::Text, "json" => LogFormat::Json);
words!(Source, "a list of \"variable\", \"number\", \"realm\", \"default\"",
    "variable" => Source::Variable, "number" => Source::Number, "realm" => Source::Realm, "default" => Source::Default);

type Rule<T> = fn(&T) -> Result<(), String>;

fn anything<T>(_: &T) -> Result<(), String> {
    Ok(())
}

fn from_one<T: PartialOrd + From<u8>>(value: &T) -> Result<(), String> {
    match *value >= T::from(1) {
        true => Ok(()),
        false => Err("must be at least 1".into()),
    }
}

fn some_time(value: &Millis) -> Result<(), String> {
    match value.0.is_zero() {
        false => Ok(()),
        true => Err("must be at least 1 millisecond".into()),
    }
}

#[expect(clippy::ptr_arg, reason = "a rule gets the key's own type")]
fn not_empty(value: &String) -> Result<(), String> {
    match value.trim().is_empty() {
        false => Ok(()),
        true => Err("must not be empty".into()),
    }
}

/// An address to listen on, or nothing.
fn address_or_empty(value: &String) -> Result<(), String> {
    match value.is_empty() {
        true => Ok(()),
        false => address(value),
    }
}

fn address(value: &String) -> Result<(), String> {
    value.parse::<SocketAddr>().map(drop).map_err(|_| {
        format!("{value:?} is no address and port such as 127.0.0.1:8000 or [::1]:8000")
    })
}

fn log_filter(value: &String) -> Result<(), String> {
    tracing_subscriber::EnvFilter::try_new(value)
        .map(drop)
        .map_err(|error| format!("is no level or filter such as info or switchhook=debug: {error}"))
}

/// Declares the sections, their structs, their defaults and their reading in one list.
macro_rules! sections {
    ($($(#[doc = $about:literal])+ $section:ident $type:ident {
        $($(#[doc = $doc:literal])+ $key:ident: $key_type:ty = $default:expr, $rule:expr;)+
    })+) => {
        $($(#[doc = $about])+
        #[derive(Debug, Clone)]
        pub struct $type { $($(#[doc = $doc])+ pub $key: $key_type),+ }

        impl Default for $type {
            fn default() -> Self {
                Self { $($key: $default),+ }
            }
        }

        impl $type {
            fn read(sources: &mut Sources<'_>) -> Self {
                let mut section = Self::default();
                $(if let Some(value) = sources.take::<$key_type>(stringify!($section), stringify!($key), $rule) {
                    section.$key = value;
                })+
                section
            }
        })+

        /// The whole configuration.
        #[derive(Debug, Clone, Default)]
        pub struct Config { $($(#[doc = $about])+ pub $section: $type),+ }

        impl Config {
            fn from_sources(sources: &mut Sources<'_>) -> Self {
                Self { $($section: $type::read(sources)),+ }
            }

            /// Every section with its keys, in the order of the documentation.
            pub const KEYS: &[(&str, &[&str])] = &[$((stringify!($section), &[$(stringify!($key)),+])),+];
        }
    };
}

sections! {
    /// The event socket of the switch.
    switch Switch {
        /// Where the switch listens.
        host: String = "127.0.0.1".into(), not_empty;
        /// Its port.
        port: u16 = 8021, from_one;
        /// The password of `event_socket.conf`.
        password: Hidden = Hidden("ClueCon".into()), anything;
        /// A file that holds the password.
        password_file: Option<PathBuf> = None, anything;
        /// For `userauth`: a user of the directory, as `user@domain`.
        user: Option<String> = None, anything;
        /// How long a connection may take to come about.
        connect_timeout_ms: Millis = ms(5_000), some_time;
        /// How long the switch may be silent before it is asked whether it lives.
        heartbeat_timeout_ms: Millis = ms(45_000), some_time;
        /// The most bytes of one header block.
        max_header_bytes: u64 = 64 * 1024, from_one;
        /// The most bytes of one body.
        max_body_bytes: u64 = 16 * 1024 * 1024, from_one;
    }
    /// Where the switch connects to from the dialplan's `socket` application.
    outbound Outbound {
        /// Address and port; empty switches it off.
        listen: String = "127.0.0.1:8084".into(), address_or_empty;
    }
    /// The REST API.
    api Api {
        /// Address and port.
        listen: String = "127.0.0.1:8000".into(), address;
        /// The token that reaches every account; made and kept beside the database where there is none.
        admin_token: Option<Hidden> = None, anything;
        /// A file that holds it.
        admin_token_file: Option<PathBuf> = None, anything;
        /// Origins of web pages that may use the API.
        cors_origins: Vec<String> = Vec::new(), anything;
    }
    /// The database.
    store Store {
        /// The file.
        path: PathBuf = default_database(), anything;
        /// `process` or `power`.
        durability: Durability = Durability::Process, anything;
        /// How long events and attempts are kept.
        retention_days: u32 = 7, from_one;
        /// How many attempts are kept at most.
        max_attempts_rows: u64 = 5_000_000, from_one;
        /// How long the read path waits for the store before it sheds events.
        stall_timeout_ms: Millis = ms(500), some_time;
    }
    /// How requests are made.
    delivery Delivery {
        /// How long a connection to a receiver may take.
        connect_timeout_ms: Millis = ms(10_000), some_time;
        /// How long a request may take in all.
        request_timeout_ms: Millis = ms(15_000), some_time;
        /// Requests a second to one endpoint.
        endpoint_rate: u32 = 100, from_one;
        /// Requests at once to one endpoint after a pause.
        endpoint_burst: u32 = 200, from_one;
        /// Requests under way at one endpoint.
        endpoint_in_flight: u32 = 32, from_one;
        /// The pause before the first retry.
        retry_base_ms: Millis = ms(1_000), some_time;
        /// The longest pause before a retry, also of `Retry-After`.
        retry_cap_ms: Millis = ms(3_600_000), some_time;
        /// As many failed attempts …
        attempt_failure_count: u32 = 6, from_one;
        /// … within this time switch a hook off.
        attempt_failure_expiry_ms: Millis = ms(60_000), some_time;
        /// Never switch a hook off.
        disable_disabler: bool = false, anything;
        /// Whether attempts that succeeded are recorded.
        log_successful_attempts: bool = true, anything;
        /// Refuse loopback and private networks.
        deny_private: bool = false, anything;
        /// Networks that are refused.
        deny_networks: Vec<IpNet> = Vec::new(), anything;
        /// How long requests under way may take to end when the daemon stops.
        shutdown_timeout_ms: Millis = ms(10_000), anything;
    }
    /// Whose call it is.
    accounts Accounts {
        /// The account of whatever belongs to nobody else.
        default: String = "default".into(), not_empty;
        /// Where the account is looked for, first to last.
        order: Vec<Source> = Source::ALL.to_vec(), anything;
        /// Whether a SIP peer's own X-Account-ID is believed.
        trust_sip_header: bool = false, anything;
    }
    /// Callflows.
    callflow Callflow {
        /// The modules that a flow fetched by GET may use.
        remote_modules: Vec<String> = REMOTE_MODULES.map(str::to_owned).to_vec(), anything;
        /// The domain of `user/` and of voicemail where a flow names none.
        domain: String = String::new(), anything;
    }
    /// What is made of the switch's events.
    events Events {
        /// The channel variable that marks click to call.
        click_to_call_variable: String = "click_to_call".into(), not_empty;
        /// Channel variables that go into `custom_channel_vars`; `crm_*` for all that begin so.
        export_variables: Vec<String> = Vec::new(), anything;
        /// Whether what is seen of each call is kept for `switchhook explain`, as long as attempts are.
        timeline: bool = true, anything;
    }
    /// Log lines.
    log Log {
        /// error, warn, info, debug, trace, or a filter as tracing's EnvFilter reads it.
        level: String = "info".into(), log_filter;
        /// `text` or `json`.
        format: LogFormat = LogFormat::Text, anything;
    }
}

/// Where the file is looked for when nobody names one. It may be missing.
pub const DEFAULT_FILE: &str = "/etc/switchhook/switchhook.toml";

fn default_database() -> PathBuf {
    const NAME: &str = "switchhook.db";
    let variable = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(directory) = variable("STATE_DIRECTORY") {
        return directory.join(NAME);
    }
    let root = std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
    let home = variable("XDG_DATA_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".local/share")));
    match home {
        Some(home) if !root => home.join("switchhook").join(NAME),
        _ => Path::new("/var/lib/switchhook").join(NAME),
    }
}

/// A file's keys that nobody has asked for yet, and the environment's.
struct Sources<'a> {
    path: String,
    text: &'a str,
    file: BTreeMap<(String, String), Spanned<DeValue<'a>>>,
    environment: BTreeMap<(String, String), (String, String)>,
    mistakes: Vec<Mistake>,
}

impl Sources<'_> {
    /// The value of a key where somebody set it rightly; mistakes are noted.
    fn take<T: Key>(&mut self, section: &str, key: &str, rule: Rule<T>) -> Option<T> {
        let name = (section.to_owned(), key.to_owned());
        let from_file = self.file.remove(&name);
        if let Some((variable, text)) = self.environment.remove(&name) {
            let value = match T::PLAIN {
                true => T::read(&DeValue::String(text.as_str().into())),
                false => DeValue::parse(&text)
                    .ok()
                    .and_then(|value| T::read(value.get_ref()))
                    .or_else(|| T::read(&list(&text))),
            };
            return self.check(variable, section, key, value, rule);
        }
        let value = from_file?;
        let place = format!("{}:{}", self.path, line_of(self.text, value.span().start));
        self.check(place, section, key, T::read(value.get_ref()), rule)
    }

    fn check<T: Key>(
        &mut self,
        place: String,
        section: &str,
        key: &str,
        value: Option<T>,
        rule: Rule<T>,
    ) -> Option<T> {
        let checked = match value {
            None => Err(format!("must be {}", T::WANTED)),
            Some(value) => rule(&value).map(|()| value),
        };
        checked
            .map_err(|message| {
                self.mistakes.push(Mistake {
                    place,
                    key: format!("{section}.{key}"),
                    message,
                });
            })
            .ok()
    }
}

/// `a, b` as a list, for environment variables.
fn list(text: &str) -> DeValue<'_> {
    let items = text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(|item| Spanned::new(0..0, DeValue::String(item.into())));
    DeValue::Array(items.collect())
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}

impl Config {
    /// Reads `file` (or [`DEFAULT_FILE`], which may be missing) and the environment.
    ///
    /// # Errors
    /// Every mistake.
    pub fn load(file: Option<&Path>) -> Result<Self, Vec<Mistake>> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                String::new()
            }
            Err(error) => {
                return Err(vec![Mistake {
                    place: path.display().to_string(),
                    key: String::new(),
                    message: format!("cannot be read: {error}"),
                }]);
            }
        };
        Self::parse(&path.display().to_string(), &text, std::env::vars())
    }

    /// Reads the text of a file, named `path` in mistakes, and environment variables.
    ///
    /// # Errors
    /// Every mistake.
    pub fn parse(
        path: &str,
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Vec<Mistake>> {
        let (document, errors) = DeTable::parse_recoverable(text);
        let mut sources = Sources {
            path: path.to_owned(),
            text,
            file: BTreeMap::new(),
            environment: BTreeMap::new(),
            mistakes: Vec::new(),
        };
        let at = |offset: usize| format!("{path}:{}", line_of(text, offset));
        for error in errors {
            sources.mistakes.push(Mistake {
                place: at(error.span().map_or(0, |span| span.start)),
                key: String::new(),
                message: format!("is no TOML here: {}", error.message()),
            });
        }
        for (section, keys) in document.into_inner() {
            let place = at(section.span().start);
            let section = section.into_inner().into_owned();
            let known = Self::KEYS.iter().find(|(name, _)| *name == section);
            let DeValue::Table(keys) = keys.into_inner() else {
                let message = "is no section; keys stand under [section]".into();
                sources.mistakes.push(Mistake {
                    place,
                    key: section,
                    message,
                });
                continue;
            };
            if known.is_none() {
                let names: Vec<&str> = Self::KEYS.iter().map(|(name, _)| *name).collect();
                let message = format!("is no section; there are {}", names.join(", "));
                sources.mistakes.push(Mistake {
                    place,
                    key: section,
                    message,
                });
                continue;
            }
            for (key, value) in keys {
                let name = (section.clone(), key.into_inner().into_owned());
                sources.file.insert(name, value);
            }
        }
        for (variable, value) in environment {
            let Some(name) = variable.strip_prefix("SWITCHHOOK_") else {
                continue;
            };
            // These two are the command line's and the tests'.
            if matches!(name, "CONFIG" | "LIVE") {
                continue;
            }
            if !name.contains("__") {
                let message = "is no key; section and key are joined by two underscores, as in SWITCHHOOK_SWITCH__PORT";
                sources.mistakes.push(Mistake {
                    place: variable.clone(),
                    key: String::new(),
                    message: message.into(),
                });
            }
            if let Some((section, key)) = name.split_once("__") {
                let name = (section.to_ascii_lowercase(), key.to_ascii_lowercase());
                sources.environment.insert(name, (variable, value));
            }
        }

        let mut config = Self::from_sources(&mut sources);
        sources.leftovers();
        config.read_secrets(&mut sources.mistakes);
        match sources.mistakes.is_empty() {
            true => Ok(config),
            false => Err(sources.mistakes),
        }
    }

    /// Secrets that stand in files: those that the configuration names, and systemd's credentials
    /// `switch-password` and `admin-token`.
    fn read_secrets(&mut self, mistakes: &mut Vec<Mistake>) {
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        let credential = |name: &str| {
            let file = credentials.as_ref()?.join(name);
            file.exists().then_some(file)
        };
        let mut read = |key: &str, file: Option<PathBuf>| {
            let file = file?;
            match std::fs::read_to_string(&file) {
                Ok(text) => Some(Hidden(text.trim_end_matches(['\r', '\n']).to_owned())),
                Err(error) => {
                    mistakes.push(Mistake {
                        place: file.display().to_string(),
                        key: key.to_owned(),
                        message: format!("cannot be read: {error}"),
                    });
                    None
                }
            }
        };
        let file = self.switch.password_file.clone();
        let file = file.or_else(|| credential("switch-password"));
        if let Some(password) = read("switch.password_file", file) {
            self.switch.password = password;
        }
        let file = self.api.admin_token_file.clone();
        let file = file.or_else(|| credential("admin-token"));
        if let Some(token) = read("api.admin_token_file", file) {
            self.api.admin_token = Some(token);
        }
    }
}

impl Sources<'_> {
    /// What is set but is no key.
    fn leftovers(&mut self) {
        let unknown = |section: &str| match Config::KEYS.iter().find(|(name, _)| *name == section) {
            Some((_, keys)) => format!("is no key; [{section}] has {}", keys.join(", ")),
            None => format!("is no key: there is no section [{section}]"),
        };
        for ((section, key), value) in &self.file {
            self.mistakes.push(Mistake {
                place: format!("{}:{}", self.path, line_of(self.text, value.span().start)),
                key: format!("{section}.{key}"),
                message: unknown(section),
            });
        }
        for ((section, key), (variable, _)) in &self.environment {
            self.mistakes.push(Mistake {
                place: variable.clone(),
                key: format!("{section}.{key}"),
                message: unknown(section),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let environment = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::parse("switchhook.toml", text, environment)
            .map_err(|mistakes| mistakes.iter().map(Mistake::to_string).collect())
    }

    #[test]
    fn an_empty_file_is_a_stock_freeswitch() {
        let config = parse("", &[]).unwrap();
        assert_eq!(config.switch.host, "127.0.0.1");
        assert_eq!(config.switch.port, 8021);
        assert_eq!(config.switch.password.0, "ClueCon");
        assert_eq!(config.api.listen, "127.0.0.1:8000");
        assert_eq!(config.delivery.retry_cap_ms.0, Duration::from_secs(3_600));
    }

    #[test]
    fn every_mistake_is_listed_with_its_line() {
        let text = "[switch]\nport = 70000\nhots = \"x\"\n\n[api]\nlisten = \"nowhere\"\n[sotre]\npath = 1\n[store]\ndurability = \"maybe\"\n[log]\nlevel = \"=,=\"\n";
        let mistakes = parse(
            text,
            &[
                ("SWITCHHOOK_SWITCH__PORTT", "1"),
                ("SWITCHHOOK_SWITCH_PORT", "1"),
                ("SWITCHHOOK_DELIVERY__ENDPOINT_RATE", "fast"),
            ],
        )
        .unwrap_err();
        let listed = |start: &str| mistakes.iter().any(|mistake| mistake.starts_with(start));
        assert!(
            listed("switchhook.toml:2: switch.port: must be a port from 1 to 65535"),
            "{mistakes:#?}"
        );
        assert!(
            listed("switchhook.toml:3: switch.hots: is no key; [switch] has host"),
            "{mistakes:#?}"
        );
        assert!(
            listed("switchhook.toml:6: api.listen: \"nowhere\" is no address"),
            "{mistakes:#?}"
        );
        assert!(
            listed("switchhook.toml:7: sotre: is no section"),
            "{mistakes:#?}"
        );
        assert!(
            listed("switchhook.toml:10: store.durability: must be \"process\" or \"power\""),
            "{mistakes:#?}"
        );
        assert!(
            listed("switchhook.toml:12: log.level: is no level"),
            "{mistakes:#?}"
        );
        assert!(
            listed("SWITCHHOOK_SWITCH__PORTT: switch.portt: is no key"),
            "{mistakes:#?}"
        );
        assert!(
            listed(
                "SWITCHHOOK_DELIVERY__ENDPOINT_RATE: delivery.endpoint_rate: must be a whole number"
            ),
            "{mistakes:#?}"
        );
        assert!(
            listed("SWITCHHOOK_SWITCH_PORT: is no key; section and key are joined"),
            "{mistakes:#?}"
        );
        assert_eq!(mistakes.len(), 9);
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let config = parse(
            "[switch]\nport = 1\n[accounts]\norder = [\"realm\"]",
            &[
                ("SWITCHHOOK_SWITCH__PORT", "8022"),
                ("SWITCHHOOK_SWITCH__PASSWORD", "1234"),
                (
                    "SWITCHHOOK_DELIVERY__DENY_NETWORKS",
                    "10.0.0.0/8, 192.0.2.1",
                ),
                ("SWITCHHOOK_ACCOUNTS__ORDER", "number,default"),
                ("SWITCHHOOK_CONFIG", "ignored"),
            ],
        )
        .unwrap();
        assert_eq!(config.switch.port, 8022);
        assert_eq!(config.switch.password.0, "1234");
        assert_eq!(config.delivery.deny_networks.len(), 2);
        assert_eq!(config.accounts.order, [Source::Number, Source::Default]);
    }

    #[test]
    fn a_secret_may_stand_in_a_file_and_is_never_shown() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("password");
        std::fs::write(&file, "s3cret\n").unwrap();
        let text = format!("[switch]\npassword_file = {:?}", file.display().to_string());
        let config = parse(&text, &[]).unwrap();
        assert_eq!(config.switch.password.0, "s3cret");
        assert!(!format!("{config:?}").contains("s3cret"));

        let mistakes = parse("[switch]\npassword_file = \"/nonexistent/x\"", &[]).unwrap_err();
        assert!(mistakes[0].contains("/nonexistent/x"), "{mistakes:?}");
    }

    /// The sample in contrib/ has every key, and the values in it are the defaults.
    #[test]
    fn the_sample_says_what_is_true() {
        let sample = include_str!("../contrib/switchhook.toml");
        let mut text = String::new();
        for line in sample.lines() {
            match line.strip_prefix('#') {
                Some(set) if !set.starts_with(' ') && !set.ends_with('…') => text.push_str(set),
                Some(_) => {}
                None => text.push_str(line),
            }
            text.push('\n');
        }
        let config = parse(&text, &[]).unwrap();
        let mut default = Config::default();
        default.store.path = "/var/lib/switchhook/switchhook.db".into();
        assert_eq!(format!("{config:?}"), format!("{default:?}"));
        for (section, keys) in Config::KEYS {
            assert!(sample.contains(&format!("[{section}]")), "{section}");
            for key in *keys {
                assert!(sample.contains(&format!("#{key} = ")), "{section}.{key}");
            }
        }
    }

    #[test]
    fn what_is_no_toml_says_where() {
        let mistakes = parse("[switch]\nport = \nhost = \"x\"\n", &[]).unwrap_err();
        assert!(
            mistakes[0].starts_with("switchhook.toml:2: is no TOML here"),
            "{mistakes:?}"
        );
    }
}
