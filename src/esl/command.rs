//! Commands to the switch, as `mod_event_socket` reads them: lines, closed by an empty one.
//!
//! What is put into a command is checked when it is built. No line break and no NUL gets in, so what a
//! caller, a dialplan or a hook says can never become a second command.

use std::fmt;

use bytes::BytesMut;

use super::frame::Kind;
use super::wanted::Wanted;

/// Why something cannot be put into a command. The value is not shown: it may be a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The switch would read what follows as another header or command.
    #[error(
        "the {part} holds a line break or a NUL, at byte {at}: the switch would read a second command there"
    )]
    LineBreak {
        /// Which part of the command.
        part: &'static str,
        /// Bytes before it.
        at: usize,
    },
    /// A part that must be one word is empty.
    #[error("the {part} is empty")]
    Empty {
        /// Which part of the command.
        part: &'static str,
    },
    /// A part that must be one word holds a separator.
    #[error("the {part} holds {found:?}, at byte {at}: the switch would cut it in two there")]
    Separator {
        /// Which part of the command.
        part: &'static str,
        /// The separator.
        found: char,
        /// Bytes before it.
        at: usize,
    },
}

/// The password of the event socket. It shows itself to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Box<str>);

impl Password {
    /// A password.
    ///
    /// # Errors
    /// It holds a line break or NUL (a password file often ends in one: trim it).
    pub fn new(password: impl Into<String>) -> Result<Self, CommandError> {
        let password = password.into();
        one_line("password", &password)?;
        Ok(Self(password.into()))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// One command, ready to be written.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    /// Its lines, each with its line end, without the empty line that closes it.
    lines: String,
    /// How many bytes of `lines` may be shown.
    shown: usize,
    answer: Kind,
}

impl Command {
    /// `auth PASSWORD`: the answer to `auth/request`.
    pub fn auth(password: &Password) -> Self {
        Self::secret("auth ", &password.0)
    }

    /// `userauth USER:PASSWORD`: the same for a user of the directory, who is written `user@domain`.
    ///
    /// # Errors
    /// The user is empty, holds a line break, or the colon at which the switch begins the password.
    pub fn userauth(user: &str, password: &Password) -> Result<Self, CommandError> {
        word("user", user, &[':'])?;
        Ok(Self::secret(&format!("userauth {user}:"), &password.0))
    }

    /// `event plain …`: adds `wanted` to what this connection is sent.
    pub fn event_plain(wanted: &Wanted) -> Self {
        Self::line(format!("event plain {wanted}"))
    }

    /// `nixevent …`: takes `unwanted` away again.
    pub fn nixevent(unwanted: &Wanted) -> Self {
        Self::line(format!("nixevent {unwanted}"))
    }

    /// `api COMMAND ARGUMENTS`: runs it at once and answers with what it printed. The switch sends nothing
    /// else on the connection meanwhile.
    ///
    /// # Errors
    /// The line is empty, or holds a line break or NUL.
    pub fn api(line: &str) -> Result<Self, CommandError> {
        one_line("api command", line)?;
        if line.trim().is_empty() {
            return Err(CommandError::Empty {
                part: "api command",
            });
        }
        Ok(Self {
            answer: Kind::ApiResponse,
            ..Self::line(format!("api {line}"))
        })
    }

    /// The `api` command whose answer shows that a silent switch is alive.
    pub(super) fn probe() -> Self {
        Self {
            answer: Kind::ApiResponse,
            ..Self::line("api status".into())
        }
    }

    /// `filter NAME VALUE`: only events that have this header with this value.
    ///
    /// # Errors
    /// The name is not one word, or something holds a line break or NUL.
    pub fn filter(name: &str, value: &str) -> Result<Self, CommandError> {
        word("header name", name, &[' ', '\t'])?;
        one_line("header value", value)?;
        Ok(Self::line(format!("filter {name} {value}")))
    }

    /// `exit`: the switch says goodbye and closes.
    pub fn exit() -> Self {
        Self::line("exit".into())
    }

    /// `connect`: the first word on an outbound socket; answered with the channel's data.
    pub fn connect() -> Self {
        Self::line("connect".into())
    }

    /// `resume`: should an outbound socket break, the call goes on in the dialplan.
    pub fn resume() -> Self {
        Self::line("resume".into())
    }

    /// `myevents`: the events of the call of this outbound socket.
    pub fn myevents() -> Self {
        Self::line("myevents".into())
    }

    /// `linger SECONDS`: keeps an outbound socket open so long after the hangup, for its last events.
    pub fn linger(seconds: u32) -> Self {
        Self::line(format!("linger {seconds}"))
    }

    /// `sendmsg` to the channel of an outbound socket, or to the channel `uuid`.
    ///
    /// # Errors
    /// A name is not one word, or something holds a line break or NUL.
    pub fn sendmsg(uuid: Option<&str>, headers: &[(&str, &str)]) -> Result<Self, CommandError> {
        let mut lines = String::from("sendmsg");
        if let Some(uuid) = uuid {
            word("channel id", uuid, &[' ', '\t'])?;
            lines.push(' ');
            lines.push_str(uuid);
        }
        for (name, value) in headers {
            word("header name", name, &[' ', '\t', ':'])?;
            one_line("header value", value)?;
            lines.push_str(&format!("\n{name}: {value}"));
        }
        Ok(Self::line(lines))
    }

