//! Rows whose bytes lie beside the database.

use std::collections::HashSet;
use std::ops::ControlFlow;

use bytes::Bytes;
use snaphook_model::TenantName;

use super::Parts;
use super::rows::text;
use crate::StoreError;
use crate::database::{Database, Query, Row, made_query};
use crate::objects::{ObjectKey, ObjectKind, Objects, no_place};
use crate::sql::objects as sql;

/// A row may be given another object so often while its bytes are asked for.
const TRIES: usize = 5;

/// Where a row's bytes are.
#[derive(Debug, Clone)]
pub(super) enum Held {
    /// In the row.
    Here(Bytes),
    /// In the object with this key.
    Object(String),
}

impl Held {
    /// Bytes and object's key of a row; the key counts where there is one.
    pub(super) fn of(row: &Row, bytes: usize, object: usize) -> Result<Self, StoreError> {
        Ok(match row.get::<Option<String>>(object)? {
            Some(key) => Self::Object(key),
            None => Self::Here(row.get::<Option<Vec<u8>>>(bytes)?.unwrap_or_default().into()),
        })
    }

    /// What the column of bytes holds.
    pub(super) fn column(&self) -> &[u8] {
        match self {
            Self::Here(bytes) => bytes,
            Self::Object(_) => &[],
        }
    }

    /// What the column of keys holds.
    pub(super) fn key(&self) -> Option<&str> {
        match self {
            Self::Here(_) => None,
            Self::Object(key) => Some(key),
        }
    }
}

impl Parts {
    /// Puts bytes where a row of the tenant's will name them; a component always beside the database where there is a place, others when they are
    /// large.
    pub(super) async fn hold(&self, tenant: &TenantName, kind: ObjectKind, bytes: Bytes) -> Result<Held, StoreError> {
        match self.objects() {
            Some(objects) if kind == ObjectKind::Component || objects.is_large(bytes.len()) => {
                let key = ObjectKey::new(tenant, kind, &bytes);
                objects.put(&key, bytes).await?;
                Ok(Held::Object(key.as_str().to_owned()))
            }
            _ => Ok(Held::Here(bytes)),
        }
    }

    /// Puts large bytes beside the database, if that can be done at once: it is not worth waiting for, since their row will do.
    pub(super) async fn hold_or_leave(&self, tenant: &TenantName, kind: ObjectKind, bytes: &Bytes) -> Held {
        let Some(objects) = self.objects().filter(|objects| objects.is_large(bytes.len())) else { return Held::Here(bytes.clone()) };
        let key = ObjectKey::new(tenant, kind, bytes);
        match objects.put_or_leave(&key, bytes.clone()).await {
            true => Held::Object(key.as_str().to_owned()),
            false => Held::Here(bytes.clone()),
        }
    }

    /// The bytes of a row that is held while they are read.
    pub(super) async fn bytes_of(&self, held: Held) -> Result<Bytes, StoreError> {
        let key = match held {
            Held::Here(bytes) => return Ok(bytes),
            Held::Object(key) => key,
        };
        let objects = self.objects().ok_or_else(no_place)?;
        objects.get_claimed(&ObjectKey::parse(&key)?).await?.ok_or(StoreError::ObjectMissing(key))
    }

    /// Reads a row with a query that may be asked again, and the object that the row names. Where that went meanwhile, the row has gone too, or names
    /// another one.
    pub(super) async fn read_held<T: Send>(
        &self,
        query: impl Fn() -> Query<'static> + Send + Sync,
        read: fn(&Row) -> Result<(T, Held), StoreError>,
    ) -> Result<Option<(T, Bytes)>, StoreError> {
        let mut missing = String::new();
        for _ in 0..TRIES {
            let Some(row) = query().read_optional(&self.database).await? else { return Ok(None) };
            let (rest, held) = read(&row)?;
            drop(row);
            let key = match held {
                Held::Here(bytes) => return Ok(Some((rest, bytes))),
                Held::Object(key) if key == missing => break,
                Held::Object(key) => key,
            };
            let objects = self.objects().ok_or_else(no_place)?;
            if let Some(bytes) = objects.get(&ObjectKey::parse(&key)?).await? {
                return Ok(Some((rest, bytes)));
            }
            missing = key;
        }
        Err(StoreError::ObjectMissing(missing))
    }

    /// Deletes objects whose rows are gone.
    pub(super) async fn remove_objects(&self, keys: Vec<String>) {
        match self.objects() {
            _ if keys.is_empty() => {}
            Some(objects) => objects.remove(&keys).await,
            None => left_to_others(keys.len()),
        }
    }

    /// Deletes those of some objects that no row names any more, of a row that is gone or names others now.
    pub(super) async fn let_go(&self, keys: &[String]) {
        match self.objects() {
            _ if keys.is_empty() => {}
            Some(objects) => remove_unused(&self.database, objects, keys).await,
            None => left_to_others(keys.len()),
        }
    }

    /// Deletes objects of a row that was not written. Where nobody knows whether it was, they are left to the sweep.
    pub(super) async fn abandon(&self, keys: Vec<String>, why: &StoreError) {
        if !matches!(why, StoreError::Unavailable(_) | StoreError::Busy | StoreError::Closed) {
            self.remove_objects(keys).await;
        }
    }
}

fn left_to_others(objects: usize) {
    tracing::warn!(objects, "objects are left to another node, since this one has no place for them");
}

/// The keys in the first columns of rows.
pub(super) fn keys_of(rows: &[Row], columns: usize) -> Result<Vec<String>, StoreError> {
    let mut keys = Vec::new();
    for row in rows {
        for column in 0..columns {
            keys.extend(row.get::<Option<String>>(column)?);
        }
    }
    Ok(keys)
}

/// Those of some keys that no row names.
pub(crate) async fn unused_objects(database: &Database, keys: &[String]) -> Result<Vec<String>, StoreError> {
    let mut unused = Vec::new();
    for some in keys.chunks(sql::AT_ONCE) {
        let mut used = HashSet::new();
        let filled = some.iter().map(String::as_str).chain(std::iter::repeat("")).take(sql::AT_ONCE);
        let query = filled.fold(made_query(sql::used().into()), |query, key| query.bind(key));
        let take = |row: &Row| {
            used.insert(text(row, 0)?.to_owned());
            Ok(ControlFlow::Continue(()))
        };
        query.read_each(database, take).await?;
        unused.extend(some.iter().filter(|key| !used.contains(*key)).cloned());
    }
    Ok(unused)
}

/// Removes what was put for rows that were then left out, such as those of a tenant who was deleted meanwhile.
pub(super) async fn remove_unused(database: &Database, objects: &Objects, keys: &[String]) {
    match unused_objects(database, keys).await {
        Ok(unused) => objects.remove(&unused).await,
        Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "objects that may be unused are left to the sweep"),
    }
}
