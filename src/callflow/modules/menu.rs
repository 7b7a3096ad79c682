//! `menu`: plays a sound and goes where the caller's digits lead.

use std::time::Duration;

use super::{
    ANSWER, Act, Application, Category, Children, Module, PLAY, Scene, answered, is_digits, no_more,
};
use crate::callflow::schema::{Data, Field, Kind};

/// The channel variable in which the switch leaves what was pressed, and with `_invalid` behind it what was
/// pressed but is no choice (`switch_play_and_get_digits`).
pub(in crate::callflow) const VARIABLE: &str = "callflow_digits";

/// What the switch plays where there is nothing to be played.
const NO_SOUND: &str = "silence_stream://250";

pub(super) const MODULE: Module = Module {
    id: "menu",
    name: "Menu",
    category: Category::Sounds,
    description: "Plays a sound and goes where the caller's digits lead; timeout if none were pressed, else _.",
    fields: &[
        Field::required("file", Kind::Sound, "What the caller hears"),
        Field::optional(
            "invalid_file",
            Kind::Sound,
            "What is heard after digits that are no choice",
        ),
        Field::optional(
            "timeout",
            Kind::Whole(500, 60_000),
            "Milliseconds to wait for the first digit",
        )
        .or("5000"),
        Field::optional(
            "interdigit_timeout",
            Kind::Whole(100, 30_000),
            "Milliseconds to wait for the next digit",
        )
        .or("2000"),
        Field::optional("tries", Kind::Whole(1, 10), "How often it is played").or("3"),
        ANSWER,
    ],
    children: Children::Digits,
    check: no_more,
    act,
};

fn act(data: &Data, scene: &Scene<'_>) -> Act {
    let choices: Vec<&str> = scene
        .keys
        .iter()
        .copied()
        .filter(|key| is_digits(key))
        .collect();
    let longest = choices.iter().map(|choice| choice.len()).max().unwrap_or(1);
    // `#` ends the digits, unless it is one of them.
    let terminator = match choices.iter().any(|choice| choice.contains('#')) {
        true => "none",
        false => "#",
    };
    let timeout = data.whole("timeout");
    let (tries, between) = (data.whole("tries"), data.whole("interdigit_timeout"));
    let prompt = data.word("file");
    let invalid = data.text("invalid_file").unwrap_or(NO_SOUND.into());
    let pattern = pattern(&choices);
    let argument = format!(
        "1 {longest} {tries} {timeout} {terminator} {prompt} {invalid} {VARIABLE} {pattern} {between}"
    );
    let limit = PLAY + Duration::from_millis(timeout * tries);
    let read = Application::new("play_and_get_digits", argument, limit);
    Act::Menu(answered(data, read))
}

/// The pattern that fits these digits and no others, without a backslash, which the switch would drop.
fn pattern(choices: &[&str]) -> String {
    let choices: Vec<String> = choices
        .iter()
        .map(|choice| choice.replace('*', "[*]"))
        .collect();
    match choices.is_empty() {
        true => "^$".to_owned(),
        false => format!("^({})$", choices.join("|")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{act_with, applications};
    use super::*;

    #[test]
    fn the_children_are_the_choices() {
        let Act::Menu(applications) = act_with(
            &MODULE,
            json!({"file": "a.wav"}),
            &["1", "42", "*", "_", "timeout"],
        ) else {
            panic!("a menu");
        };
        assert_eq!(
            applications[1].to_string(),
            "play_and_get_digits 1 2 3 5000 # a.wav silence_stream://250 callflow_digits ^(1|42|[*])$ 2000"
        );
    }

    #[test]
    fn a_hash_that_is_a_choice_ends_nothing() {
        let data = json!({"file": "a.wav", "invalid_file": "b.wav", "answer": false, "tries": 1});
        let Act::Menu(applications) = act_with(&MODULE, data, &["#"]) else {
            panic!("a menu");
        };
        assert_eq!(
            applications[0].to_string(),
            "play_and_get_digits 1 1 1 5000 none a.wav b.wav callflow_digits ^(#)$ 2000"
        );
    }

    #[test]
    fn a_menu_without_choices_takes_none() {
        let all = applications(&MODULE, json!({"file": "a.wav", "answer": false}));
        assert!(all[0].contains(" ^$ "), "{all:?}");
    }
}
