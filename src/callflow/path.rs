//! What a call asks for: the path behind the port in the dialplan's `socket`.

use crate::esl::Event;

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Path {
    /// `/webhook`: an action from the channel variables.
    Webhook,
    /// `/webhook/ID`: a stored hook.
    Hook(String),
    /// `/callflow/ID`: a stored callflow.
    Callflow(String),
    /// None, or `/callflow`: the callflow of the number that was dialled.
    Number,
    /// Nothing of ours.
    Unknown(String),
}

impl Path {
    /// Reads the path from the channel's data.
    ///
    /// `socket_path` is what the last `socket` of this call with a path has set: the switch does not take it
    /// away for one without. What the running application was told decides, where the switch says so.
    pub(super) fn of(channel: &Event) -> Self {
        let running = channel.variable("current_application");
        let told = channel.variable("current_application_data");
        let pathless = running.as_deref() == Some("socket")
            && told.is_some_and(|told| {
                let address = told.split_whitespace().next().unwrap_or_default();
                !address.contains('/')
            });
        match channel.variable("socket_path") {
            Some(path) if !pathless => Self::parse(&path),
            _ => Self::Number,
        }
    }

    fn parse(path: &str) -> Self {
        let path = path.trim_matches('/');
        match path.split_once('/') {
            None if path.is_empty() || path == "callflow" => Self::Number,
            None if path == "webhook" => Self::Webhook,
            Some(("webhook", id)) if !id.contains('/') => Self::Hook(id.to_owned()),
            Some(("callflow", id)) if !id.contains('/') => Self::Callflow(id.to_owned()),
            _ => Self::Unknown(path.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn path(headers: &str) -> Path {
        Path::of(&Event::from_plain(Bytes::from(headers.to_owned())))
    }

    #[test]
    fn the_path_behind_the_port_says_what_to_run() {
        for (said, path_is) in [
            ("webhook", Path::Webhook),
            ("/webhook/", Path::Webhook),
            ("webhook/4f2a", Path::Hook("4f2a".into())),
            ("callflow/4f2a", Path::Callflow("4f2a".into())),
            ("callflow", Path::Number),
            ("webhook/a/b", Path::Unknown("webhook/a/b".into())),
            ("fax", Path::Unknown("fax".into())),
        ] {
            assert_eq!(path(&format!("variable_socket_path: {said}\n")), path_is);
        }
        assert_eq!(path("Unique-ID: a\n"), Path::Number);
    }

    #[test]
    fn the_path_of_an_earlier_socket_is_no_path() {
        let earlier = "variable_current_application: socket\nvariable_socket_path: webhook\n";
        let now = "variable_current_application_data: 127.0.0.1%3A8084%20async%20full\n";
        assert_eq!(path(&format!("{earlier}{now}")), Path::Number);
        let now = "variable_current_application_data: 127.0.0.1%3A8084/webhook%20async%20full\n";
        assert_eq!(path(&format!("{earlier}{now}")), Path::Webhook);
    }
}
