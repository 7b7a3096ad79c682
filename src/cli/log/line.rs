//! One event, one line: whatever somebody else put into it, and with its level where journald listens.

use std::fs::File;
use std::io::{self, Stderr, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Makes a writer for each event.
pub(super) struct Lines {
    /// Whether journald reads: it knows the time, and takes the level from the start of a line.
    pub(super) in_journal: bool,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            in_journal: is_journal(&io::stderr()).unwrap_or(false),
        }
    }
}

/// Whether the other end is the one that systemd has named in `JOURNAL_STREAM`: a child of a service inherits the
/// variable, though its standard error may go elsewhere.
fn is_journal(stderr: &Stderr) -> Option<bool> {
    let named = std::env::var("JOURNAL_STREAM").ok()?;
    let file = File::from(stderr.as_fd().try_clone_to_owned().ok()?);
    let found = file.metadata().ok()?;
    Some(named == format!("{}:{}", found.dev(), found.ino()))
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { priority: None }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line {
        // As sd-daemon(3) has them.
        let priority = match *meta.level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        Line {
            priority: self.in_journal.then_some(priority),
        }
    }
}

/// Writes one event.
pub(super) struct Line {
    priority: Option<u8>,
}

impl Line {
    /// The line with nothing in it that would begin another one, or do anything else to a terminal but colour it.
    fn tidy(&self, written: &[u8]) -> String {
        let text = String::from_utf8_lossy(written);
        let mut line = match self.priority {
            Some(priority) => format!("<{priority}>"),
            None => String::new(),
        };
        let (text, end) = match text.strip_suffix('\n') {
            Some(text) => (text, "\n"),
            None => (&*text, ""),
        };
        for c in text.chars() {
            match c {
                // The formatter's colours; those of others it has escaped.
                '\x1b' => line.push(c),
                c if c.is_control() || c == '\u{2028}' || c == '\u{2029}' => {
                    line.extend(c.escape_default());
                }
                c => line.push(c),
            }
        }
        line + end
    }
}

impl Write for Line {
    /// The formatter writes an event at once.
    fn write(&mut self, written: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(self.tidy(written).as_bytes())?;
        Ok(written.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_begins_no_line_of_its_own() {
        let line = Line { priority: Some(4) };
        assert_eq!(
            line.tidy("WARN 路 \"a\n<0>b\r\0c\u{85}\u{2028}\"\n".as_bytes()),
            "<4>WARN 路 \"a\\n<0>b\\r\\u{0}c\\u{85}\\u{2028}\"\n"
        );
        let line = Line { priority: None };
        assert_eq!(
            line.tidy(b"\x1b[33mWARN\x1b[0m a\n"),
            "\x1b[33mWARN\x1b[0m a\n"
        );
    }
}
