//! Bytes beside the database: components of scripts, and payloads that are too large for a row, those of runs that wait among them. Only this folder knows the crate `object_store`.
//!
//! An object is written, and on the disk of its place, before the row that names it is; it goes after the row has gone. So a row never names what
//! is not there, and what a crash or an outage leaves in between is an object that nobody names, which [`sweep`] finds. Objects are never
//! changed: what takes the place of one has a key of its own.

mod claim;
mod key;
mod place;
mod sweep;
#[cfg(test)]
mod tests;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use uuid::Uuid;

use crate::StoreError;

pub use claim::ObjectsPlaceError;
pub(crate) use claim::claim;
pub(crate) use key::{ObjectKey, ObjectKind};
pub use place::ObjectsError;
pub(crate) use sweep::sweep;

/// Payloads of so many bytes, as they are kept, lie beside the database; a smaller one costs less in its row than a file of its own.
const LARGE_BYTES: usize = 64 << 10;

/// The longest wait for one object, retries included.
const ANSWER_PATIENCE: Duration = Duration::from_secs(20);

/// The same where the row will do as well.
const BESIDE_PATIENCE: Duration = Duration::from_secs(2);

/// After a failure, what can go elsewhere or be done later is not tried for so long. Then one tries it, and the others wait for what becomes of it.
const AWAY: Duration = Duration::from_secs(5);

/// Objects of claimed runs that are read at the same time: a storage that is slow but well then still answers each of them in time.
const CLAIMED_AT_ONCE: usize = 4;

/// Objects deleted at the same time.
const AT_ONCE: usize = 16;

/// The place where objects lie. Clones are the same place.
#[derive(Debug, Clone)]
pub struct Objects(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<dyn ObjectStore>,
    /// For people.
    place: String,
    /// Where it is one.
    folder: Option<PathBuf>,
    large_bytes: usize,
    /// Whether the place is known for the database's; see [`claim`].
    claimed: AtomicBool,
    /// Until when the place is taken to be away. Held for a look.
    away_until: Mutex<Option<Instant>>,
    claimed_reads: Semaphore,
}

impl Objects {
    fn new(store: Arc<dyn ObjectStore>, place: String, folder: Option<PathBuf>) -> Self {
        let (claimed, away_until) = (AtomicBool::new(false), Mutex::new(None));
        let claimed_reads = Semaphore::new(CLAIMED_AT_ONCE);
        Self(Arc::new(Inner { store, place, folder, large_bytes: LARGE_BYTES, claimed, away_until, claimed_reads }))
    }

    /// Another size from which on payloads are large.
    #[cfg(test)]
    pub(crate) fn with_large_bytes(self, large_bytes: usize) -> Self {
        let mut inner = Arc::into_inner(self.0).expect("it was just made");
        inner.large_bytes = large_bytes;
        Self(Arc::new(inner))
    }

