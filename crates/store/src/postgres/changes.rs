//! Follows what other nodes write. The table `changes` is the truth and is read every half second; what `LISTEN` hears only makes that sooner.
//! So a lost notice, a pooler that hands out another connection each time, or a server without `LISTEN` costs time and nothing else.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use snaphook_model::TenantName;
use sqlx::postgres::{PgListener, PgPool};
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

use super::{CONNECT_PATIENCE, bounded, lend};
use crate::sql::postgres as sql;
use crate::{Changes, Notice};

/// Between two looks at the table.
const LOOK: Duration = Duration::from_millis(500);

/// A change becomes visible this much later than its time, at most: the longest transaction of ours, and a clock that was set back a little.
const OVERLAP_US: i64 = 30_000_000;

/// Rows of one look; where more changed, the next look follows at once.
const ROWS: i64 = 1000;

/// Notices that a receiver may be behind; past that it is told that it missed some.
const BEHIND: usize = 1024;

/// Hints of queued runs are gathered for this long: a commit that notifies keeps every other from committing.
const GATHER: Duration = Duration::from_millis(50);

/// Pauses of the listener after a lost connection, and where the server does not know `LISTEN`.
const AGAIN: Duration = Duration::from_secs(1);
const NOT_KNOWN: Duration = Duration::from_secs(60);

/// No run waits to be told of.
const NOTHING: i64 = i64::MAX;

/// The tasks, and what they share with the store.
#[derive(Debug)]
pub(super) struct Watch {
    shared: Arc<Shared>,
    can_notify: bool,
}

#[derive(Debug)]
struct Shared {
    pool: PgPool,
    notices: broadcast::Sender<Notice>,
    away: Arc<AtomicBool>,
    /// Somebody says that the table has something new.
    look: Notify,
    /// When the next of the runs queued here is due, in microseconds, until the others are told.
    queued: AtomicI64,
    tell: Notify,
    stop: CancellationToken,
}

