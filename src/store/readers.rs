//! A few connections that read, each read on a blocking thread and in a snapshot of its own.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::Semaphore;

use super::{StoreError, open};

pub(super) struct Readers {
    path: PathBuf,
    /// Connections that nobody reads with now. Opened when first wanted, and again after a read panicked.
    spare: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: PathBuf, most: usize) -> Self {
        Self {
            path,
            spare: Mutex::default(),
            permits: Arc::new(Semaphore::new(most.max(1))),
        }
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.spare.lock().expect("no panic while it is held")
    }

    pub(super) async fn read<T, F>(self: &Arc<Self>, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|_| StoreError::Closed)?;
        let readers = Arc::clone(self);
        let task = tokio::task::spawn_blocking(move || {
            // Held by the work and not by the caller, who may give up while it goes on.
            let _permit = permit;
            readers.run(read)
        });
        task.await.unwrap_or(Err(StoreError::Panicked))
    }

    fn run<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let spare = self.spare().pop();
        let mut conn = match spare {
            Some(conn) => conn,
            None => open::reader(&self.path)?,
        };
        let snapshot = Transaction::new(&mut conn, TransactionBehavior::Deferred)?;
        let result = read(&snapshot);
        snapshot.finish()?;
        self.spare().push(conn);
        result
    }

    /// Lets nobody read any more; what is being read is read to its end.
    pub(super) fn close(&self) {
        self.permits.close();
        self.spare().clear();
    }
}
