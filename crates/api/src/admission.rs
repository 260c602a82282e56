//! Deciding whether to take work now: bounded requests in flight, of the node and of each tenant, and bounded memory for their bodies. And whose
//! request begins next; see `turn`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Extensions;
use snaphook_model::{Code, Fault, Tenant};
use snaphook_shares::{Ledger, Part};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::Problem;
use crate::quotas::{Kind, Place, Quotas};
use crate::room::{BodyMemory, BodyRoom, Sender};
use crate::turn::{Turn, Turns};

/// Until a tenant is told that it wants too much, and half as much again by chance. Who asks again at once, over a hundred connections, would keep the
/// node busy with refusals, and with all of them at the same moment; and who heeds `Retry-After` loses nothing.
const BEFORE_REFUSAL: Duration = Duration::from_millis(100);

/// What the node has room for. Who finds no room is told when to come again.
pub(crate) struct Admission {
    /// Of all requests, also of those of which nobody knows yet whose they are.
    requests: Arc<Semaphore>,
    /// Of those that are known. Half is for one tenant alone, and whatever some have, others find some left.
    known: Arc<Mutex<Ledger<Sender>>>,
    quotas: Quotas,
    bodies: Arc<BodyMemory>,
    turns: Turns,
}

/// Room for one request, given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    /// Among the tenant's own, as soon as it is known whose the request is. Before the node's: who gets that in its place may be the same tenant.
    of_tenant: Mutex<OfTenant>,
    turn: Turn,
    _request: OwnedSemaphorePermit,
}

#[derive(Debug, Default)]
struct OfTenant {
    part: Option<PartOfNode>,
    place: Option<Place>,
}

/// A request among those that a tenant has of the node's, given back when dropped.
#[derive(Debug)]
struct PartOfNode {
    known: Arc<Mutex<Ledger<Sender>>>,
    sender: Sender,
}

impl Admission {
    pub(crate) fn new(max_requests: usize, body_bytes: u64) -> Self {
        let max_requests = max_requests.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            requests: Arc::new(Semaphore::new(max_requests)),
            known: Arc::new(Mutex::new(Ledger::new(max_requests as u64, Part::HALF))),
            quotas: Quotas::new(max_requests),
            bodies: Arc::new(BodyMemory::new(body_bytes)),
            turns: Turns::new(),
        }
    }

    /// A permit for one request, before its body is read.
    pub(crate) fn admit(&self) -> Result<Permit, Problem> {
        match Arc::clone(&self.requests).try_acquire_owned() {
            Ok(request) => Ok(Permit { of_tenant: Mutex::default(), turn: Turn::default(), _request: request }),
            Err(_) => Err(Problem::overloaded("this node has as many requests in flight as it takes")),
        }
    }

    /// A place among a tenant's requests, held as long as the permit that is among the request's extensions; and its turn.
    pub(crate) async fn admit_for(&self, tenant: &Tenant, kind: Kind, extensions: &Extensions) -> Result<(), Problem> {
        let permit = extensions.get::<Arc<Permit>>().ok_or_else(|| Problem::internal("a request without a permit asks for a tenant's"))?;
        let (sender, place) = self.counted_as(tenant, kind);
        let within_quota = self.place_for(sender.clone(), place, permit)?;
        // Also before a refusal: telling a thousand that they are too many is work, too.
        permit.turn.take(&self.turns, &sender).await?;
        within_quota
    }

    /// As whom a request is counted, and its place in the tenant's quota if it has one.
    fn counted_as(&self, tenant: &Tenant, kind: Kind) -> (Sender, Result<Place, Problem>) {
        let place = self.quotas.admit(tenant, kind);
        let sender = if place.is_ok() { sender(tenant, kind) } else { Sender::Refused(tenant.name.clone()) };
        (sender, place)
    }

    /// A place; or a refusal, the inner one by the tenant's quota, which has a part of the node's requests all the same until it is told: one of its
    /// own, so that refusals keep out nothing else of the tenant's.
    fn place_for(&self, sender: Sender, place: Result<Place, Problem>, permit: &Permit) -> Result<Result<(), Problem>, Problem> {
        let mut of_tenant = permit.of_tenant.lock().unwrap_or_else(PoisonError::into_inner);
        // Who turns out to be somebody else gives back what he had among others: it is one request all the same.
        of_tenant.part = None;
        match (self.part_for(sender), place) {
            (Ok(part), place) => {
                of_tenant.part = Some(part);
                Ok(place.map(|place| of_tenant.place = Some(place)))
            }
            // First the one that says what the tenant itself can change.
            (Err(_), Err(problem)) | (Err(problem), Ok(_)) => Err(problem),
        }
    }

    /// A part of the node's requests, counted apart for those who have not shown yet that they come for the tenant.
    fn part_for(&self, sender: Sender) -> Result<PartOfNode, Problem> {
        let whose = match sender {
            Sender::Outsider(_) => "requests to the tenant's triggers that have shown no signature yet",
            _ => "requests of the tenant",
        };
        let mut known = counted(&self.known);
        if known.take(&sender, 1) {
            return Ok(PartOfNode { known: Arc::clone(&self.known), sender });
        }
        let (held, total) = (known.held(&sender), known.total());
        let detail = format!(
            "{held} {whose} are in flight, which is all that this node has for one tenant now: half of its {total}, and less while others have many"
        );
        Err(Fault::new(Code::Overloaded, detail).of_limit(held, None).into())
    }

    /// The tenants' quotas.
    pub(crate) const fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// No room yet for a sender's body, to be enlarged while it comes in.
    pub(crate) fn room(&self, sender: Sender) -> BodyRoom {
        self.bodies.room(sender)
    }
}

