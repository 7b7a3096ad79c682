//! `queue`: waits for an agent of a call centre queue.

use super::{Act, Application, Category, Children, Module, TALK, no_more};
use crate::callflow::schema::{Field, Kind};

pub(super) const MODULE: Module = Module {
    id: "queue",
    name: "Queue",
    category: Category::People,
    description: "Waits for an agent of a queue of mod_callcenter; the flow goes on if none answers.",
    fields: &[Field::required(
        "id",
        Kind::Word,
        "The queue, such as support@default",
    )],
    children: Children::Default,
    check: no_more,
    act: |data, _| {
        let queue = data.word("id");
        Act::Bridge(Application::new("callcenter", queue, TALK))
    },
};

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::applications;
    use super::*;

    #[test]
    fn it_waits_in_the_queue() {
        assert_eq!(
            applications(&MODULE, json!({"id": "support@default"})),
            ["callcenter support@default"]
        );
    }
}
