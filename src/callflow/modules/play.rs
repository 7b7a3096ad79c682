//! `play`: plays a sound.

use super::{ANSWER, Act, Application, Category, Children, Module, PLAY, answered};
use crate::callflow::schema::{Data, Field, Kind, Notes};

pub(super) const MODULE: Module = Module {
    id: "play",
    name: "Play",
    category: Category::Sounds,
    description: "Plays a sound.",
    fields: &[
        Field::required(
            "file",
            Kind::Text(1_024),
            "The sound as the switch names it: a path, tone_stream://…, a URL",
        ),
        ANSWER,
    ],
    children: Children::Default,
    check,
    act: |data, _| {
        let playback = Application::new("playback", data.word("file"), PLAY);
        Act::Run(answered(data, playback))
    },
};

fn check(data: &Data, notes: &mut Notes<'_>) {
    if let Some(file) = data.document().get("file") {
        notes.is_sound("file", file);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{applications, mistakes};
    use super::*;

    #[test]
    fn it_answers_and_plays() {
        assert_eq!(
            applications(&MODULE, json!({"file": "ivr/ivr-welcome.wav"})),
            ["answer", "playback ivr/ivr-welcome.wav"]
        );
        assert_eq!(
            applications(
                &MODULE,
                json!({"file": "tone_stream://%(200,50,440)", "answer": false})
            ),
            ["playback tone_stream://%(200,50,440)"]
        );
    }

    #[test]
    fn a_file_is_no_command_of_the_switch() {
        assert!(mistakes(&MODULE, json!({"file": "${system(x)}"})).contains("${NAME}"));
        assert!(
            mistakes(&MODULE, json!({"file": "shell_stream://reboot"}))
                .starts_with("data.file: Value must be the path of a sound")
        );
        assert_eq!(
            mistakes(&MODULE, json!({"file": ""})),
            "data.file: String must be at least 1 characters"
        );
    }
}
