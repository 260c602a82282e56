//! Secrets, which the store keeps as they are handed in.

use snaphook_model::{SealedSecret, SecretName};

use super::{all, at, failure, tenant, with_tenant};
use crate::{Change, PageRequest, Store};

pub(crate) fn secret(text: &str) -> SecretName {
    SecretName::new(text).unwrap()
}

pub(crate) fn sealed(text: &str) -> SealedSecret {
    SealedSecret(text.as_bytes().to_vec().into())
}

pub(crate) async fn are_put_and_read(store: &dyn Store) {
    let (acme, key) = (with_tenant(store, "acme").await, secret("KEY"));
    assert_eq!(store.secret(&acme, &key).await.unwrap(), None);
    let bytes = SealedSecret((0..=255).collect::<Vec<u8>>().into());
    assert_eq!(store.put_secret(&acme, &key, &bytes, at(1)).await.unwrap(), Change::Created);
    assert_eq!(store.secret(&acme, &key).await.unwrap(), Some(bytes));
    assert_eq!(store.put_secret(&acme, &key, &sealed("two"), at(2)).await.unwrap(), Change::Changed);
    assert_eq!(store.secret(&acme, &key).await.unwrap(), Some(sealed("two")));
    assert_eq!(store.secret(&acme, &secret("key")).await.unwrap(), None, "case counts");
    assert_eq!(store.secrets(&acme, &PageRequest::first(5)).await.unwrap().items[0].updated_at, at(2));
    assert!(store.delete_secret(&acme, &key).await.unwrap());
    assert!(!store.delete_secret(&acme, &key).await.unwrap());
    assert_eq!(store.secret(&acme, &key).await.unwrap(), None);
}

pub(crate) async fn are_listed_in_pages(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    for name in ["c", "A", "_e", "b", "D"] {
        store.put_secret(&acme, &secret(name), &sealed(name), at(1)).await.unwrap();
    }
    let listed = all(2, async |page| store.secrets(&acme, page).await.unwrap()).await;
    assert_eq!(listed.iter().map(|secret| secret.name.as_str()).collect::<Vec<_>>(), ["A", "D", "_e", "b", "c"]);
}

pub(crate) async fn belong_to_their_tenant(store: &dyn Store) {
    let (a, b, key) = (with_tenant(store, "a").await, with_tenant(store, "b").await, secret("KEY"));
    store.put_secret(&a, &key, &sealed("of a"), at(1)).await.unwrap();
    assert_eq!(store.secret(&b, &key).await.unwrap(), None);
    assert_eq!(store.secrets(&b, &PageRequest::first(5)).await.unwrap().items, []);
    assert!(!store.delete_secret(&b, &key).await.unwrap());
    store.put_secret(&b, &key, &sealed("of b"), at(1)).await.unwrap();
    assert!(store.delete_secret(&b, &key).await.unwrap());
    assert_eq!(store.secret(&a, &key).await.unwrap(), Some(sealed("of a")));
    // A tenant of the same name that is made later finds nothing.
    assert!(store.delete_tenant(&a).await.unwrap());
    with_tenant(store, "a").await;
    assert_eq!(store.secret(&a, &key).await.unwrap(), None);
    let nobody = tenant("nobody");
    assert_eq!(failure(store.put_secret(&nobody, &key, &sealed("x"), at(1))).await, "tenant `nobody` does not exist");
}

pub(crate) async fn are_sealed_anew(store: &dyn Store) {
    let (a, b, key) = (with_tenant(store, "a").await, with_tenant(store, "b").await, secret("KEY"));
    for tenant in [&a, &b] {
        store.put_secret(tenant, &key, &sealed("old"), at(1)).await.unwrap();
    }
    let (old, new) = (sealed("old"), sealed("new"));
    assert!(store.reseal_secret(&a, &key, (&old, &new)).await.unwrap());
    assert!(!store.reseal_secret(&a, &key, (&old, &sealed("newer"))).await.unwrap(), "somebody was first");
    assert!(!store.reseal_secret(&a, &secret("OTHER"), (&old, &new)).await.unwrap());
    assert_eq!(store.secret(&a, &key).await.unwrap(), Some(new));
    assert_eq!(store.secret(&b, &key).await.unwrap(), Some(old), "another tenant's of the same name");
    assert_eq!(store.secrets(&a, &PageRequest::first(5)).await.unwrap().items[0].updated_at, at(1));
}