impl Permit {
    /// Its turn to begin.
    pub(crate) const fn turn(&self) -> &Turn {
        &self.turn
    }

    /// Waits before a refusal of what its tenant wants. Not where the node itself is full: there every permit counts.
    pub(crate) async fn before_answer(&self, code: Option<Code>) {
        let refused = matches!(code, Some(Code::QuotaConcurrency | Code::QuotaRate | Code::Overloaded));
        let counted = || self.of_tenant.lock().unwrap_or_else(PoisonError::into_inner).part.is_some();
        if refused && counted() {
            tokio::time::sleep(before_refusal()).await;
        }
    }
}

fn before_refusal() -> Duration {
    // Without chance they would all be told together, which is only slower for others.
    let chance = getrandom::u32().unwrap_or_default();
    BEFORE_REFUSAL + (BEFORE_REFUSAL / 2).mul_f64(f64::from(chance) / f64::from(u32::MAX))
}

/// As whom a request is counted.
fn sender(tenant: &Tenant, kind: Kind) -> Sender {
    let name = tenant.name.clone();
    match kind {
        Kind::Outside => Sender::Outsider(name),
        Kind::Work | Kind::Look | Kind::CallBack => Sender::Tenant(name),
    }
}

impl Drop for PartOfNode {
    fn drop(&mut self) {
        counted(&self.known).give_back(&self.sender, 1);
    }
}

fn counted(known: &Mutex<Ledger<Sender>>) -> MutexGuard<'_, Ledger<Sender>> {
    // Nothing that runs under the lock can leave it half changed.
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Extensions;
    use serde_json::json;
    use snaphook_model::{Code, Tenant, TenantName};

    use super::{Admission, Permit};
    use crate::problem::Problem;
    use crate::quotas::Kind;

    #[test]
    fn a_permit_is_given_back() {
        let admission = Admission::new(1, 128 << 10);
        let permit = admission.admit().expect("the first fits");
        assert_eq!(admission.admit().expect_err("the second does not").code(), Code::Overloaded);
        drop(permit);
        assert!(admission.admit().is_ok());
    }

    fn tenant(name: &str) -> Tenant {
        let document = serde_json::from_value(json!({"quota": {"concurrency": 1_000, "rate_per_s": 1_000_000}})).expect("a document");
        Tenant::new(TenantName::new(name).expect("a name"), document).expect("a tenant")
    }

    /// Without waiting for a turn.
    fn admit(admission: &Admission, tenant: &Tenant, kind: Kind, extensions: &Extensions) -> Result<(), Problem> {
        let (sender, place) = admission.counted_as(tenant, kind);
        admission.place_for(sender, place, extensions.get::<Arc<Permit>>().expect("a permit")).flatten()
    }

    /// A request of a tenant's, in flight until what this gives is dropped.
    fn begin(admission: &Admission, tenant: &Tenant, kind: Kind) -> Result<Extensions, Problem> {
        let mut extensions = Extensions::new();
        extensions.insert(Arc::new(admission.admit()?));
        admit(admission, tenant, kind, &extensions).map(|()| extensions)
    }

    /// As many as the tenant may have in flight now, and what the next one is told.
    fn all_of(admission: &Admission, tenant: &Tenant, kind: Kind) -> (Vec<Extensions>, Problem) {
        let mut begun = Vec::new();
        loop {
            match begin(admission, tenant, kind) {
                Ok(one) => begun.push(one),
                Err(problem) => return (begun, problem),
            }
        }
    }

    #[test]
    fn tenants_who_have_all_they_may_leave_room_for_another() {
        let admission = Admission::new(64, 128 << 10);
        let [one, two, three] = ["one", "two", "three"].map(tenant);
        let (of_one, told) = all_of(&admission, &one, Kind::Work);
        assert_eq!((of_one.len(), told.code(), told.fault().limit), (32, Code::Overloaded, Some(32)));
        assert!(told.fault().detail.starts_with("32 requests of the tenant are in flight"), "{}", told.fault().detail);
        let (of_two, _) = all_of(&admission, &two, Kind::Work);
        assert_eq!(of_two.len(), 16);
        let third = begin(&admission, &three, Kind::Work).expect("a quarter is left");
        // One request is one, whatever it turns out to be.
        let outside = begin(&admission, &three, Kind::Outside).expect("counted apart");
        admit(&admission, &three, Kind::Work, &outside).expect("it has shown whose it is");
        drop((of_one, of_two, third, outside));
        let known = super::counted(&admission.known);
        assert_eq!((known.free(), known.holders().count()), (64, 0));
    }

    #[test]
    fn the_last_request_may_turn_out_to_be_another_ones() {
        let admission = Admission::new(1, 128 << 10);
        let outside = begin(&admission, &tenant("one"), Kind::Outside).expect("the only one");
        admit(&admission, &tenant("one"), Kind::Work, &outside).expect("the same request");
        drop(outside);
        assert!(begin(&admission, &tenant("two"), Kind::Work).is_ok());
    }
}
