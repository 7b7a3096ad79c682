//! `device` and `user`: rings somebody. To the switch both are users of its directory.

use super::{Act, Application, Category, Children, Module, Scene, TALK, no_more};
use crate::callflow::schema::{Data, Field, Kind};

const FIELDS: &[Field] = &[
    Field::required("id", Kind::Word, "The user in the switch's directory"),
    DOMAIN,
    Field::optional("timeout", Kind::Whole(1, 600), "Seconds it rings").or("20"),
];

/// The domain of a user or mailbox.
pub(super) const DOMAIN: Field = Field::optional(
    "domain",
    Kind::Word,
    "The domain; else [callflow] domain, else the call's own",
);

pub(super) const DEVICE: Module = Module {
    id: "device",
    name: "Device",
    category: Category::People,
    description: "Rings a device; the flow goes on if nobody answers.",
    fields: FIELDS,
    children: Children::Unanswered,
    check: no_more,
    act,
};

pub(super) const USER: Module = Module {
    id: "user",
    name: "User",
    description: "Rings a user; the flow goes on if nobody answers.",
    ..DEVICE
};

fn act(data: &Data, scene: &Scene<'_>) -> Act {
    let user = at_domain(&data.word("id"), data, scene);
    let bridge = format!("[leg_timeout={}]user/{user}", data.whole("timeout"));
    Act::Bridge(Application::new("bridge", bridge, TALK))
}

/// `ID@DOMAIN`, as far as a domain is known. An id may bring its own.
pub(super) fn at_domain(id: &str, data: &Data, scene: &Scene<'_>) -> String {
    let domain = data.text("domain");
    match domain.as_deref().or(scene.domain) {
        Some(domain) if !id.contains('@') => format!("{id}@{domain}"),
        _ => id.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{applications, mistakes};
    use super::*;

    #[test]
    fn it_rings_a_user_of_the_directory() {
        for (data, bridge) in [
            (
                json!({"id": "1001"}),
                "bridge [leg_timeout=20]user/1001@pbx.test",
            ),
            (
                json!({"id": 1001, "timeout": 5}),
                "bridge [leg_timeout=5]user/1001@pbx.test",
            ),
            (
                json!({"id": "1001", "domain": "other.test"}),
                "bridge [leg_timeout=20]user/1001@other.test",
            ),
            (
                json!({"id": "1001@own.test"}),
                "bridge [leg_timeout=20]user/1001@own.test",
            ),
        ] {
            assert_eq!(applications(&DEVICE, data.clone()), [bridge]);
            assert_eq!(applications(&USER, data), [bridge]);
        }
    }

    #[test]
    fn nobody_but_a_user_is_rung() {
        for evil in ["1001,sofia/gateway/x/0900", "[a=b]1001", "1001|1002", "a b"] {
            assert_eq!(
                mistakes(&DEVICE, json!({"id": evil})),
                "data.id: Value must be letters, digits and _ . + * # @ - only"
            );
        }
    }
}
