//! The configuration: read and checked once, every mistake listed with file and line.
//!
//! Each key is one line in [`sections!`]: name, type, default, rule, and `live` where a running daemon takes it over
//! (SIGHUP). A file may set it, then the drop-ins beside it, then `SWITCHHOOK_SECTION__KEY`; the last one wins.

mod changes;
mod key;
mod rules;
mod sources;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use crate::call::Source;
use crate::callflow::{REMOTE_MODULES, REMOTE_VARIABLES};
pub use changes::{Change, Changes};
pub use key::{Durability, Hidden, LogFormat, Millis, Shown};
use key::{Key, ms};
use rules::*;
pub use sources::{DEFAULT_FILE, File, Mistake};
use sources::{Origins, Sources};

/// Whether a key that is marked so is taken over while the daemon runs.
macro_rules! is_live {
    () => {
        false
    };
    (live) => {
        true
    };
}

/// Declares the sections, their structs, their defaults, their reading and what can change while the daemon runs in
/// one list.
macro_rules! sections {
    ($($(#[doc = $about:literal])+ $section:ident $type:ident {
        $($(#[doc = $doc:literal])+ $key:ident: $key_type:ty = $default:expr, $rule:expr $(, $live:ident)?;)+
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

            fn shown(&self) -> Vec<(&'static str, Shown)> {
                vec![$((stringify!($key), self.$key.shown())),+]
            }

            fn adopt(&mut self, new: Self, changes: &mut Changes) {
                $(changes.note(
                    concat!(stringify!($section), ".", stringify!($key)),
                    is_live!($($live)?),
                    &mut self.$key,
                    new.$key,
                );)+
            }
        })+

        /// The whole configuration.
        #[derive(Debug, Clone, Default)]
        pub struct Config { $($(#[doc = $about])+ pub $section: $type),+ }

        impl Config {
            fn from_sources(sources: &mut Sources<'_>) -> Self {
                Self { $($section: $type::read(sources)),+ }
            }

            /// Every section with its keys and what may be shown of their values.
            fn shown(&self) -> Vec<(&'static str, Vec<(&'static str, Shown)>)> {
                vec![$((stringify!($section), self.$section.shown())),+]
            }

            /// Takes over what can change while the daemon runs, and says what that is and what cannot.
            pub fn adopt(&mut self, new: Self) -> Changes {
                let mut changes = Changes::default();
                $(self.$section.adopt(new.$section, &mut changes);)+
                changes
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
        password: Hidden = Hidden("ClueCon".into()), anything, live;
        /// A file that holds the password.
        password_file: Option<PathBuf> = None, anything, live;
        /// For `userauth`: a user of the directory, as `user@domain`.
        user: Option<String> = None, anything, live;
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
        admin_token: Option<Hidden> = None, not_blank, live;
        /// A file that holds it.
        admin_token_file: Option<PathBuf> = None, anything, live;
        /// Origins of web pages that may use the API.
        cors_origins: Vec<String> = Vec::new(), anything;
    }
    /// The database.
    store Store {
        /// The file.
        path: PathBuf = default_database(), a_file;
        /// `process` or `power`.
        durability: Durability = Durability::Process, anything;
        /// How long events and attempts are kept.
        retention_days: u32 = 7, from_one, live;
        /// How many attempts are kept at most.
        max_attempts_rows: u64 = 5_000_000, from_one, live;
        /// How long the read path waits for the store before it sheds events, and a transaction may take before the store
        /// counts as stalled.
        stall_timeout_ms: Millis = ms(500), some_time;
    }
    /// How requests are made.
    delivery Delivery {
        /// How long a connection to a receiver may take.
        connect_timeout_ms: Millis = ms(10_000), some_time, live;
        /// How long a request may take in all.
        request_timeout_ms: Millis = ms(15_000), some_time, live;
        /// Requests a second to one endpoint.
        endpoint_rate: u32 = 100, from_one, live;
        /// Requests at once to one endpoint after a pause.
        endpoint_burst: u32 = 200, from_one, live;
        /// Requests under way at one endpoint.
        endpoint_in_flight: u32 = 32, from_one, live;
        /// The pause before the first retry.
        retry_base_ms: Millis = ms(1_000), some_time, live;
        /// The longest pause before a retry, also of `Retry-After`.
        retry_cap_ms: Millis = ms(3_600_000), some_time, live;
        /// As many failed attempts …
        attempt_failure_count: u32 = 6, from_one, live;
        /// … within this time switch a hook off.
        attempt_failure_expiry_ms: Millis = ms(60_000), some_time, live;
        /// Never switch a hook off.
        disable_disabler: bool = false, anything, live;
        /// Whether attempts that succeeded are recorded.
        log_successful_attempts: bool = true, anything, live;
        /// Refuse loopback and private networks.
        deny_private: bool = false, anything, live;
        /// Networks that are refused.
        deny_networks: Vec<IpNet> = Vec::new(), anything, live;
        /// How long requests under way may take to end when the daemon stops.
        shutdown_timeout_ms: Millis = ms(10_000), anything, live;
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
        remote_modules: Vec<String> = REMOTE_MODULES.map(str::to_owned).to_vec(), callflow_modules;
        /// The channel variables that it may set; `crm_*` for all that begin so. Never one by which the switch runs
        /// something.
        remote_variables: Vec<String> = REMOTE_VARIABLES.map(str::to_owned).to_vec(), anything;
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
        level: String = "info".into(), log_filter, live;
        /// `text` or `json`.
        format: LogFormat = LogFormat::Text, anything;
    }
}

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

/// A key of the configuration in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry<'a> {
    /// Its name within the section.
    pub key: &'static str,
    /// What may be shown of its value.
    pub shown: Shown,
    /// File and line, variable or credential that set it; `None` for a default.
    pub source: Option<&'a str>,
}

/// The configuration, and where it comes from.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The files that were read, in order.
    pub files: Vec<String>,
    origins: Origins,
}

impl Loaded {
    /// Reads `file` (or [`DEFAULT_FILE`], which may be missing), the drop-ins beside it (`conf.d/*.toml`, sorted by
    /// name) and the environment.
    ///
    /// # Errors
    /// Every mistake.
    pub fn read(file: Option<&Path>) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let files = sources::files(file, &mut mistakes);
        // Not `vars`, which panics where anything in the environment is no UTF-8.
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((
                name.into_string().ok()?,
                value.to_string_lossy().into_owned(),
            ))
        });
        match Self::parse(&files, variables) {
            Ok(loaded) if mistakes.is_empty() => Ok(loaded),
            Ok(_) => Err(mistakes),
            Err(more) => {
                mistakes.extend(more);
                Err(mistakes)
            }
        }
    }

    /// Reads files, each of which lies on those before it, and environment variables.
    ///
    /// # Errors
    /// Every mistake.
    pub fn parse(
        files: &[File],
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Vec<Mistake>> {
        let mut sources = Sources::default();
        files.iter().for_each(|file| sources.add_file(file));
        sources.add_environment(environment);
        let mut config = Config::from_sources(&mut sources);
        sources.end();
        let file = ("password_file", config.switch.password_file.as_deref());
        if let Some(password) =
            sources.secret_in_file("switch", "password", file, "switch-password")
        {
            config.switch.password = password;
        }
        let file = ("admin_token_file", config.api.admin_token_file.as_deref());
        if let Some(token) = sources.secret_in_file("api", "admin_token", file, "admin-token") {
            config.api.admin_token = Some(token);
        }
        match sources.mistakes.is_empty() {
            true => Ok(Self {
                config,
                files: files.iter().map(|file| file.path.clone()).collect(),
                origins: sources.origins,
            }),
            false => Err(in_order(sources.mistakes, files)),
        }
    }

    /// Every section with its keys.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, Vec<Entry<'_>>)> {
        self.config.shown().into_iter().map(|(section, keys)| {
            let entry = |(key, shown): (&'static str, Shown)| {
                let origin = self.origins.get(&(section.to_owned(), key.to_owned()));
                Entry {
                    key,
                    shown,
                    source: origin.map(|origin| origin.place.as_str()),
                }
            };
            (section, keys.into_iter().map(entry).collect())
        })
    }
}

/// As one reads them: file by file, each from its first line on, then what is in no file.
fn in_order(mut mistakes: Vec<Mistake>, files: &[File]) -> Vec<Mistake> {
    let position = |mistake: &Mistake| {
        let (file, line) = mistake.place.rsplit_once(':')?;
        let file = files.iter().position(|one| one.path == file)?;
        Some((file, line.parse::<usize>().ok()?))
    };
    mistakes.sort_by_key(|mistake| position(mistake).unwrap_or((files.len(), 0)));
    mistakes
}

impl Config {
    /// Reads the configuration as [`Loaded::read`] does.
    ///
    /// # Errors
    /// Every mistake.
    pub fn load(file: Option<&Path>) -> Result<Self, Vec<Mistake>> {
        Loaded::read(file).map(|loaded| loaded.config)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn parse(text: &str, environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let environment = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        layered(&[("switchhook.toml", text)], environment).map(|loaded| loaded.config)
    }

    fn layered(
        files: &[(&str, &str)],
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Loaded, Vec<String>> {
        let file = |(path, text): &(&str, &str)| File {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        };
        let files: Vec<File> = files.iter().map(file).collect();
        Loaded::parse(&files, environment)
            .map_err(|mistakes| mistakes.iter().map(Mistake::to_string).collect())
    }

    /// What `switchhook config` would say of a key.
    fn said_of(loaded: &Loaded, section: &str, key: &str) -> (String, Option<String>) {
        let (_, keys) = loaded.entries().find(|(name, _)| *name == section).unwrap();
        let entry = keys.into_iter().find(|entry| entry.key == key).unwrap();
        (entry.shown.to_string(), entry.source.map(str::to_owned))
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
        let sample = include_str!("../../contrib/switchhook.toml");
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
    fn a_wrong_item_of_a_list_is_told_what_it_should_be() {
        let text =
            "[delivery]\ndeny_networks = [\"10.0.0.0/33\"]\n[accounts]\norder = [\"varible\"]";
        assert_eq!(
            parse(text, &[]).unwrap_err(),
            [
                "switchhook.toml:2: delivery.deny_networks: must be a list of networks such as \"10.0.0.0/8\"",
                "switchhook.toml:4: accounts.order: must be a list of \"variable\", \"number\", \"realm\", \"default\"",
            ]
        );
    }

    #[test]
    fn a_module_that_there_is_not_is_a_mistake() {
        let text = "[callflow]\nremote_modules = [\"play\", \"webhok\"]";
        let mistakes = parse(text, &[]).unwrap_err();
        let said =
            "switchhook.toml:2: callflow.remote_modules: \"webhok\" is no module; there are ";
        assert!(mistakes[0].starts_with(said), "{mistakes:?}");
    }

    #[test]
    fn a_database_without_a_name_is_a_mistake() {
        let mistakes = parse("[store]\npath = \"\"", &[]).unwrap_err();
        assert_eq!(
            mistakes,
            ["switchhook.toml:2: store.path: must not be empty"]
        );
    }

    #[test]
    fn what_is_no_toml_says_where() {
        let mistakes = parse("[switch]\nport = \nhost = \"x\"\n", &[]).unwrap_err();
        assert!(
            mistakes[0].starts_with("switchhook.toml:2: is no TOML here"),
            "{mistakes:?}"
        );
    }

    #[test]
    fn a_later_file_wins_key_by_key_and_the_environment_last() {
        let loaded = layered(
            &[
                ("main", "[switch]\nhost = \"10.0.0.1\"\nport = 1\n"),
                (
                    "conf.d/10.toml",
                    "[switch]\nport = 2\npassword = \"a\"\n[log]\nlevel = \"debug\"",
                ),
                ("conf.d/20.toml", "[switch]\npassword = \"b\""),
            ],
            [("SWITCHHOOK_LOG__LEVEL".to_owned(), "warn".to_owned())],
        )
        .unwrap();
        let config = &loaded.config;
        assert_eq!(
            (config.switch.host.as_str(), config.switch.port),
            ("10.0.0.1", 2)
        );
        assert_eq!(config.switch.password.0, "b");
        assert_eq!(config.log.level, "warn");
        let said = |section, key| said_of(&loaded, section, key);
        let from = |value: &str, place: &str| (value.to_owned(), Some(place.to_owned()));
        assert_eq!(said("switch", "host"), from("\"10.0.0.1\"", "main:2"));
        assert_eq!(said("switch", "port"), from("2", "conf.d/10.toml:2"));
        assert_eq!(said("switch", "password"), from("***", "conf.d/20.toml:2"));
        assert_eq!(
            said("log", "level"),
            from("\"warn\"", "SWITCHHOOK_LOG__LEVEL")
        );
        assert_eq!(said("api", "admin_token"), ("not set".into(), None));
    }

    #[test]
    fn a_mistake_is_found_in_whichever_file_it_stands_hidden_or_not() {
        let mistakes = layered(
            &[
                ("main", "[switch]\nport = \"x\"\n"),
                ("conf.d/a.toml", "[switch]\nport = 8021\nhots = 1\n"),
                ("conf.d/b.toml", "\n[log]\nlevel = 7\n[switch\n"),
            ],
            [],
        )
        .unwrap_err();
        for start in [
            "main:2: switch.port: must be a port",
            "conf.d/a.toml:3: switch.hots: is no key",
            "conf.d/b.toml:3: log.level: must be a text",
            "conf.d/b.toml:4: is no TOML here",
        ] {
            assert!(
                mistakes.iter().any(|line| line.starts_with(start)),
                "{start}: {mistakes:#?}"
            );
        }
        assert_eq!(mistakes.len(), 4, "{mistakes:#?}");
    }

    #[test]
    fn of_a_secret_and_the_file_that_holds_it_the_later_one_wins() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("password");
        std::fs::write(&file, "of the file").unwrap();
        let named = format!("[switch]\npassword_file = {:?}", file.display().to_string());
        let plain = "[switch]\npassword = \"plain\"";
        let password = |files: &[(&str, &str)], environment: &[(&str, &str)]| {
            let environment = environment
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()));
            layered(files, environment)
                .unwrap()
                .config
                .switch
                .password
                .0
        };
        assert_eq!(password(&[("a", plain), ("b", &named)], &[]), "of the file");
        assert_eq!(password(&[("a", &named), ("b", plain)], &[]), "plain");
        let variable = ("SWITCHHOOK_SWITCH__PASSWORD", "of the environment");
        assert_eq!(
            password(&[("a", &named)], &[variable]),
            "of the environment"
        );

        for nothing in ["\n", " \n \n"] {
            std::fs::write(&file, nothing).unwrap();
            let mistakes = layered(&[("a", &named)], []).unwrap_err();
            assert!(
                mistakes[0].ends_with("switch.password_file: holds nothing"),
                "{mistakes:?}"
            );
        }
    }

    #[test]
    fn what_changes_is_taken_over_or_waits_for_a_restart() {
        let mut running = parse("[switch]\npassword = \"old\"", &[]).unwrap();
        let text = "[switch]\npassword = \"new\"\nport = 1\n[delivery]\nendpoint_rate = 7\n[api]\nlisten = \"127.0.0.1:1\"";
        let said = |changes: &[Change]| changes.iter().map(Change::to_string).collect::<Vec<_>>();
        for applied in [
            vec!["switch.password", "delivery.endpoint_rate 100 -> 7"],
            vec![],
        ] {
            let changes = running.adopt(parse(text, &[]).unwrap());
            assert_eq!(said(&changes.applied), applied);
            // For as long as it is not started anew.
            assert_eq!(
                said(&changes.needs_restart),
                [
                    "switch.port 8021 -> 1",
                    "api.listen \"127.0.0.1:8000\" -> \"127.0.0.1:1\""
                ]
            );
        }
        assert_eq!(running.switch.password.0, "new");
        assert_eq!(
            (running.delivery.endpoint_rate, running.switch.port),
            (7, 8021)
        );
    }
}
