//! The conformance suite on PostgreSQL, and what only a database of many nodes can be tested for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::json;
use snaphook_model::RunStatus;
use snaphook_testkit::postgres::{Cluster, PASSWORD, PASSWORD_USER};
use snaphook_testkit::{Link, Replacement, S3};
use sqlx::Connection as _;
use tokio::time::timeout;

use super::open::suits;
use crate::conformance::{
    at, claim, claim_of, conformance, deploy, document, ending, many_runs, name, queued, recording, run, run_id, token, upload, with_tenant,
};
use crate::{
    Change, Changes, DocumentStore as _, Inspected, Notice, Objects, PageRequest, PostgresOpenError, PostgresOptions, PostgresStore,
    RunFilter, RunStore as _, ScriptStore as _, Store, StoreError, TenantStore as _, TokenHash,
};

/// Few connections, since many tests share a server.
fn options() -> PostgresOptions {
    PostgresOptions { max_connections: 4, ..PostgresOptions::default() }
}

async fn open(url: &str, options: &PostgresOptions) -> PostgresStore {
    PostgresStore::open(url, options).await.unwrap()
}

/// Leases that run out at once: whoever asks who is dead finds every node so.
async fn fresh() -> (Arc<dyn Store>, ()) {
    let url = Cluster::shared().database();
    (Arc::new(open(&url, &PostgresOptions { lease: Duration::ZERO, ..options() }).await), ())
}

conformance!(super::fresh);

#[tokio::test]
async fn a_hundred_thousand_runs_are_listed_and_summed_up_in_time() {
    let url = Cluster::shared().database();
    let store = open(&url, &options()).await;
    let acme = many_runs::are_written(&store, "PostgreSQL").await;
    // A server does so by itself within a minute, and without it reads a table that it takes for a small one.
    Cluster::shared().sql(url.rsplit('/').next().unwrap(), "ANALYZE");
    many_runs::are_listed_and_summed_up_in_time(&store, &acme, "PostgreSQL").await;
    store.close().await.unwrap();
}

/// The same with everything that may be an object in one.
mod with_objects {
    crate::conformance::conformance!(super::super::fresh_with_objects);
}

async fn fresh_with_objects() -> (Arc<dyn Store>, S3) {
    let (url, s3) = (Cluster::shared().database(), S3::start());
    let objects = Objects::at(&s3.url("p"), s3.settings(s3.address())).unwrap().with_large_bytes(0);
    let options = PostgresOptions { lease: Duration::ZERO, objects: Some(objects), ..options() };
    (Arc::new(open(&url, &options).await), s3)
}

/// Asks again until it is so, for twenty seconds at most.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn nodes_that_claim_at_once_share_the_runs() {
    let url = Cluster::shared().database();
    let (one, two) = (open(&url, &options()).await, open(&url, &options()).await);
    let acme = with_tenant(&one, "acme").await;
    join_all((0..60).map(|number| {
        let (one, acme) = (&one, &acme);
        async move { one.queue_run(acme, &queued(number), None, 1000_u32.into()).await.unwrap() }
    }))
    .await;
    let other = with_tenant(&two, "other").await;
    let round = async |round| {
        let node = if round % 2 == 0 { &one } else { &two };
        // Of all, or of those whose turn it is.
        if round % 3 == 0 { claim(node, at(999), 3).await } else { claim_of(node, &[(&acme, 3), (&other, 3)], at(999)).await }
    };
    let claimed: Vec<_> = join_all((0..30).map(round)).await.into_iter().flatten().collect();
    let ids: BTreeSet<_> = claimed.iter().map(|claimed| claimed.run.record.id).collect();
    assert_eq!(ids.len(), claimed.len(), "each is given out once");
    let rest = claim(&one, at(999), 1000).await;
    assert_eq!(ids.len() + rest.len(), 60);
    assert_eq!(two.requeue_claimed().await.unwrap(), 0, "all of them are held");
}

