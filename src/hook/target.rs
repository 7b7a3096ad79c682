//! Where a hook sends: an http or https URI, or `nats://[USER:PASSWORD@]HOST[:PORT]/SUBJECT`.

use std::sync::Arc;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// What is shown in place of a password.
const HIDDEN: &str = "***";
/// Where a nats-server listens.
const NATS_PORT: u16 = 4222;

/// Reads a URI that a hook may have.
///
/// # Errors
/// What is wrong with it, without the text itself: it may hold a password.
pub(super) fn read(text: &str) -> Result<Url, String> {
    let uri = Url::parse(text).map_err(|error| format!("Value is not an absolute URI: {error}"))?;
    match uri.scheme() {
        "http" | "https" if has_login(&uri) => {
            Err("Value must not carry a user name or password (use custom_request_headers)".into())
        }
        "http" | "https" => Ok(uri),
        "nats" if hides_something(&uri) => {
            Err("Value has *** where the password belongs: write the password".into())
        }
        "nats" => match NatsTarget::read(&uri) {
            Ok(_) => Ok(uri),
            Err(problem) => Err(problem.to_owned()),
        },
        other => Err(format!(
            "Value must be an http, https or nats URI, not {other}"
        )),
    }
}

/// Whether what is sent there is published to NATS.
pub(super) fn is_nats(uri: &Url) -> bool {
    uri.scheme() == "nats"
}

/// Whether a user name or a password is in it.
pub(super) fn has_login(uri: &Url) -> bool {
    !uri.username().is_empty() || uri.password().is_some()
}

/// Whether it was [`shown_uri`] where something had to be hidden.
fn hides_something(uri: &Url) -> bool {
    uri.password().unwrap_or(uri.username()) == HIDDEN
}

/// Scheme, host and port.
pub(super) fn endpoint(uri: &Url) -> Arc<str> {
    match NatsTarget::of(uri) {
        Some(target) if target.host.contains(':') => {
            format!("nats://[{}]:{}", target.host, target.port).into()
        }
        Some(target) => format!("nats://{}:{}", target.host, target.port).into(),
        None => uri.origin().ascii_serialization().into(),
    }
}

/// A URI as it is shown: without its password, or its token.
pub fn shown_uri(uri: &Url) -> String {
    let mut uri = uri.clone();
    // Neither fails where there is a host.
    if uri.password().is_some() {
        let _ = uri.set_password(Some(HIDDEN));
    } else if !uri.username().is_empty() {
        let _ = uri.set_username(HIDDEN);
    }
    uri.into()
}

/// The URI that somebody means who writes back one that was [`shown_uri`]: with the password of the one before, where
/// server and user are the same.
pub fn meant_uri(written: &str, before: &Url) -> Option<String> {
    let mut uri = Url::parse(written).ok()?;
    let same = |uri: &Url| uri.scheme() == before.scheme() && endpoint(uri) == endpoint(before);
    if !same(&uri) {
        return None;
    }
    match (uri.password(), before.password()) {
        (Some(HIDDEN), Some(password)) if uri.username() == before.username() => {
            uri.set_password(Some(password)).ok()?;
        }
        (None, None) if uri.username() == HIDDEN => uri.set_username(before.username()).ok()?,
        _ => return None,
    }
    Some(uri.into())
}

/// How one says to a nats-server who one is.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum NatsLogin {
    /// Not at all.
    None,
    /// By a token: what stands before the `@` where there is no `:`.
    Token(String),
    /// By user name and password.
    User(String, String),
}

impl std::fmt::Debug for NatsLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Token(_) => "Token",
            Self::User(..) => "User",
        })
    }
}

/// A server and a subject of NATS.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NatsTarget {
    /// A name, or an address without brackets.
    pub host: String,
    /// 4222 where the URI does not say.
    pub port: u16,
    /// Who publishes.
    pub login: NatsLogin,
    /// What is published to.
    pub subject: String,
}

impl NatsTarget {
    /// The target of a nats URI; `None` for any other.
    pub fn of(uri: &Url) -> Option<Self> {
        is_nats(uri).then(|| Self::read(uri).ok()).flatten()
    }

    fn read(uri: &Url) -> Result<Self, &'static str> {
        let host = match uri.host() {
            Some(Host::Domain(name)) if !name.is_empty() => name.to_ascii_lowercase(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            _ => return Err("A nats URI must name a host, such as nats://localhost/calls"),
        };
        if uri.query().is_some() || uri.fragment().is_some() {
            return Err("A nats URI must end with the subject, without ? and #");
        }
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(String::from)
                .map_err(|_| "A nats URI must be UTF-8 where it is percent-encoded")
        };
        let subject = decoded(uri.path().trim_start_matches('/'))?;
        check_subject(&subject)?;
        let login = match (decoded(uri.username())?, uri.password()) {
            (user, Some(password)) => NatsLogin::User(user, decoded(password)?),
            (user, None) if user.is_empty() => NatsLogin::None,
            (token, None) => NatsLogin::Token(token),
        };
        Ok(Self {
            host,
            port: uri.port().unwrap_or(NATS_PORT),
            login,
            subject,
        })
    }
}

