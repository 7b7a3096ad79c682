//! What may be put into the argument of an application.
//!
//! The switch expands `${…}` in every argument (`switch_channel_expand_variables`): `${name}` is a channel
//! variable, but `${name(…)}` runs a command of the switch, `system` included. An argument that begins with
//! `%[` sets variables before the application runs, some of which run applications themselves.

/// Whose words they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Author<'a> {
    /// A stored callflow's: it may read channel variables.
    Account,
    /// Those of a receiver that was asked for instructions.
    Receiver {
        /// The channel variables that it may set: names, or with a `*` at the end how they begin.
        variables: &'a [String],
    },
}

impl Author<'_> {
    fn is_receiver(self) -> bool {
        matches!(self, Self::Receiver { .. })
    }
}

/// What keeps `text` from being an argument, if anything does.
pub(super) fn objection(text: &str, author: Author<'_>) -> Option<&'static str> {
    if text.contains(|c: char| c.is_control()) {
        return Some("Value must not hold line breaks or other control characters");
    }
    if text.starts_with('%') {
        return Some("Value must not begin with %: the switch would read settings there");
    }
    // The switch drops both, and expands twice what it sets: $\'{ is ${ the second time.
    if text.contains("\\'") {
        return Some("Value must not hold \\'");
    }
    let mut rest = text;
    while let Some((before, reference)) = rest.split_once("${") {
        if author.is_receiver() {
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

/// The schemes of sounds that are no program's output and no other protocol's.
const SCHEMES: &[&str] = &["tone_stream", "silence_stream", "http", "https"];
/// Those that lead to what the switch's administrator has set up.
const SCHEMES_OF_ACCOUNTS: &[&str] = &["local_stream", "shout"];
/// Channel variables with sounds in them that only the dialplan sets, or whose value was checked as a sound.
const SOUND_VARIABLES: &[&str] = &["sound_prefix", "hold_music"];

/// What keeps `text` from being the name of a sound, if anything does.
///
/// The word before `://`, or else the one behind the last dot, chooses the module of the switch that opens it
/// (`switch_core_perform_file_open`): that of `shell_stream` runs a command. So both must be there to be read,
/// and neither may come from a channel variable.
pub(super) fn sound_objection(text: &str, author: Author<'_>) -> Option<&'static str> {
    const SCHEME: &str = "Value must be the path of a sound, tone_stream://, silence_stream://, http://, https:// or say:";
    let text = match own_sound(text) {
        Some("") => return None,
        Some(path) => path,
        None => text,
    };
    let (scheme, rest) = match text.split_once("://") {
        Some(("tone_stream" | "silence_stream", _)) => return None,
        Some(("file_string", sounds)) => {
            return sounds
                .split('!')
                .find_map(|sound| sound_objection(sound, author));
        }
        Some((scheme, rest)) => (Some(scheme), rest),
        None if text.starts_with("say:") => return None,
        None if text.starts_with("phrase:") && !author.is_receiver() => return None,
        None => (None, text),
    };
    if let Some(scheme) = scheme {
        let of_account = !author.is_receiver() && SCHEMES_OF_ACCOUNTS.contains(&scheme);
        if !of_account && !SCHEMES.contains(&scheme) {
            return Some(SCHEME);
        }
    } else if text.starts_with(['{', '[', '(', '$', '-']) {
        return Some(SCHEME);
    } else if text.contains(':') {
        // `phrase:` in any case, and whatever else may come to be read there.
        return Some(SCHEME);
    } else if text.split('/').any(|part| part == "..") {
        return Some("Value must not hold .. in a path");
    } else if let Some((before, _)) = text.split_once("${")
        && !before.contains('/')
    {
        return Some("Value must begin with a folder where a ${NAME} follows");
    }
    let ending = match rest.rsplit_once('.') {
        Some((_, ending)) => ending,
        None if rest.contains("${") => rest,
        None => return None,
    };
    // What has a slash in it is a folder with a dot.
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '/';
    let is_plain = match scheme {
        Some("http" | "https") => !ending.contains("_stream") && !ending.contains("${"),
        Some(_) => true,
        None => ending.contains('/') && !ending.contains("${") || ending.chars().all(plain),
    };
    (!is_plain).then_some("Value must end as a sound file does, such as .wav")
}

/// What follows one of [`SOUND_VARIABLES`], or a tone of the switch's own such as `${us-ring}`.
fn own_sound(text: &str) -> Option<&str> {
    let (name, path) = text.strip_prefix("${")?.split_once('}')?;
    let own = SOUND_VARIABLES.contains(&name) || name.ends_with("-ring");
    (own && (path.is_empty() || path.starts_with('/'))).then_some(path)
}

/// The channel variables that a receiver may set unless `[callflow] remote_variables` says otherwise: all but those by
/// which the switch runs something, and ours.
pub const REMOTE_VARIABLES: [&str; 1] = ["*"];

/// Names that are data and nothing else, whatever they have in them: those that phones show, and some that mean
/// nothing to the switch.
const DATA: [&str; 8] = [
    "effective_caller_id_name",
    "effective_caller_id_number",
    "effective_callee_id_name",
    "effective_callee_id_number",
    "crm_*",
    "custom*",
    "contact_*",
    "lookup_*",
];

/// Segments of the names of channel variables by which the switch runs something, sends the call elsewhere,
/// reaches into other calls, or reads and writes files: `api_hangup_hook`, `execute_on_answer`,
/// `exec_after_bridge_app`, `transfer_on_fail`, `group_confirm_file`, `campon_fallback_exten`,
/// `hold_hangup_xfer_exten`, `inbound_dialplan`, `fifo_orbit_context`, `xml_cdr_base`, `fax_spool` …
const DANGEROUS: &[&str] = &[
    "api",
    "app",
    "auth",
    "authorized",
    "bond",
    "campon",
    "cdr",
    "confirm",
    "context",
    "dialplan",
    "dir",
    "directory",
    "domain",
    "exec",
    "execute",
    "exten",
    "extension",
    "file",
    "gateway",
    "hook",
    "lua",
    "nested",
    "orbit",
    "outcall",
    "path",
    "prefix",
    "record",
    "recording",
    "script",
    "spool",
    "system",
    "toll",
    "transfer",
    "uuid",
    "xfer",
];

/// Beginnings of names that are an endpoint's or a module's own settings: where the call goes, who is billed,
/// who listens.
const SETTINGS: &[&str] = &[
    "curl_",
    "eavesdrop_",
    "httapi_",
    "inline_",
    "intercept_",
    "loopback_",
    "nibble_",
    "page_",
    "sip_",
    "sip-",
    "sofia_",
    "valet_",
];

/// Beginnings of names that become headers of a SIP message and nothing else.
const SIP_HEADERS: &[&str] = &["sip_h_", "sip_rh_", "sip_ph_", "sip_bye_h_"];

/// Segments of the names of channel variables whose value the switch plays.
const PLAYED: &[&str] = &[
    "announce", "chime", "moh", "music", "ring", "ringback", "sound", "tone",
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
pub(super) fn name_objection(name: &str, author: Author<'_>) -> Option<&'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if name.is_empty() || name.len() > 128 || !name.chars().all(plain) {
        return Some("A variable's name must be 1 to 128 letters, digits, _ - and .");
    }
    let name = name.to_ascii_lowercase();
    let begins = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
    let is_data = fits(&name, &DATA) || begins(SIP_HEADERS);
    if !is_data && (has_segment(&name, DANGEROUS) || begins(SETTINGS)) {
        return Some(
            "This variable makes the switch run something or sends calls elsewhere: it belongs in the dialplan itself",
        );
    }
    if let Author::Receiver { variables } = author {
        if begins(OURS) {
            return Some("This variable is for stored callflows and the dialplan only");
        }
        if !fits(&name, variables) {
            return Some("This variable is not in [callflow] remote_variables");
        }
    }
    None
}

/// What keeps `value` from being the value of the channel variable `name`, if anything does; what [`objection`]
/// says of every argument apart.
pub(super) fn value_objection(name: &str, value: &str, author: Author<'_>) -> Option<&'static str> {
    // In a dial string brackets hold settings, which commas part: what a dialplan puts there as a name must not
    // add another. A comma alone is part of many names.
    if author.is_receiver() {
        let assigns = |(_, rest): (&str, &str)| rest.contains('=');
        if value.contains(['[', ']', '{', '}']) || value.split_once(',').is_some_and(assigns) {
            return Some("Value must not hold [ ] { }, nor an = behind a comma");
        }
    }
    match has_segment(&name.to_ascii_lowercase(), PLAYED) {
        true => sound_objection(value, author),
        false => None,
    }
}

fn has_segment(name: &str, segments: &[&str]) -> bool {
    name.split(['_', '-', '.'])
        .any(|part| segments.contains(&part))
}

/// Whether `name`, in lower case, is one of `patterns`, in any case.
fn fits(name: &str, patterns: &[impl AsRef<str>]) -> bool {
    patterns.iter().any(|pattern| {
        let pattern = pattern.as_ref().to_ascii_lowercase();
        match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == pattern,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A receiver that may set these variables.
    fn receiver(variables: &[String]) -> Author<'_> {
        Author::Receiver { variables }
    }

    fn by_default() -> Vec<String> {
        REMOTE_VARIABLES.map(str::to_owned).to_vec()
    }

    #[test]
    fn a_receiver_cannot_make_the_switch_run_anything() {
        for evil in [
            "${system(reboot)}",
            "a${b}",
            "$${domain}",
            "\\\\${system(reboot)}",
            "$\\'{system(reboot)}",
            "%[api_hangup_hook=system reboot]hello",
            "line\nbreak",
            "nul\0",
        ] {
            assert!(objection(evil, receiver(&[])).is_some(), "{evil:?}");
        }
        for good in [
            "costs $5",
            "50 % off",
            "a, b | c",
            "it's a\\b",
            "/tmp/a.wav",
            "",
        ] {
            assert_eq!(objection(good, receiver(&[])), None, "{good:?}");
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
            "$\\'{system(x)}",
        ] {
            assert!(objection(evil, Author::Account).is_some(), "{evil:?}");
        }
    }

    #[test]
    fn variables_that_run_something_cannot_be_set() {
        let all = ["*".to_owned()];
        for evil in [
            "api_hangup_hook",
            "execute_on_answer",
            "EXEC_after_bridge_app",
            "bridge_pre_execute_aleg_app",
            "session_in_hangup_hook",
            "transfer_after_bridge",
            "group_confirm_key",
            "group_confirm_file",
            "campon",
            "campon_fallback_dialplan",
            "campon_fallback_exten",
            "hold_hangup_xfer_exten",
            "inbound_dialplan",
            "user_context",
            "fifo_orbit_exten",
            "mutex_orbit_context",
            "valet_ext_to",
            "conference_auto_record",
            "RECORD_STEREO",
            "sip_route_uri",
            "sip-force-contact",
            "sip_invite_req_uri",
            "xml_cdr_base",
            "odbc-cdr-ignore-leg",
            "fax_spool",
            "fax_trace_dir",
            "drop_dtmf_masking_file",
            "sound_prefix",
            "domain_name",
            "voicemail_authorized",
            "signal_bond",
            "page_data",
            "a b",
            "",
        ] {
            assert!(name_objection(evil, Author::Account).is_some(), "{evil:?}");
            assert!(name_objection(evil, receiver(&all)).is_some(), "{evil:?}");
        }
        for good in [
            "crm_name",
            "crm_record_path",
            "capital",
            "sip_h_X-Name",
            "happy",
            "hangup_after_bridge",
            "continue_on_fail",
            "ringback",
            "hold_music",
            "call_timeout",
            "account_id",
            "webhook_uri",
        ] {
            assert_eq!(name_objection(good, Author::Account), None, "{good:?}");
        }
    }

    #[test]
    fn a_receiver_sets_what_it_may_and_nothing_else() {
        let some = by_default();
        for good in ["vip", "ringback", "absolute_codec_string"] {
            assert_eq!(name_objection(good, receiver(&some)), None, "{good:?}");
        }
        for evil in ["group_confirm_file", "account_id", "webhook_uri"] {
            assert!(name_objection(evil, receiver(&some)).is_some(), "{evil:?}");
        }
        let some = DATA.map(str::to_owned).to_vec();
        for good in [
            "crm_name",
            "CRM_id",
            "customer",
            "custom_tier",
            "effective_caller_id_name",
            "effective_callee_id_number",
        ] {
            assert_eq!(name_objection(good, receiver(&some)), None, "{good:?}");
        }
        for other in ["ringback", "sip_h_X-Name", "absolute_codec_string", "crm"] {
            let said = name_objection(other, receiver(&some)).unwrap();
            assert!(said.contains("remote_variables"), "{other}: {said}");
        }
        let named = ["vip".to_owned(), "account_*".to_owned()];
        assert_eq!(name_objection("vip", receiver(&named)), None);
        assert!(name_objection("crm_name", receiver(&named)).is_some());
        assert!(name_objection("account_id", receiver(&named)).is_some());
    }

    #[test]
    fn a_receivers_value_adds_nothing_to_a_dial_string() {
        let some = by_default();
        for evil in [
            "x,[execute_on_answer='system reboot']sofia/external/1@evil",
            "x,execute_on_answer=system reboot",
            "{a}",
        ] {
            assert!(value_objection("crm_name", evil, receiver(&some)).is_some());
            assert_eq!(value_objection("crm_name", evil, Author::Account), None);
        }
        for good in ["Smith, John", "Zoë 'Z' Müller | 王伟", "a=b, 12/14 Main St"] {
            assert_eq!(value_objection("crm_name", good, receiver(&some)), None);
        }
        let music = |value| value_objection("temp_hold_music", value, Author::Account);
        assert_eq!(music("local_stream://moh"), None);
        assert_eq!(music("${hold_music}"), None);
        assert!(music("shell_stream://reboot").is_some());
        assert!(music("${crm_a}_${crm_b}://reboot").is_some());
    }

    #[test]
    fn a_sound_is_no_command() {
        let some = by_default();
        for good in [
            "ivr/ivr-welcome.wav",
            "/usr/share/sounds/v1.2/hello",
            "told",
            "tone_stream://%(200,50,440);loops=2",
            "silence_stream://250",
            "https://cdn.test/a.wav?x=1.2",
            "say:Hello there.",
            "file_string://a.wav!silence_stream://100!b.wav",
        ] {
            assert_eq!(sound_objection(good, Author::Account), None, "{good:?}");
            assert_eq!(sound_objection(good, receiver(&some)), None, "{good:?}");
        }
        for of_account in [
            "local_stream://moh",
            "phrase:welcome",
            "${sound_prefix}/ivr/a.wav",
            "greetings/${destination_number}.wav",
        ] {
            assert_eq!(sound_objection(of_account, Author::Account), None);
        }
        for remote in [
            "local_stream://moh",
            "phrase:welcome",
            "shout://radio.test/",
        ] {
            assert!(sound_objection(remote, receiver(&some)).is_some());
        }
        for evil in [
            "shell_stream://touch /tmp/pwned",
            "SHELL_STREAM://touch /tmp/pwned",
            ";touch /tmp/pwned;.shell_stream",
            "file_string://a.wav!shell_stream://reboot",
            "file_string://file_string://shell_stream://reboot",
            "http://a.test/x.shell_stream",
            "{a=b}shell_stream://reboot",
            "vlc://v4l2",
            "memcache://a",
            "../../etc/passwd",
            "sounds/../../secret.wav",
            "${crm_a}${crm_b}",
            "a${crm_b}.wav",
            "a/${crm_b}",
            "a/b.${crm_b}",
        ] {
            assert!(sound_objection(evil, Author::Account).is_some(), "{evil:?}");
            assert!(sound_objection(evil, receiver(&some)).is_some(), "{evil:?}");
        }
    }
}