#[tokio::test]
async fn a_lease_that_ran_out_is_taken_over_and_its_first_holder_writes_nothing() {
    let url = Cluster::shared().database();
    let short = PostgresOptions { lease: Duration::from_secs(2), ..options() };
    let (slow, quick) = (open(&url, &short).await, open(&url, &short).await);
    assert_eq!(slow.lease_time(), Some(short.lease));
    let acme = with_tenant(&slow, "acme").await;
    slow.queue_run(&acme, &queued(1), None, 100_u32.into()).await.unwrap();
    let first = claim(&slow, at(1), 1).await.remove(0);
    let leases = [first.lease.clone()];
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(slow.renew_leases(&leases).await.unwrap().lost, []);
        assert_eq!(quick.requeue_claimed().await.unwrap(), 0, "it is renewed");
    }
    until("the lease runs out", async || quick.requeue_claimed().await.unwrap() == 1).await;
    let second = claim(&quick, at(2), 1).await.remove(0);
    let late = run(1, Some("orders"), RunStatus::Failed);
    let refused = slow.end_run(&acme, Some(&first.lease), ending(&late, Some(&recording("late")), &[], Some(&queued(2)))).await;
    assert!(matches!(refused, Err(StoreError::LeaseLost)), "{refused:?}");
    assert_eq!(slow.renew_leases(&leases).await.unwrap().lost, leases);
    assert_eq!(quick.run(&acme, run_id(1)).await.unwrap(), Some(second.run.record.clone()));
    assert_eq!(quick.recording(&acme, run_id(1)).await.unwrap(), None);
    assert_eq!(quick.runs(&acme, &RunFilter::default(), &PageRequest::first(5)).await.unwrap().items.len(), 1);
    let mut ended = second.run.record;
    ended.status = RunStatus::Succeeded;
    quick.end_run(&acme, Some(&second.lease), ending(&ended, None, &[], None)).await.unwrap();
    assert_eq!(slow.run(&acme, run_id(1)).await.unwrap(), Some(ended));
}

#[tokio::test]
async fn renewing_leases_waits_for_nobody_who_writes() {
    let url = Cluster::shared().database();
    let store = open(&url, &options()).await;
    let acme = with_tenant(&store, "acme").await;
    for number in 1..=3 {
        store.queue_run(&acme, &queued(number), None, 100_u32.into()).await.unwrap();
    }
    let claimed = claim(&store, at(9), 3).await;
    let mut leases: Vec<_> = claimed.iter().map(|claimed| claimed.lease.clone()).collect();
    // Somebody ends one of them, in a transaction that may well want the others next.
    let mut other = sqlx::PgConnection::connect(&url).await.unwrap();
    let mut ending = other.begin().await.unwrap();
    let hold = sqlx::query("SELECT id FROM run_queue WHERE id = $1 FOR UPDATE").bind(run_id(2).to_string());
    hold.execute(&mut *ending).await.unwrap();
    let renewed = timeout(Duration::from_secs(3), store.renew_leases(&leases)).await;
    assert_eq!(renewed.expect("nobody is waited for").unwrap().lost, [], "a row that somebody writes is not lost");
    ending.rollback().await.unwrap();
    leases[0].token = uuid::Uuid::now_v7();
    assert_eq!(store.renew_leases(&leases).await.unwrap().lost, leases[..1]);
}

/// Waits until a tenant's change is told, and says how long that took. A busy machine may take longer than the second that is promised.
async fn told_of(changes: &mut Changes, tenant: &str) -> Duration {
    let begun = Instant::now();
    let told = async {
        loop {
            match changes.next().await {
                Some(Notice::Changed(changed)) if changed.as_str() == tenant => return,
                Some(_) => {}
                None => panic!("the store is open"),
            }
        }
    };
    timeout(Duration::from_secs(10), told).await.unwrap_or_else(|_| panic!("a change of `{tenant}` is told"));
    begun.elapsed()
}

