//! Scripts, their versions and their bytes.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::future::join_all;
use snaphook_model::{Code, Import, ScriptKind};

use super::{all, deploy, failure, name, tenant, upload, with_tenant};
use crate::{AddedVersion, DeletedVersion, NewVersion, PageRequest, Store, StoreError, StoredComponent};

pub(crate) async fn count_their_versions(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    let first = deploy(store, &acme, "sign", "one").await;
    let second = deploy(store, &acme, "sign", "two").await;
    assert_eq!((first.version, second.version), (1, 2));
    assert_eq!(deploy(store, &acme, "other", "one").await.version, 1);
    assert_eq!(first.source_bytes, 3);
    assert_eq!(first.component_bytes, 11);
    assert_eq!(store.version(&acme, &name("sign"), 1).await.unwrap(), Some(first));
    assert_eq!(store.latest_version(&acme, &name("sign")).await.unwrap(), Some(second));
    assert_eq!(store.version(&acme, &name("sign"), 3).await.unwrap(), None);
    assert_eq!(store.latest_version(&acme, &name("none")).await.unwrap(), None);
}

pub(crate) async fn keep_equal_uploads_once(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    let first = deploy(store, &acme, "sign", "one").await;
    assert_eq!(store.add_version(&acme, upload("sign", "one")).await.unwrap(), AddedVersion::Unchanged(first));
    deploy(store, &acme, "sign", "two").await;
    assert_eq!(deploy(store, &acme, "sign", "one").await.version, 3, "only the latest version counts");
}

pub(crate) async fn keep_bytes(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    let all_bytes: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    let mut new = upload("sign", "one");
    new.kind = ScriptKind::Component;
    new.source = Bytes::from(all_bytes.clone());
    new.component = StoredComponent { bytes: Bytes::from(all_bytes.clone()), interpreter: None };
    store.add_version(&acme, new).await.unwrap();
    assert_eq!(store.source(&acme, &name("sign"), 1).await.unwrap().unwrap(), all_bytes);
    let component = store.component(&acme, &name("sign"), 1).await.unwrap().unwrap();
    let mark = store.component_mark(&acme, &name("sign"), 1).await.unwrap().unwrap();
    assert_eq!((mark.hash, mark.interpreter), (blake3::hash(&all_bytes).to_string(), None));
    assert_eq!((component.bytes, component.interpreter), (Bytes::from(all_bytes), None));
    assert_eq!(store.component_mark(&acme, &name("sign"), 2).await.unwrap(), None);
    assert_eq!(store.source(&acme, &name("sign"), 2).await.unwrap(), None);
    assert_eq!(store.component(&acme, &name("none"), 1).await.unwrap(), None);
}

pub(crate) async fn have_a_bound_in_bytes(store: &dyn Store) {
    let (acme, other) = (with_tenant(store, "acme").await, with_tenant(store, "other").await);
    deploy(store, &other, "sign", "a neighbour's").await;
    assert_eq!(store.script_bytes(&acme).await.unwrap(), 0);
    // "one", and "wasm of one".
    deploy(store, &acme, "sign", "one").await;
    assert_eq!(store.script_bytes(&acme).await.unwrap(), 14);
    let bounded = |text, most_bytes| NewVersion { most_bytes, ..upload("verify", text) };
    let refused = store.add_version(&acme, bounded("two", 27)).await.unwrap_err();
    assert!(matches!(refused, StoreError::ScriptsSize { limit: 27, used: 28 }) && refused.code() == Code::QuotaStorage, "{refused}");
    assert_eq!((store.latest_version(&acme, &name("verify")).await.unwrap(), store.script_bytes(&acme).await.unwrap()), (None, 14));
    let AddedVersion::Created(_) = store.add_version(&acme, bounded("two", 28)).await.unwrap() else { panic!("it fits") };
    let unchanged = store.add_version(&acme, bounded("two", 28)).await.unwrap();
    assert!(matches!(unchanged, AddedVersion::Unchanged(_)), "what is there already needs no room");
    // However many come at once, no more than fit are stored.
    let uploads = (0..8).map(|number| {
        let new = NewVersion { most_bytes: 28 + 2 * 14, ..upload("more", &format!("n-{number}")) };
        store.add_version(&acme, new)
    });
    let added = join_all(uploads).await;
    assert_eq!(added.iter().filter(|added| added.is_ok()).count(), 2);
    assert_eq!(store.script_bytes(&acme).await.unwrap(), 28 + 2 * 14);
    store.delete_version(&acme, &name("sign"), 1).await.unwrap();
    assert_eq!(store.script_bytes(&acme).await.unwrap(), 3 * 14, "what is deleted makes room");
}

