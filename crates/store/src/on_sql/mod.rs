//! The methods of the traits, written once over [`Database`], and the queue of run records with the task that empties it.

mod audit;
mod awaited;
mod claims;
mod connections;
mod documents;
mod history;
mod kept;
mod keys;
mod objects;
mod overview;
mod queue;
mod recordings;
mod relief;
mod reseal;
mod retention;
mod room;
mod rows;
mod run_lists;
mod runs;
mod scripts;
mod secrets;
mod state;
mod subjects;
mod tenants;
mod together;
mod versions;
mod waiting;
mod writer;

use std::sync::Arc;

use jiff::Timestamp;
use snaphook_model::Author;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::StoreError;
use crate::database::{Database, query};
use crate::objects::Objects;
use crate::sql::tenants as sql;
use kept::Kept;
use queue::RunQueue;
use together::{Brought, Together, Work};

pub use claims::Claim;
pub(crate) use claims::Whose;
pub(crate) use objects::unused_objects;
pub(crate) use scripts::add_missing_hashes;

/// A value of the node that shows whether the database takes writes. A usual run with its payload is as large, in numbers that were made now: none
/// finds room where another one was, and nothing of them is left out.
const PROBE: &str = "probe";
const PROBE_NUMBERS: usize = 448;

/// A store that is nothing but its database and a queue before it.
pub(crate) trait OnSql: Send + Sync {
    /// What it is made of.
    fn parts(&self) -> &Parts;

    /// Whose changes are noted; none where the node changes something by itself.
    fn author(&self) -> Option<&Author> {
        None
    }

    /// Where statements go.
    fn database(&self) -> &Database {
        &self.parts().database
    }

    /// Run records that wait for the next batch.
    fn queue(&self) -> &RunQueue {
        &self.parts().queue
    }
}

/// The database, the queue of run records, and the task between them.
#[derive(Debug)]
pub(crate) struct Parts {
    database: Arc<Database>,
    /// Where bytes lie that are not in the database; none where all of them are.
    objects: Option<Objects>,
    queue: Arc<RunQueue>,
    together: Together,
    /// What tenants keep in documents, as far as it is known.
    kept: Kept,
    /// The task that empties the queue; taken by whoever waits for its end.
    emptying: Mutex<Option<JoinHandle<()>>>,
}

impl Parts {
    /// Begins to empty the queue.
    pub(crate) fn new(database: Arc<Database>, objects: Option<Objects>) -> Self {
        let queue = Arc::new(RunQueue::new());
        let emptying = tokio::spawn(writer::empty(Arc::clone(&queue), Arc::clone(&database), objects.clone()));
        Self { database, objects, queue, together: Together::default(), kept: Kept::default(), emptying: Mutex::new(Some(emptying)) }
    }

    /// Writes something with whatever else is to be written now.
    async fn bring(&self, work: Work) -> Result<Brought, StoreError> {
        self.together.bring(&self.database, work).await
    }

    /// Where bytes lie that are not in the database.
    pub(crate) const fn objects(&self) -> Option<&Objects> {
        self.objects.as_ref()
    }

    /// See [`crate::Store::sweep_objects`].
    pub(crate) async fn sweep_objects(&self, before: Timestamp) -> Result<u64, StoreError> {
        match &self.objects {
            Some(objects) => crate::objects::sweep(&self.database, objects, before).await,
            None => Ok(0),
        }
    }

    /// Whether the database takes writes: tries one where the last ones failed.
    pub(crate) async fn takes_writes(&self) -> Result<(), StoreError> {
        let write = async {
            let numbers: String = (0..PROBE_NUMBERS).map(|_| Uuid::now_v7().to_string()).collect();
            self.set_meta(PROBE, &numbers).await
        };
        self.database.health().mended(write).await
    }

    pub(crate) async fn meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        let row = query(sql::GET_META).bind(key).read_optional(&self.database).await?;
        Ok(row.map(|row| row.get(0)).transpose()?)
    }

    pub(crate) async fn set_meta(&self, key: &str, value: &str) -> Result<(), StoreError> {
        let mut writer = self.database.write().await?;
        let mut transaction = writer.begin().await?;
        query(sql::SET_META).bind(key).bind(value).execute(&mut transaction).await?;
        let committed = transaction.commit().await?;
        writer.finish(committed).await
    }

    pub(crate) async fn remove_meta(&self, key: &str) -> Result<(), StoreError> {
        let mut writer = self.database.write().await?;
        let mut transaction = writer.begin().await?;
        query(sql::REMOVE_META).bind(key).execute(&mut transaction).await?;
        let committed = transaction.commit().await?;
        writer.finish(committed).await
    }

    pub(crate) async fn meta_or(&self, key: &str, value: &str) -> Result<String, StoreError> {
        let mut writer = self.database.write().await?;
        let mut transaction = writer.begin().await?;
        query(sql::ADD_META).bind(key).bind(value).execute(&mut transaction).await?;
        let stands = query(sql::GET_META).bind(key).fetch_one(&mut transaction).await?.get(0)?;
        let committed = transaction.commit().await?;
        writer.finish(committed).await?;
        Ok(stands)
    }

    /// Writes what is queued, then closes the database.
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        self.queue.close();
        if let Some(emptying) = self.emptying.lock().await.take() {
            emptying.await.map_err(|error| StoreError::Unavailable(error.into()))?;
        }
        self.database.close().await
    }

    /// The task that empties the queue, for a test that waits for it.
    #[cfg(test)]
    pub(crate) async fn emptying(&self) -> Option<JoinHandle<()>> {
        self.emptying.lock().await.take()
    }
}

impl Drop for Parts {
    /// What is queued is still written if the runtime lives long enough; [`crate::Store::close`] waits for it.
    fn drop(&mut self) {
        self.queue.close();
    }
}
