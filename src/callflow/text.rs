//! What may be put into the argument of an application.
//!
//! The switch expands `${…}` in every argument (`switch_channel_expand_variables`): `${name}` is a channel
//! variable, but `${name(…)}` runs a command of the switch, `system` included. An argument that begins with
//! `%[` sets variables before the application runs, some of which run applications themselves.

/// Whose words they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Author {
    /// A stored callflow's: it may read channel variables.
    Account,
    /// Those of a receiver that was asked for instructions.
    Receiver,
}

/// What keeps `text` from being an argument, if anything does.
pub(super) fn objection(text: &str, author: Author) -> Option<&'static str> {
    if text.contains(|c: char| c.is_control()) {
        return Some("Value must not hold line breaks or other control characters");
    }
    if text.starts_with('%') {
        return Some("Value must not begin with %: the switch would read settings there");
    }
    let mut rest = text;
    while let Some((before, reference)) = rest.split_once("${") {
        if author == Author::Receiver {
            return Some(
                "Value must not hold ${: only stored callflows may read channel variables",
            );
        }
        let name = reference.split('}').next().unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if before.ends_with('$')
            || name.is_empty()
            || !name.chars().all(plain)
            || name.len() == reference.len()
        {
            return Some("Value may hold ${NAME} for a channel variable, but nothing else with ${");
        }
        rest = &reference[name.len()..];
    }
    None
}

/// Segments of the names of channel variables by which the switch runs something or sends the call
/// elsewhere: `api_hangup_hook`, `execute_on_answer`, `exec_after_bridge_app`, `transfer_on_fail` …
const DANGEROUS: &[&str] = &[
    "api", "app", "exec", "execute", "hook", "lua", "script", "system", "transfer",
];

/// Beginnings of the names that say whose call it is and what we are to do with it.
const OURS: &[&str] = &[
    "account_id",
    "callflow_",
    "ecallmgr_",
    "socket_",
    "switchhook_",
    "webhook_",
];

/// What keeps `name` from being the name of a channel variable that a callflow sets, if anything does.
pub(super) fn name_objection(name: &str, author: Author) -> Option<&'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if name.is_empty() || name.len() > 128 || !name.chars().all(plain) {
        return Some("A variable's name must be 1 to 128 letters, digits, _ - and .");
    }
    let name = name.to_ascii_lowercase();
    let runs = name
        .split(['_', '-', '.'])
        .any(|part| DANGEROUS.contains(&part));
    if runs {
        return Some(
            "This variable makes the switch run something: it belongs in the dialplan itself",
        );
    }
    if author == Author::Receiver && OURS.iter().any(|start| name.starts_with(start)) {
        return Some("This variable is for stored callflows and the dialplan only");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_cannot_make_the_switch_run_anything() {
        for evil in [
            "${system(reboot)}",
            "a${b}",
            "$${domain}",
            "\\\\${system(reboot)}",
            "%[api_hangup_hook=system reboot]hello",
            "line\nbreak",
            "nul\0",
        ] {
            assert!(objection(evil, Author::Receiver).is_some(), "{evil:?}");
        }
        for good in ["costs $5", "50 % off", "a, b | c", "/tmp/a.wav", ""] {
            assert_eq!(objection(good, Author::Receiver), None, "{good:?}");
        }
    }

    #[test]
    fn a_stored_callflow_reads_variables_and_no_more() {
        for good in ["${caller_id_number}", "sip:${a}@${b-c}", "${sip_h_X-Y}!"] {
            assert_eq!(objection(good, Author::Account), None, "{good:?}");
        }
        for evil in [
            "${system(x)}",
            "${a",
            "${}",
            "${a${b}}",
            "$${domain}",
            "${a b}",
        ] {
            assert!(objection(evil, Author::Account).is_some(), "{evil:?}");
        }
    }

    #[test]
    fn variables_that_run_something_cannot_be_set() {
        for evil in [
            "api_hangup_hook",
            "execute_on_answer",
            "EXEC_after_bridge_app",
            "bridge_pre_execute_aleg_app",
            "session_in_hangup_hook",
            "transfer_after_bridge",
            "a b",
            "",
        ] {
            assert!(name_objection(evil, Author::Account).is_some(), "{evil:?}");
        }
        assert_eq!(name_objection("account_id", Author::Account), None);
        assert!(name_objection("account_id", Author::Receiver).is_some());
        for good in ["crm_name", "capital", "sip_h_X-Name", "happy"] {
            assert_eq!(name_objection(good, Author::Receiver), None, "{good:?}");
        }
    }
}
