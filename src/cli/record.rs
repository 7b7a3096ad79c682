//! `switchhook record`: the event socket to a file, as it comes.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::JoinHandle;

use bytes::BytesMut;
use clap::Args;
use switchhook::app::client_config;
use switchhook::config::{Config, LogFormat};
use switchhook::esl::{Client, Command, Cutter, Limits, Notice, Wanted};
use switchhook::time::Clock;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::log::Log;
use super::{EXIT_FAILURE, runtime};

/// Pieces that may wait for the disk, of at most 64 KiB each. Beyond that the disk is too slow: the switch is
/// never made to wait for it.
const WAITING: usize = 1_024;

/// What is recorded, and where to.
#[derive(Args)]
pub(super) struct Options {
    /// The file to write; it must not be there yet
    file: PathBuf,
    /// The events to record, with commas between: CHANNEL_CREATE,"CUSTOM callcenter::info"
    #[arg(long, value_delimiter = ',', default_value = "ALL")]
    events: Vec<String>,
}

pub(super) fn run(config: &Config, options: &Options) -> ExitCode {
    let _log = Log::to_stderr("info", LogFormat::Text);
    let recorded = runtime()
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(record(config, options)));
    match recorded {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

async fn record(config: &Config, options: &Options) -> Result<(), String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| text(&error))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| text(&error))?;
    let events = options.events.iter().map(|event| event.trim());
    let wanted = Wanted::of(events).map_err(|error| format!("--events: {error}"))?;
    let login = client_config(config, Clock::system()).map_err(|error| text(&error))?;
    let limits = login.limits;
    let mut client = Client::new(login).map_err(|error| text(&error))?;
    client.subscribe(wanted);
    let channels = Command::api("show channels as json").map_err(|error| text(&error))?;

    let (mut tape, mut stopped) = Tape::start(&options.file, limits)?;
    let pieces = tape.pieces.clone();
    let too_slow = tape.stop.clone();
    client.tap(move |bytes| {
        if let Err(TrySendError::Full(_)) = pieces.try_send(Piece::Bytes(bytes.to_vec())) {
            too_slow.send_replace(Some("the disk is too slow for what the switch says".into()));
        }
    });
    let mut events = 0_u64;
    let problem = loop {
        tokio::select! {
            _ = terminate.recv() => break None,
            _ = interrupt.recv() => break None,
            Ok(problem) = stopped.wait_for(Option::is_some) => break problem.clone(),
            notice = client.next() => match notice {
                // What is alive already is the beginning of the story.
                Notice::Connected => client.request(0, channels.clone()),
                // The rest of a torn frame will not come.
                Notice::Disconnected { .. } => tape.gap(),
                Notice::Event(_) => events += 1,
                Notice::BadEvent(problem) => eprintln!("recorded, but unreadable: {problem}"),
                Notice::Reply { .. } => {}
            }
        }
    };
    drop(client);
    let bytes = tape.end();
    let path = options.file.display();
    eprintln!("{events} events, {bytes} bytes in {path}");
    match problem {
        None => Ok(()),
        Some(problem) => Err(format!("{path}: the recording ends here: {problem}")),
    }
}

/// What the writer is given.
enum Piece {
    Bytes(Vec<u8>),
    /// The connection was lost.
    Gap,
    End,
}

/// The file, written by a thread of its own, whole frames only: so it can be read on behind a lost
/// connection.
struct Tape {
    pieces: SyncSender<Piece>,
    stop: watch::Sender<Option<String>>,
    thread: Option<JoinHandle<u64>>,
}

impl Tape {
    fn start(
        path: &Path,
        limits: Limits,
    ) -> Result<(Self, watch::Receiver<Option<String>>), String> {
        let mut options = OpenOptions::new();
        // Numbers and names are in it.
        options.write(true).create_new(true).mode(0o600);
        let file = options
            .open(path)
            .map_err(|error| format!("{}: cannot be made: {error}", path.display()))?;
        let (pieces, come) = sync_channel(WAITING);
        let (stop, stopped) = watch::channel(None);
        let problem = stop.clone();
        let thread = std::thread::Builder::new()
            .name("tape".into())
            .spawn(move || {
                let mut writer = Writer::new(file, limits);
                if let Err(error) = writer.write_all(&come) {
                    problem.send_replace(Some(error.to_string()));
                }
                writer.written
            })
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        let tape = Self {
            pieces,
            stop,
            thread: Some(thread),
        };
        Ok((tape, stopped))
    }

    fn gap(&mut self) {
        if self.pieces.try_send(Piece::Gap).is_err() {
            let slow = "the disk is too slow for what the switch says".to_owned();
            self.stop.send_if_modified(|stop| {
                let is_first = stop.is_none();
                stop.get_or_insert(slow);
                is_first
            });
        }
    }

    /// Writes what is left; how many bytes there are in all.
    fn end(&mut self) -> u64 {
        // Whoever does not take it has stopped already.
        let _ = self.pieces.send(Piece::End);
        let thread = self.thread.take();
        thread.map_or(0, |thread| thread.join().unwrap_or(0))
    }
}

struct Writer {
    file: BufWriter<File>,
    limits: Limits,
    cutter: Cutter,
    /// What the cutter has not looked at, and all from the last whole frame on.
    unread: BytesMut,
    frame: Vec<u8>,
    written: u64,
}

impl Writer {
    fn new(file: File, limits: Limits) -> Self {
        Self {
            file: BufWriter::new(file),
            limits,
            cutter: Cutter::new(limits),
            unread: BytesMut::new(),
            frame: Vec::new(),
            written: 0,
        }
    }

    fn write_all(&mut self, pieces: &Receiver<Piece>) -> std::io::Result<()> {
        loop {
            let piece = match pieces.try_recv() {
                Ok(piece) => piece,
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => {
                    self.file.flush()?;
                    match pieces.recv() {
                        Ok(piece) => piece,
                        Err(_) => break,
                    }
                }
            };
            match piece {
                Piece::Bytes(bytes) => self.write(&bytes)?,
                Piece::Gap => self.forget(),
                Piece::End => break,
            }
        }
        self.file.flush()
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.unread.extend_from_slice(bytes);
        self.frame.extend_from_slice(bytes);
        let mut whole = 0;
        // What is no frame ends the connection, on which a gap follows.
        while let Ok(Some(_)) = self.cutter.cut(&mut self.unread) {
            whole = self.frame.len() - self.unread.len();
        }
        self.file.write_all(&self.frame[..whole])?;
        self.frame.drain(..whole);
        self.written += whole as u64;
        Ok(())
    }

    fn forget(&mut self) {
        self.unread.clear();
        self.frame.clear();
        self.cutter = Cutter::new(self.limits);
    }
}
