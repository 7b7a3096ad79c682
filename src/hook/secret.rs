//! Signing secrets in the form of Standard Webhooks: `whsec_` and base64 of 24 to 64 bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::time::Timestamp;

const PREFIX: &str = "whsec_";

/// A text that is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret is whsec_ followed by base64 of 24 to 64 bytes, or the word \"generate\"")]
pub struct BadSecret;

/// A signing key. Its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// A new key of 32 bytes from the system's randomness.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut key = vec![0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self(key))
    }

    /// Reads `whsec_…`.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, BadSecret> {
        let encoded = text.strip_prefix(PREFIX).ok_or(BadSecret)?;
        let key = STANDARD.decode(encoded).map_err(|_| BadSecret)?;
        match key.len() {
            24..=64 => Ok(Self(key)),
            _ => Err(BadSecret),
        }
    }

    /// The `whsec_…` form, for the one time it is shown and for the store.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    /// One entry of `webhook-signature`: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.payload`.
    pub fn sign(&self, id: &str, unix_seconds: i64, payload: &[u8]) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(id.as_bytes());
        mac.update(b".");
        mac.update(unix_seconds.to_string().as_bytes());
        mac.update(b".");
        mac.update(payload);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The secrets of a hook: the one in force, and during a rotation the one before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// In force.
    pub current: Option<Secret>,
    /// Still good until the instant beside it.
    pub previous: Option<(Secret, Timestamp)>,
}

impl Secrets {
    /// Whether requests are signed.
    pub fn is_set(&self) -> bool {
        self.current.is_some()
    }

    /// `webhook-signature`: an entry for each secret that is good at `now`, parted by spaces; `None` where
    /// there is no secret.
    pub fn signature(&self, id: &str, now: Timestamp, payload: &[u8]) -> Option<String> {
        let seconds = now.unix_seconds();
        let mut signature = self.current.as_ref()?.sign(id, seconds, payload);
        if let Some((previous, until)) = &self.previous
            && now < *until
        {
            signature.push(' ');
            signature.push_str(&previous.sign(id, seconds, payload));
        }
        Some(signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification's reference libraries.
    #[test]
    fn a_signature_is_the_one_of_the_specification() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(
            secret.sign(
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                br#"{"test": 2432232314}"#
            ),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn both_secrets_sign_until_the_old_one_ends() {
        let old = Secret::generate().unwrap();
        let new = Secret::generate().unwrap();
        let secrets = Secrets {
            current: Some(new.clone()),
            previous: Some((old.clone(), Timestamp(2_000_000))),
        };
        let both = secrets
            .signature("msg_1", Timestamp(1_000_000), b"x")
            .unwrap();
        assert_eq!(
            both,
            format!(
                "{} {}",
                new.sign("msg_1", 1, b"x"),
                old.sign("msg_1", 1, b"x")
            )
        );
        let one = secrets
            .signature("msg_1", Timestamp(2_000_000), b"x")
            .unwrap();
        assert_eq!(one, new.sign("msg_1", 2, b"x"));
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        for text in [
            "",
            "whsec_",
            "whsec_MfKQ",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_!!",
        ] {
            assert_eq!(Secret::parse(text), Err(BadSecret), "{text}");
        }
        let made = Secret::generate().unwrap();
        assert_eq!(Secret::parse(&made.reveal()), Ok(made.clone()));
        assert_eq!(format!("{made:?}"), "Secret(…)");
    }
}
