//! What replays need, beside the records of runs.

use snaphook_model::RunStatus::{Failed, Running, Succeeded};

use super::{at, claim, ending, queued, recording, run, run_id, tenant, with_tenant};
use crate::{Recording, Store};

pub(crate) async fn are_kept_beside_their_runs(store: &dyn Store) {
    let (acme, nobody) = (with_tenant(store, "acme").await, tenant("nobody"));
    for number in 0..50 {
        let kept = match number % 5 {
            0 => None,
            1 => Some(Recording::TooLarge),
            _ => Some(recording(&format!("text {number}"))),
        };
        store.record_run(&acme, &run(number, None, Succeeded), kept).await.unwrap();
        store.record_run(&nobody, &run(number, None, Succeeded), Some(recording("nobody's"))).await.unwrap();
    }
    assert_eq!(store.recording(&acme, run_id(0)).await.unwrap(), None);
    assert_eq!(store.recording(&acme, run_id(1)).await.unwrap(), Some(Recording::TooLarge));
    for number in [2, 3, 4, 48, 49] {
        assert_eq!(store.recording(&acme, run_id(number)).await.unwrap(), Some(recording(&format!("text {number}"))), "{number}");
    }
    assert_eq!(store.recording(&nobody, run_id(2)).await.unwrap(), None);
    assert_eq!(store.recording(&acme, run_id(99)).await.unwrap(), None);
}

pub(crate) async fn are_those_of_the_last_attempt(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    store.queue_run(&acme, &queued(1), None, 100_u32.into()).await.unwrap();
    assert_eq!(store.recording(&acme, run_id(1)).await.unwrap(), None);
    store.queue_run(&acme, &queued(3), Some(&recording("before")), 100_u32.into()).await.unwrap();
    let mut claimed = claim(store, at(5), 2).await;
    assert_eq!(claimed.iter().map(|run| run.has_recording).collect::<Vec<_>>(), [false, true]);
    let lease = claimed.remove(0).lease;
    store.record_run(&acme, &run(1, Some("orders"), Running), Some(recording("first"))).await.unwrap();
    store
        .end_run(&acme, Some(&lease), ending(&run(1, Some("orders"), Failed), Some(&recording("second")), &[], Some(&queued(2))))
        .await
        .unwrap();
    // The first may be written later than the second, which was in a hurry; both are of the same run.
    store.flush().await.unwrap();
    store.end_run(&acme, None, ending(&run(1, Some("orders"), Failed), Some(&recording("third")), &[], None)).await.unwrap();
    assert_eq!(store.recording(&acme, run_id(1)).await.unwrap(), Some(recording("third")));
    assert_eq!(store.recording(&acme, run_id(2)).await.unwrap(), None);
}

pub(crate) async fn go_with_their_runs(store: &dyn Store) {
    let (acme, other) = (with_tenant(store, "acme").await, with_tenant(store, "other").await);
    for tenant in [&acme, &other] {
        store.record_run(tenant, &run(1, None, Succeeded), Some(recording(tenant.as_str()))).await.unwrap();
    }
    store.flush().await.unwrap();
    store.delete_tenant(&acme).await.unwrap();
    let acme = with_tenant(store, "acme").await;
    assert_eq!(store.recording(&acme, run_id(1)).await.unwrap(), None);
    store.record_run(&acme, &run(1, None, Succeeded), None).await.unwrap();
    assert_eq!(store.recording(&acme, run_id(1)).await.unwrap(), None, "a new run of an old id has nothing of the old one");
    assert_eq!(store.recording(&other, run_id(1)).await.unwrap(), Some(recording("other")));
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
}
