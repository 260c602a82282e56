//! What PostgreSQL's and SQLite's errors mean to the store.

use sqlx::error::ErrorKind;

use crate::StoreError;

/// `SQLITE_BUSY` with its extended codes for recovery, snapshots and timeouts; of PostgreSQL, serialisation failure, deadlock, too many
/// connections, no lock in time, statement cancelled by its timeout.
const BUSY: [&str; 9] = ["5", "261", "517", "773", "40001", "40P01", "53300", "55P03", "57014"];

/// Classes of PostgreSQL's codes for values that it cannot take, such as text with a zero in it, or more of one than fits.
const VALUE: [&str; 2] = ["22", "54"];

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let code = match &error {
            sqlx::Error::PoolTimedOut => return Self::Busy,
            sqlx::Error::PoolClosed => return Self::Closed,
            sqlx::Error::Database(inner) => inner.code().unwrap_or_default().into_owned(),
            _ => return Self::Unavailable(Box::new(error)),
        };
        if is_busy(&code) {
            return Self::Busy;
        }
        if is_of_a_value(&code) {
            return Self::Form { what: "a value", source: Box::new(error) };
        }
        Self::Unavailable(Box::new(error))
    }
}

/// Whether a database that answers a write so takes none, or is not there. What is refused for what it holds, or since others are at it, says nothing
/// of the kind.
pub(super) fn is_refusal(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(inner) => {
            let code = inner.code().unwrap_or_default();
            matches!(inner.kind(), ErrorKind::Other) && !is_busy(&code) && !is_of_a_value(&code)
        }
        sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::RowNotFound
        | sqlx::Error::Encode(_)
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnDecode { .. } => false,
        _ => true,
    }
}

fn is_busy(code: &str) -> bool {
    BUSY.contains(&code)
}

fn is_of_a_value(code: &str) -> bool {
    // SQLite's codes are shorter.
    code.len() == 5 && VALUE.iter().any(|class| code.starts_with(class))
}
