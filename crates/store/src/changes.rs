//! What a node is told of the others' doings, so that what it remembers of definitions follows a change within a second.

use jiff::Timestamp;
use snaphook_model::TenantName;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender};
use tokio_util::sync::CancellationToken;

/// Something that happened in the database, by any node's doing, this one's too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The tenant itself, or one of its tokens, scripts, connectors, flows or secrets, was written or deleted. May come twice for one change.
    Changed(TenantName),
    /// More happened than could be kept for this receiver: anything of any tenant may have changed.
    Missed,
    /// A run was queued that is due at this time. Only a hint: where the database cannot tell its nodes, it never comes.
    Queued(Timestamp),
}

/// Receives [`Notice`]s from when it was made; see [`crate::Store::changes`].
#[derive(Debug)]
pub struct Changes(Option<(Receiver<Notice>, CancellationToken)>);

impl Changes {
    /// Of a node that is alone on its database: nobody else changes anything.
    pub(crate) const fn silent() -> Self {
        Self(None)
    }

    /// What is sent there until that is cancelled.
    pub(crate) fn of(sender: &Sender<Notice>, closed: CancellationToken) -> Self {
        Self(Some((sender.subscribe(), closed)))
    }

    /// Waits for the next notice; nothing once the store is closed. May be dropped and called again without losing one.
    pub async fn next(&mut self) -> Option<Notice> {
        let Some((receiver, closed)) = &mut self.0 else { return std::future::pending().await };
        match closed.run_until_cancelled(receiver.recv()).await? {
            Ok(notice) => Some(notice),
            Err(RecvError::Lagged(_)) => Some(Notice::Missed),
            Err(RecvError::Closed) => None,
        }
    }
}
