//! Runs that wait for their time.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use snaphook_model::{Code, Payload, RunStatus, TenantName};

use super::{at, claim, claim_of, ending, failure, queued, recording, run, run_id, tenant, with_tenant};
use crate::{Cancelled, QueueRoom, QueuedRun, Renewed, RunFilter, Store, StoreError};

async fn status(store: &dyn Store, tenant: &TenantName, number: u64) -> RunStatus {
    store.run(tenant, run_id(number)).await.unwrap().unwrap().status
}

pub(crate) async fn gives_each_run_once(store: &dyn Store) {
    let (acme, other) = (with_tenant(store, "acme").await, with_tenant(store, "other").await);
    for number in [30, 10, 20] {
        store.queue_run(&acme, &queued(number), None, 100_u32.into()).await.unwrap();
        store.queue_run(&other, &queued(number + 1), None, 100_u32.into()).await.unwrap();
    }
    assert!(matches!(store.queue_run(&acme, &queued(10), None, 100_u32.into()).await, Err(StoreError::Exists(_))));
    assert_eq!(status(store, &acme, 10).await, RunStatus::Queued);
    assert_eq!(claim(store, at(9), 10).await, []);

    let claimed = claim(store, at(20), 2).await;
    let shown: Vec<_> = claimed.iter().map(|c| (c.tenant.as_str(), c.run.record.id)).collect();
    assert_eq!(shown, [("acme", run_id(10)), ("other", run_id(11))], "earliest first");
    let first = &claimed[0].run;
    assert_eq!((&first.input, &first.writes), (&queued(10).input, &queued(10).writes));
    assert_eq!((first.writes.len(), claimed[1].run.writes.len()), (2, 0));
    assert_eq!((first.record.status, first.record.started_at), (RunStatus::Running, at(20)));
    let read = store.run(&acme, run_id(10)).await.unwrap().unwrap();
    assert_eq!(&read, &first.record, "a reader sees the claim");

    let rest = join_all((0..8).map(|_| claim(store, at(99), 1))).await;
    let ids: Vec<_> = rest.into_iter().flatten().map(|claimed| claimed.run.record.id).collect();
    assert_eq!(ids.len(), 4, "at the same time, too, each is given out once");
    assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), [20, 21, 30, 31].map(run_id).into());
}

pub(crate) async fn gives_tenants_their_turns(store: &dyn Store) {
    let (a, b, c) = (with_tenant(store, "a").await, with_tenant(store, "b").await, with_tenant(store, "c").await);
    for number in 1..6 {
        store.queue_run(&a, &queued(number), None, 100_u32.into()).await.unwrap();
    }
    store.queue_run(&b, &queued(50), None, 100_u32.into()).await.unwrap();
    store.queue_run(&c, &queued(9), None, 100_u32.into()).await.unwrap();
    let turns = async |now, after: Option<&TenantName>, limit| store.due_tenants(at(now), after, limit).await.unwrap();
    assert_eq!(turns(9, None, 5).await, [a.clone(), c.clone()], "what is not due has no turn");
    assert_eq!(turns(50, None, 2).await, [a.clone(), b.clone()]);
    assert_eq!(turns(50, Some(&b), 5).await, std::slice::from_ref(&c));
    assert_eq!(turns(50, Some(&c), 5).await, []);
    let claimed = claim_of(store, &[(&a, 2)], at(3)).await;
    assert_eq!(claimed.iter().map(|claimed| claimed.run.record.id).collect::<Vec<_>>(), [run_id(1), run_id(2)]);
    assert_eq!(claim_of(store, &[(&a, 9)], at(3)).await.len(), 1, "what is due, and nobody else's");
    assert_eq!(claim_of(store, &[], at(3)).await, []);
    assert_eq!(claim_of(store, &[(&b, 9)], at(49)).await, []);
    let claimed = claim_of(store, &[(&a, 1), (&b, 1), (&tenant("nobody"), 1), (&c, 0)], at(60)).await;
    let ids: BTreeSet<_> = claimed.iter().map(|claimed| (claimed.tenant.as_str(), claimed.run.record.id)).collect();
    assert_eq!(ids, [("a", run_id(4)), ("b", run_id(50))].into(), "as many of each as is its share");
    assert_eq!(claim(store, at(60), 9).await.len(), 2);
    assert_eq!(turns(50, None, 5).await, []);
}

