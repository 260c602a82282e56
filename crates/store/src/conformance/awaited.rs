//! Runs whose end somebody waits for.

use bytes::Bytes;
use snaphook_model::RunStatus;

use super::{at, claim, ending, failure, queued, run, run_id, tenant, with_tenant};
use crate::{AwaitedEnd, Store};

pub(crate) async fn ends_are_told(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    store.await_run(&acme, run_id(1), at(40)).await.unwrap();
    let known = async || store.awaited_end(&acme, run_id(1)).await.unwrap();
    assert_eq!(known().await, Some(AwaitedEnd { outcome: None, has_ended: false }));
    store.queue_run(&acme, &queued(1), None, 10_u32.into()).await.unwrap();
    assert_eq!(known().await, Some(AwaitedEnd { outcome: None, has_ended: false }));
    store.queue_run(&acme, &queued(2), None, 10_u32.into()).await.unwrap();
    let mut claimed = claim(store, at(20), 2).await;
    assert_eq!(claimed.iter().map(|run| run.is_awaited).collect::<Vec<_>>(), [true, false]);
    let claimed = claimed.remove(0);
    let failed = run(1, Some("orders"), RunStatus::Failed);
    store.end_run(&acme, Some(&claimed.lease), ending(&failed, None, &[], None)).await.unwrap();
    assert_eq!(known().await, Some(AwaitedEnd { outcome: None, has_ended: true }));
    assert!(store.tell_end(&acme, run_id(1), b"failed").await.unwrap());
    assert_eq!(known().await, Some(AwaitedEnd { outcome: Some(Bytes::from_static(b"failed")), has_ended: true }));
    store.forget_awaited(&acme, run_id(1)).await.unwrap();
    assert_eq!(known().await, None);
    assert!(!store.tell_end(&acme, run_id(1), b"failed").await.unwrap(), "nobody waits any more");
}

pub(crate) async fn are_forgotten_in_the_end(store: &dyn Store) {
    let (acme, other) = (with_tenant(store, "acme").await, with_tenant(store, "other").await);
    store.await_run(&acme, run_id(1), at(40)).await.unwrap();
    assert_eq!(store.awaited_end(&other, run_id(1)).await.unwrap(), None);
    assert!(!store.tell_end(&other, run_id(1), b"x").await.unwrap());
    store.await_run(&acme, run_id(2), at(80)).await.unwrap();
    store.forget_long_awaited(at(41)).await.unwrap();
    assert_eq!(store.awaited_end(&acme, run_id(1)).await.unwrap(), None, "its node never came back");
    assert!(store.awaited_end(&acme, run_id(2)).await.unwrap().is_some());
    let nobody = tenant("nobody");
    assert_eq!(failure(store.await_run(&nobody, run_id(3), at(2))).await, "tenant `nobody` does not exist");
}
