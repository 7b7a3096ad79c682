//! Log lines, to standard error: which, in what form, and never a flood of them.

mod line;
mod throttle;

use std::sync::Arc;
use std::time::Duration;

use switchhook::config::LogFormat;
use tracing::error;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use self::line::Lines;
use self::throttle::Throttle;

/// How often it is said what was left out.
const SUM_UP_EVERY: Duration = Duration::from_secs(10);

/// The log of a command. When it goes, it says what it has left out.
pub(super) struct Log {
    level: reload::Handle<EnvFilter, Registry>,
    throttle: Arc<Throttle>,
}

impl Log {
    /// Writes log lines of this level or filter, in this form, from now on. For the one command of a process.
    pub(super) fn to_stderr(level: &str, format: LogFormat) -> Self {
        let (level, handle) = reload::Layer::new(filter(level));
        let throttle = Arc::new(Throttle::default());
        let lines = Lines::default();
        let in_journal = lines.in_journal;
        let layer = fmt::layer()
            .with_writer(lines)
            .with_ansi(!in_journal && format == LogFormat::Text && is_terminal());
        let layer = match format {
            LogFormat::Json => layer.json().flatten_event(true).boxed(),
            // journald writes the time itself.
            LogFormat::Text if in_journal => layer.with_target(false).without_time().boxed(),
            LogFormat::Text => layer.with_target(false).boxed(),
        };
        tracing_subscriber::registry()
            .with(level)
            .with(layer.with_filter(throttle::Admission(Arc::clone(&throttle))))
            .init();
        let summed_up = Arc::clone(&throttle);
        let timer = std::thread::Builder::new().name("log".to_owned());
        let timer = timer.spawn(move || {
            loop {
                std::thread::sleep(SUM_UP_EVERY);
                summed_up.sum_up();
            }
        });
        if let Err(problem) = timer {
            error!("what floods the log is summed up at the end only: {problem}");
        }
        Self {
            level: handle,
            throttle,
        }
    }

    /// Writes lines of another level or filter from now on.
    pub(super) fn set_level(&self, level: &str) {
        if let Err(problem) = self.level.reload(filter(level)) {
            error!("the log level stays what it was: {problem}");
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.throttle.sum_up();
    }
}

/// The configuration was checked: what cannot be read here is a mistake of ours.
fn filter(level: &str) -> EnvFilter {
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    // At trace it writes the password that it logs in with, and at info every connection: what matters of either
    // stands in the attempts.
    ["async_nats=off", "async_nats::connection=off"]
        .into_iter()
        .filter_map(|silent| silent.parse().ok())
        .fold(filter, EnvFilter::add_directive)
}

fn is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stderr())
}
