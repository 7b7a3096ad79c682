//! `say`: speaks a text by a speech engine, or a number, a date or the like from the switch's own sounds.

use super::{ANSWER, Act, Application, Category, Children, Module, PLAY, answered};
use crate::callflow::schema::{Data, Field, Kind, Notes};

/// What `say` knows to say from recorded words (`switch_say_type_t`).
const TYPES: &[&str] = &[
    "number",
    "items",
    "persons",
    "messages",
    "currency",
    "time_measurement",
    "current_date",
    "current_time",
    "current_date_time",
    "telephone_number",
    "telephone_extension",
    "url",
    "ip_address",
    "email_address",
    "postal_address",
    "account_number",
    "name_spelled",
    "name_phonetic",
    "short_date_time",
];

pub(super) const MODULE: Module = Module {
    id: "say",
    name: "Say",
    category: Category::Sounds,
    description: "Speaks a text, or with a type says a number, a date or the like from recorded words.",
    fields: &[
        Field::required("text", Kind::Text(2_048), "What is said"),
        Field::optional(
            "type",
            Kind::OneOf(TYPES),
            "What the text is, to be said from recorded words",
        ),
        Field::optional(
            "method",
            Kind::OneOf(&["pronounced", "iterated", "counted"]),
            "How recorded words are put together",
        )
        .or("\"pronounced\""),
        Field::optional("language", Kind::Word, "The language of recorded words").or("\"en\""),
        Field::optional(
            "engine",
            Kind::Word,
            "The speech engine; else the channel variable tts_engine",
        ),
        Field::optional(
            "voice",
            Kind::Word,
            "Its voice; else the channel variable tts_voice",
        ),
        ANSWER,
    ],
    children: Children::Default,
    check,
    act: |data, _| Act::Run(answered(data, application(data))),
};

fn check(data: &Data, notes: &mut Notes<'_>) {
    let text = data.word("text");
    if text.contains('|') {
        notes.say("text", "format", "Value must not hold |");
    }
    if data.text("type").is_some() && text.contains(char::is_whitespace) {
        notes.say(
            "text",
            "format",
            "Value must be one word where a type is given",
        );
    }
    if data.text("engine").is_some() != data.text("voice").is_some() {
        notes.say(
            "voice",
            "required",
            "engine and voice must be given together",
        );
    }
}

fn application(data: &Data) -> Application {
    let text = data.word("text");
    if let Some(kind) = data.text("type") {
        let (language, method) = (data.word("language"), data.word("method"));
        return Application::new("say", format!("{language} {kind} {method} {text}"), PLAY);
    }
    let speech = match (data.text("engine"), data.text("voice")) {
        (Some(engine), Some(voice)) => format!("{engine}|{voice}|{text}"),
        _ => text,
    };
    Application::new("speak", speech, PLAY)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{applications, mistakes};
    use super::*;

    #[test]
    fn it_speaks_or_says() {
        assert_eq!(
            applications(&MODULE, json!({"text": "Good morning, Ms Müller"})),
            ["answer", "speak Good morning, Ms Müller"]
        );
        assert_eq!(
            applications(
                &MODULE,
                json!({"text": "hello", "engine": "flite", "voice": "kal", "answer": false})
            ),
            ["speak flite|kal|hello"]
        );
        assert_eq!(
            applications(
                &MODULE,
                json!({"text": 42, "type": "number", "language": "de", "answer": false})
            ),
            ["say de number pronounced 42"]
        );
    }

    #[test]
    fn it_does_not_guess() {
        assert_eq!(
            mistakes(
                &MODULE,
                json!({"text": "a|b c", "type": "number", "voice": "kal"})
            ),
            "data.text: Value must be one word where a type is given; \
             data.voice: engine and voice must be given together"
        );
    }
}
