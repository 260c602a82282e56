//! Idempotency keys.

use bytes::Bytes;
use snaphook_model::TenantName;

use super::{at, failure, run_id, tenant, with_tenant};
use crate::{Keyed, KeyedRequest, Store};

fn request<'a>(key: &'a str, body: &'a [u8; 32]) -> KeyedRequest<'a> {
    KeyedRequest { path: "/v1/call/crm/send", key, body, run: run_id(7) }
}

async fn begin(store: &dyn Store, tenant: &TenantName, request: KeyedRequest<'_>, now: i64) -> Keyed {
    store.begin_keyed(tenant, request, at(now), at(now - 100)).await.unwrap()
}

pub(crate) async fn answer_once(store: &dyn Store) {
    let (acme, one, two) = (with_tenant(store, "acme").await, [1; 32], [2; 32]);
    assert_eq!(begin(store, &acme, request("k", &one), 1000).await, Keyed::First);
    let busy = Keyed::Before { same_body: true, begun_at: at(1000), answer: None, run: Some(run_id(7)) };
    assert_eq!(begin(store, &acme, KeyedRequest { run: run_id(8), ..request("k", &one) }, 1001).await, busy);
    store.end_keyed(&acme, request("k", &one), Some(b"done")).await.unwrap();
    let done = |same_body| Keyed::Before { same_body, begun_at: at(1000), answer: Some(Bytes::from_static(b"done")), run: Some(run_id(7)) };
    assert_eq!(begin(store, &acme, request("k", &one), 1002).await, done(true));
    assert_eq!(begin(store, &acme, request("k", &two), 1003).await, done(false));
    assert_eq!(begin(store, &acme, KeyedRequest { path: "/elsewhere", ..request("k", &two) }, 1004).await, Keyed::First);
}

pub(crate) async fn are_forgotten(store: &dyn Store) {
    let (acme, body) = (with_tenant(store, "acme").await, [1; 32]);
    assert_eq!(begin(store, &acme, request("k", &body), 1000).await, Keyed::First);
    store.end_keyed(&acme, request("k", &body), None).await.unwrap();
    assert_eq!(begin(store, &acme, request("k", &body), 1001).await, Keyed::First, "nothing was done");
    assert_eq!(begin(store, &acme, request("k", &body), 1102).await, Keyed::First, "it was too long ago");
}

pub(crate) async fn belong_to_their_tenant(store: &dyn Store) {
    let (acme, other, body) = (with_tenant(store, "acme").await, with_tenant(store, "other").await, [1; 32]);
    assert_eq!(begin(store, &acme, request("k", &body), 1000).await, Keyed::First);
    assert_eq!(begin(store, &other, request("k", &body), 1000).await, Keyed::First);
    let nobody = tenant("nobody");
    assert_eq!(failure(store.begin_keyed(&nobody, request("k", &body), at(1), at(0))).await, "tenant `nobody` does not exist");
    store.delete_tenant(&acme).await.unwrap();
    let acme = with_tenant(store, "acme").await;
    assert_eq!(begin(store, &acme, request("k", &body), 1001).await, Keyed::First);
}
