//! What the data of a module may be: fields with their kinds and defaults, by which data is checked, read and
//! described.

use serde_json::{Value, json};

use super::text::{Author, objection, sound_objection};
use crate::hook::{Document, Mistakes};

/// What a field may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An id, an extension, a domain: 1 to 128 letters, digits and `_ . + * # @ -`.
    Word,
    /// A sound file as the switch names it, at most so many characters, without blanks and quotes.
    Sound,
    /// Text that goes to the switch, at most so many characters.
    Text(usize),
    /// A whole number within these bounds.
    Whole(u64, u64),
    /// Yes or no.
    Yes,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// An object; what is in it the module says itself.
    Object,
    /// A list of objects with these fields; how many, the module says itself.
    List(&'static [Field]),
    /// What a webhook says in its own words: checked as a webhook's field is.
    Hook,
}

/// One field of a module's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// Whether it must be there.
    pub required: bool,
    /// What it is where it is left out, as JSON; `None` for nothing at all.
    pub default: Option<&'static str>,
    /// What it is for.
    pub about: &'static str,
}

impl Field {
    pub(super) const fn required(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self {
            name,
            kind,
            required: true,
            default: None,
            about,
        }
    }

    pub(super) const fn optional(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self {
            required: false,
            ..Self::required(name, kind, about)
        }
    }

    pub(super) const fn or(self, default: &'static str) -> Self {
        Self {
            default: Some(default),
            ..self
        }
    }
}

/// The mistakes of a document, each noted under its path.
pub(super) struct Notes<'a> {
    pub(super) mistakes: &'a mut Mistakes,
    pub(super) path: &'a str,
    pub(super) author: Author<'a>,
}

impl Notes<'_> {
    /// Notes a mistake in `field`, which stands below the path.
    pub(super) fn add(&mut self, field: &str, rule: &str, detail: Value) {
        let field = format!("{}.{field}", self.path);
        self.mistakes.add(&field, rule, detail);
    }

    pub(super) fn say(&mut self, field: &str, rule: &str, message: &str) {
        self.add(field, rule, json!({ "message": message }));
    }

    pub(super) fn wrong_type(&mut self, field: &str, wanted: &str) {
        let message = format!("Value did not match type(s): {wanted}");
        self.add(
            field,
            "type",
            json!({ "message": message, "target": wanted }),
        );
    }

    /// Whether `value` is what a field of this kind may hold; notes it if not.
    pub(super) fn check(&mut self, field: &str, kind: Kind, value: &Value) -> bool {
        match kind {
            Kind::Word => self.text(field, value, 128, is_word, NO_WORD),
            Kind::Sound => {
                self.text(field, value, 512, is_sound, NO_SOUND) && self.is_sound(field, value)
            }
            Kind::Text(most) => self.text(field, value, most, |_| true, ""),
            Kind::Whole(least, most) => self.whole(field, value, least, most),
            Kind::Yes => value.is_boolean() || self.refuse_type(field, "boolean"),
            Kind::OneOf(words) => self.one_of(field, value, words),
            Kind::Object => value.is_object() || self.refuse_type(field, "object"),
            Kind::List(fields) => self.list(field, value, fields),
            Kind::Hook => true,
        }
    }

    /// Whether `value`, a text, names a sound and nothing else; notes it if not.
    pub(super) fn is_sound(&mut self, field: &str, value: &Value) -> bool {
        let text = text_of(value).unwrap_or_default();
        match sound_objection(&text, self.author) {
            Some(message) => {
                self.say(field, "format", message);
                false
            }
            None => true,
        }
    }

    fn refuse_type(&mut self, field: &str, wanted: &str) -> bool {
        self.wrong_type(field, wanted);
        false
    }

    fn text(
        &mut self,
        field: &str,
        value: &Value,
        most: usize,
        fits: fn(&str) -> bool,
        else_say: &str,
    ) -> bool {
        let Some(text) = text_of(value) else {
            return self.refuse_type(field, "string");
        };
        let length = text.chars().count();
        if length == 0 {
            let message = "String must be at least 1 characters";
            self.add(
                field,
                "minLength",
                json!({ "message": message, "target": 1 }),
            );
        } else if length > most {
            let field = format!("{}.{field}", self.path);
            self.mistakes.say_too_long(&field, most);
        } else if let Some(message) = objection(&text, self.author) {
            self.say(field, "format", message);
        } else if !fits(&text) {
            self.say(field, "format", else_say);
        } else {
            return true;
        }
        false
    }

    fn whole(&mut self, field: &str, value: &Value, least: u64, most: u64) -> bool {
        // 2.0 is a whole number to JSON Schema.
        let number = match value.as_f64() {
            Some(number) if number.fract() == 0.0 => number,
            _ => return self.refuse_type(field, "integer"),
        };
        let (rule, target, relation) = if number < least as f64 {
            ("minimum", least, "greater")
        } else if number > most as f64 {
            ("maximum", most, "less")
        } else {
            return true;
        };
        let message = format!("Value must be {relation} than or equal to {target}");
        self.add(
            field,
            rule,
            json!({ "message": message, "target": target, "value": value }),
        );
        false
    }

    fn list(&mut self, field: &str, value: &Value, fields: &[Field]) -> bool {
        let Some(items) = value.as_array() else {
            return self.refuse_type(field, "array");
        };
        let mut right = true;
        for (index, item) in items.iter().enumerate() {
            for wanted in fields {
                let name = format!("{field}.{index}.{}", wanted.name);
                match item.get(wanted.name).filter(|value| !value.is_null()) {
                    Some(value) => right &= self.check(&name, wanted.kind, value),
                    None if wanted.required => {
                        self.say(&name, "required", MISSING);
                        right = false;
                    }
                    None => {}
                }
            }
        }
        right
    }

    fn one_of(&mut self, field: &str, value: &Value, words: &[&str]) -> bool {
        if value.as_str().is_some_and(|word| words.contains(&word)) {
            return true;
        }
        let list = words.join(", ");
        let message = format!("Value not found in enumerated list of values: {list}");
        self.add(
            field,
            "enum",
            json!({ "message": message, "target": words, "value": value }),
        );
        false
    }
}

