//! The modules of callflows: a file each, with the schema of its data, what it does, and its child keys.
//!
//! A new module is a file beside these and its line in [`modules`].

mod callflow;
mod conference;
mod device;
mod hangup;
mod menu;
mod play;
mod queue;
mod response;
mod ring_group;
mod say;
mod set_variables;
mod sleep;
mod transfer;
mod voicemail;
mod webhook;

use std::time::Duration;

use super::schema::{Data, Field, Notes};

/// How long people may talk, listen to music or wait for an agent.
const TALK: Duration = Duration::from_secs(24 * 3_600);
/// How long anything else may take that the switch plays or waits for.
const PLAY: Duration = Duration::from_secs(3_600);
/// How much longer than it should an application may take.
const SLACK: Duration = Duration::from_secs(10);

/// Where the catalogue has a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    /// Somebody is rung, or takes the call.
    People,
    /// The caller hears something.
    Sounds,
    /// Where the call goes, and when.
    Control,
    /// For who knows servers and channel variables.
    Advanced,
}

impl Category {
    /// All of them, as a catalogue shows them.
    pub const ALL: &'static [Self] = &[Self::People, Self::Sounds, Self::Control, Self::Advanced];

    /// Its heading.
    pub const fn name(self) -> &'static str {
        match self {
            Self::People => "People",
            Self::Sounds => "Sounds and menus",
            Self::Control => "Call control",
            Self::Advanced => "Advanced",
        }
    }
}

/// Which keys the children of a module may have: `_` always, and what else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Children {
    /// Nothing else: the flow goes on.
    Default,
    /// Nothing else: the flow goes on if nobody answers.
    Unanswered,
    /// Nothing else, and that is reached only where the module is skipped: it ends the flow.
    Skipped,
    /// `success` and `failure`.
    Outcome,
    /// Digits, and `timeout`.
    Digits,
}

impl Children {
    /// The keys that are words, digits apart, each with what leads there.
    pub const fn keys(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Default => &[("_", "Next")],
            Self::Unanswered => &[("_", "No answer")],
            Self::Skipped => &[("_", "If skipped")],
            Self::Outcome => &[
                ("success", "Success"),
                ("failure", "Failure"),
                ("_", "Next"),
            ],
            Self::Digits => &[("timeout", "Nothing pressed"), ("_", "Anything else")],
        }
    }

    /// Whether `key` is one of them.
    pub fn allow(self, key: &str) -> bool {
        self.keys().iter().any(|(word, _)| *word == key) || (self == Self::Digits && is_digits(key))
    }

    /// The keys in words.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Default | Self::Unanswered | Self::Skipped => "_",
            Self::Outcome => "success, failure, _",
            Self::Digits => "the digits that can be pressed, timeout, _",
        }
    }
}

/// What can be pressed.
fn is_digits(key: &str) -> bool {
    (1..=16).contains(&key.len())
        && key
            .chars()
            .all(|c| c.is_ascii_digit() || c == '*' || c == '#')
}

/// A module: what a node of a flow can be.
#[derive(Debug)]
pub struct Module {
    /// The word in `module`.
    pub id: &'static str,
    /// What people call it.
    pub name: &'static str,
    /// Where the catalogue has it.
    pub category: Category,
    /// What it does, in a sentence.
    pub description: &'static str,
    /// The fields of its `data`; `skip_module` is understood by all.
    pub fields: &'static [Field],
    /// The keys of its `children`.
    pub children: Children,
    /// Checks what the fields' kinds do not say.
    pub(super) check: fn(&Data, &mut Notes<'_>),
    pub(super) act: fn(&Data, &Scene<'_>) -> Act,
}

/// Where a module acts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene<'a> {
    /// The domain of users and mailboxes, where one is known.
    pub(super) domain: Option<&'a str>,
    /// The keys of the node's children.
    pub(super) keys: &'a [&'a str],
}

/// One application of the switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Application {
    pub(super) name: &'static str,
    pub(super) argument: String,
    /// How long it may take.
    pub(super) limit: Duration,
}

impl Application {
    fn new(name: &'static str, argument: impl Into<String>, limit: Duration) -> Self {
        Self {
            name,
            argument: argument.into(),
            limit,
        }
    }
}

impl std::fmt::Display for Application {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &*self.argument {
            "" => f.write_str(self.name),
            argument => write!(f, "{} {argument}", self.name),
        }
    }
}