pub(crate) async fn takes_failed_and_next_together(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    let (mut failed, mut next) = (run(1, Some("orders"), RunStatus::Failed), queued(2));
    failed.retry_run = Some(run_id(2));
    next.record.retry_of = Some(run_id(1));
    store.end_run(&acme, None, ending(&failed, None, &[], Some(&next))).await.unwrap();
    assert_eq!(store.run(&acme, run_id(1)).await.unwrap(), Some(failed.clone()));
    assert_eq!(store.run(&acme, run_id(2)).await.unwrap(), Some(next.record.clone()));

    failed.id = run_id(3);
    failure(store.end_run(&acme, None, ending(&failed, None, &[], Some(&next)))).await;
    assert_eq!(store.run(&acme, run_id(3)).await.unwrap(), None, "both or none");
}

pub(crate) async fn forgets_ended_runs(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    store.queue_run(&acme, &queued(1), None, 100_u32.into()).await.unwrap();
    let claimed = claim(store, at(1), 1).await.remove(0);
    let mut ended = claimed.run.record;
    ended.status = RunStatus::Succeeded;
    store.end_run(&acme, Some(&claimed.lease), ending(&ended, None, &[], None)).await.unwrap();
    assert_eq!(store.run(&acme, run_id(1)).await.unwrap(), Some(ended));
    assert_eq!(store.requeue_claimed().await.unwrap(), 0);
    assert_eq!(claim(store, at(9), 1).await, []);
}

pub(crate) async fn gives_a_dead_nodes_runs_again(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    for number in 1..=3 {
        store.queue_run(&acme, &queued(number), None, 100_u32.into()).await.unwrap();
    }
    assert_eq!(claim(store, at(2), 5).await.len(), 2);
    // Run 1 had ended before the node died, though nobody took it out of the queue.
    store.record_run(&acme, &run(1, Some("orders"), RunStatus::Partial), None).await.unwrap();
    store.flush().await.unwrap();
    assert_eq!(store.requeue_claimed().await.unwrap(), 1);
    assert_eq!(status(store, &acme, 1).await, RunStatus::Partial);
    assert_eq!(status(store, &acme, 2).await, RunStatus::Queued);
    let again = claim(store, at(9), 5).await;
    assert_eq!(again.iter().map(|c| c.run.record.id).collect::<Vec<_>>(), [2, 3].map(run_id));
    let filter = RunFilter { status: Some(RunStatus::Running), ..RunFilter::default() };
    assert_eq!(store.runs(&acme, &filter, &crate::PageRequest::first(5)).await.unwrap().items.len(), 2);
}

/// Who holds a run hears that it was cancelled when its lease is renewed, and so does who takes it up next.
pub(crate) async fn tells_who_holds_a_run_that_it_was_cancelled(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    for number in [1, 2] {
        store.queue_run(&acme, &queued(number), None, 100_u32.into()).await.unwrap();
    }
    let claimed = claim(store, at(2), 2).await;
    assert_eq!(claimed.iter().map(|run| run.is_cancelled).collect::<Vec<_>>(), [false, false]);
    let leases: Vec<_> = claimed.into_iter().map(|run| run.lease).collect();
    let end = |record| (record, Vec::new());
    assert_eq!(store.cancel_run(&acme, run_id(1), &end).await.unwrap(), Cancelled::Asked);
    assert_eq!(store.renew_leases(&leases).await.unwrap(), Renewed { lost: Vec::new(), cancelled: vec![leases[0].clone()] });
    assert_eq!(store.requeue_claimed().await.unwrap(), 2);
    let again = claim(store, at(3), 2).await;
    assert_eq!(again.iter().map(|run| (run.run.record.id, run.is_cancelled)).collect::<Vec<_>>(), [(run_id(1), true), (run_id(2), false)]);
}

/// Who was taken for dead and was only slow must not write over what its successor did.
pub(crate) async fn lets_only_who_holds_a_run_end_it(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    store.queue_run(&acme, &queued(1), None, 100_u32.into()).await.unwrap();
    let first = claim(store, at(1), 1).await.remove(0);
    let leases = [first.lease.clone()];
    assert_eq!(store.renew_leases(&leases).await.unwrap().lost, []);
    assert_eq!(store.requeue_claimed().await.unwrap(), 1);
    assert_eq!(store.renew_leases(&leases).await.unwrap().lost, leases);
    let second = claim(store, at(2), 1).await.remove(0);
    assert_ne!(first.lease, second.lease);

    let (late, mut ended) = (run(1, Some("orders"), RunStatus::Failed), second.run.record);
    for lease in [Some(&first.lease), None] {
        let error = store.end_run(&acme, lease, ending(&late, Some(&recording("late")), &[], Some(&queued(2)))).await.unwrap_err();
        assert!(matches!(error, StoreError::LeaseLost), "{error}");
    }
    assert_eq!(store.run(&acme, run_id(1)).await.unwrap().as_ref(), Some(&ended), "nothing was written");
    assert_eq!((store.recording(&acme, run_id(1)).await.unwrap(), store.run(&acme, run_id(2)).await.unwrap()), (None, None));

    ended.status = RunStatus::Succeeded;
    store.end_run(&acme, Some(&second.lease), ending(&ended, None, &[], None)).await.unwrap();
    let error = store.end_run(&acme, Some(&second.lease), ending(&late, None, &[], None)).await.unwrap_err();
    assert!(matches!(error, StoreError::LeaseLost), "it has ended: {error}");
    assert_eq!(store.run(&acme, run_id(1)).await.unwrap(), Some(ended));
}