const MISSING: &str = "Field is required but missing";
const NO_WORD: &str = "Value must be letters, digits and _ . + * # @ - only";
const NO_SOUND: &str = "Value must not hold blanks, quotes or ${";

fn is_word(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || "_.+*#@-".contains(c))
}

/// One word of an argument. What a channel variable becomes could be several, and the last words of a menu's
/// send the call elsewhere.
fn is_sound(text: &str) -> bool {
    let text = text.strip_prefix("${sound_prefix}").unwrap_or(text);
    !text.contains(|c: char| c.is_whitespace() || c == '\'' || c == '"') && !text.contains("${")
}

/// The text of an id, which clients also write as a number.
pub(super) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A number that was checked to be whole, which 2.0 is as well.
pub(super) fn whole_of(value: &Value) -> Option<u64> {
    value.as_f64().map(|number| number as u64)
}

/// The data of a module, checked, with defaults filled in.
#[derive(Debug, Clone, Default)]
pub(super) struct Data(Document);

impl Data {
    /// Reads what was given for `fields`; what is wrong is noted and left out. Unknown keys are kept.
    pub(super) fn read(fields: &[Field], given: Option<&Value>, notes: &mut Notes<'_>) -> Self {
        let none = Document::new();
        let given = match given {
            None | Some(Value::Null) => &none,
            Some(Value::Object(given)) => given,
            Some(_) => {
                let message = "Value did not match type(s): object";
                notes.mistakes.say(notes.path, "type", message);
                return Self::default();
            }
        };
        let mut document = given.clone();
        for field in fields {
            let value = given.get(field.name).filter(|value| !value.is_null());
            match (value, field.default) {
                (Some(value), _) => {
                    if !notes.check(field.name, field.kind, value) {
                        document.shift_remove(field.name);
                    }
                }
                (None, Some(default)) => {
                    let default = serde_json::from_str(default).expect("a default is JSON");
                    document.insert(field.name.into(), default);
                }
                (None, None) if field.required => {
                    notes.say(field.name, "required", MISSING);
                }
                (None, None) => {}
            }
        }
        Self(document)
    }

    pub(super) fn document(&self) -> &Document {
        &self.0
    }

    /// A field's text, where it is there.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).and_then(text_of)
    }

    /// A field's text; empty where it is not there.
    pub(super) fn word(&self, name: &str) -> String {
        self.text(name).unwrap_or_default()
    }

    /// A field's number; 0 where it is not there.
    pub(super) fn whole(&self, name: &str) -> u64 {
        self.0.get(name).and_then(whole_of).unwrap_or(0)
    }

    /// Whether a field is true.
    pub(super) fn yes(&self, name: &str) -> bool {
        self.0.get(name) == Some(&Value::Bool(true))
    }

    /// The names and values of an object.
    pub(super) fn object(&self, name: &str) -> impl Iterator<Item = (&String, &Value)> {
        self.0
            .get(name)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
    }

    /// The items of a list.
    pub(super) fn list(&self, name: &str) -> &[Value] {
        match self.0.get(name) {
            Some(Value::Array(items)) => items,
            _ => &[],
        }
    }
}

/// The text that a scalar of somebody's JSON is as a channel variable; `None` for lists and objects.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Null => Some(String::new()),
        other => text_of(other),
    }
}
