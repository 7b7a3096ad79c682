//! The way of the log into the database file, beside the writer: to copy and sync 32 MiB takes as long as a hundred
//! transactions, and whatever happened meanwhile would wait for it.
//!
//! A thread copies what has gathered while the writer goes on. The writer then copies the little that it wrote
//! meanwhile, between two transactions: with everything copied, SQLite begins the log anew.

use std::cell::Cell;
use std::ffi::c_int;
use std::path::Path;
use std::sync::mpsc::{self, TryRecvError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tracing::{info, warn};

use super::{StoreError, open};

/// So many pages in the log are copied: 32 MiB. Fewer and larger bites copy a page that was written often only once.
const FULL: c_int = 4_000;

/// So few pages the writer copies itself.
const FEW: c_int = 100;

/// The thread does not run after a fast writer for ever.
const PASSES: u32 = 4;

thread_local! {
    /// Pages in the log after the last commit of this thread. SQLite tells a function, which can keep nothing.
    static PAGES: Cell<c_int> = const { Cell::new(0) };
}

/// The writer's end of the thread that copies.
pub(super) struct Checkpoints {
    ask: mpsc::Sender<()>,
    copied: mpsc::Receiver<()>,
    /// The thread was asked, and what remains when it has answered is ours.
    asked: bool,
    /// How many pages are enough for the next time.
    enough: c_int,
    thread: JoinHandle<()>,
}

impl Checkpoints {
    /// Takes the copying over from SQLite, whose own would be done in a transaction of the writer.
    ///
    /// # Errors
    /// The database cannot be opened once more, or there is no thread.
    pub(super) fn start(path: &Path) -> Result<Self, StoreError> {
        let conn = open::checkpointer(path).map_err(|source| StoreError::Open {
            path: path.into(),
            source,
        })?;
        let (ask, asked) = mpsc::channel();
        let (answer, copied) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("store-log".into())
            .spawn(move || {
                let mut fails = false;
                while asked.recv().is_ok() {
                    note(copy(&conn), &mut fails);
                    // The writer that does not wait for it has ended.
                    let _ = answer.send(());
                }
            })
            .map_err(StoreError::Thread)?;
        Ok(Self {
            ask,
            copied,
            asked: false,
            enough: FULL,
            thread,
        })
    }

    /// Has the writer's connection count the pages; to be called by its own thread.
    pub(super) fn watch(conn: &Connection) {
        conn.wal_hook(Some(|_, pages| {
            PAGES.set(pages);
            Ok(())
        }));
    }

    /// To be called between two transactions of the writer.
    pub(super) fn tend(&mut self, conn: &Connection) {
        let pages = PAGES.get();
        if self.asked {
            if self.copied.try_recv() == Err(TryRecvError::Empty) {
                return;
            }
            self.asked = false;
            // What it cannot do, the thread could not do either, and has said so.
            let left = pass(conn).unwrap_or(pages);
            // A reader holds the log open: it goes on growing, until the next time.
            self.enough = if left > 0 { pages + FULL / 4 } else { FULL };
        } else if pages >= self.enough {
            self.asked = self.ask.send(()).is_ok();
        } else if pages < FULL {
            self.enough = FULL;
        }
    }

    /// Ends the thread, so that the writer's connection is the last to be closed.
    pub(super) fn end(self) {
        drop(self.ask);
        if self.thread.join().is_err() {
            warn!("the thread that copies the database's log has panicked");
        }
    }
}

/// Copies until what is left is little.
fn copy(conn: &Connection) -> rusqlite::Result<()> {
    for _ in 0..PASSES {
        if pass(conn)? < FEW {
            break;
        }
    }
    Ok(())
}

/// Copies what no reader holds back, without waiting for anybody; how many pages of the log are left.
fn pass(conn: &Connection) -> rusqlite::Result<c_int> {
    conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |row| {
        let (pages, copied): (c_int, c_int) = (row.get(1)?, row.get(2)?);
        Ok(pages - copied)
    })
}

fn note(copied: rusqlite::Result<()>, fails: &mut bool) {
    match copied {
        Ok(()) if *fails => {
            *fails = false;
            info!("the database's log is copied again");
        }
        Ok(()) => {}
        Err(error) if !*fails => {
            *fails = true;
            warn!("the database's log cannot be copied into the database and grows: {error}");
        }
        Err(_) => {}
    }
}
