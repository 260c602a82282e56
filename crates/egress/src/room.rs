//! Memory for the bodies of responses, of the whole node and of one tenant: taken while a body arrives, given back when the last who
//! holds a part of it lets go.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use snaphook_model::{Code, Fault, TenantName};
use snaphook_shares::{Ledger, Part};

/// Memory is counted in kibibytes.
const UNIT: u64 = 1 << 10;

/// What the node has for bodies.
pub(crate) struct BodyMemory {
    bytes: u64,
    /// A tenant alone has half; who comes after others finds some left.
    taken: Arc<Taken>,
}

/// Who has how much. Held for a look-up.
struct Taken(Mutex<Ledger<TenantName>>);

/// Memory that is spoken for; given back when dropped.
pub struct Room {
    taken: Arc<Taken>,
    tenant: TenantName,
    units: u64,
    /// For the fault.
    total: u64,
}

impl BodyMemory {
    pub(crate) fn new(bytes: u64) -> Self {
        Self { bytes, taken: Arc::new(Taken(Mutex::new(Ledger::new(bytes.div_ceil(UNIT), Part::HALF)))) }
    }

    /// No room yet, to be enlarged.
    pub(crate) fn room(&self, tenant: &TenantName) -> Room {
        Room { taken: Arc::clone(&self.taken), tenant: tenant.clone(), units: 0, total: self.bytes }
    }
}

impl Taken {
    fn ledger(&self) -> MutexGuard<'_, Ledger<TenantName>> {
        // Nothing that runs under the lock can leave the counts half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    /// Enlarges the room to so many bytes. Never waits: who holds memory would wait for others who hold some.
    ///
    /// # Errors
    /// `overloaded`, when the node or the tenant has no more.
    pub fn grow_to(&mut self, bytes: u64) -> Result<(), Fault> {
        let units = bytes.div_ceil(UNIT);
        let more = units.saturating_sub(self.units);
        let mut ledger = self.taken.ledger();
        if ledger.take(&self.tenant, more) {
            drop(ledger);
            self.units = self.units.max(units);
            return Ok(());
        }
        let (free, of_tenant) = (ledger.free(), ledger.held(&self.tenant) + ledger.room(&self.tenant));
        drop(ledger);
        Err(if free == 0 { full("that of the node", self.total) } else { full("that of one tenant", of_tenant * UNIT) })
    }

    /// The same bytes, which keep the room until their last part is dropped.
    pub(crate) fn around(self, bytes: Bytes) -> Bytes {
        if bytes.is_empty() {
            return bytes;
        }
        Bytes::from_owner(Held { bytes, _room: self })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.taken.ledger().give_back(&self.tenant, self.units);
    }
}

fn full(whose: &str, limit: u64) -> Fault {
    let detail = format!(
        "the bodies of responses held at this moment take all the memory for them, {whose}: {limit} bytes; \
         the operator can give more with `response_memory_bytes`"
    );
    Fault::new(Code::Overloaded, detail).of_limit(limit, None)
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
        let [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map(|name| TenantName::new(name).unwrap());
        let mut first = memory.room(&a);
        first.grow_to(1).unwrap();
        first.grow_to(4 * UNIT).unwrap();
        let fault = memory.room(&a).grow_to(1).unwrap_err();
        assert_eq!((fault.code, fault.limit), (Code::Overloaded, Some(4 * UNIT)), "{fault}");
        let mut other = memory.room(&b);
        assert_eq!(other.grow_to(3 * UNIT).unwrap_err().limit, Some(2 * UNIT), "half of the rest");
        other.grow_to(2 * UNIT).unwrap();
        let rest = [&c, &d].map(|tenant| {
            let mut room = memory.room(tenant);
            room.grow_to(1).unwrap();
            room
        });
        assert_eq!(memory.room(&e).grow_to(1).unwrap_err().limit, Some(8 * UNIT));
        assert!(first.grow_to(u64::MAX).is_err(), "a refusal leaves what is held");

        let body = first.around(Bytes::from_static(b"12345"));
        let part = body.slice(1..2);
        drop((body, rest, other));
        assert_eq!(memory.taken.ledger().free(), 4, "a part keeps the whole");
        drop(part);
        memory.room(&e).grow_to(4 * UNIT).unwrap();
        assert_eq!(memory.taken.ledger().free(), 8);
    }
}
