//! `switchhook config`: the configuration in force, and where each key of it is set.

use std::process::ExitCode;

use serde_json::{Map, Value, json};
use switchhook::config::{Entry, Loaded, Shown};

use super::printable;

#[derive(clap::Args)]
pub(super) struct Options {
    /// One JSON object: of each key `value` and `source`, of a secret only whether it is `set`
    #[arg(long)]
    json: bool,
}

pub(super) fn run(loaded: &Loaded, options: &Options) -> ExitCode {
    match options.json {
        true => say!("{:#}", as_json(loaded)),
        false => as_toml(loaded),
    }
    ExitCode::SUCCESS
}

/// Valid TOML that configures the same, secrets aside.
fn as_toml(loaded: &Loaded) {
    match loaded.files.is_empty() {
        true => say!("# No file was read."),
        false => say!("# Read: {}", loaded.files.join(", ")),
    }
    for (section, keys) in loaded.entries() {
        say!("\n[{section}]");
        for Entry { key, shown, source } in keys {
            match (shown, source.map(printable)) {
                (Shown::Value(value), None) => say!("{key} = {value}"),
                (Shown::Value(value), Some(source)) => say!("{key} = {value} # {source}"),
                (Shown::Secret, None) => say!("# {key} is the default"),
                (Shown::Secret, Some(source)) => say!("# {key} is set, and not shown: {source}"),
                (Shown::Unset, _) => say!("# {key} is not set"),
            }
        }
    }
}

fn as_json(loaded: &Loaded) -> Value {
    let entry = |entry: Entry<'_>| {
        let source = entry.source.unwrap_or("default");
        let said = match entry.shown {
            Shown::Value(value) => json!({ "value": value, "source": source }),
            Shown::Secret => json!({ "set": true, "source": source }),
            Shown::Unset => json!({ "set": false }),
        };
        (entry.key.to_owned(), said)
    };
    let sections = loaded.entries().map(|(section, keys)| {
        let keys: Map<_, _> = keys.into_iter().map(entry).collect();
        (section.to_owned(), keys.into())
    });
    sections.collect::<Map<_, _>>().into()
}
