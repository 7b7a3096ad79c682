//! What the dialplan is told of a run: the channel variables `webhook_*` and `callflow_*`.

use std::time::Duration;

/// Characters of `callflow_error` at most.
const LONGEST_ERROR: usize = 200;

/// How a webhook action went, as far as the call waited for it (`webhook_result`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WebhookResult {
    /// It is in the store; the call did not wait.
    Queued,
    /// 2xx.
    Success,
    /// Any other answer, or none.
    Failure,
    /// No answer while the call waited.
    Timeout,
}

impl WebhookResult {
    const fn id(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Timeout => "timeout",
        }
    }
}

/// How a webhook action went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) result: WebhookResult,
    /// The status of the answer.
    pub(super) status: Option<u16>,
    /// How long the call waited.
    pub(super) time: Duration,
}

/// What the dialplan is to know.
#[derive(Debug, Default)]
pub(super) struct Report {
    webhook: Option<Outcome>,
    /// The channel does not have it yet.
    fresh: bool,
    not_found: bool,
    error: Option<String>,
}

impl Report {
    /// Nothing has run, because of this.
    pub(super) fn failed(error: &str) -> Self {
        let mut report = Self::default();
        report.complain(error);
        report
    }

    /// What was asked for does not exist.
    pub(super) fn not_found(what: &str) -> Self {
        Self {
            not_found: true,
            ..Self::failed(what)
        }
    }

    /// A webhook action has run.
    pub(super) fn webhook(&mut self, outcome: Outcome) {
        self.webhook = Some(outcome);
        self.fresh = true;
    }

    /// Something went wrong; the first that did is told.
    pub(super) fn complain(&mut self, error: &str) {
        self.error.get_or_insert_with(|| presentable(error));
    }

    /// The variables of the last webhook action, once.
    pub(super) fn news(&mut self) -> Option<Vec<(&'static str, String)>> {
        let outcome = self.webhook.filter(|_| self.fresh)?;
        self.fresh = false;
        let status = outcome.status.map(|status| status.to_string());
        Some(vec![
            ("webhook_result", outcome.result.id().to_owned()),
            // An earlier action's status would be mistaken for this one's: empty takes it away.
            ("webhook_status", status.unwrap_or_default()),
            ("webhook_time_ms", outcome.time.as_millis().to_string()),
        ])
    }

    /// Every variable that the dialplan is given at the end.
    pub(super) fn variables(&mut self) -> Vec<(&'static str, String)> {
        let mut variables = self.news().unwrap_or_default();
        let result = match (self.not_found, &self.error) {
            (true, _) => "not_found",
            (_, Some(_)) => "error",
            _ => "done",
        };
        variables.push(("callflow_result", result.to_owned()));
        let error = self.error.clone().unwrap_or_default();
        variables.push(("callflow_error", error));
        variables
    }
}

/// An error as the value of a channel variable: one line, and nothing that the switch would expand.
fn presentable(error: &str) -> String {
    error
        .chars()
        .map(|c| match c {
            '$' | '\\' | '|' => ' ',
            '\'' => '"',
            c if c.is_control() => ' ',
            c => c,
        })
        .take(LONGEST_ERROR)
        .collect::<String>()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_is_told_and_expands_to_nothing() {
        let mut report = Report::failed("a receiver said:\n${system('reboot')}");
        report.complain("later");
        assert_eq!(
            report.variables(),
            [
                ("callflow_result", "error".to_owned()),
                (
                    "callflow_error",
                    "a receiver said:  {system(\"reboot\")}".to_owned()
                ),
            ]
        );
    }

    #[test]
    fn an_action_is_told_once_and_takes_an_old_status_away() {
        let mut report = Report::default();
        report.webhook(Outcome {
            result: WebhookResult::Timeout,
            status: None,
            time: Duration::from_millis(5_000),
        });
        assert_eq!(
            report.news().unwrap(),
            [
                ("webhook_result", "timeout".to_owned()),
                ("webhook_status", String::new()),
                ("webhook_time_ms", "5000".to_owned()),
            ]
        );
        assert_eq!(report.news(), None);
        assert_eq!(
            report.variables(),
            [
                ("callflow_result", "done".to_owned()),
                ("callflow_error", String::new()),
            ]
        );
    }
}