    /// `sendmsg` that runs a dialplan application on the channel of an outbound socket. `event_uuid` comes
    /// back as `Application-UUID` of its CHANNEL_EXECUTE and CHANNEL_EXECUTE_COMPLETE.
    ///
    /// # Errors
    /// The application is not one word, or something holds a line break or NUL.
    pub fn execute(
        application: &str,
        argument: &str,
        event_uuid: Option<&str>,
    ) -> Result<Self, CommandError> {
        word("application", application, &[' ', '\t'])?;
        let mut headers = vec![
            ("call-command", "execute"),
            ("execute-app-name", application),
        ];
        if !argument.is_empty() {
            headers.push(("execute-app-arg", argument));
        }
        headers.extend(event_uuid.map(|uuid| ("Event-UUID", uuid)));
        Self::sendmsg(None, &headers)
    }

    /// The kind of frame that answers it: [`Kind::ApiResponse`] for `api`, else [`Kind::CommandReply`].
    pub fn answer(&self) -> Kind {
        self.answer
    }

    /// Writes it with the empty line that closes it.
    pub(super) fn write_to(&self, buffer: &mut BytesMut) {
        buffer.extend_from_slice(self.lines.as_bytes());
        buffer.extend_from_slice(b"\n");
    }

    fn line(mut lines: String) -> Self {
        lines.push('\n');
        Self {
            shown: lines.len(),
            lines,
            answer: Kind::CommandReply,
        }
    }

    fn secret(shown: &str, secret: &str) -> Self {
        Self {
            shown: shown.len(),
            ..Self::line(format!("{shown}{secret}"))
        }
    }
}

/// The command as a log may show it: one line, no password.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.lines[..self.shown];
        for (at, line) in shown.lines().enumerate() {
            f.write_str(if at == 0 { "" } else { " | " })?;
            f.write_str(line)?;
        }
        f.write_str(if self.shown < self.lines.len() {
            "***"
        } else {
            ""
        })
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({self})")
    }
}

/// Refuses what would end the line: the switch ends lines at either half of CR LF and strings at NUL.
fn one_line(part: &'static str, text: &str) -> Result<(), CommandError> {
    match text.find(['\n', '\r', '\0']) {
        Some(at) => Err(CommandError::LineBreak { part, at }),
        None => Ok(()),
    }
}

/// Refuses what is not one word between `separators`.
pub(super) fn word(
    part: &'static str,
    text: &str,
    separators: &[char],
) -> Result<(), CommandError> {
    one_line(part, text)?;
    if text.is_empty() {
        return Err(CommandError::Empty { part });
    }
    match text.char_indices().find(|(_, c)| separators.contains(c)) {
        Some((at, found)) => Err(CommandError::Separator { part, found, at }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(command: &Command) -> String {
        let mut buffer = BytesMut::new();
        command.write_to(&mut buffer);
        String::from_utf8(buffer.to_vec()).unwrap()
    }

    #[test]
    fn commands_are_written_as_the_switch_reads_them() {
        let password = Password::new("Clue Con").unwrap();
        let wanted = Wanted::of(["DTMF", "custom callcenter::info", "channel_create"]).unwrap();
        for (command, text) in [
            (Command::auth(&password), "auth Clue Con\n\n"),
            (
                Command::userauth("42@pbx.test", &password).unwrap(),
                "userauth 42@pbx.test:Clue Con\n\n",
            ),
            (
                Command::event_plain(&wanted),
                "event plain CHANNEL_CREATE DTMF CUSTOM callcenter::info\n\n",
            ),
            (
                Command::api("uuid_dump 4711 json").unwrap(),
                "api uuid_dump 4711 json\n\n",
            ),
            (
                Command::filter("Unique-ID", "4711").unwrap(),
                "filter Unique-ID 4711\n\n",
            ),
            (Command::linger(5), "linger 5\n\n"),
            (
                Command::execute("set", "foo=bar", Some("1111")).unwrap(),
                "sendmsg\ncall-command: execute\nexecute-app-name: set\nexecute-app-arg: foo=bar\n\
                 Event-UUID: 1111\n\n",
            ),
        ] {
            assert_eq!(written(&command), text);
        }
    }

    #[test]
    fn a_line_break_never_becomes_a_second_command() {
        let error = Command::api("status\n\nexit").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the api command holds a line break or a NUL, at byte 6: the switch would read a second command there"
        );
        for evil in ["a\nb", "a\rb", "a\0b", "\n"] {
            assert!(Password::new(evil).is_err());
            assert!(Command::api(evil).is_err());
            assert!(Command::filter(evil, "x").is_err());
            assert!(Command::filter("x", evil).is_err());
            assert!(Command::execute(evil, "", None).is_err());
            assert!(Command::execute("set", evil, None).is_err());
            assert!(Command::execute("set", "", Some(evil)).is_err());
            assert!(Command::sendmsg(Some(evil), &[]).is_err());
            assert!(Command::sendmsg(None, &[(evil, "x")]).is_err());
            assert!(Wanted::of([evil]).is_err());
            assert!(Wanted::of([format!("CUSTOM {evil}").as_str()]).is_err());
        }
        assert!(Command::userauth("a:b", &Password::new("x").unwrap()).is_err());
        assert!(Command::sendmsg(None, &[("call-command: hangup", "x")]).is_err());
    }

    #[test]
    fn a_password_is_never_shown() {
        let password = Password::new("hunter2").unwrap();
        let auth = Command::auth(&password);
        let userauth = Command::userauth("42@pbx.test", &password).unwrap();
        let shown = format!("{password:?} {auth:?} {auth} {userauth:?} {userauth}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(
            shown.contains("Command(userauth 42@pbx.test:***)"),
            "{shown}"
        );
    }
}
