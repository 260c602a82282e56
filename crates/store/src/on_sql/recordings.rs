//! Recordings as they lie in the database: framed, then compressed.
//!
//! The bodies of a run's hooks differ by little, so even the fastest compression leaves a third of them.

use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, Bytes};
use snaphook_model::{RunId, TenantName};

use super::rows::form;
use crate::database::{Row, Transaction, made_query};
use crate::sql::recordings as sql;
use crate::{Recording, StoreError};

/// What a recording is called in a [`StoreError::Form`].
const RECORDING: &str = "a recording";

/// No recording is larger, so a damaged length makes nobody reserve more.
const MAX_BYTES: usize = 64 << 20;

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

/// A recording as its column holds it, made before the turn to write comes.
#[derive(Debug, Clone)]
pub(super) struct PackedRecording(Option<Arc<[u8]>>);

impl PackedRecording {
    pub(super) fn of(recording: &Recording) -> Self {
        Self(pack(recording).map(Into::into))
    }

    /// What its column holds.
    pub(super) fn column(&self) -> Option<Arc<[u8]>> {
        self.0.clone()
    }

    /// Puts it beside its run, which is in the database.
    pub(super) async fn put(self, transaction: &mut Transaction<'_>, tenant: &TenantName, id: RunId) -> Result<(), StoreError> {
        let query = made_query(sql::put(1).into()).bind(tenant.as_str()).bind(id.to_string());
        query.bind(self.0).execute(transaction).await?;
        Ok(())
    }
}

pub(super) fn recording(row: &Row) -> Result<Recording, StoreError> {
    let packed: Option<&[u8]> = row.get(0)?;
    packed.map_or(Ok(Recording::TooLarge), unpack)
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
