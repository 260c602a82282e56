//! What there is to say about a database before trouble comes of it.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::postgres::PgConnection;

use super::Inspected;
use crate::sql::{MIGRATIONS, postgres as sql, tenants};

/// As `server_version_num` has it: 13, the oldest that has `gen_random_uuid` and that its makers kept up until lately. Who else speaks the protocol
/// says whose equal it is; `docs/many-nodes.md` has which of those are older by their own account.
pub(super) const OLDEST: u32 = 130_000;

/// There is no such table, so no migration ran yet.
const UNDEFINED_TABLE: &str = "42P01";

/// Leases and changes go by the database's clock and due times by the nodes', so a second is where it begins to show.
const CLOCKS_APART: Duration = Duration::from_secs(1);

/// Looks at a database from outside; see [`super::PostgresStore::inspect`].
pub(super) async fn inspect(connection: &mut PgConnection, address: String, keys: &[&str]) -> Result<Inspected, sqlx::Error> {
    let version = sqlx::query_scalar(sql::SHOWN_VERSION).fetch_one(&mut *connection).await?;
    let findings = findings(connection).await?;
    let (missing, _) = migrations(connection).await?;
    let mut values = Vec::new();
    for key in keys {
        values.push(match sqlx::query_scalar(tenants::GET_META).bind(*key).fetch_optional(&mut *connection).await {
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(UNDEFINED_TABLE) => None,
            other => other?,
        });
    }
    Ok(Inspected { address, version, findings, missing, values })
}

/// What is wrong, or will be; empty when nothing is.
pub(super) async fn findings(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    let mut findings = Vec::new();
    let version = version(connection).await?;
    if version < OLDEST {
        findings.push(format!("PostgreSQL {} is too old; {} is the oldest that will do", version / 10_000, OLDEST / 10_000));
    }
    if read_only(connection).await? {
        findings.push("the database takes no writes: it is a standby, or was made read-only".to_owned());
    }
    let may_create: Option<String> = sqlx::query_scalar(sql::MAY_CREATE).fetch_one(&mut *connection).await?;
    if may_create.as_deref() != Some("true") {
        findings.push("the role may not create tables, so a later release cannot bring the database up to date".to_owned());
    }
    let apart = clocks_apart(connection).await?;
    if apart > CLOCKS_APART {
        findings.push(format!("the database's clock and this node's are {apart:.1?} apart; keep both by NTP"));
    }
    let (_, unknown) = migrations(connection).await?;
    if let Some(newest) = unknown {
        findings.push(format!("a later release wrote the database (its form {newest} is unknown here)"));
    }
    Ok(findings)
}

pub(super) async fn version(connection: &mut PgConnection) -> Result<u32, sqlx::Error> {
    let version: String = sqlx::query_scalar(sql::SERVER_VERSION).fetch_one(connection).await?;
    version.parse().map_err(|_| sqlx::Error::Protocol(format!("the version `{version}` is no number")))
}

pub(super) async fn read_only(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let read_only: String = sqlx::query_scalar(sql::READ_ONLY).fetch_one(connection).await?;
    Ok(read_only != "off")
}

/// Migrations of ours that have not run, and the newest that ran and is not of ours.
pub(super) async fn migrations(connection: &mut PgConnection) -> Result<(usize, Option<i64>), sqlx::Error> {
    let applied: Vec<i64> = match sqlx::query_scalar(sql::MIGRATIONS).fetch_all(connection).await {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(UNDEFINED_TABLE) => Vec::new(),
        other => other?,
    };
    let missing = MIGRATIONS.iter().filter(|ours| !applied.contains(&ours.version)).count();
    let unknown = applied.into_iter().filter(|version| !MIGRATIONS.version_exists(*version)).max();
    Ok((missing, unknown))
}

/// How far they are apart at least: the answer is from some moment between question and answer.
async fn clocks_apart(connection: &mut PgConnection) -> Result<Duration, sqlx::Error> {
    let asked = Timestamp::now().as_microsecond();
    let theirs: i64 = sqlx::query_scalar(sql::NOW).fetch_one(connection).await?;
    let answered = Timestamp::now().as_microsecond();
    let apart = (asked - theirs).max(theirs - answered).max(0);
    Ok(Duration::from_micros(apart.unsigned_abs()))
}
