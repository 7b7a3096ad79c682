//! `response`: refuses an unanswered call with a SIP status.

use super::{Act, Application, Category, Children, Module, SLACK, no_more};
use crate::callflow::schema::{Data, Field, Kind};

pub(super) const MODULE: Module = Module {
    id: "response",
    name: "Response",
    category: Category::Control,
    description: "Refuses the call with a SIP status and hangs up.",
    fields: &[
        Field::required("code", Kind::Whole(400, 699), "The SIP status, 400 to 699"),
        Field::optional("message", Kind::Text(64), "The reason phrase"),
    ],
    children: Children::Skipped,
    check: no_more,
    act: |data, _| Act::End(applications(data)),
};

fn applications(data: &Data) -> Vec<Application> {
    let code = data.whole("code");
    let respond = match data.text("message") {
        Some(message) => format!("{code} {message}"),
        None => code.to_string(),
    };
    // Whoever has been answered already gets no status any more: a hang-up is what is left.
    vec![
        Application::new("respond", respond, SLACK),
        Application::new("hangup", "CALL_REJECTED", SLACK),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing;
    use super::*;

    #[test]
    fn it_refuses_with_a_status() {
        assert_eq!(
            testing::applications(&MODULE, json!({"code": 486, "message": "Busy Here"})),
            ["respond 486 Busy Here", "hangup CALL_REJECTED"]
        );
        assert_eq!(
            testing::applications(&MODULE, json!({"code": 503})),
            ["respond 503", "hangup CALL_REJECTED"]
        );
    }

    #[test]
    fn a_success_is_no_refusal() {
        assert_eq!(
            testing::mistakes(&MODULE, json!({"code": 200})),
            "data.code: Value must be greater than or equal to 400"
        );
    }
}
