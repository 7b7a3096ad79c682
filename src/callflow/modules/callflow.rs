//! `callflow`: goes on in another callflow of the account.

use super::{Act, Category, Children, Module, no_more};
use crate::callflow::schema::{Field, Kind};

pub(super) const MODULE: Module = Module {
    id: "callflow",
    name: "Callflow",
    category: Category::Control,
    description: "Goes on in another callflow of the account; to _ if there is no such callflow.",
    fields: &[Field::required("id", Kind::Word, "Its id")],
    children: Children::Default,
    check: no_more,
    act: |data, _| Act::Jump(data.word("id")),
};

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::act;
    use super::*;

    #[test]
    fn it_jumps() {
        assert_eq!(
            act(&MODULE, json!({"id": "4f2a"})),
            Act::Jump("4f2a".into())
        );
    }
}
