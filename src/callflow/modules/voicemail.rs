//! `voicemail`: lets the caller leave a message.

use super::device::DOMAIN;
use super::{Act, Application, Category, Children, Module, PLAY, SLACK, Scene, no_more};
use crate::callflow::schema::{Data, Field, Kind};

pub(super) const MODULE: Module = Module {
    id: "voicemail",
    name: "Voicemail",
    category: Category::People,
    description: "Lets the caller leave a message in a mailbox.",
    fields: &[
        Field::required("id", Kind::Word, "The mailbox"),
        DOMAIN,
        Field::optional("profile", Kind::Word, "The profile of mod_voicemail").or("\"default\""),
    ],
    children: Children::Default,
    check: no_more,
    act,
};

/// Where no domain is known at all the switch's own stands in.
const DEFAULT_DOMAIN: &str = "${domain_name}";

fn act(data: &Data, scene: &Scene<'_>) -> Act {
    let domain = data.text("domain");
    let domain = domain.as_deref().or(scene.domain).unwrap_or(DEFAULT_DOMAIN);
    let (profile, id) = (data.word("profile"), data.word("id"));
    let argument = format!("{profile} {domain} {id}");
    Act::Run(vec![
        // mod_voicemail does not: what is said into an unanswered call reaches few networks' ends.
        Application::new("answer", "", SLACK),
        Application::new("voicemail", argument, PLAY),
    ])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{applications, mistakes};
    use super::*;

    #[test]
    fn it_is_told_profile_domain_and_mailbox() {
        assert_eq!(
            applications(&MODULE, json!({"id": "1001"})),
            ["answer", "voicemail default pbx.test 1001"]
        );
        assert_eq!(
            applications(
                &MODULE,
                json!({"id": "1001", "domain": "a.test", "profile": "p2"})
            ),
            ["answer", "voicemail p2 a.test 1001"]
        );
    }

    #[test]
    fn a_mailbox_is_one_word() {
        assert_eq!(
            mistakes(&MODULE, json!({"id": "1001 1002"})),
            "data.id: Value must be letters, digits and _ . + * # @ - only"
        );
    }
}
