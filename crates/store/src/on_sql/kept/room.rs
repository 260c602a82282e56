//! Documents that are about to be written or deleted, and the room that they take or give back.

use std::sync::Arc;

use snaphook_model::{Author, TenantName, Who};

use super::{Taken, Tally};
use crate::database::{Query, Transaction, query};
use crate::on_sql::{OnSql, Parts};
use crate::sql::kept as sql;
use crate::{DocumentKind, KeptDocuments, StoreError};

/// A kind of document; each has a table of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::on_sql) enum Kind {
    Connector,
    /// Each version is a document.
    Flow,
    Connection,
    Secret,
    Subject,
    Token,
}

impl Kind {
    /// The statement that counts the documents of a name: one or none, but for the versions of a flow.
    const fn of_name(self) -> &'static str {
        match self {
            Self::Connector => sql::CONNECTOR,
            Self::Flow => sql::FLOW,
            Self::Connection => sql::CONNECTION,
            Self::Secret => sql::SECRET,
            Self::Subject => sql::SUBJECT,
            Self::Token => sql::TOKEN,
        }
    }
}

impl From<DocumentKind> for Kind {
    fn from(kind: DocumentKind) -> Self {
        match kind {
            DocumentKind::Connector => Self::Connector,
            DocumentKind::Flow => Self::Flow,
        }
    }
}

/// The room that a tenant has for a document which is about to be written.
pub(in crate::on_sql) struct Room<'a> {
    tally: Arc<Tally>,
    tenant: &'a TenantName,
    document: (Kind, &'a str),
    /// What the operator writes is counted and not refused: whose tenant is full may need a new token to make room.
    is_bounded: bool,
}

impl<'a> Room<'a> {
    /// Looks whether there is room for a document of so many bytes. A refusal that is known needs no transaction.
    ///
    /// # Errors
    /// [`StoreError::TooManyDocuments`] and [`StoreError::DocumentsSize`] when there is none; as [`super::Kept::counted`].
    pub(in crate::on_sql) async fn of(
        store: &impl OnSql,
        tenant: &'a TenantName,
        document: (Kind, &'a str),
        bytes: usize,
    ) -> Result<Self, StoreError> {
        let is_bounded = !matches!(store.author(), Some(Author { who: Who::Operator, .. }));
        let Parts { kept, database, .. } = store.parts();
        let tally = if is_bounded { kept.counted(database, tenant).await? } else { kept.tally(tenant) };
        let room = Self { tally, tenant, document, is_bounded };
        if room.refusal(KeptDocuments::one(bytes)).is_some() {
            let before = match room.replaced() {
                Some(replaced) => replaced.read_optional(store.database()).await?,
                None => None,
            };
            let before = before.map_or(Ok(KeptDocuments::NONE), |row| KeptDocuments::read(&row))?;
            if let Some(refusal) = room.refusal(KeptDocuments::one(bytes).beyond(before)) {
                return Err(refusal);
            }
        }
        Ok(room)
    }

    /// Takes the room, in the transaction that writes the document.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub(in crate::on_sql) async fn take(&self, transaction: &mut Transaction<'_>, bytes: usize) -> Result<Taken, StoreError> {
        let before = self.before(transaction).await?;
        self.take_instead(before, bytes)
    }

    /// What the document takes the place of.
    pub(in crate::on_sql) async fn before(&self, transaction: &mut Transaction<'_>) -> Result<KeptDocuments, StoreError> {
        match self.replaced() {
            Some(replaced) => KeptDocuments::read(&replaced.fetch_one(transaction).await?),
            None => Ok(KeptDocuments::NONE),
        }
    }

    /// Takes the room in the place of what was there.
    ///
    /// # Errors
    /// [`StoreError::TooManyDocuments`] and [`StoreError::DocumentsSize`] when there is none.
    pub(in crate::on_sql) fn take_instead(&self, before: KeptDocuments, bytes: usize) -> Result<Taken, StoreError> {
        self.tally.take(before, bytes, self.is_bounded)
    }

    fn refusal(&self, more: KeptDocuments) -> Option<StoreError> {
        self.tally.carried().refusal(more).filter(|_| self.is_bounded)
    }

    /// Asks what the document takes the place of; a version of a flow takes that of none.
    fn replaced(&self) -> Option<Query<'a>> {
        (self.document.0 != Kind::Flow).then(|| of_name(self.tenant, self.document))
    }
}

/// The room that a document gives back which is about to be deleted; of a flow, that of all its versions.
pub(in crate::on_sql) async fn given_back(
    store: &impl OnSql,
    transaction: &mut Transaction<'_>,
    tenant: &TenantName,
    document: (Kind, &str),
) -> Result<Taken, StoreError> {
    let mut given = Taken { tally: None, times: 0, more: KeptDocuments::NONE, less: KeptDocuments::NONE, is_written: false };
    // Where nobody has counted, nothing is carried on.
    if let Some(tally) = store.parts().kept.known(tenant) {
        given.times = tally.carried().times;
        given.less = KeptDocuments::read(&of_name(tenant, document).fetch_one(transaction).await?)?;
        given.tally = Some(tally);
    }
    Ok(given)
}

fn of_name<'a>(tenant: &'a TenantName, (kind, name): (Kind, &'a str)) -> Query<'a> {
    query(kind.of_name()).bind(tenant.as_str()).bind(name)
}
