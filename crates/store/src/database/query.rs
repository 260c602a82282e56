//! A statement with its values, and the rows that it gives, for either database.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query as SqlxQuery;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments as _, AssertSqlSafe, Decode, Postgres, Row as _, SqlSafeStr as _, SqlStr, Sqlite, Type};

use super::{Database, Transaction};
use crate::StoreError;
use crate::postgres::bounded;

/// A statement and the values of its numbered parameters.
pub(crate) struct Query<'q> {
    sql: SqlStr,
    values: Vec<Value<'q>>,
    /// Whether connections keep it prepared.
    kept: bool,
}

/// A value of one of the column types that both databases have. Absent ones keep their type, which PostgreSQL wants to know.
pub(crate) enum Value<'q> {
    Text(Option<Cow<'q, str>>),
    /// Text that another try needs as well.
    SharedText(Arc<str>),
    Number(Option<i64>),
    Bytes(Option<Cow<'q, [u8]>>),
    SharedBytes(Option<Arc<[u8]>>),
}

/// A statement written down in [`crate::sql`].
pub(crate) fn query<'q>(sql: &'static str) -> Query<'q> {
    Query { sql: sql.into_sql_str(), values: Vec::new(), kept: true }
}

/// A statement that [`crate::sql`] puts together; it holds no value.
pub(crate) fn made_query<'q>(sql: Arc<str>) -> Query<'q> {
    Query { sql: AssertSqlSafe(sql).into_sql_str(), values: Vec::new(), kept: true }
}

/// The same for one of hundreds of forms, each of them long: it is not kept prepared, where it would take the place of those that every run needs.
pub(crate) fn rare_query<'q>(sql: Arc<str>) -> Query<'q> {
    Query { kept: false, ..made_query(sql) }
}