/// The first node is told of everything that the second one changes.
async fn every_change_is_told(here: PostgresStore, there: PostgresStore) {
    let mut changes = here.changes();
    let acme = with_tenant(&there, "acme").await;
    told_of(&mut changes, "acme").await;
    deploy(&there, &acme, "sign", "one").await;
    told_of(&mut changes, "acme").await;
    there.put_connector(&acme, &name("crm"), document(&json!({}), &[])).await.unwrap();
    told_of(&mut changes, "acme").await;
    there.put_flow(&acme, &name("orders"), document(&json!({}), &[])).await.unwrap();
    told_of(&mut changes, "acme").await;
    there.add_token(&acme, &token("t"), TokenHash([1; 32])).await.unwrap();
    told_of(&mut changes, "acme").await;
    there.delete_token(&acme, "t").await.unwrap();
    told_of(&mut changes, "acme").await;
    assert_eq!(there.put_connector(&acme, &name("crm"), document(&json!({"n": 1}), &[])).await.unwrap(), Change::Changed);
    told_of(&mut changes, "acme").await;
    let mut times = Vec::new();
    for number in 0..5 {
        let tenant = format!("t{number}");
        with_tenant(&there, &tenant).await;
        times.push(told_of(&mut changes, &tenant).await);
    }
    // The median, since now and then a busy machine keeps everybody from running for a while.
    times.sort();
    assert!(times[times.len() / 2] < Duration::from_secs(1), "{times:?}");
    there.delete_tenant(&acme).await.unwrap();
    told_of(&mut changes, "acme").await;
    here.close().await.unwrap();
    while changes.next().await.is_some() {}
}

/// Two builds that share a database for a while would make every version again after each other.
#[tokio::test]
async fn a_component_that_is_made_again_is_no_change() {
    let url = Cluster::shared().database();
    let (here, there) = (open(&url, &options()).await, open(&url, &options()).await);
    let acme = with_tenant(&there, "acme").await;
    deploy(&there, &acme, "sign", "one").await;
    let revision = || Cluster::shared().sql(url.rsplit('/').next().unwrap(), "SELECT revision FROM changes WHERE tenant = 'acme'");
    let before = revision();
    assert!(here.replace_component(&acme, &name("sign"), 1, upload("sign", "two").component).await.unwrap());
    assert_eq!(revision(), before);
}

#[tokio::test]
async fn changes_are_told_by_notices() {
    let url = Cluster::shared().database();
    every_change_is_told(open(&url, &options()).await, open(&url, &options()).await).await;
}

#[tokio::test]
async fn changes_are_found_without_notices() {
    let url = Cluster::shared().database();
    let deaf = PostgresOptions { listens: false, ..options() };
    every_change_is_told(open(&url, &deaf).await, open(&url, &options()).await).await;
}

/// Two nodes behind something that replaces what they say.
async fn nodes_behind(replacements: &[Replacement]) {
    let cluster = Cluster::shared();
    let link = Link::replacing(cluster.address(), replacements);
    let url = cluster.through(&cluster.database(), &link);
    every_change_is_told(open(&url, &options()).await, open(&url, &options()).await).await;
}

/// As on databases that speak the protocol without being PostgreSQL.
#[tokio::test]
async fn changes_are_found_where_the_server_knows_no_notices() {
    nodes_behind(&[("LISTEN ", "LISTEM "), ("pg_notify", "pg_notifx")]).await;
}

/// Likewise: what only makes statements quicker is asked for and not needed.
#[tokio::test]
async fn a_server_that_does_not_know_how_to_leave_statements_uncompiled_is_of_use() {
    nodes_behind(&[("SET jit = ", "SET jix = ")]).await;
}

/// As behind a pooler that hands out another connection for each transaction: it listens on one that nobody reads.
#[tokio::test]
async fn changes_are_found_where_notices_go_astray() {
    nodes_behind(&[("LISTEN \"snaphook_", "LISTEN \"otherwise")]).await;
}

/// What is told while the link is down is told afterwards.
#[tokio::test]
async fn changes_are_told_after_a_link_was_down() {
    let cluster = Cluster::shared();
    let (link, url) = (Link::to(cluster.address()), cluster.database());
    let (here, there) = (open(&cluster.through(&url, &link), &options()).await, open(&url, &options()).await);
    let mut changes = here.changes();
    with_tenant(&there, "before").await;
    told_of(&mut changes, "before").await;
    link.take_down();
    until("the link is missed", async || here.ping().await.is_err()).await;
    with_tenant(&there, "meanwhile").await;
    link.mend();
    told_of(&mut changes, "meanwhile").await;
    until("the store is back", async || here.ping().await.is_ok()).await;
    for number in 0..10 {
        link.cut();
        let tenant = format!("t{number}");
        with_tenant(&there, &tenant).await;
        told_of(&mut changes, &tenant).await;
    }
}

