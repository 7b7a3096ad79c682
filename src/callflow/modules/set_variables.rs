//! `set_variables`: sets channel variables.

use super::{Act, Application, Category, Children, Module, SLACK};
use crate::callflow::schema::{Data, Field, Kind, Notes, scalar};
use crate::callflow::text::{name_objection, value_objection};

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
            "Names and values, at most 64; none by which the switch runs something or sends calls elsewhere",
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
            continue;
        }
        let Some(text) = scalar(value) else {
            notes.wrong_type(&field, "string, number or boolean");
            continue;
        };
        if !text.is_empty()
            && notes.check(&field, VALUE, &text.as_str().into())
            && let Some(message) = value_objection(name, &text, notes.author)
        {
            notes.say(&field, "format", message);
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

    use super::super::testing::{applications, mistakes, mistakes_of_receiver};
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

    #[test]
    fn a_receiver_sets_data_and_nothing_else() {
        let evil = json!({
            "group_confirm_key": "exec", "group_confirm_file": "system touch /tmp/pwned",
            "campon": "true", "campon_fallback_dialplan": "inline",
            "campon_fallback_exten": "system:touch /tmp/pwned",
            "domain_name": "x,[execute_on_answer='system touch /tmp/pwned']sofia/external/1@evil",
        });
        for name in evil.as_object().unwrap().keys() {
            let one = json!({"variables": {name: evil[name]}});
            for said in [
                mistakes(&MODULE, one.clone()),
                mistakes_of_receiver(&MODULE, one),
            ] {
                assert!(said.starts_with(&format!("data.variables.{name}: This variable")));
            }
        }
        let ours = json!({"variables": {"account_id": "acme"}});
        assert_eq!(mistakes(&MODULE, ours.clone()), "");
        assert_eq!(
            mistakes_of_receiver(&MODULE, ours),
            "data.variables.account_id: This variable is for stored callflows and the dialplan only"
        );
        let data = json!({"crm_id": 4711, "effective_caller_id_name": "Smith, John"});
        assert_eq!(
            mistakes_of_receiver(&MODULE, json!({"variables": data})),
            ""
        );
    }
}
