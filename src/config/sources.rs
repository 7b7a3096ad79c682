//! Where keys are set: the file, the drop-ins beside it, the environment, and files that hold secrets.
//!
//! Each source lies on those before it and wins key by key. What it hides is looked at all the same: a mistake is
//! a mistake, in whichever file it stands.

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Config;
use super::key::{Hidden, Key};
use super::rules::Rule;

/// Where the file is looked for when nobody names one. It may be missing.
pub const DEFAULT_FILE: &str = "/etc/switchhook/switchhook.toml";
/// The directory of the drop-ins, beside the file.
const DROP_INS: &str = "conf.d";

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

impl Mistake {
    /// Something is wrong with a file as a whole.
    fn of_file(path: &Path, message: String) -> Self {
        Self {
            place: path.display().to_string(),
            key: String::new(),
            message,
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.is_empty() {
            true => write!(f, "{}: {}", self.place, self.message),
            false => write!(f, "{}: {}: {}", self.place, self.key, self.message),
        }
    }
}

/// One file of the configuration, as it was read.
#[derive(Debug, Clone)]
pub struct File {
    /// Its path, for mistakes.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// Reads `file` (or [`DEFAULT_FILE`], which may be missing) and the drop-ins beside it: `conf.d/*.toml`, sorted
/// by name. Those that cannot be read are among the mistakes.
pub(super) fn files(file: Option<&Path>, mistakes: &mut Vec<Mistake>) -> Vec<File> {
    let main = file.unwrap_or(Path::new(DEFAULT_FILE));
    let mut files = Vec::new();
    let mut read = |path: &Path, may_be_missing: bool| match std::fs::read_to_string(path) {
        Ok(text) => files.push(File {
            path: path.display().to_string(),
            text,
        }),
        Err(error) if may_be_missing && error.kind() == ErrorKind::NotFound => {}
        Err(error) => mistakes.push(Mistake::of_file(path, format!("cannot be read: {error}"))),
    };
    read(main, file.is_none());
    let directory = main.with_file_name(DROP_INS);
    match drop_ins(&directory) {
        Ok(paths) => paths.iter().for_each(|path| read(path, false)),
        Err(error) => {
            let message = format!("the drop-ins cannot be listed: {error}");
            mistakes.push(Mistake::of_file(&directory, message));
        }
    }
    files
}

fn drop_ins(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        // What begins with a dot is an editor's.
        let is_hidden =
            (path.file_name()).is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.extension().is_some_and(|end| end == "toml") && !is_hidden {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    /// File and line, or the variable.
    pub(super) place: String,
    /// How many sources lie below.
    layer: usize,
}

/// Section and key.
pub(super) type Name = (String, String);

/// Where each key that somebody set got its value.
pub(super) type Origins = BTreeMap<Name, Origin>;

enum Given<'a> {
    Toml(DeValue<'a>),
    Variable(String),
}

impl Given<'_> {
    fn read<T: Key>(&self) -> Option<T> {
        match self {
            Self::Toml(value) => T::read(value),
            Self::Variable(text) if T::PLAIN => T::read(&DeValue::String(text.as_str().into())),
            Self::Variable(text) => DeValue::parse(text)
                .ok()
                .and_then(|value| T::read(value.get_ref()))
                .or_else(|| T::read(&list(text))),
        }
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

/// Everything that is set and that nobody has asked for yet.
#[derive(Default)]
pub(super) struct Sources<'a> {
    /// What each source says of a key, the one that wins last.
    set: BTreeMap<Name, Vec<(Origin, Given<'a>)>>,
    layers: usize,
    pub(super) origins: Origins,
    pub(super) mistakes: Vec<Mistake>,
}

impl<'a> Sources<'a> {
    /// Lays a file on what is there.
    pub(super) fn add_file(&mut self, file: &'a File) {
        self.layers += 1;
        let (document, errors) = DeTable::parse_recoverable(&file.text);
        let at = |offset: usize| format!("{}:{}", file.path, line_of(&file.text, offset));
        for error in errors {
            self.mistakes.push(Mistake {
                place: at(error.span().map_or(0, |span| span.start)),
                key: String::new(),
                message: format!("is no TOML here: {}", error.message()),
            });
        }
        for (section, keys) in document.into_inner() {
            let place = at(section.span().start);
            let section = section.into_inner().into_owned();
            let known = Config::KEYS.iter().any(|(name, _)| *name == section);
            let message = match keys.into_inner() {
                DeValue::Table(keys) if known => {
                    for (key, value) in keys {
                        let place = at(value.span().start);
                        let name = (section.clone(), key.into_inner().into_owned());
                        self.add(name, place, Given::Toml(value.into_inner()));
                    }
                    continue;
                }
                DeValue::Table(_) => {
                    let names: Vec<&str> = Config::KEYS.iter().map(|(name, _)| *name).collect();
                    format!("is no section; there are {}", names.join(", "))
                }
                _ => "is no section; keys stand under [section]".to_owned(),
            };
            self.mistakes.push(Mistake {
                place,
                key: section,
                message,
            });
        }
    }

    /// Lays the environment on what is there.
    pub(super) fn add_environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) {
        self.layers += 1;
        for (variable, value) in variables {
            let Some(name) = variable.strip_prefix("SWITCHHOOK_") else {
                continue;
            };
            // These are the command line's and the tests'.
            if name == "CONFIG" || name == "LIVE" || name.starts_with("LIVE_") {
                continue;
            }
            match name.split_once("__") {
                Some((section, key)) => {
                    let name = (section.to_ascii_lowercase(), key.to_ascii_lowercase());
                    self.add(name, variable, Given::Variable(value));
                }
                None => self.mistakes.push(Mistake {
                    place: variable,
                    key: String::new(),
                    message: "is no key; section and key are joined by two underscores, as in SWITCHHOOK_SWITCH__PORT".into(),
                }),
            }
        }
    }

    fn add(&mut self, name: Name, place: String, given: Given<'a>) {
        let origin = Origin {
            place,
            layer: self.layers,
        };
        self.set.entry(name).or_default().push((origin, given));
    }

    /// The value of a key where somebody set it rightly; mistakes are noted.
    pub(super) fn take<T: Key>(&mut self, section: &str, key: &str, rule: Rule<T>) -> Option<T> {
        let name = (section.to_owned(), key.to_owned());
        let mut taken = None;
        for (origin, given) in self.set.remove(&name)? {
            let checked = match given.read() {
                None => Err(format!("must be {}", T::WANTED)),
                Some(value) => rule(&value).map(|()| value),
            };
            match checked {
                Ok(value) => {
                    taken = Some(value);
                    self.origins.insert(name.clone(), origin);
                }
                Err(message) => self.mistakes.push(Mistake {
                    place: origin.place,
                    key: format!("{section}.{key}"),
                    message,
                }),
            }
        }
        taken
    }

    /// A secret that stands in a file of its own, if it does: in the one that `section.file_key` names, unless
    /// the secret itself is set by what lies above, or else in systemd's credential.
    pub(super) fn secret_in_file(
        &mut self,
        section: &str,
        key: &str,
        (file_key, file): (&str, Option<&Path>),
        credential: &str,
    ) -> Option<Hidden> {
        let layer = |key: &str| {
            let name = (section.to_owned(), key.to_owned());
            self.origins.get(&name).map(|origin| origin.layer)
        };
        let file = file.filter(|_| layer(file_key) >= layer(key));
        let (path, origin) = match file {
            Some(file) => (file.to_owned(), file.display().to_string()),
            None => {
                let credentials = std::env::var_os("CREDENTIALS_DIRECTORY")?;
                let path = Path::new(&credentials).join(credential);
                let origin = format!("systemd's credential {credential}");
                (path.exists().then_some(path)?, origin)
            }
        };
        let text = std::fs::read_to_string(&path);
        let found = match text
            .as_deref()
            .map(|text| text.trim_end_matches(['\r', '\n']))
        {
            Ok(text) if text.trim().is_empty() => Err("holds nothing".to_owned()),
            Ok(secret) => Ok(Hidden(secret.to_owned())),
            Err(error) => Err(format!("cannot be read: {error}")),
        };
        match found {
            Ok(secret) => {
                let name = (section.to_owned(), key.to_owned());
                let layer = self.layers;
                let place = origin;
                self.origins.insert(name, Origin { place, layer });
                Some(secret)
            }
            Err(message) => {
                self.mistakes.push(Mistake {
                    place: path.display().to_string(),
                    key: format!("{section}.{file_key}"),
                    message,
                });
                None
            }
        }
    }

    /// What is set but is no key is a mistake.
    pub(super) fn end(&mut self) {
        for ((section, key), settings) in std::mem::take(&mut self.set) {
            let known = Config::KEYS.iter().find(|(name, _)| *name == section);
            let message = match known {
                Some((_, keys)) => format!("is no key; [{section}] has {}", keys.join(", ")),
                None => format!("is no key: there is no section [{section}]"),
            };
            for (origin, _) in settings {
                self.mistakes.push(Mistake {
                    place: origin.place,
                    key: format!("{section}.{key}"),
                    message: message.clone(),
                });
            }
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}