#[tokio::test]
async fn notices_are_sooner_than_looking() {
    let url = Cluster::shared().database();
    let (here, there) = (open(&url, &options()).await, open(&url, &options()).await);
    let mut changes = here.changes();
    // The first few may come while the listener is not there yet.
    let mut quickest = Duration::MAX;
    for number in 0..8 {
        let tenant = format!("t{number}");
        with_tenant(&there, &tenant).await;
        quickest = quickest.min(told_of(&mut changes, &tenant).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(quickest < Duration::from_millis(200), "{quickest:?}");
}

#[tokio::test]
async fn queued_runs_are_hinted_at() {
    let url = Cluster::shared().database();
    let (here, there) = (open(&url, &options()).await, open(&url, &options()).await);
    let mut changes = here.changes();
    let acme = with_tenant(&there, "acme").await;
    let number = std::cell::Cell::new(0);
    until("a queued run is told of", async || {
        number.set(number.get() + 1);
        there.queue_run(&acme, &queued(number.get()), None, 1000_u32.into()).await.unwrap();
        let told = async { while !matches!(changes.next().await, Some(Notice::Queued(due)) if due >= at(1)) {} };
        timeout(Duration::from_millis(300), told).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_server_that_comes_back_is_used_again() {
    let cluster = Cluster::start();
    let url = cluster.database();
    let store = open(&url, &options()).await;
    let mut changes = store.changes();
    let acme = with_tenant(&store, "acme").await;
    store.ping().await.unwrap();
    cluster.halt();
    until("ping fails", async || store.ping().await.is_err()).await;
    for _ in 0..3 {
        let begun = Instant::now();
        let error = store.tenant(&acme).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        assert!(store.queue_run(&acme, &queued(1), None, 100_u32.into()).await.is_err());
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
    // What is recorded meanwhile waits for the server.
    store.record_run(&acme, &run(7, None, RunStatus::Succeeded), Some(recording("kept"))).await.unwrap();
    cluster.resume();
    until("the store is back", async || store.ping().await.is_ok()).await;
    until("the record is written", async || matches!(store.run(&acme, run_id(7)).await, Ok(Some(_)))).await;
    assert_eq!(store.recording(&acme, run_id(7)).await.unwrap(), Some(recording("kept")));
    with_tenant(&store, "later").await;
    told_of(&mut changes, "later").await;
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_record_that_is_refused_does_not_take_its_batch_along() {
    let (cluster, url) = (Cluster::shared(), Cluster::shared().database());
    let store = open(&url, &options()).await;
    let acme = with_tenant(&store, "acme").await;
    let database = url.rsplit('/').next().unwrap();
    let refuse = format!(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id = '{}' THEN \
         RAISE EXCEPTION 'no' USING ERRCODE = '22000'; END IF; RETURN NEW; END $$",
        run_id(3)
    );
    cluster.sql(database, &refuse);
    cluster.sql(database, "CREATE TRIGGER refuse BEFORE INSERT ON runs FOR EACH ROW EXECUTE FUNCTION refuse()");
    for number in 0..6 {
        store.record_run(&acme, &run(number, None, RunStatus::Succeeded), Some(recording("text"))).await.unwrap();
    }
    store.flush().await.unwrap();
    for number in 0..6 {
        assert_eq!(store.run(&acme, run_id(number)).await.unwrap().is_some(), number != 3, "{number}");
    }
    assert_eq!(store.recording(&acme, run_id(5)).await.unwrap(), Some(recording("text")));
    store.ping().await.unwrap();
}

/// Whoever asks for nothing but its health learns that the database takes writes again, also where records were lost meanwhile.
#[tokio::test]
async fn a_database_that_takes_no_writes_for_a_while_is_of_use_afterwards() {
    let (cluster, url) = (Cluster::shared(), Cluster::shared().database());
    let store = open(&url, &options()).await;
    let acme = with_tenant(&store, "acme").await;
    store.ping().await.unwrap();
    let database = url.rsplit('/').next().unwrap();
    // As a disk does that is full: it can be read, and nothing finds room.
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         RAISE EXCEPTION 'No space left on device' USING ERRCODE = '53100'; END $$";
    cluster.sql(database, refuse);
    let of_all = |statement: &str| ["runs", "run_queue", "meta"].map(|table| statement.replace("TABLE", table)).join("; ");
    let fill = of_all("CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON TABLE FOR EACH ROW EXECUTE FUNCTION refuse()");
    let make_room = of_all("DROP TRIGGER refuse ON TABLE");

    cluster.sql(database, &fill);
    let refused = store.queue_run(&acme, &queued(1), None, 100_u32.into()).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert!(store.ping().await.is_err(), "an accepted run shows it");
    assert!(store.tenant(&acme).await.unwrap().is_some(), "it can be read");
    cluster.sql(database, &make_room);
    until("the store is of use", async || store.ping().await.is_ok()).await;
    store.queue_run(&acme, &queued(1), None, 100_u32.into()).await.unwrap();

    cluster.sql(database, &fill);
    store.record_run(&acme, &run(2, None, RunStatus::Succeeded), None).await.unwrap();
    // Who waits for a record waits until it is given up, in turns.
    while matches!(store.flush().await, Err(StoreError::Busy)) {}
    assert!(store.ping().await.is_err(), "a lost record shows it");
    cluster.sql(database, &make_room);
    until("the store is of use", async || store.ping().await.is_ok()).await;
    assert_eq!(store.run(&acme, run_id(2)).await.unwrap(), None);
}

#[tokio::test]
async fn nodes_that_start_at_once_make_the_tables_once() {
    let url = Cluster::shared().database();
    let few = PostgresOptions { max_connections: 2, ..options() };
    let stores = join_all((0..5).map(|_| PostgresStore::open(&url, &few))).await;
    let stores: Vec<_> = stores.into_iter().map(|store| store.unwrap()).collect();
    let acme = with_tenant(&stores[0], "acme").await;
    for store in &stores {
        assert!(store.tenant(&acme).await.unwrap().is_some());
    }
    let applied = Cluster::shared().sql(url.rsplit('/').next().unwrap(), "SELECT count(*) FROM _sqlx_migrations");
    assert_eq!(applied, crate::sql::MIGRATIONS.iter().count().to_string());
}

async fn refusal(url: &str) -> PostgresOpenError {
    PostgresStore::open(url, &options()).await.map(drop).unwrap_err()
}

#[tokio::test]
async fn what_cannot_be_opened_says_what_to_do() {
    let (cluster, url) = (Cluster::shared(), Cluster::shared().database());
    let database = url.rsplit('/').next().unwrap();
    assert!(matches!(refusal("sqlite://file").await, PostgresOpenError::Url(_)));
    assert!(matches!(refusal("postgres://host:port/x").await, PostgresOpenError::Url(_)));
    // Port 1 is nobody's.
    let error = refusal("postgres://u:hidden@127.0.0.1:1/x").await;
    assert!(matches!(error, PostgresOpenError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("127.0.0.1:1") && !format!("{error:?}").contains("hidden"), "{error:?}");

    let error = refusal(&cluster.url(&format!("{PASSWORD_USER}:wrong"), database)).await;
    assert!(matches!(&error, PostgresOpenError::Refused { user, .. } if user == PASSWORD_USER), "{error:?}");
    let error = refusal(&cluster.url("nobody_there", database)).await;
    assert!(matches!(error, PostgresOpenError::Refused { .. }), "{error:?}");
    let error = refusal(&cluster.url("postgres", "none")).await;
    assert!(matches!(&error, PostgresOpenError::NoDatabase { database, .. } if database == "none"), "{error:?}");

    cluster.sql(database, "REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    let as_user = cluster.url(&format!("{PASSWORD_USER}:{PASSWORD}"), database);
    let error = refusal(&as_user).await;
    assert!(matches!(&error, PostgresOpenError::Rights { user, .. } if user == PASSWORD_USER), "{error:?}");
    drop(open(&url, &options()).await);
    let error = refusal(&as_user).await;
    assert!(matches!(error, PostgresOpenError::Rights { .. }), "tables that are another's: {error:?}");

    cluster.sql(database, &format!("ALTER DATABASE {database} SET default_transaction_read_only = on"));
    assert!(matches!(refusal(&url).await, PostgresOpenError::ReadOnly { .. }));
    cluster.sql("postgres", &format!("ALTER DATABASE {database} RESET default_transaction_read_only"));
    cluster.sql(database, "INSERT INTO _sqlx_migrations VALUES (9999, 'later', now(), true, '', 0)");
    let error = refusal(&url).await;
    assert!(matches!(error, PostgresOpenError::Newer { version: 9999 }), "{error:?}");
    assert!(matches!(suits(120_022), Err(PostgresOpenError::TooOld { major: 12 })) && suits(130_000).is_ok());
}

#[tokio::test]
async fn doctor_sees_what_will_be_trouble() {
    let (cluster, url) = (Cluster::shared(), Cluster::shared().database());
    let database = url.rsplit('/').next().unwrap();
    let inspect = async |url: &str| PostgresStore::inspect(url, &options(), &["key"]).await.unwrap();
    let before = inspect(&url).await;
    assert_eq!((before.findings.len(), before.missing, before.values), (0, crate::sql::MIGRATIONS.iter().count(), vec![None]));
    let store = open(&url, &options()).await;
    store.set_meta("key", "value").await.unwrap();
    let after = inspect(&url).await;
    assert_eq!(after.missing, 0);
    assert_eq!((after.findings.len(), after.values[0].as_deref(), after.address.as_str()), (0, Some("value"), store.address()));
    assert!(after.version.split('.').next().unwrap().parse::<u32>().unwrap() >= 13, "{after:?}");
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
    cluster.sql(database, &format!("GRANT USAGE ON SCHEMA public TO {PASSWORD_USER}; GRANT SELECT ON _sqlx_migrations TO {PASSWORD_USER}"));
    let as_user = cluster.url(&format!("{PASSWORD_USER}:{PASSWORD}"), database);
    let inspected = PostgresStore::inspect(&as_user, &options(), &["key"]).await;
    assert!(matches!(inspected, Err(PostgresOpenError::Rights { .. })), "{inspected:?}");
    cluster.sql(database, &format!("GRANT SELECT ON meta TO {PASSWORD_USER}"));
    let Inspected { findings, address, .. } = inspect(&as_user).await;
    assert!(address.contains(PASSWORD_USER) && !address.contains(PASSWORD), "{address}");
    assert!(findings.len() == 1 && findings[0].contains("may not create tables"), "{findings:?}");
}

/// Lists have the order of their bytes, as on SQLite, whatever order the server's language has.
#[tokio::test]
async fn lists_are_in_the_order_of_bytes() {
    let (cluster, url) = (Cluster::shared(), Cluster::shared().database());
    drop(open(&url, &options()).await);
    let database = url.rsplit('/').next().unwrap();
    let other = "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'public' AND data_type = 'text' \
                 AND table_name <> '_sqlx_migrations' AND collation_name IS DISTINCT FROM 'C'";
    assert_eq!(cluster.sql(database, other), "0");
}

#[tokio::test]
async fn text_that_postgres_does_not_take_finds_nothing() {
    let (store, ()) = fresh().await;
    let acme = with_tenant(&*store, "acme").await;
    let after = PageRequest { limit: 5, after: Some(crate::Cursor("a\0b".to_owned())) };
    deploy(&*store, &acme, "a", "one").await;
    deploy(&*store, &acme, "b", "one").await;
    let names: Vec<_> = store.scripts(&acme, &after).await.unwrap().items.into_iter().map(|script| script.name).collect();
    assert_eq!(names, [name("b")]);
    assert!(!store.delete_token(&acme, "a\0b").await.unwrap());
    assert!(claim(&*store, Timestamp::MAX, 5).await.is_empty());
}
