//! How we log in at the switch, which can change while the client runs.

use tokio::sync::watch;

use super::command::{Command, CommandError, Password};

/// What the switch is told at a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials(pub(super) Command);

impl Credentials {
    /// `userauth` where there is a user, plain `auth` otherwise.
    ///
    /// # Errors
    /// The user cannot be written into a command.
    pub fn new(user: Option<&str>, password: &Password) -> Result<Self, CommandError> {
        Ok(Self(match user {
            Some(user) => Command::userauth(user, password)?,
            None => Command::auth(password),
        }))
    }
}

/// Changes how a client logs in, from any task. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Login(watch::Sender<Credentials>);

impl Login {
    pub(super) fn new(first: Credentials) -> (Self, watch::Receiver<Credentials>) {
        let (sender, receiver) = watch::channel(first);
        (Self(sender), receiver)
    }

    /// From the next login on; a client that is not logged in tries at once.
    pub fn change(&self, credentials: Credentials) {
        self.0.send_if_modified(|current| {
            let is_new = *current != credentials;
            *current = credentials;
            is_new
        });
    }
}
