//! `hangup`: hangs up.

use super::{Act, Application, Category, Children, Module, SLACK};
use crate::callflow::schema::{Data, Field, Kind, Notes};

pub(super) const MODULE: Module = Module {
    id: "hangup",
    name: "Hang up",
    category: Category::Control,
    description: "Hangs up.",
    fields: &[Field::optional(
        "cause",
        Kind::Word,
        "The hangup cause, as the switch names it",
    )
    .or("\"NORMAL_CLEARING\"")],
    children: Children::Skipped,
    check,
    act: |data, _| {
        let cause = data.word("cause");
        Act::End(vec![Application::new("hangup", cause, SLACK)])
    },
};

fn check(data: &Data, notes: &mut Notes<'_>) {
    let cause = data.word("cause");
    if !cause.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
        notes.say(
            "cause",
            "format",
            "Value must be a hangup cause, such as USER_BUSY",
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{applications, mistakes};
    use super::*;

    #[test]
    fn it_hangs_up_with_a_cause() {
        assert_eq!(applications(&MODULE, json!({})), ["hangup NORMAL_CLEARING"]);
        assert_eq!(
            applications(&MODULE, json!({"cause": "USER_BUSY"})),
            ["hangup USER_BUSY"]
        );
        assert_eq!(
            mistakes(&MODULE, json!({"cause": "busy"})),
            "data.cause: Value must be a hangup cause, such as USER_BUSY"
        );
    }
}
