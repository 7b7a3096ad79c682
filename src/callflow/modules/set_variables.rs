//! `set_variables`: sets channel variables.

use super::{Act, Application, Category, Children, Module, SLACK};
use crate::callflow::schema::{Data, Field, Kind, Notes, scalar};
use crate::callflow::text::name_objection;

const MOST: usize = 64;
/// What one value may hold.
const VALUE: Kind = Kind::Text(4_096);

pub(super) const MODULE: Module = Module {
    id: "set_variables",
    name: "Set variables",
    category: Category::Advanced,
    description: "Sets channel variables; an empty value takes one away.",
    fields: &[
        Field::required(
            "variables",
            Kind::Object,
            "Names and values, at most 64; none by which the switch runs something",
        ),
        Field::optional(
            "export",
            Kind::Yes,
            "Whether the legs that are dialled get them too",
        )
        .or("false"),
    ],
    children: Children::Default,
    check,
    act,
};

fn check(data: &Data, notes: &mut Notes<'_>) {
    if data.object("variables").count() > MOST {
        notes.say(
            "variables",
            "maxItems",
            "There must not be more than 64 variables",
        );
    }
    for (name, value) in data.object("variables") {
        let field = format!("variables.{name}");
        if let Some(message) = name_objection(name, notes.author) {
            notes.say(&field, "format", message);
        }
        match scalar(value) {
            Some(text) if text.is_empty() => {}
            Some(text) => {
                notes.check(&field, VALUE, &text.into());
            }
            None => notes.wrong_type(&field, "string, number or boolean"),
        }
    }
}

fn act(data: &Data, _: &super::Scene<'_>) -> Act {
    let application = match data.yes("export") {
        true => "export",
        false => "set",
    };
    let set = |(name, value)| {
        let value = scalar(value).unwrap_or_default();
        Application::new(application, format!("{name}={value}"), SLACK)
    };
    Act::Run(data.object("variables").map(set).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{applications, mistakes};
    use super::*;

    #[test]
    fn it_sets_or_exports() {
        let variables =
            json!({"crm_name": "Müller, Zoë", "crm_vip": true, "crm_id": 7, "old": null});
        assert_eq!(
            applications(&MODULE, json!({"variables": variables})),
            [
                "set crm_name=Müller, Zoë",
                "set crm_vip=true",
                "set crm_id=7",
                "set old="
            ]
        );
        assert_eq!(
            applications(&MODULE, json!({"variables": {"a": "b"}, "export": true})),
            ["export a=b"]
        );
    }

    #[test]
    fn it_sets_nothing_that_runs_something() {
        let evil = json!({"api_hangup_hook": "x", "a": "${system(x)}", "b": [1], "c=d": "x"});
        let mistakes = mistakes(&MODULE, json!({"variables": evil}));
        for part in [
            "data.variables.api_hangup_hook: This variable makes the switch run something",
            "data.variables.a: Value may hold ${NAME}",
            "data.variables.b: Value did not match",
            "data.variables.c=d: A variable's name must be",
        ] {
            assert!(mistakes.contains(part), "{mistakes}");
        }
    }
}
