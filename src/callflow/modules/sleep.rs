//! `sleep`: waits.

use std::time::Duration;

use super::{Act, Application, Category, Children, Module, SLACK};
use crate::callflow::schema::{Data, Field, Kind, Notes};

/// The longest wait, in milliseconds.
const LONGEST_MS: u64 = 600_000;

pub(super) const MODULE: Module = Module {
    id: "sleep",
    name: "Sleep",
    category: Category::Control,
    description: "Waits, at most ten minutes.",
    fields: &[
        Field::required("duration", Kind::Whole(0, LONGEST_MS), "How long"),
        Field::optional("unit", Kind::OneOf(&["ms", "s", "m"]), "Of what").or("\"s\""),
    ],
    children: Children::Default,
    check,
    act: |data, _| {
        let ms = milliseconds(data);
        let limit = Duration::from_millis(ms) + SLACK;
        Act::Run(vec![Application::new("sleep", ms.to_string(), limit)])
    },
};

fn milliseconds(data: &Data) -> u64 {
    let unit = match &*data.word("unit") {
        "ms" => 1,
        "m" => 60_000,
        _ => 1_000,
    };
    data.whole("duration") * unit
}

fn check(data: &Data, notes: &mut Notes<'_>) {
    if milliseconds(data) > LONGEST_MS {
        notes.say(
            "duration",
            "maximum",
            "The wait must not be longer than ten minutes",
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{applications, mistakes};
    use super::*;

    #[test]
    fn it_waits_in_any_unit() {
        for (data, sleep) in [
            (json!({"duration": 2}), "sleep 2000"),
            (json!({"duration": 250, "unit": "ms"}), "sleep 250"),
            (json!({"duration": 1.0, "unit": "m"}), "sleep 60000"),
        ] {
            assert_eq!(applications(&MODULE, data), [sleep]);
        }
    }

    #[test]
    fn it_does_not_wait_for_ever() {
        assert_eq!(
            mistakes(&MODULE, json!({"duration": 11, "unit": "m"})),
            "data.duration: The wait must not be longer than ten minutes"
        );
    }
}
