//! `transfer`: sends the call to another extension of the dialplan.

use super::{Act, Application, Category, Children, Module, SLACK, no_more};
use crate::callflow::schema::{Field, Kind};

pub(super) const MODULE: Module = Module {
    id: "transfer",
    name: "Transfer",
    category: Category::Control,
    description: "Sends the call to another extension of the dialplan; the flow ends.",
    fields: &[
        Field::required("extension", Kind::Word, "What is dialled there"),
        Field::optional("context", Kind::Word, "The context of the dialplan").or("\"default\""),
    ],
    children: Children::Skipped,
    check: no_more,
    act: |data, _| {
        // Always XML: `inline` would run whatever applications the extension names.
        let argument = format!("{} XML {}", data.word("extension"), data.word("context"));
        Act::Leave(Application::new("transfer", argument, SLACK))
    },
};

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{applications, mistakes};
    use super::*;

    #[test]
    fn it_goes_to_an_extension_in_a_context() {
        assert_eq!(
            applications(&MODULE, json!({"extension": "1002"})),
            ["transfer 1002 XML default"]
        );
        assert_eq!(
            applications(&MODULE, json!({"extension": "*98", "context": "features"})),
            ["transfer *98 XML features"]
        );
    }

    #[test]
    fn it_goes_nowhere_else() {
        for evil in ["-bleg 1002", "1002 inline", "answer,hangup"] {
            assert!(mistakes(&MODULE, json!({"extension": evil})).starts_with("data.extension: "));
        }
    }
}
