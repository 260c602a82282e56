//! Memory for the bodies of requests in flight, shared so that nobody's bodies keep the others' out.
//!
//! Three bounds hold at once: of the node, of one tenant, and of those who have not shown who they are, who are bounded together and again
//! for each tenant that they send to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use snaphook_model::{Code, Fault, TenantName};

use crate::problem::Problem;

/// So much of every body is not counted: it belongs to the permit of its request, so that a small request finds room however many large
/// ones are under way.
const SMALL: u64 = 16 << 10;

/// Room is taken in whole steps, so that a body that arrives in many pieces does not ask for each.
const STEP: u64 = 64 << 10;

/// Whose bodies are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Sender {
    /// The operator.
    Operator,
    /// Who has shown a token or a signature of this tenant's.
    Tenant(TenantName),
    /// Who sends to this tenant's triggers and has shown nothing.
    Outsider(TenantName),
}

/// What the node has for bodies.
#[derive(Debug)]
pub(crate) struct BodyMemory {
    bytes: u64,
    /// Held for a look-up.
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    of_node: u64,
    of_outsiders: u64,
    /// Senders that have some.
    of: HashMap<Sender, u64>,
}

/// Room for one body, given back when dropped.
#[derive(Debug)]
pub(crate) struct BodyRoom {
    memory: Arc<BodyMemory>,
    sender: Sender,
    bytes: u64,
}

impl BodyMemory {
    pub(crate) fn new(bytes: u64) -> Self {
        Self { bytes, taken: Mutex::default() }
    }

    /// No room yet, to be enlarged.
    pub(crate) fn room(self: &Arc<Self>, sender: Sender) -> BodyRoom {
        BodyRoom { memory: Arc::clone(self), sender, bytes: 0 }
    }

    /// The most that bodies of one sender have: half, so that one tenant alone turns nobody away. Two small parts are enough for those of
    /// whom nobody knows whether they will be let in.
    fn share(&self, sender: &Sender) -> u64 {
        match sender {
            Sender::Operator | Sender::Tenant(_) => self.bytes / 2,
            Sender::Outsider(_) => self.bytes / 8,
        }
    }

    fn take(&self, sender: &Sender, more: u64) -> Result<(), Problem> {
        let mut taken = self.taken();
        let share = self.share(sender);
        if taken.by(sender) + more > share {
            return Err(full(share, sender.whose()));
        }
        if matches!(sender, Sender::Outsider(_)) && taken.of_outsiders + more > self.bytes / 4 {
            return Err(full(self.bytes / 4, "that of senders who have shown neither token nor signature"));
        }
        if taken.of_node + more > self.bytes {
            return Err(full(self.bytes, "that of the node"));
        }
        taken.add(sender, more);
        Ok(())
    }

    /// Counts a body that is here already among another sender's.
    fn pass_on(&self, from: &Sender, to: &Sender, bytes: u64) -> Result<(), Problem> {
        let mut taken = self.taken();
        let share = self.share(to);
        if taken.by(to) + bytes > share {
            return Err(full(share, to.whose()));
        }
        taken.subtract(from, bytes);
        taken.add(to, bytes);
        Ok(())
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Nothing that runs under the lock can leave it half changed.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn by(&self, sender: &Sender) -> u64 {
        self.of.get(sender).copied().unwrap_or_default()
    }

    fn add(&mut self, sender: &Sender, bytes: u64) {
        self.of_node += bytes;
        if matches!(sender, Sender::Outsider(_)) {
            self.of_outsiders += bytes;
        }
        *self.of.entry(sender.clone()).or_default() += bytes;
    }

    fn subtract(&mut self, sender: &Sender, bytes: u64) {
        self.of_node -= bytes;
        if matches!(sender, Sender::Outsider(_)) {
            self.of_outsiders -= bytes;
        }
        if let Some(of_sender) = self.of.get_mut(sender) {
            *of_sender -= bytes;
            if *of_sender == 0 {
                self.of.remove(sender);
            }
        }
    }
}

impl Sender {
    /// As a part of a sentence about memory.
    const fn whose(&self) -> &'static str {
        match self {
            Self::Operator => "that of the operator",
            Self::Tenant(_) => "that of one tenant",
            Self::Outsider(_) => "that of one tenant's triggers for senders who have shown neither token nor signature",
        }
    }
}

