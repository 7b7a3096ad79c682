//! `switchhook replay`: a recorded event socket through the call model and the hooks.

use std::error::Error;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use bytes::BytesMut;
use clap::Args;
use jiff::tz::TimeZone;
use serde_json::json;
use switchhook::app::{Played, Replay};
use switchhook::config::{Config, LogFormat};
use switchhook::esl::{Cutter, Frame, Kind, Limits};
use switchhook::time::Timestamp;
use tokio::time::{Duration, Instant, sleep_until};

use super::log::Log;
use super::{EXIT_FAILURE, printable, runtime};

/// What is played, and how.
#[derive(Args)]
pub(super) struct Options {
    /// What `switchhook record` has written: everything an event socket said, plain or JSON
    file: PathBuf,
    /// Record and send for real, to the hooks of the configured database; the daemon must not be running
    #[arg(long)]
    deliver: bool,
    /// As fast as it happened, and not as fast as it goes
    #[arg(long)]
    realtime: bool,
    /// Print a JSON object a line, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) fn run(config: &Config, options: &Options) -> ExitCode {
    let _log = Log::to_stderr("warn", LogFormat::Text);
    let played = runtime()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(replay(config, options)));
    match played {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

async fn replay(config: &Config, options: &Options) -> Result<(), Box<dyn Error>> {
    let mut frames = Frames::open(options)?;
    let replay = match options.deliver {
        true => Replay::for_real(config).await?,
        false => Replay::dry(config)?,
    };
    if replay.hooks() == 0 {
        let database = config.store.path.display();
        eprintln!("note: there are no hooks in {database}");
    }
    let mut stage = Stage {
        options,
        replay,
        begun: None,
        events: 0,
        facts: 0,
        matches: 0,
    };
    let ended = tokio::select! {
        ended = stage.play(&mut frames) => ended,
        _ = tokio::signal::ctrl_c() => {
            eprintln!("stopped; what was not sent yet stays for the daemon");
            Ok(())
        }
    };
    stage.close().await?;
    ended
}

/// A recording, frame by frame.
struct Frames {
    path: PathBuf,
    file: File,
    cutter: Cutter,
    buffer: BytesMut,
    read: u64,
}

impl Frames {
    const CHUNK: usize = 64 * 1024;

    fn open(options: &Options) -> Result<Self, String> {
        let path = options.file.clone();
        match File::open(&path) {
            Ok(file) => Ok(Self {
                path,
                file,
                cutter: Cutter::new(Limits {
                    // It came over a wire once, which had limits of its own.
                    head: usize::MAX,
                    body: usize::MAX,
                }),
                buffer: BytesMut::new(),
                read: 0,
            }),
            Err(error) => Err(format!("{}: cannot be opened: {error}", path.display())),
        }
    }

    /// The next frame; `None` at the end of the file.
    fn next(&mut self) -> Result<Option<Frame>, String> {
        let path = self.path.display();
        loop {
            let at = self.read - self.buffer.len() as u64;
            let broken = |error| {
                format!(
                    "{path}: byte {at}: {error}; is this the recording of an event socket (switchhook record)?"
                )
            };
            if let Some(frame) = self.cutter.cut(&mut self.buffer).map_err(broken)? {
                return Ok(Some(frame));
            }
            let mut chunk = vec![0; Self::CHUNK];
            match self.file.read(&mut chunk) {
                Ok(0) => {
                    let end = self.cutter.end(&self.buffer);
                    return end.map(|()| None).map_err(broken);
                }
                Ok(count) => {
                    self.buffer.extend_from_slice(&chunk[..count]);
                    self.read += count as u64;
                }
                Err(error) => return Err(format!("{path}: cannot be read: {error}")),
            }
        }
    }
}

/// The recording's first event, and when it was played.
#[derive(Clone, Copy)]
struct Begun {
    at: Timestamp,
    played: Instant,
}

struct Stage<'a> {
    options: &'a Options,
    replay: Replay,
    begun: Option<Begun>,
    events: u64,
    facts: u64,
    matches: u64,
}

impl Stage<'_> {
    async fn play(&mut self, frames: &mut Frames) -> Result<(), Box<dyn Error>> {
        while let Some(frame) = frames.next()? {
            if self.options.realtime {
                self.wait_for(&frame).await;
            }
            self.events += u64::from(matches!(frame.kind, Kind::EventPlain | Kind::EventJson));
            match self.replay.play(&frame).await {
                Ok(told) => {
                    for played in &told {
                        match self.show(played) {
                            Ok(()) => {}
                            // `| head` has seen enough; what is sent is sent all the same.
                            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                            Err(error) => return Err(error.into()),
                        }
                    }
                }
                Err(problem) => eprintln!("passed over: {problem}"),
            }
            // A file is always ready, and whoever wants to stop would never be heard.
            tokio::task::yield_now().await;
        }
        Ok(self.replay.sent().await?)
    }

    /// Waits until as much time has passed as between the first event and this one.
    async fn wait_for(&mut self, frame: &Frame) {
        let Some(at) = Replay::time_of(frame) else {
            return;
        };
        let begun = *self.begun.get_or_insert_with(|| Begun {
            at,
            played: Instant::now(),
        });
        // A pause of a day in a file is a clock that was set.
        let since = at.since(begun.at).min(Duration::from_secs(86_400));
        sleep_until(begun.played + since).await;
    }

    fn show(&mut self, played: &Played) -> std::io::Result<()> {
        let Played { fact, hooks } = played;
        self.facts += 1;
        self.matches += hooks.len() as u64;
        let occurred_at = fact.at.rfc3339(&TimeZone::UTC);
        if self.options.json {
            let hooks: Vec<_> = hooks
                .iter()
                .map(|hook| json!({"id": &*hook.id, "name": hook.name, "off": hook.is_off}))
                .collect();
            let line = json!({
                "hook_event": fact.trigger.id(),
                "occurred_at": occurred_at,
                "account_id": &*fact.account_id,
                "call_id": fact.call_id.as_deref(),
                "payload": serde_json::to_value(&fact.payload).unwrap_or_default(),
                "hooks": hooks,
            });
            return writeln!(std::io::stdout(), "{line}");
        }
        let names: Vec<String> = hooks
            .iter()
            .map(|hook| match hook.is_off {
                true => format!("{:?} (off)", hook.name),
                false => format!("{:?}", hook.name),
            })
            .collect();
        let to = match names.is_empty() {
            true => "nobody".to_owned(),
            false => names.join(", "),
        };
        let call_id = fact.call_id.as_deref().unwrap_or("-");
        let call_id = printable(call_id);
        writeln!(
            std::io::stdout(),
            "{occurred_at}  {:24}  {call_id}  -> {to}",
            fact.trigger.id()
        )
    }

    async fn close(self) -> Result<(), Box<dyn Error>> {
        let Self {
            options,
            replay,
            events,
            facts,
            matches,
            ..
        } = self;
        let left = match replay.live_legs() {
            0 => String::new(),
            legs => format!("; {legs} leg(s) had not ended where the file ends"),
        };
        let waiting = replay.close().await?;
        let sent = match (options.deliver, waiting) {
            (false, _) => "would be sent (nothing was)".to_owned(),
            (true, 0) => "were sent or recorded".to_owned(),
            (true, waiting) => {
                format!(
                    "were recorded; {waiting} in the database wait for another try by the daemon"
                )
            }
        };
        eprintln!("{events} events, {facts} facts, {matches} deliveries {sent}{left}");
        Ok(())
    }
}
