//! The switch's own names of events, to count by: `EVENT_NAMES` of `switch_event.c`, without `ALL`, which no event
//! bears. A name that is none of them comes from a newer switch, or from somebody who can make events.

/// Sorted, so that a name is found by halving.
const NAMES: &[&str] = &[
    "ADD_SCHEDULE",
    "API",
    "BACKGROUND_JOB",
    "CALL_DETAIL",
    "CALL_SECURE",
    "CALL_SETUP_REQ",
    "CALL_SETUP_RESULT",
    "CALL_UPDATE",
    "CHANNEL_ANSWER",
    "CHANNEL_APPLICATION",
    "CHANNEL_BRIDGE",
    "CHANNEL_CALLSTATE",
    "CHANNEL_CREATE",
    "CHANNEL_DATA",
    "CHANNEL_DESTROY",
    "CHANNEL_EXECUTE",
    "CHANNEL_EXECUTE_COMPLETE",
    "CHANNEL_HANGUP",
    "CHANNEL_HANGUP_COMPLETE",
    "CHANNEL_HOLD",
    "CHANNEL_ORIGINATE",
    "CHANNEL_OUTGOING",
    "CHANNEL_PARK",
    "CHANNEL_PROGRESS",
    "CHANNEL_PROGRESS_MEDIA",
    "CHANNEL_STATE",
    "CHANNEL_UNBRIDGE",
    "CHANNEL_UNHOLD",
    "CHANNEL_UNPARK",
    "CHANNEL_UUID",
    "CLIENT_DISCONNECTED",
    "CLONE",
    "CODEC",
    "COMMAND",
    "CONFERENCE_DATA",
    "CONFERENCE_DATA_QUERY",
    "CUSTOM",
    "DEL_SCHEDULE",
    "DETECTED_SPEECH",
    "DETECTED_TONE",
    "DEVICE_STATE",
    "DTMF",
    "EXE_SCHEDULE",
    "FAILURE",
    "GENERAL",
    "HEARTBEAT",
    "INBOUND_CHAN",
    "LOG",
    "MEDIA_BUG_START",
    "MEDIA_BUG_STOP",
    "MESSAGE",
    "MESSAGE_QUERY",
    "MESSAGE_WAITING",
    "MODULE_LOAD",
    "MODULE_UNLOAD",
    "NAT",
    "NOTALK",
    "NOTIFY",
    "NOTIFY_IN",
    "OUTBOUND_CHAN",
    "PHONE_FEATURE",
    "PHONE_FEATURE_SUBSCRIBE",
    "PLAYBACK_START",
    "PLAYBACK_STOP",
    "PRESENCE_IN",
    "PRESENCE_OUT",
    "PRESENCE_PROBE",
    "PRIVATE_COMMAND",
    "PUBLISH",
    "RECORD_START",
    "RECORD_STOP",
    "RECV_INFO",
    "RECV_MESSAGE",
    "RECV_RTCP_MESSAGE",
    "RELOADXML",
    "REQUEST_PARAMS",
    "RE_SCHEDULE",
    "ROSTER",
    "SEND_INFO",
    "SEND_MESSAGE",
    "SEND_RTCP_MESSAGE",
    "SERVER_DISCONNECTED",
    "SESSION_CRASH",
    "SESSION_HEARTBEAT",
    "SHUTDOWN",
    "SHUTDOWN_REQUESTED",
    "SOCKET_DATA",
    "STARTUP",
    "TALK",
    "TEXT",
    "TRAP",
    "UNPUBLISH",
];

/// The places there are: one a name, and one for all that is no known name.
pub(super) const COUNT: usize = NAMES.len() + 1;

/// The place of a name.
pub(super) fn place(name: &[u8]) -> usize {
    NAMES
        .binary_search_by(|known| known.as_bytes().cmp(name))
        .unwrap_or(NAMES.len())
}

/// Counts with their names: those that are not zero, and always `other`, the last.
pub(super) fn named(counts: [u64; COUNT]) -> Vec<(&'static str, u64)> {
    let names = NAMES.iter().copied().chain(["other"]);
    names
        .zip(counts)
        .filter(|(name, count)| *count > 0 || *name == "other")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_place_of_its_own_and_the_rest_share_one() {
        for (at, name) in NAMES.iter().enumerate() {
            assert_eq!(place(name.as_bytes()), at, "{name} is out of order");
        }
        for stranger in ["", "CHANNEL", "channel_create", "ZZZ", "04e9b6ee"] {
            assert_eq!(place(stranger.as_bytes()), NAMES.len());
        }
    }

    #[test]
    fn only_what_was_counted_is_named() {
        let mut counts = [0; COUNT];
        counts[place(b"DTMF")] = 3;
        assert_eq!(named(counts), [("DTMF", 3), ("other", 0)]);
    }
}
