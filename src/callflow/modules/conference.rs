//! `conference`: joins a conference.

use super::{Act, Application, Category, Children, Module, TALK, no_more};
use crate::callflow::schema::{Field, Kind};

pub(super) const MODULE: Module = Module {
    id: "conference",
    name: "Conference",
    category: Category::People,
    description: "Joins a conference.",
    fields: &[
        Field::required("id", Kind::Word, "Its name"),
        Field::optional("profile", Kind::Word, "The profile of mod_conference").or("\"default\""),
    ],
    children: Children::Default,
    check: no_more,
    act: |data, _| {
        // mod_conference takes what follows a `+` for the PIN: all conferences that begin with one would be one.
        let name = data.word("id").replace('+', "");
        let argument = format!("{name}@{}", data.word("profile"));
        Act::Run(vec![Application::new("conference", argument, TALK)])
    },
};

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::applications;
    use super::*;

    #[test]
    fn it_joins_by_name_and_profile() {
        assert_eq!(
            applications(&MODULE, json!({"id": "3000"})),
            ["conference 3000@default"]
        );
        assert_eq!(
            applications(&MODULE, json!({"id": "3000", "profile": "wideband"})),
            ["conference 3000@wideband"]
        );
        assert_eq!(
            applications(&MODULE, json!({"id": "+15551230000"})),
            ["conference 15551230000@default"]
        );
    }
}