/// One subject, and none of the server's own: a publish to `$JS.API…` would change streams.
fn check_subject(subject: &str) -> Result<(), &'static str> {
    if subject.is_empty() {
        return Err("A nats URI must name a subject, such as nats://localhost/calls");
    }
    if subject.starts_with('$') || subject.starts_with("_INBOX.") {
        return Err("Subjects that begin with $ or _INBOX are the server's own");
    }
    if subject
        .chars()
        .any(|c| c.is_whitespace() || c.is_control() || "*>".contains(c))
    {
        return Err("A subject must have neither spaces nor the wildcards * and >");
    }
    match subject.split('.').any(str::is_empty) {
        true => Err("The words of a subject are separated by one dot each, such as calls.missed"),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(uri: &str) -> NatsTarget {
        NatsTarget::of(&read(uri).unwrap()).unwrap()
    }

    #[test]
    fn a_nats_uri_names_server_login_and_subject() {
        let plain = target("nats://Bus.example/calls.missed");
        assert_eq!(
            (&*plain.host, plain.port, &*plain.subject),
            ("bus.example", 4222, "calls.missed")
        );
        assert_eq!(plain.login, NatsLogin::None);
        let full = target("nats://pbx:s%40cret%2F@[::1]:4333/a/b.c");
        assert_eq!(
            (&*full.host, full.port, &*full.subject),
            ("::1", 4333, "a/b.c")
        );
        assert_eq!(full.login, NatsLogin::User("pbx".into(), "s@cret/".into()));
        assert_eq!(
            target("nats://t0ken@127.0.0.1/c").login,
            NatsLogin::Token("t0ken".into())
        );
    }

    #[test]
    fn an_endpoint_is_scheme_host_and_port() {
        for (uri, expected) in [
            ("https://a.test/x?y", "https://a.test"),
            ("http://a.test:8080/", "http://a.test:8080"),
            ("nats://u:p@A.test/x", "nats://a.test:4222"),
            ("nats://[::1]:1/x", "nats://[::1]:1"),
        ] {
            assert_eq!(&*endpoint(&read(uri).unwrap()), expected);
        }
    }

    #[test]
    fn what_is_no_subject_is_refused() {
        for (uri, part) in [
            ("nats://h", "name a subject"),
            ("nats://h/", "name a subject"),
            ("nats:calls", "name a host"),
            ("nats:///calls", "name a host"),
            ("nats://h/a b", "spaces"),
            ("nats://h/a%0d%0ab", "spaces"),
            ("nats://h/calls.*", "wildcards"),
            ("nats://h/calls.>", "wildcards"),
            ("nats://h/calls..x", "one dot"),
            ("nats://h/.calls", "one dot"),
            ("nats://h/$JS.API.STREAM.DELETE.calls", "server's own"),
            ("nats://h/%24SYS.x", "server's own"),
            ("nats://h/calls?x=1", "without ?"),
            ("nats://h/%ff", "UTF-8"),
            ("nats://u:***@h/calls", "write the password"),
            ("tls://h/calls", "not tls"),
            ("http://u:p@h/", "user name"),
        ] {
            let problem = read(uri).unwrap_err();
            assert!(problem.contains(part), "{uri}: {problem}");
        }
    }

    #[test]
    fn a_password_is_never_shown_and_what_was_shown_can_be_written_back() {
        let before = read("nats://pbx:secret@h/calls").unwrap();
        assert_eq!(shown_uri(&before), "nats://pbx:***@h/calls");
        let moved = "nats://pbx:***@h/calls.all";
        assert_eq!(
            meant_uri(moved, &before).unwrap(),
            "nats://pbx:secret@h/calls.all"
        );
        for other in [
            "nats://pbx:***@elsewhere/calls",
            "nats://root:***@h/calls",
            "nats://pbx:new@h/calls",
        ] {
            assert_eq!(meant_uri(other, &before), None);
        }
        let token = read("nats://t0ken@h/calls").unwrap();
        assert_eq!(shown_uri(&token), "nats://***@h/calls");
        assert_eq!(
            meant_uri("nats://***@h/calls", &token).unwrap(),
            "nats://t0ken@h/calls"
        );
        assert_eq!(shown_uri(&read("https://h/x").unwrap()), "https://h/x");
    }
}