pub(crate) async fn number_versions_under_concurrency(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    let uploads = (0..40).map(|number| {
        let acme = &acme;
        async move { deploy(store, acme, "sign", &format!("text {number}")).await.version }
    });
    let versions: BTreeSet<u32> = join_all(uploads).await.into_iter().collect();
    assert_eq!(versions, (1..=40).collect());

    let equal = join_all((0..10).map(|_| store.add_version(&acme, upload("once", "same")))).await;
    let created = equal.iter().filter(|added| matches!(added, Ok(AddedVersion::Created(_)))).count();
    assert_eq!(created, 1, "equal uploads at the same time make one version");
}

pub(crate) async fn never_reuse_a_number(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    for text in ["one", "two"] {
        deploy(store, &acme, "sign", text).await;
    }
    let sign = name("sign");
    assert_eq!(store.delete_version(&acme, &sign, 2).await.unwrap(), DeletedVersion::Deleted);
    assert_eq!(store.delete_version(&acme, &sign, 2).await.unwrap(), DeletedVersion::Unknown);
    assert_eq!(store.component(&acme, &sign, 2).await.unwrap(), None);
    assert_eq!(store.latest_version(&acme, &sign).await.unwrap().unwrap().version, 1);
    assert_eq!(deploy(store, &acme, "sign", "two").await.version, 3);
    for version in [1, 3] {
        store.delete_version(&acme, &sign, version).await.unwrap();
    }
    assert_eq!(store.scripts(&acme, &PageRequest::first(5)).await.unwrap().items, []);
    assert_eq!(deploy(store, &acme, "sign", "one").await.version, 4);
}

