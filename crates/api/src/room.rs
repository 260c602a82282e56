//! Memory for the bodies of requests in flight, shared so that nobody's bodies keep the others' out.
//!
//! Three bounds hold at once: of the node, of one tenant, and of those who have not shown who they are, who are bounded together and again
//! for each tenant that they send to.

use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use snaphook_model::{Code, Fault, TenantName};
use snaphook_shares::{Ledger, Part};

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
    /// Whom this tenant's quota refuses, until he is told. No body is read of him.
    Refused(TenantName),
}

/// What the node has for bodies.
#[derive(Debug)]
pub(crate) struct BodyMemory {
    /// Held for a look-up.
    taken: Mutex<Taken>,
}

/// In steps.
#[derive(Debug)]
struct Taken {
    /// Half is for one sender alone, so that one tenant turns nobody away; and whatever some have, others find some left.
    of_all: Ledger<Sender>,
    /// A quarter of it is enough for those of whom nobody knows whether they will be let in; for them the same holds within that, by the tenants
    /// that they send to.
    of_outsiders: Ledger<TenantName>,
}

/// Room for one body, given back when dropped.
#[derive(Debug)]
pub(crate) struct BodyRoom {
    memory: Arc<BodyMemory>,
    sender: Sender,
    steps: u64,
}

impl BodyMemory {
    pub(crate) fn new(bytes: u64) -> Self {
        let steps = bytes / STEP;
        Self { taken: Mutex::new(Taken { of_all: Ledger::new(steps, Part::HALF), of_outsiders: Ledger::new(steps / 4, Part::HALF) }) }
    }

    /// No room yet, to be enlarged.
    pub(crate) fn room(self: &Arc<Self>, sender: Sender) -> BodyRoom {
        BodyRoom { memory: Arc::clone(self), sender, steps: 0 }
    }

    /// Counts a body that is here already among another sender's.
    fn pass_on(&self, from: &Sender, to: &Sender, steps: u64) -> Result<(), Problem> {
        let mut taken = self.taken();
        taken.give_back(from, steps);
        taken.take(to, steps).inspect_err(|_| taken.add(from, steps))
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Nothing that runs under the lock can leave it half changed.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn take(&mut self, sender: &Sender, more: u64) -> Result<(), Problem> {
        if let Sender::Outsider(tenant) = sender {
            refuse(&self.of_outsiders, tenant, more, [sender.whose(), "that of senders who have shown neither token nor signature"])?;
        }
        refuse(&self.of_all, sender, more, [sender.whose(), "that of the node"])?;
        self.add(sender, more);
        Ok(())
    }

    fn add(&mut self, sender: &Sender, steps: u64) {
        self.of_all.add(sender, steps);
        if let Sender::Outsider(tenant) = sender {
            self.of_outsiders.add(tenant, steps);
        }
    }

    fn give_back(&mut self, sender: &Sender, steps: u64) {
        self.of_all.give_back(sender, steps);
        if let Sender::Outsider(tenant) = sender {
            self.of_outsiders.give_back(tenant, steps);
        }
    }
}

/// Refuses what is more than one may take now, and says whether that is all of it or one's part.
fn refuse<K: Hash + Eq + Clone>(ledger: &Ledger<K>, who: &K, more: u64, [of_one, of_all]: [&str; 2]) -> Result<(), Problem> {
    let room = ledger.room(who);
    if more <= room {
        return Ok(());
    }
    Err(if ledger.free() == 0 { full(ledger.total() * STEP, of_all) } else { full((ledger.held(who) + room) * STEP, of_one) })
}

impl Sender {
    /// As a part of a sentence about memory.
    const fn whose(&self) -> &'static str {
        match self {
            Self::Operator => "that of the operator",
            Self::Tenant(_) | Self::Refused(_) => "that of one tenant",
            Self::Outsider(_) => "that of one tenant's triggers for senders who have shown neither token nor signature",
        }
    }
}

impl BodyRoom {
    /// Enlarges the room to a body of so many bytes. Never waits: who holds memory would wait for others who hold some.
    pub(crate) fn grow_to(&mut self, bytes: u64) -> Result<(), Problem> {
        let steps = bytes.saturating_sub(SMALL).div_ceil(STEP);
        if steps > self.steps {
            self.memory.taken().take(&self.sender, steps - self.steps)?;
            self.steps = steps;
        }
        Ok(())
    }

    /// The sender has shown that he is the tenant's.
    pub(crate) fn is_of(&mut self, tenant: &TenantName) -> Result<(), Problem> {
        let known = Sender::Tenant(tenant.clone());
        self.memory.pass_on(&self.sender, &known, self.steps)?;
        self.sender = known;
        Ok(())
    }
}

impl Drop for BodyRoom {
    fn drop(&mut self) {
        self.memory.taken().give_back(&self.sender, self.steps);
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
        assert_eq!(taken(&memory, tenant("b"), 5).expect_err("half of the rest, and not more"), Some(4 * STEP));
        let second = taken(&memory, tenant("b"), 4).expect("half of the rest");
        let third = taken(&memory, tenant("c"), 1).expect("whoever comes finds some");
        let rest = [taken(&memory, tenant("d"), 1), taken(&memory, Sender::Operator, 1), taken(&memory, tenant("e"), 1)];
        assert_eq!(taken(&memory, tenant("f"), 1).expect_err("all is taken"), Some(16 * STEP));
        let small = taken(&memory, tenant("f"), 0).expect("what is small is not counted");
        assert!(rest.iter().all(Result::is_ok));
        drop((first, second, third, rest, small));
        let taken = memory.taken();
        assert_eq!((taken.of_all.free(), taken.of_all.holders().count()), (16, 0));
    }

    #[test]
    fn who_has_shown_nothing_has_little_until_he_has() {
        let memory = memory();
        let outsider = |name| Sender::Outsider(named(name));
        let mut signed = taken(&memory, outsider("a"), 2).expect("an eighth is for one tenant's triggers");
        assert_eq!(taken(&memory, outsider("a"), 1).expect_err("and not more"), Some(2 * STEP));
        let _second = taken(&memory, outsider("b"), 1).expect("half of the rest");
        let _third = taken(&memory, outsider("c"), 1).expect("the last of a quarter, which is for all outsiders");
        assert_eq!(taken(&memory, outsider("d"), 1).expect_err("and not more"), Some(4 * STEP));
        signed.is_of(&named("a")).expect("the tenant has room");
        let _fourth = taken(&memory, outsider("d"), 1).expect("who is known is no outsider");
        let most = taken(&memory, Sender::Tenant(named("a")), 4).expect("the rest of the tenant's part");
        assert_eq!(taken(&memory, Sender::Tenant(named("a")), 1).err(), Some(Some(6 * STEP)));
        drop((signed, most));
        assert_eq!(memory.taken().of_all.held(&Sender::Tenant(named("a"))), 0);
    }

    #[test]
    fn a_tenant_without_room_cannot_take_a_signed_body_over() {
        let memory = memory();
        let _held = taken(&memory, Sender::Tenant(named("a")), 8).expect("half");
        let mut signed = taken(&memory, Sender::Outsider(named("a")), 1).expect("a part of its own");
        assert!(signed.is_of(&named("a")).is_err());
        drop(signed);
        assert_eq!(memory.taken().of_outsiders.free(), 4);
    }
}
