//! `ring_group`: rings several users, all at once or one after the other.

use serde_json::Value;

use super::device::{DOMAIN, at_domain};
use super::{Act, Application, Category, Children, Module, Scene, TALK};
use crate::callflow::schema::{Data, Field, Kind, Notes, text_of, whole_of};

const TIMEOUT: Kind = Kind::Whole(1, 600);
const MOST: usize = 50;

/// One of those who are rung.
const ENDPOINT: &[Field] = &[
    Field::required("id", Kind::Word, "The user in the switch's directory"),
    Field::optional("timeout", TIMEOUT, "Seconds it rings"),
    Field::optional("delay", Kind::Whole(0, 600), "Seconds before it rings"),
];

pub(super) const MODULE: Module = Module {
    id: "ring_group",
    name: "Ring group",
    category: Category::People,
    description: "Rings several users; the flow goes on if nobody answers.",
    fields: &[
        Field::required("endpoints", Kind::List(ENDPOINT), "Whom: 1 to 50"),
        Field::optional(
            "strategy",
            Kind::OneOf(&["simultaneous", "single"]),
            "All at once, or one after the other",
        )
        .or("\"simultaneous\""),
        Field::optional(
            "timeout",
            TIMEOUT,
            "Seconds that each rings who has none of its own",
        )
        .or("20"),
        DOMAIN,
    ],
    children: Children::Unanswered,
    check,
    act,
};

fn check(data: &Data, notes: &mut Notes<'_>) {
    let endpoints = data.list("endpoints");
    if data.document().contains_key("endpoints") && !(1..=MOST).contains(&endpoints.len()) {
        notes.say("endpoints", "minItems", "The list must name 1 to 50 users");
    }
}

fn act(data: &Data, scene: &Scene<'_>) -> Act {
    let legs: Vec<String> = data
        .list("endpoints")
        .iter()
        .map(|endpoint| leg(endpoint, data, scene))
        .collect();
    let separator = match &*data.word("strategy") {
        "single" => "|",
        _ => ",",
    };
    Act::Bridge(Application::new("bridge", legs.join(separator), TALK))
}

fn leg(endpoint: &Value, data: &Data, scene: &Scene<'_>) -> String {
    let number = |name| endpoint.get(name).and_then(whole_of);
    let timeout = number("timeout").unwrap_or(data.whole("timeout"));
    let delay = match number("delay") {
        Some(seconds) if seconds > 0 => format!("leg_delay_start={seconds},"),
        _ => String::new(),
    };
    let id = text_of(&endpoint["id"]).unwrap_or_default();
    let user = at_domain(&id, data, scene);
    format!("[{delay}leg_timeout={timeout}]user/{user}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{applications, mistakes};
    use super::*;

    #[test]
    fn all_at_once_or_one_after_the_other() {
        let endpoints = json!([{"id": "1001"}, {"id": 1003, "delay": 5, "timeout": 10}]);
        assert_eq!(
            applications(&MODULE, json!({"endpoints": endpoints})),
            [
                "bridge [leg_timeout=20]user/1001@pbx.test,[leg_delay_start=5,leg_timeout=10]user/1003@pbx.test"
            ]
        );
        assert_eq!(
            applications(
                &MODULE,
                json!({"endpoints": [{"id": "1"}, {"id": "2"}], "strategy": "single", "timeout": 7})
            ),
            ["bridge [leg_timeout=7]user/1@pbx.test|[leg_timeout=7]user/2@pbx.test"]
        );
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_point() {
        let endpoints = json!([{"id": "1001", "delay": 5.0, "timeout": 10.0}]);
        assert_eq!(
            applications(&MODULE, json!({"endpoints": endpoints})),
            ["bridge [leg_delay_start=5,leg_timeout=10]user/1001@pbx.test"]
        );
    }

    #[test]
    fn every_mistake_in_the_list_is_named() {
        assert_eq!(
            mistakes(&MODULE, json!({"endpoints": []})),
            "data.endpoints: The list must name 1 to 50 users"
        );
        assert_eq!(
            mistakes(
                &MODULE,
                json!({"endpoints": [{}, {"id": "a,b"}, {"id": "1", "delay": "soon"}], "strategy": "random"})
            ),
            "data.endpoints.0.id: Field is required but missing; \
             data.endpoints.1.id: Value must be letters, digits and _ . + * # @ - only; \
             data.endpoints.2.delay: Value did not match type(s): integer; \
             data.strategy: Value not found in enumerated list of values: simultaneous, single"
        );
    }
}