/// What a module does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    /// Runs applications, then goes to `_`.
    Run(Vec<Application>),
    /// Calls somebody: goes to `_` if nobody answers.
    Bridge(Application),
    /// Runs applications, of which the last leaves what was pressed in a channel variable.
    Menu(Vec<Application>),
    /// Runs applications of which the last ends the call.
    End(Vec<Application>),
    /// Sends the call elsewhere in the dialplan.
    Leave(Application),
    /// Sends a webhook.
    Webhook,
    /// Goes on in another callflow.
    Jump(String),
}

/// Every module.
pub fn modules() -> &'static [&'static Module] {
    &[
        &webhook::MODULE,
        &device::DEVICE,
        &device::USER,
        &ring_group::MODULE,
        &voicemail::MODULE,
        &play::MODULE,
        &say::MODULE,
        &menu::MODULE,
        &sleep::MODULE,
        &set_variables::MODULE,
        &conference::MODULE,
        &queue::MODULE,
        &transfer::MODULE,
        &callflow::MODULE,
        &response::MODULE,
        &hangup::MODULE,
    ]
}

pub(super) use menu::VARIABLE as MENU_VARIABLE;

/// Where the fields' kinds say everything.
fn no_more(_: &Data, _: &mut Notes<'_>) {}

/// The answer before a sound, unless the data says `"answer": false`: then it is early media.
fn answered(data: &Data, application: Application) -> Vec<Application> {
    let answer = Application::new("answer", "", SLACK);
    match data.yes("answer") {
        true => vec![answer, application],
        false => vec![application],
    }
}

/// The field that [`answered`] reads.
const ANSWER: Field = Field::optional(
    "answer",
    super::schema::Kind::Yes,
    "Whether the call is answered first; otherwise it is heard as early media",
)
.or("true");

#[cfg(test)]
mod testing {
    //! What the modules' tests share.

    use serde_json::Value;

    use super::{Act, Module, Scene};
    use crate::callflow::schema::{Data, Notes};
    use crate::callflow::text::{Author, REMOTE_VARIABLES};
    use crate::hook::Mistakes;

    /// What a module does with this data, in the domain `pbx.test`.
    pub(super) fn act(module: &Module, data: Value) -> Act {
        act_with(module, data, &[])
    }

    /// The same with children.
    pub(super) fn act_with(module: &Module, data: Value, keys: &[&str]) -> Act {
        let (data, mistakes) = read(module, &data);
        assert!(mistakes.is_empty(), "{mistakes}");
        let domain = Some("pbx.test");
        (module.act)(&data, &Scene { domain, keys })
    }

    /// The applications a module becomes, as the dialplan would write them.
    pub(super) fn applications(module: &Module, data: Value) -> Vec<String> {
        let all = match act(module, data) {
            Act::Run(all) | Act::End(all) | Act::Menu(all) => all,
            Act::Bridge(one) | Act::Leave(one) => vec![one],
            other => panic!("{other:?} runs nothing"),
        };
        all.iter().map(ToString::to_string).collect()
    }

    /// What is wrong with this data.
    pub(super) fn mistakes(module: &Module, data: Value) -> String {
        read(module, &data).1.to_string()
    }

    /// What is wrong with it where it is a receiver's answer.
    pub(super) fn mistakes_of_receiver(module: &Module, data: Value) -> String {
        let variables = REMOTE_VARIABLES.map(str::to_owned);
        let author = Author::Receiver {
            variables: &variables,
        };
        read_of(author, module, &data).1.to_string()
    }

    fn read(module: &Module, data: &Value) -> (Data, Mistakes) {
        read_of(Author::Account, module, data)
    }

    fn read_of(author: Author<'_>, module: &Module, data: &Value) -> (Data, Mistakes) {
        let mut mistakes = Mistakes::default();
        let mut notes = Notes {
            mistakes: &mut mistakes,
            path: "data",
            author,
        };
        let data = Data::read(module.fields, Some(data), &mut notes);
        (module.check)(&data, &mut notes);
        (data, mistakes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_has_an_id_of_its_own_and_defaults_that_hold() {
        let mut ids: Vec<&str> = modules().iter().map(|module| module.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), modules().len());
        for module in modules() {
            assert!(module.description.ends_with('.'), "{}", module.id);
            for field in module.fields {
                let Some(default) = field.default else {
                    continue;
                };
                let default = serde_json::from_str(default).unwrap();
                let mut mistakes = crate::hook::Mistakes::default();
                let mut notes = Notes {
                    mistakes: &mut mistakes,
                    path: module.id,
                    author: crate::callflow::text::Author::Receiver { variables: &[] },
                };
                assert!(notes.check(field.name, field.kind, &default), "{mistakes}");
            }
        }
    }
}
