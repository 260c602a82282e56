//! Memory for the bodies of responses, of the whole node and of one tenant: taken while a body arrives, given back when the last who
//! holds a part of it lets go.

use std::sync::Arc;

use bytes::Bytes;
use snaphook_model::{Code, Fault, TenantName};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::shares::Shares;

/// Permits are kibibytes.
const UNIT: u64 = 1 << 10;

/// What the node has for bodies.
pub(crate) struct BodyMemory {
    bytes: u64,
    all: Arc<Semaphore>,
    /// One tenant has at most half, so that no tenant alone turns the others' answers away.
    shares: Shares,
}

/// Memory that is spoken for; given back when dropped.
pub struct Room {
    all: Arc<Semaphore>,
    share: Arc<Semaphore>,
    /// Of the node and of the tenant.
    held: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
    units: u64,
    /// For the fault.
    total: u64,
}

impl BodyMemory {
    pub(crate) fn new(bytes: u64) -> Self {
        let units = usize::try_from(bytes.div_ceil(UNIT)).unwrap_or(usize::MAX).clamp(2, Semaphore::MAX_PERMITS);
        Self { bytes, all: Arc::new(Semaphore::new(units)), shares: Shares::new(units / 2) }
    }

    /// No room yet, to be enlarged.
    pub(crate) fn room(&self, tenant: &TenantName) -> Room {
        let share = self.shares.of(self.shares.asker(tenant));
        Room { all: Arc::clone(&self.all), share, held: None, units: 0, total: self.bytes }
    }
}

impl Room {
    /// Enlarges the room to so many bytes. Never waits: who holds memory would wait for others who hold some.
    ///
    /// # Errors
    /// `overloaded`, when the node or the tenant has no more.
    pub fn grow_to(&mut self, bytes: u64) -> Result<(), Fault> {
        let units = bytes.div_ceil(UNIT);
        if units <= self.units {
            return Ok(());
        }
        let more = u32::try_from(units - self.units).map_err(|_| self.full("that of one tenant", 2))?;
        let of_tenant = Arc::clone(&self.share).try_acquire_many_owned(more).map_err(|_| self.full("that of one tenant", 2))?;
        let of_node = Arc::clone(&self.all).try_acquire_many_owned(more).map_err(|_| self.full("that of the node", 1))?;
        match &mut self.held {
            Some((node, tenant)) => {
                node.merge(of_node);
                tenant.merge(of_tenant);
            }
            None => self.held = Some((of_node, of_tenant)),
        }
        self.units = units;
        Ok(())
    }

    /// The same bytes, which keep the room until their last part is dropped.
    pub(crate) fn around(self, bytes: Bytes) -> Bytes {
        if bytes.is_empty() {
            return bytes;
        }
        Bytes::from_owner(Held { bytes, _room: self })
    }

    fn full(&self, whose: &str, parts: u64) -> Fault {
        let limit = self.total / parts;
        let detail = format!(
            "the bodies of responses held at this moment take all the memory for them, {whose}: {limit} bytes; \
             the operator can give more with `response_memory_bytes`"
        );
        Fault::new(Code::Overloaded, detail).of_limit(limit, None)
    }
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room").field("kib", &self.units).finish_non_exhaustive()
    }
}

/// Bytes with their room.
struct Held {
    bytes: Bytes,
    _room: Room,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_the_nodes_and_at_most_half_of_it_a_tenants() {
        let memory = BodyMemory::new(8 * UNIT);
        let [a, b] = ["a", "b"].map(|name| TenantName::new(name).unwrap());
        let mut first = memory.room(&a);
        first.grow_to(1).unwrap();
        first.grow_to(4 * UNIT).unwrap();
        let fault = memory.room(&a).grow_to(1).unwrap_err();
        assert_eq!((fault.code, fault.limit), (Code::Overloaded, Some(4 * UNIT)), "{fault}");
        let mut other = memory.room(&b);
        other.grow_to(4 * UNIT).unwrap();
        let third = TenantName::new("c").unwrap();
        assert_eq!(memory.room(&third).grow_to(1).unwrap_err().limit, Some(8 * UNIT));
        assert!(first.grow_to(u64::MAX).is_err(), "a refusal leaves what is held");

        let body = first.around(Bytes::from_static(b"12345"));
        let part = body.slice(1..2);
        drop(body);
        assert!(memory.room(&third).grow_to(1).is_err(), "a part keeps the whole");
        drop(part);
        memory.room(&third).grow_to(4 * UNIT).unwrap();
        assert_eq!(memory.all.available_permits(), 4);
    }
}
