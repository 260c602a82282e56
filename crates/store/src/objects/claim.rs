//! That all nodes of a database look for its objects at the same place, however each of them reaches it.
//!
//! The database has an id for its objects, and the place has an object with that id: the marker. Addresses are not compared: one node may mount a
//! folder elsewhere, or reach a storage by another name, and two machines may have a folder of the same name that is not the same one.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};
use uuid::Uuid;

use super::{ANSWER_PATIENCE, Objects};
use crate::StoreError;
use crate::on_sql::Parts;

/// The name of the marker.
pub(crate) const MARKER: &str = "place";

/// Where the store keeps the id of the marker.
const ID: &str = "objects-id";

/// Where it keeps the place as the last node to start named it. There once the marker was written.
const PLACE: &str = "objects-place";

/// Why a node may not use a place for its database's objects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectsPlaceError {
    /// The database has objects, and the node was given no place for them.
    #[error("the database's objects lie in {place}, and this node was given no place for objects")]
    NotGiven {
        /// Where another node put them.
        place: String,
    },
    /// The same, of a node that was started before another one put the first object there.
    #[error("another node keeps objects beside the database, and this one was started without a place for them")]
    NotGivenAtStart,
    /// The place belongs to another database.
    #[error("{place} holds the objects of another database")]
    OfAnother {
        /// The node's place.
        place: String,
    },
    /// The database's objects are somewhere else.
    #[error("the database's objects are not in {place}; they were put in {before}, where the object `{MARKER}` says `{id}`")]
    NotHere {
        /// The node's place.
        place: String,
        /// Where they were when a node last looked.
        before: String,
        /// What the marker says.
        id: String,
    },
}

impl Objects {
    /// The values of [`crate::Store::meta`] that [`Objects::check`] wants to know.
    pub const META: [&str; 2] = [ID, PLACE];

    /// Says whether the place is that of a database, given its values of [`Objects::META`]; changes nothing. None: the database has no place yet, and
    /// this one is free.
    ///
    /// # Errors
    /// When it is that of another database, or does not answer; see [`StoreError::OtherObjects`].
    pub async fn check(&self, [id, before]: [Option<&str>; 2]) -> Result<Option<()>, StoreError> {
        judged(self, self.marker().await?.as_deref(), id.unwrap_or_default(), before).map_err(StoreError::OtherObjects)
    }

    /// What the place's marker says; none where there is no marker.
    pub(super) async fn marker(&self) -> Result<Option<String>, StoreError> {
        let read = self.read(&Path::from(MARKER)).await?;
        Ok(read.map(|text| String::from_utf8_lossy(&text).trim().to_owned()))
    }

    async fn mark(&self, id: &str) -> Result<(), StoreError> {
        let text = Bytes::from(format!("{id}\n"));
        let marker = Path::from(MARKER);
        self.bounded(ANSWER_PATIENCE, self.0.store.put(&marker, PutPayload::from(text))).await.map(drop)
    }
}

/// Makes sure that the node's place is the database's. The first node to come says which it is.
///
/// # Errors
/// [`StoreError::OtherObjects`] when it is another one.
pub(crate) async fn claim(parts: &Parts) -> Result<(), StoreError> {
    let before = parts.meta(PLACE).await?;
    let Some(objects) = parts.objects() else {
        return before.map_or(Ok(()), |place| Err(StoreError::OtherObjects(ObjectsPlaceError::NotGiven { place })));
    };
    // A node that starts at the same moment takes the same id, so that both may write the marker.
    let id = parts.meta_or(ID, &Uuid::now_v7().to_string()).await?;
    let marker = objects.marker().await?;
    if judged(objects, marker.as_deref(), &id, before.as_deref()).map_err(StoreError::OtherObjects)?.is_none() {
        objects.mark(&id).await?;
    }
    if before.as_deref() != Some(objects.place()) {
        parts.set_meta(PLACE, objects.place()).await?;
    }
    objects.0.claimed.store(true, Ordering::Relaxed);
    Ok(())
}

/// Whether the place is the database's; none where it is free to become that.
fn judged(objects: &Objects, marker: Option<&str>, id: &str, before: Option<&str>) -> Result<Option<()>, ObjectsPlaceError> {
    let place = objects.place().to_owned();
    match (marker, before) {
        (Some(marker), _) if marker == id => Ok(Some(())),
        (Some(_), _) => Err(ObjectsPlaceError::OfAnother { place }),
        (None, Some(before)) => Err(ObjectsPlaceError::NotHere { place, before: before.to_owned(), id: id.to_owned() }),
        (None, None) => Ok(None),
    }
}