impl BodyRoom {
    /// Enlarges the room to a body of so many bytes. Never waits: who holds memory would wait for others who hold some.
    pub(crate) fn grow_to(&mut self, bytes: u64) -> Result<(), Problem> {
        let wanted = bytes.saturating_sub(SMALL).div_ceil(STEP).saturating_mul(STEP);
        if wanted > self.bytes {
            self.memory.take(&self.sender, wanted - self.bytes)?;
            self.bytes = wanted;
        }
        Ok(())
    }

    /// The sender has shown that he is the tenant's.
    pub(crate) fn is_of(&mut self, tenant: &TenantName) -> Result<(), Problem> {
        let known = Sender::Tenant(tenant.clone());
        if self.bytes > 0 {
            self.memory.pass_on(&self.sender, &known, self.bytes)?;
        }
        self.sender = known;
        Ok(())
    }
}

impl Drop for BodyRoom {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.memory.taken().subtract(&self.sender, self.bytes);
        }
    }
}

fn full(limit: u64, whose: &str) -> Problem {
    let detail = format!("the bodies of requests in flight take all the memory for them, {whose}: {limit} bytes");
    Fault::new(Code::Overloaded, detail).of_limit(limit, None).into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use snaphook_model::{Code, TenantName};

    use super::{BodyMemory, BodyRoom, SMALL, STEP, Sender};

    fn memory() -> Arc<BodyMemory> {
        Arc::new(BodyMemory::new(16 * STEP))
    }

    fn named(name: &str) -> TenantName {
        TenantName::new(name).expect("a name")
    }

    /// Room for a body that takes so many steps.
    fn taken(memory: &Arc<BodyMemory>, sender: Sender, steps: u64) -> Result<BodyRoom, Option<u64>> {
        let mut room = memory.room(sender);
        let grown = room.grow_to(SMALL + steps * STEP);
        grown.map(|()| room).map_err(|problem| {
            assert_eq!(problem.code(), Code::Overloaded);
            problem.fault().limit
        })
    }

    #[test]
    fn a_tenant_has_half_and_the_small_is_free() {
        let memory = memory();
        let tenant = |name| Sender::Tenant(named(name));
        let mut first = taken(&memory, tenant("a"), 7).expect("nothing is taken");
        first.grow_to(SMALL + 8 * STEP).expect("half is one tenant's");
        assert_eq!(taken(&memory, tenant("a"), 1).expect_err("and not more"), Some(8 * STEP));
        assert!(first.grow_to(u64::MAX / 2).is_err(), "a refusal leaves what is held");
        let other = taken(&memory, tenant("b"), 8).expect("the other half");
        assert_eq!(taken(&memory, Sender::Operator, 1).expect_err("all is taken"), Some(16 * STEP));
        let small = taken(&memory, tenant("c"), 0).expect("what is small is not counted");
        drop((first, other, small));
        let taken = memory.taken();
        assert_eq!((taken.of_node, taken.of.len()), (0, 0));
    }

    #[test]
    fn who_has_shown_nothing_has_little_until_he_has() {
        let memory = memory();
        let outsider = |name| Sender::Outsider(named(name));
        let mut signed = taken(&memory, outsider("a"), 2).expect("an eighth is for one tenant's triggers");
        assert_eq!(taken(&memory, outsider("a"), 1).expect_err("and not more"), Some(2 * STEP));
        let _second = taken(&memory, outsider("b"), 2).expect("a quarter is for all outsiders");
        assert_eq!(taken(&memory, outsider("c"), 1).expect_err("and not more"), Some(4 * STEP));
        signed.is_of(&named("a")).expect("the tenant has room");
        let _third = taken(&memory, outsider("c"), 2).expect("who is known is no outsider");
        let most = taken(&memory, Sender::Tenant(named("a")), 6).expect("the rest of the tenant's half");
        assert!(taken(&memory, Sender::Tenant(named("a")), 1).is_err());
        let mut late = taken(&memory, outsider("a"), 1).err();
        assert_eq!(late.take(), Some(Some(4 * STEP)));
        drop((signed, most));
        assert_eq!(memory.taken().by(&Sender::Tenant(named("a"))), 0);
    }

    #[test]
    fn a_tenant_without_room_cannot_take_a_signed_body_over() {
        let memory = memory();
        let _held = taken(&memory, Sender::Tenant(named("a")), 8).expect("half");
        let mut signed = taken(&memory, Sender::Outsider(named("a")), 1).expect("a part of its own");
        assert!(signed.is_of(&named("a")).is_err());
        drop(signed);
        assert_eq!(memory.taken().of_outsiders, 0);
    }
}