impl<'q> Query<'q> {
    pub(crate) fn bind(mut self, value: impl Into<Value<'q>>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Runs it and says how many rows it wrote.
    pub(crate) async fn execute(self, transaction: &mut Transaction<'_>) -> Result<u64, sqlx::Error> {
        match transaction {
            Transaction::Sqlite { on, failed, health, .. } => {
                let done = failed.note(self.sqlite()?.execute(&mut **on).await);
                Ok(health.note(done)?.rows_affected())
            }
            Transaction::Postgres { on, broken, health } => {
                let query = self.postgres()?;
                let done = bounded(broken, query.execute(&mut **on)).await;
                Ok(health.note(done)?.rows_affected())
            }
        }
    }

    pub(crate) async fn fetch_optional(self, transaction: &mut Transaction<'_>) -> Result<Option<Row>, sqlx::Error> {
        match transaction {
            Transaction::Sqlite { on, failed, health, .. } => {
                let row = failed.note(self.sqlite()?.fetch_optional(&mut **on).await);
                Ok(health.note(row)?.map(Row::Sqlite))
            }
            Transaction::Postgres { on, broken, health } => {
                let query = self.postgres()?;
                let row = bounded(broken, query.fetch_optional(&mut **on)).await;
                Ok(health.note(row)?.map(Row::Postgres))
            }
        }
    }

    pub(crate) async fn fetch_one(self, transaction: &mut Transaction<'_>) -> Result<Row, sqlx::Error> {
        self.fetch_optional(transaction).await?.ok_or(sqlx::Error::RowNotFound)
    }

    pub(crate) async fn fetch_all(self, transaction: &mut Transaction<'_>) -> Result<Vec<Row>, sqlx::Error> {
        match transaction {
            Transaction::Sqlite { on, failed, health, .. } => {
                let rows = failed.note(self.sqlite()?.fetch_all(&mut **on).await);
                Ok(health.note(rows)?.into_iter().map(Row::Sqlite).collect())
            }
            Transaction::Postgres { on, broken, health } => {
                let query = self.postgres()?;
                let rows = bounded(broken, query.fetch_all(&mut **on)).await;
                Ok(health.note(rows)?.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    /// Reads one row outside of a transaction.
    pub(crate) async fn read_optional(self, database: &Database) -> Result<Option<Row>, sqlx::Error> {
        match database {
            Database::Sqlite(files) => Ok(self.sqlite()?.fetch_optional(&files.readers).await?.map(Row::Sqlite)),
            Database::Postgres(server) => {
                let query = self.postgres()?;
                let mut lent = server.acquire().await?;
                let (connection, broken) = lent.parts();
                Ok(bounded(broken, query.fetch_optional(connection)).await?.map(Row::Postgres))
            }
        }
    }

    /// Reads rows outside of a transaction, one at a time, until there are no more or `take` has enough.
    pub(crate) async fn read_each(
        self,
        database: &Database,
        mut take: impl FnMut(&Row) -> Result<ControlFlow<()>, StoreError> + Send,
    ) -> Result<(), StoreError> {
        match database {
            Database::Sqlite(files) => {
                let mut rows = self.sqlite()?.fetch(&files.readers);
                while let Some(row) = rows.try_next().await? {
                    if take(&Row::Sqlite(row))?.is_break() {
                        break;
                    }
                }
            }
            Database::Postgres(server) => {
                let query = self.postgres()?;
                let mut lent = server.acquire().await?;
                let (connection, broken) = lent.parts();
                let mut rows = query.fetch(connection);
                while let Some(row) = bounded(broken, rows.try_next()).await? {
                    if take(&Row::Postgres(row))?.is_break() {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    fn sqlite(self) -> Result<SqlxQuery<'static, Sqlite, SqliteArguments>, sqlx::Error> {
        let mut arguments = SqliteArguments::default();
        arguments.reserve(self.values.len(), 0);
        for value in self.values {
            let added = match value {
                Value::Text(text) => arguments.add(text.map(Cow::into_owned)),
                Value::SharedText(text) => arguments.add(text),
                Value::Number(number) => arguments.add(number),
                Value::Bytes(bytes) => arguments.add(bytes.map(Cow::into_owned)),
                Value::SharedBytes(bytes) => arguments.add(bytes),
            };
            added.map_err(sqlx::Error::Encode)?;
        }
        Ok(sqlx::query_with(self.sql, arguments).persistent(self.kept))
    }

    pub(crate) fn postgres(self) -> Result<SqlxQuery<'static, Postgres, PgArguments>, sqlx::Error> {
        let mut arguments = PgArguments::default();
        arguments.reserve(self.values.len(), 0);
        for value in self.values {
            let added = match value {
                Value::Text(text) => arguments.add(text.as_deref()),
                Value::SharedText(text) => arguments.add(&*text),
                Value::Number(number) => arguments.add(number),
                Value::Bytes(bytes) => arguments.add(bytes.as_deref()),
                Value::SharedBytes(bytes) => arguments.add(bytes.as_deref()),
            };
            added.map_err(sqlx::Error::Encode)?;
        }
        Ok(sqlx::query_with(self.sql, arguments).persistent(self.kept))
    }
}

/// A row of either database.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    pub(crate) fn get<'r, T>(&'r self, column: usize) -> Result<T, sqlx::Error>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>,
    {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }
}

macro_rules! values {
    ($($from:ty => $value:ident => $to:expr;)+) => {
        $(impl<'q> From<$from> for Value<'q> {
            fn from($value: $from) -> Self {
                $to
            }
        })+
    };
}

values! {
    &'q str => text => Value::Text(Some(Cow::Borrowed(text)));
    Option<&'q str> => text => Value::Text(text.map(Cow::Borrowed));
    String => text => Value::Text(Some(Cow::Owned(text)));
    Option<String> => text => Value::Text(text.map(Cow::Owned));
    Arc<str> => text => Value::SharedText(text);
    i64 => number => Value::Number(Some(number));
    u32 => number => Value::Number(Some(number.into()));
    Option<i64> => number => Value::Number(number);
    &'q [u8] => bytes => Value::Bytes(Some(Cow::Borrowed(bytes)));
    Option<&'q [u8]> => bytes => Value::Bytes(bytes.map(Cow::Borrowed));
    Option<Vec<u8>> => bytes => Value::Bytes(bytes.map(Cow::Owned));
    Option<Arc<[u8]>> => bytes => Value::SharedBytes(bytes);
}