impl Watch {
    /// Begins to follow, from a time by the database's clock. Without `listens` it only looks.
    pub(super) fn begin(pool: PgPool, away: Arc<AtomicBool>, now_us: i64, can_notify: bool, listens: bool) -> Self {
        let shared = Arc::new(Shared {
            pool,
            notices: broadcast::Sender::new(BEHIND),
            away,
            look: Notify::new(),
            queued: AtomicI64::new(NOTHING),
            tell: Notify::new(),
            stop: CancellationToken::new(),
        });
        let until_stopped = |task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
            let stop = shared.stop.clone();
            tokio::spawn(async move { stop.run_until_cancelled(task).await });
        };
        until_stopped(Box::pin(follow(Arc::clone(&shared), Seen { newest_us: now_us, revisions: HashMap::new() })));
        if listens {
            until_stopped(Box::pin(listen(Arc::clone(&shared))));
        }
        if can_notify {
            until_stopped(Box::pin(tell(Arc::clone(&shared))));
        }
        Self { shared, can_notify }
    }

    pub(super) fn can_notify(&self) -> bool {
        self.can_notify
    }

    pub(super) fn changes(&self) -> Changes {
        Changes::of(&self.shared.notices, self.shared.stop.clone())
    }

    /// Tells other nodes of a queued run within [`GATHER`].
    pub(super) fn hint_queued(&self, due_us: i64) {
        if self.can_notify && self.shared.queued.fetch_min(due_us, Ordering::Relaxed) > due_us {
            self.shared.tell.notify_one();
        }
    }

    pub(super) fn stop(&self) {
        self.shared.stop.cancel();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Which changes were told already.
struct Seen {
    newest_us: i64,
    /// By tenant: the revision and its time, of those that the next look finds again.
    revisions: HashMap<String, (i64, i64)>,
}

/// Looks at the table again and again, which also tells whether the server is there.
async fn follow(shared: Arc<Shared>, mut seen: Seen) {
    loop {
        let looked = look(&shared, &mut seen).await;
        let was_away = shared.away.swap(looked.is_err(), Ordering::Relaxed);
        match looked {
            Err(error) if !was_away => tracing::warn!(error = &error as &dyn Error, "PostgreSQL does not answer"),
            Ok(()) if was_away => tracing::info!("PostgreSQL answers again"),
            _ => {}
        }
        let _ = tokio::time::timeout(LOOK, shared.look.notified()).await;
    }
}

async fn look(shared: &Shared, seen: &mut Seen) -> Result<(), sqlx::Error> {
    let mut lent = lend(&shared.pool, CONNECT_PATIENCE).await?;
    let (connection, broken) = lent.parts();
    let now_us: i64 = bounded(broken, sqlx::query_scalar(sql::NOW).fetch_one(&mut *connection)).await?;
    if now_us < seen.newest_us - OVERLAP_US {
        // Another server with another clock took over: what it stamps from now on would look old.
        seen.newest_us = now_us;
        let _ = shared.notices.send(Notice::Missed);
    }
    let first = seen.newest_us - OVERLAP_US;
    let mut from = first;
    loop {
        let rows = sqlx::query_as(sql::CHANGES_SINCE).bind(from).bind(ROWS).fetch_all(&mut *connection);
        let rows: Vec<(String, i64, i64)> = bounded(broken, rows).await?;
        let full = i64::try_from(rows.len()).is_ok_and(|rows| rows == ROWS);
        let last = rows.last().map_or(from, |(_, _, at)| *at);
        for (tenant, revision, at) in rows {
            seen.newest_us = seen.newest_us.max(at);
            let known = seen.revisions.insert(tenant.clone(), (revision, at)).map(|(revision, _)| revision);
            if known != Some(revision)
                && let Ok(tenant) = TenantName::new(&tenant)
            {
                // Nobody may be listening.
                let _ = shared.notices.send(Notice::Changed(tenant));
            }
        }
        if !full {
            break;
        }
        // As many changes of one microsecond as fill a page are no more than one page.
        from = if last == from { last + 1 } else { last };
    }
    seen.revisions.retain(|_, (_, at)| *at >= first);
    Ok(())
}

/// Listens for as long as there is somebody to listen to.
async fn listen(shared: Arc<Shared>) {
    loop {
        let error = match hear(&shared).await {
            Err(error) => error,
            Ok(never) => match never {},
        };
        let pause = if matches!(error, sqlx::Error::Database(_)) {
            tracing::info!(error = &error as &dyn Error, "PostgreSQL gives no notices; its table of changes is read twice a second");
            NOT_KNOWN
        } else {
            tracing::debug!(error = &error as &dyn Error, "the connection for notices was lost");
            AGAIN
        };
        tokio::time::sleep(pause).await;
    }
}

async fn hear(shared: &Shared) -> Result<std::convert::Infallible, sqlx::Error> {
    let mut listener = PgListener::connect_with(&shared.pool).await?;
    listener.listen_all([sql::CHANGES_CHANNEL, sql::DUE_CHANNEL]).await?;
    loop {
        let notice = listener.recv().await?;
        if notice.channel() == sql::CHANGES_CHANNEL {
            shared.look.notify_one();
        } else if let Some(due) = notice.payload().parse().ok().and_then(|due_us| Timestamp::from_microsecond(due_us).ok()) {
            let _ = shared.notices.send(Notice::Queued(due));
        }
    }
}

/// Tells other nodes of queued runs, of the earliest for all that were queued meanwhile.
async fn tell(shared: Arc<Shared>) {
    loop {
        shared.tell.notified().await;
        let due_us = shared.queued.swap(NOTHING, Ordering::Relaxed);
        if due_us != NOTHING
            && let Err(error) = tell_of(&shared.pool, due_us).await
        {
            // They look by themselves, a little later.
            tracing::debug!(error = &error as &dyn Error, "other nodes could not be told of a queued run");
        }
        tokio::time::sleep(GATHER).await;
    }
}

async fn tell_of(pool: &PgPool, due_us: i64) -> Result<(), sqlx::Error> {
    let mut lent = lend(pool, CONNECT_PATIENCE).await?;
    let (connection, broken) = lent.parts();
    bounded(broken, sqlx::query(sql::NOTIFY_DUE).bind(due_us.to_string()).execute(connection)).await?;
    Ok(())
}