    /// Which place it is, for people; no key is in it.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.0.place
    }

    /// Says when others than its owner can use the folder; none for what is no folder.
    #[must_use]
    pub fn exposure(&self) -> Option<String> {
        let folder = self.0.folder.as_ref()?;
        let mode = std::fs::metadata(folder).ok()?.permissions().mode() & 0o777;
        (mode & 0o077 != 0).then(|| format!("others than its owner can use `{}` (mode {mode:o})", folder.display()))
    }

    /// Writes, reads and deletes an object of its own, to find out whether the place can be used.
    ///
    /// # Errors
    /// [`ObjectsError::Probe`] with what failed.
    pub async fn probe(&self) -> Result<(), ObjectsError> {
        let path = Path::from(format!("probe/{}", Uuid::now_v7().simple()));
        let text = Bytes::from(path.to_string());
        let failed = |what| move |source: StoreError| ObjectsError::Probe { place: self.place().to_owned(), what, source: source.into() };
        let put = self.0.store.put(&path, PutPayload::from(text.clone()));
        self.bounded(ANSWER_PATIENCE, put).await.map_err(failed("writing an object"))?;
        let read = self.read(&path).await;
        let deleted = self.bounded(ANSWER_PATIENCE, self.0.store.delete(&path)).await;
        let different = || StoreError::ObjectsUnavailable("it is not what was written".into());
        let same = read.and_then(|bytes| if bytes == Some(text) { Ok(()) } else { Err(different()) });
        same.map_err(failed("reading what was written"))?;
        deleted.map_err(failed("deleting it"))
    }

    /// Whether a payload of so many bytes lies here rather than in its row.
    pub(crate) fn is_large(&self, bytes: usize) -> bool {
        bytes >= self.0.large_bytes
    }

    /// Writes an object. It is durable when this returns.
    pub(crate) async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<(), StoreError> {
        self.put_within(ANSWER_PATIENCE, key, bytes).await
    }

    /// The same for what can lie in its row just as well: says quickly whether it was written.
    pub(crate) async fn put_or_leave(&self, key: &ObjectKey, bytes: Bytes) -> bool {
        let Some(trial) = Trial::of(self, BESIDE_PATIENCE) else { return false };
        let put = self.put_within(BESIDE_PATIENCE, key, bytes).await;
        trial.answered(put.is_ok());
        if let Err(error) = &put {
            tracing::warn!(error = error as &dyn std::error::Error, "a large payload goes into the database instead of its own place");
        }
        put.is_ok()
    }

    async fn put_within(&self, patience: Duration, key: &ObjectKey, bytes: Bytes) -> Result<(), StoreError> {
        if self.0.claimed.load(Ordering::Relaxed) && self.folder_is_away().await {
            return Err(unavailable(format!("{} is not there any more", self.place())));
        }
        let path = path(key)?;
        self.bounded(patience, self.0.store.put(&path, PutPayload::from(bytes))).await.map(drop)
    }

    /// Reads an object and checks that it is the one that was written; none where there is none.
    pub(crate) async fn get(&self, key: &ObjectKey) -> Result<Option<Bytes>, StoreError> {
        let Some(bytes) = self.read_sized(&path(key)?, Some(key.bytes())).await? else {
            // A bucket that is gone, or a folder that is not mounted, has no objects either.
            if self.0.claimed.load(Ordering::Relaxed) && self.marker().await?.is_none() {
                return Err(unavailable(format!("{} is not there any more", self.place())));
            }
            return Ok(None);
        };
        if key.is_of(&bytes) { Ok(Some(bytes)) } else { Err(altered(key.as_str())) }
    }

    /// The same for whoever holds a run meanwhile, which another node could take up: fails at once while the place is away.
    pub(crate) async fn get_claimed(&self, key: &ObjectKey) -> Result<Option<Bytes>, StoreError> {
        // Nobody closes it.
        let _turn = self.0.claimed_reads.acquire().await;
        let trial = Trial::of(self, ANSWER_PATIENCE).ok_or_else(was_away)?;
        let got = self.get(key).await;
        trial.answered(!matches!(got, Err(StoreError::ObjectsUnavailable(_))));
        got
    }

    async fn read(&self, path: &Path) -> Result<Option<Bytes>, StoreError> {
        self.read_sized(path, None).await
    }

    async fn read_sized(&self, path: &Path, size: Option<u64>) -> Result<Option<Bytes>, StoreError> {
        let read = async {
            let found = match self.0.store.get(path).await {
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                found => found.map_err(unavailable)?,
            };
            // Before all of it is in memory.
            if size.is_some_and(|size| size != found.meta.size) {
                return Err(altered(path.as_ref()));
            }
            found.bytes().await.map(Some).map_err(unavailable)
        };
        timeout(ANSWER_PATIENCE, read).await.unwrap_or_else(|_| Err(no_answer()))
    }

    /// Deletes objects whose rows are gone. What cannot be deleted now is left to [`sweep`].
    pub(crate) async fn remove(&self, keys: &[String]) {
        if keys.is_empty() {
            return;
        }
        if let Err(error) = self.removed(keys).await {
            tracing::warn!(error = &error as &dyn std::error::Error, objects = keys.len(), "objects that nobody needs stay for a while");
        }
    }

    /// There may be more than can be deleted in the time, which is no fault of a place that answers.
    async fn removed(&self, keys: &[String]) -> Result<(), StoreError> {
        let trial = Trial::of(self, ANSWER_PATIENCE).ok_or_else(was_away)?;
        let delete = async |key: &String| {
            let Ok(path) = Path::parse(key) else { return Ok(()) };
            match self.0.store.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(error),
            }
        };
        let mut deletes = stream::iter(keys).map(delete).buffer_unordered(AT_ONCE);
        let mut has_answered = false;
        let all = async {
            while let Some(deleted) = deletes.next().await {
                deleted?;
                has_answered = true;
            }
            Ok::<(), object_store::Error>(())
        };
        let all = timeout(ANSWER_PATIENCE, all).await;
        trial.answered(match &all {
            Ok(all) => all.is_ok(),
            Err(_) => has_answered,
        });
        all.map_err(|_| no_answer())?.map_err(unavailable)
    }

    /// Whether the folder has lost the object by which it is known, as when it is not mounted any more.
    async fn folder_is_away(&self) -> bool {
        let Some(folder) = &self.0.folder else { return false };
        !tokio::fs::try_exists(folder.join(claim::MARKER)).await.unwrap_or(false)
    }

    async fn bounded<T>(&self, patience: Duration, answer: impl Future<Output = Result<T, object_store::Error>>) -> Result<T, StoreError> {
        timeout(patience, answer).await.map_err(|_| no_answer())?.map_err(unavailable)
    }

    fn away_until(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.0.away_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody tries a place that is not known to be away.
struct Trial<'a> {
    place: &'a Objects,
    /// The others wait for what becomes of it.
    is_first: bool,
}

impl<'a> Trial<'a> {
    /// None while the place is away, so far as is known. Who finds that it was away for long enough is the first to try it again, for so long.
    fn of(place: &'a Objects, patience: Duration) -> Option<Self> {
        let (now, mut away_until) = (Instant::now(), place.away_until());
        match *away_until {
            None => Some(Self { place, is_first: false }),
            Some(until) if now < until => None,
            Some(_) => {
                *away_until = Some(now + patience);
                Some(Self { place, is_first: true })
            }
        }
    }

    /// Notes whether the place has answered.
    fn answered(mut self, answered: bool) {
        self.is_first = false;
        *self.place.away_until() = (!answered).then(|| Instant::now() + AWAY);
    }
}

impl Drop for Trial<'_> {
    /// Who gave up before an answer leaves the trial to the next one.
    fn drop(&mut self) {
        if self.is_first {
            *self.place.away_until() = Some(Instant::now());
        }
    }
}

/// A row names an object, and the node has no place to look for it.
pub(crate) fn no_place() -> StoreError {
    StoreError::OtherObjects(ObjectsPlaceError::NotGivenAtStart)
}

fn path(key: &ObjectKey) -> Result<Path, StoreError> {
    Path::parse(key.as_str()).map_err(|error| StoreError::Form { what: "the key of an object", source: error.into() })
}

fn altered(key: &str) -> StoreError {
    StoreError::ObjectAltered(key.to_owned())
}

fn unavailable(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::ObjectsUnavailable(why.into())
}

fn was_away() -> StoreError {
    unavailable("it did not answer a moment ago")
}

fn no_answer() -> StoreError {
    unavailable("it gave no answer in time")
}