pub(crate) async fn refuses_unknown_tenants(store: &dyn Store) {
    let nobody = tenant("nobody");
    assert_eq!(failure(store.queue_run(&nobody, &queued(1), None, 100_u32.into())).await, "tenant `nobody` does not exist");
    let ended = run(1, None, RunStatus::Failed);
    assert_eq!(failure(store.end_run(&nobody, None, ending(&ended, None, &[], Some(&queued(2))))).await, "tenant `nobody` does not exist");
    assert_eq!(claim(store, at(9), 5).await, []);
}

pub(crate) async fn has_an_end(store: &dyn Store) {
    let (acme, other) = (with_tenant(store, "acme").await, with_tenant(store, "other").await);
    store.queue_run(&other, &queued(9), None, 1_u32.into()).await.unwrap();
    for number in 1..=3 {
        store.queue_run(&acme, &queued(number), None, 3_u32.into()).await.unwrap();
    }
    let full = store.queue_run(&acme, &queued(4), None, 3_u32.into()).await.unwrap_err();
    assert!(matches!(full, StoreError::Full(3)) && full.code() == Code::Overloaded, "{full}");
    assert_eq!(store.run(&acme, run_id(4)).await.unwrap(), None);
    let claimed = claim(store, at(1), 1).await.remove(0);
    let mut ended = claimed.run.record;
    ended.status = RunStatus::Succeeded;
    store.end_run(&acme, Some(&claimed.lease), ending(&ended, None, &[], None)).await.unwrap();
    queue_soon(store, &acme, &queued(4), 3_u32.into()).await;
}

/// Whether there is room again may be seen a moment later.
async fn queue_soon(store: &dyn Store, tenant: &TenantName, run: &QueuedRun, most: QueueRoom) {
    let begun = std::time::Instant::now();
    while let Err(error) = store.queue_run(tenant, run, None, most).await {
        assert!(begun.elapsed().as_secs() < 60, "{error}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

pub(crate) async fn has_an_end_in_bytes(store: &dyn Store) {
    let (acme, other) = (with_tenant(store, "acme").await, with_tenant(store, "other").await);
    // Each takes some bytes more than its input, for its subject's values.
    let large = |number| QueuedRun { input: Payload::json("x".repeat(1000)), ..queued(number) };
    let most = |bytes| QueueRoom { runs: 100, bytes };
    store.queue_run(&other, &large(9), None, 100_u32.into()).await.unwrap();
    let full = store.queue_run(&acme, &large(1), None, most(1000)).await.unwrap_err();
    let StoreError::QueueSize { limit: 1000, used: 1001..1100 } = full else { panic!("{full}") };
    assert_eq!(full.code(), Code::Overloaded);
    assert_eq!(store.run(&acme, run_id(1)).await.unwrap(), None);
    for number in 1..=3 {
        store.queue_run(&acme, &large(number), None, most(3300)).await.unwrap();
    }
    let full = store.queue_run(&acme, &large(4), None, most(4000)).await.unwrap_err();
    assert!(matches!(full, StoreError::QueueSize { limit: 4000, used: 4001..4400 }), "{full}");
    // What has begun makes room when it has ended.
    let claimed = claim(store, at(1), 1).await.remove(0);
    let mut ended = claimed.run.record;
    ended.status = RunStatus::Succeeded;
    store.end_run(&acme, Some(&claimed.lease), ending(&ended, None, &[], None)).await.unwrap();
    queue_soon(store, &acme, &large(4), most(3300)).await;
}

pub(crate) async fn goes_with_its_tenant(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    store.queue_run(&acme, &queued(1), None, 100_u32.into()).await.unwrap();
    store.delete_tenant(&acme).await.unwrap();
    assert_eq!(claim(store, at(9), 5).await, []);
    failure(store.end_run(&acme, None, ending(&run(1, None, RunStatus::Failed), None, &[], None))).await;
}