pub(crate) async fn are_listed_in_pages(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    for script in ["c", "a", "e", "b", "d"] {
        deploy(store, &acme, script, "one").await;
        deploy(store, &acme, script, "two").await;
    }
    let scripts = all(2, async |page| store.scripts(&acme, page).await.unwrap()).await;
    let shown: Vec<_> = scripts.iter().map(|v| (v.name.as_str(), v.version)).collect();
    assert_eq!(shown, [("a", 2), ("b", 2), ("c", 2), ("d", 2), ("e", 2)]);
    for number in 3..=7 {
        deploy(store, &acme, "a", &format!("text {number}")).await;
    }
    let a = name("a");
    let versions = all(3, async |page| store.versions(&acme, &a, page).await.unwrap()).await;
    assert_eq!(versions.iter().map(|v| v.version).collect::<Vec<_>>(), [7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(store.versions(&acme, &name("none"), &PageRequest::first(5)).await.unwrap().items, []);
}

pub(crate) async fn components_are_replaced(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    let before = deploy(store, &acme, "sign", "one").await;
    let component = StoredComponent { bytes: Bytes::from_static(b"anew"), interpreter: Some("interpreter-2".to_owned()) };
    let sign = name("sign");
    assert!(store.replace_component(&acme, &sign, 1, component.clone()).await.unwrap());
    assert_eq!(store.component(&acme, &sign, 1).await.unwrap(), Some(component.clone()));
    let after = store.version(&acme, &sign, 1).await.unwrap().unwrap();
    assert_eq!(after.component_bytes, 4);
    assert_eq!((after.hash, after.version, after.created_at), (before.hash, before.version, before.created_at));
    assert!(!store.replace_component(&acme, &sign, 2, component).await.unwrap());
}

pub(crate) async fn stale_components_are_found(store: &dyn Store) {
    let (acme, other) = (with_tenant(store, "acme").await, with_tenant(store, "other").await);
    for text in ["one", "two", "three"] {
        deploy(store, &acme, "sign", text).await;
        deploy(store, &other, "check", text).await;
    }
    let mut uploaded = upload("whole", "component");
    uploaded.component.interpreter = None;
    store.add_version(&acme, uploaded).await.unwrap();
    let mut current = upload("current", "text");
    current.component.interpreter = Some("interpreter-2".to_owned());
    store.add_version(&acme, current).await.unwrap();

    let stale = all(2, async |page| store.stale_components("interpreter-2", page).await.unwrap()).await;
    let shown: Vec<_> = stale.iter().map(|s| format!("{}/{}/{}", s.tenant, s.script, s.version)).collect();
    assert_eq!(shown, ["acme/sign/1", "acme/sign/2", "acme/sign/3", "other/check/1", "other/check/2", "other/check/3"]);
    assert_eq!(all(2, async |page| store.stale_components("interpreter-1", page).await.unwrap()).await.len(), 1);
}

pub(crate) async fn imported_versions_stay(store: &dyn Store) {
    let (acme, other) = (with_tenant(store, "acme").await, with_tenant(store, "other").await);
    let (sign, checkout) = (name("sign"), name("checkout"));
    deploy(store, &acme, "sign", "one").await;
    deploy(store, &other, "sign", "one").await;
    let importing = |text: &str, version| {
        let mut new = upload("checkout", text);
        new.imports = vec![Import { script: sign.clone(), version }];
        new
    };
    let missing = failure(store.add_version(&acme, importing("one", 2))).await;
    assert_eq!(missing, "the upload binds version 2 of script `sign`, which does not exist");
    assert_eq!(store.latest_version(&acme, &checkout).await.unwrap(), None);
    let AddedVersion::Created(added) = store.add_version(&acme, importing("one", 1)).await.unwrap() else { panic!("it is new") };
    assert_eq!(store.version(&acme, &checkout, added.version).await.unwrap().unwrap().imports, added.imports);

    let bound = DeletedVersion::Bound(vec![format!("script checkout, version {}", added.version)]);
    assert_eq!(store.delete_version(&acme, &sign, 1).await.unwrap(), bound);
    assert_eq!(store.delete_version(&other, &sign, 1).await.unwrap(), DeletedVersion::Deleted, "another tenant's is another script");
    assert_eq!(store.delete_version(&acme, &checkout, added.version).await.unwrap(), DeletedVersion::Deleted);
    assert_eq!(store.delete_version(&acme, &sign, 1).await.unwrap(), DeletedVersion::Deleted);

    deploy(store, &acme, "sign", "two").await;
    store.add_version(&acme, importing("two", 2)).await.unwrap();
    assert!(store.delete_tenant(&acme).await.unwrap(), "imports go with their tenant");
}

pub(crate) async fn need_their_tenant(store: &dyn Store) {
    let nobody = tenant("nobody");
    assert_eq!(failure(store.add_version(&nobody, upload("sign", "one"))).await, "tenant `nobody` does not exist");
    assert_eq!(store.latest_version(&nobody, &name("sign")).await.unwrap(), None);
}

pub(crate) async fn component_hashes_tell_what_is_used(store: &dyn Store) {
    let (acme, other) = (with_tenant(store, "acme").await, with_tenant(store, "other").await);
    deploy(store, &acme, "sign", "one").await;
    deploy(store, &acme, "sign", "two").await;
    deploy(store, &acme, "again", "one").await;
    deploy(store, &other, "sign", "one").await;
    let hash = |text: &str| blake3::hash(format!("wasm of {text}").as_bytes()).to_string();
    let sorted = |mut hashes: Vec<String>| {
        hashes.sort();
        hashes
    };
    let of_acme = all(1, async |page| store.component_hashes_of(&acme, page).await.unwrap()).await;
    assert_eq!(of_acme, sorted(vec![hash("one"), hash("two")]), "each once");
    assert_eq!(store.component_hashes_of(&other, &PageRequest::first(5)).await.unwrap().items, [hash("one")]);
    assert_eq!(all(1, async |page| store.component_hashes(page).await.unwrap()).await, sorted(vec![hash("one"), hash("two")]));

    for (script, used) in [("sign", true), ("again", true)] {
        assert_eq!(store.delete_version(&acme, &name(script), 1).await.unwrap(), DeletedVersion::Deleted);
        assert_eq!(store.component_is_used(&hash("one")).await.unwrap(), used, "another has the same");
    }
    let component = StoredComponent { bytes: Bytes::from("wasm of three"), interpreter: None };
    store.replace_component(&other, &name("sign"), 1, component).await.unwrap();
    assert!(!store.component_is_used(&hash("one")).await.unwrap());
    assert!(store.component_is_used(&hash("three")).await.unwrap());
    store.delete_tenant(&other).await.unwrap();
    assert!(!store.component_is_used(&hash("three")).await.unwrap());
}
