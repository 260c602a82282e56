//! Recordings as they lie in the database: framed, then compressed.
//!
//! The bodies of a run's hooks differ by little, so even the fastest compression leaves a third of them.

use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, Bytes};
use snaphook_model::{RunId, TenantName};

use super::Parts;
use super::objects::Held;
use super::rows::form;
use crate::database::{Query, Transaction, made_query, query};
use crate::objects::{ObjectKey, ObjectKind, Objects};
use crate::sql::recordings as sql;
use crate::{Recording, StoreError};

/// What a recording is called in a [`StoreError::Form`].
const RECORDING: &str = "a recording";

/// No recording is larger, so a damaged length makes nobody reserve more.
const MAX_BYTES: usize = 64 << 20;

/// So many bytes are packed in about a tenth of a millisecond.
const PACKED_AT_ONCE: usize = 64 << 10;

/// Bytes that it takes in memory, about.
pub(super) fn weight(recording: &Recording) -> usize {
    match recording {
        Recording::Whole { head, bodies } => head.len() + bodies.iter().map(Bytes::len).sum::<usize>(),
        Recording::TooLarge => 0,
    }
}

/// The column's value.
pub(super) fn pack(recording: &Recording) -> Option<Vec<u8>> {
    let Recording::Whole { head, bodies } = recording else { return None };
    let mut framed = Vec::with_capacity(weight(recording) + 4 * (bodies.len() + 1));
    for part in std::iter::once(head).chain(bodies) {
        // A part of 4 GiB would have been more than is kept of a run, long before.
        framed.put_u32_le(u32::try_from(part.len()).ok()?);
        framed.put_slice(part);
    }
    Some(lz4_flex::compress_prepend_size(&framed))
}

fn unpack(packed: &[u8]) -> Result<Recording, StoreError> {
    let broken = |why: &'static str| form(RECORDING, why);
    let (size, rest) = lz4_flex::block::uncompressed_size(packed).map_err(|error| form(RECORDING, error))?;
    if size > MAX_BYTES {
        return Err(broken("it is larger than a recording can be"));
    }
    let mut framed = Bytes::from(lz4_flex::decompress(rest, size).map_err(|error| form(RECORDING, error))?);
    if framed.len() != size {
        return Err(broken("it is cut off"));
    }
    let mut parts = Vec::new();
    while framed.has_remaining() {
        let length = framed.try_get_u32_le().map_err(|error| form(RECORDING, error))? as usize;
        if length > framed.len() {
            return Err(broken("a part is cut off"));
        }
        parts.push(framed.split_to(length));
    }
    let mut parts = parts.into_iter();
    let head = parts.next().ok_or_else(|| broken("it is empty"))?;
    Ok(Recording::Whole { head, bodies: parts.collect() })
}

/// A recording as its columns hold it, made before the turn to write comes.
#[derive(Debug, Clone)]
pub(super) struct PackedRecording {
    /// None where there was more than is kept, or where it is an object.
    bytes: Option<Arc<[u8]>>,
    object: Option<ObjectKey>,
}

impl PackedRecording {
    pub(super) fn of(recording: &Recording) -> Self {
        Self { bytes: pack(recording).map(Into::into), object: None }
    }

    /// Puts a large one into an object, if that can be done at once: it is not worth waiting for, since its row will do. To be asked before the
    /// turn to write has come.
    pub(super) async fn beside(self, objects: Option<&Objects>, tenant: &TenantName) -> Self {
        let Some((objects, bytes)) = objects.zip(self.bytes.as_ref()).filter(|(objects, bytes)| objects.is_large(bytes.len())) else {
            return self;
        };
        let key = ObjectKey::new(tenant, ObjectKind::Recording, bytes);
        match objects.put_or_leave(&key, Bytes::from_owner(Arc::clone(bytes))).await {
            true => Self { bytes: None, object: Some(key) },
            false => self,
        }
    }

    /// The key of its object.
    pub(super) fn object(&self) -> Option<&str> {
        self.object.as_ref().map(ObjectKey::as_str)
    }

    /// Binds its columns.
    pub(super) fn bind<'q>(&'q self, query: Query<'q>) -> Query<'q> {
        query.bind(self.bytes.clone()).bind(self.object())
    }

    /// Puts it beside its run, which is in the database.
    pub(super) async fn put(&self, transaction: &mut Transaction<'_>, tenant: &TenantName, id: RunId) -> Result<(), StoreError> {
        let query = made_query(sql::put(1).into()).bind(tenant.as_str()).bind(id.to_string());
        self.bind(query).execute(transaction).await?;
        Ok(())
    }
}

/// Packs a recording, and puts a large one beside the database.
pub(super) async fn beside(parts: &Parts, tenant: &TenantName, recording: Option<&Recording>) -> Option<PackedRecording> {
    Some(packed(recording?).await.beside(parts.objects(), tenant).await)
}

/// Packs a recording; a large one where that keeps nobody from answering calls.
async fn packed(recording: &Recording) -> PackedRecording {
    if weight(recording) <= PACKED_AT_ONCE {
        return PackedRecording::of(recording);
    }
    let given = recording.clone();
    // Where no thread is to be had it is done here.
    snaphook_aside::run(move || PackedRecording::of(&given)).await.unwrap_or_else(|_| PackedRecording::of(recording))
}

/// Reads the recording of a run.
pub(super) async fn recording(parts: &Parts, tenant: &TenantName, id: RunId) -> Result<Option<Recording>, StoreError> {
    let row = || query(sql::GET).bind(tenant.to_string()).bind(id.to_string());
    let read = parts.read_held(row, |row| {
        let held = Held::of(row, 0, 1)?;
        let is_kept = held.key().is_some() || row.get::<Option<&[u8]>>(0)?.is_some();
        Ok((is_kept, held))
    });
    read.await?.map(|(is_kept, packed)| if is_kept { unpack(&packed) } else { Ok(Recording::TooLarge) }).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked_and_damage_is_an_error() {
        let body = Bytes::from(br#"{"name": "value", "list": [1, 2, 3]}"#.repeat(40));
        let whole = |bodies| Recording::Whole { head: Bytes::from_static(b"head"), bodies };
        for recording in [whole(vec![]), whole(vec![Bytes::new(), body.clone()]), whole(vec![body.clone(), body.clone()])] {
            let packed = pack(&recording).unwrap();
            assert_eq!(unpack(&packed).unwrap(), recording);
            for cut in 0..packed.len() {
                assert!(unpack(&packed[..cut]).is_err(), "{cut} of {}", packed.len());
            }
        }
        assert!(pack(&whole(vec![body.clone(), body.clone()])).unwrap().len() * 20 < body.len() * 2, "what repeats costs next to nothing");
        assert!(unpack(&[0xff; 32]).is_err());
        assert_eq!(pack(&Recording::TooLarge), None);
    }
}
