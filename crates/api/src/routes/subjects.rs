//! Subjects and the values kept for them.

use std::collections::BTreeMap;

use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;
use snaphook_model::{Code, Invalid, Subject, SubjectId, SubjectValues};
use snaphook_store::{Change, StoredSubject};

use crate::answer::{self, Answer};
use crate::author::By;
use crate::extract::{At, Deploy, Query, Raw, Read, not_json};
use crate::page::{self, PageQuery};
use crate::problem::{Problem, ProblemDetails};
use crate::routes::calls::check_json;
use crate::shared::Shared;

/// A subject with the values kept for it.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct SubjectAnswer {
    #[schema(value_type = String)]
    id: SubjectId,
    #[schema(value_type = Object)]
    values: SubjectValues,
    #[schema(value_type = String, format = DateTime)]
    updated_at: jiff::Timestamp,
}

/// The values of a subject.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, whose values are kept as they are written")]
pub(crate) struct PutSubject {
    /// Name to any JSON value; absent: none.
    values: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Create a subject or replace its values
#[utoipa::path(put, path = "/v1/subjects/{subject}", tag = "subjects", security(("token" = ["deploy"])),
    params(("subject" = String, Path)), request_body = PutSubject,
    responses((status = 201, body = SubjectAnswer), (status = 200, body = SubjectAnswer), (status = 400, body = ProblemDetails<'static>)))]
pub(crate) async fn put(State(core): State<Shared>, Deploy(tenant): Deploy, By(author): By, At(id): At<String>, Raw(body): Raw) -> Answer {
    let id = id_of(&id)?;
    check_json(&body.bytes)?;
    let values = match body.bytes.trim_ascii() {
        b"" => SubjectValues::default(),
        text => {
            let object: &RawValue = serde_json::from_slice(text).map_err(|error| not_json(&error))?;
            values_of(fields(object, "", &["values"])?.remove("values"), "")?
        }
    };
    let now = author.at;
    let change = core.store.by(&author).put_subject(&tenant.name, &id, &values, now).await?;
    let status = if change == Change::Created { StatusCode::CREATED } else { StatusCode::OK };
    answer::json(status, &SubjectAnswer { id, values, updated_at: now })
}

/// Read a subject
#[utoipa::path(get, path = "/v1/subjects/{subject}", tag = "subjects", security(("token" = ["read"])), params(("subject" = String, Path)),
    responses((status = 200, body = SubjectAnswer), (status = 404, body = ProblemDetails<'static>)))]
pub(crate) async fn get(State(core): State<Shared>, Read(tenant): Read, At(id): At<String>) -> Answer {
    let stored = core.store.subject(&tenant.name, &id_of(&id)?).await?;
    answer::ok(&wire(stored.ok_or_else(|| unknown(&id))?))
}

/// List subjects by id
#[utoipa::path(get, path = "/v1/subjects", tag = "subjects", security(("token" = ["read"])), params(PageQuery),
    responses((status = 200, body = page::List<SubjectAnswer>)))]
pub(crate) async fn list(State(core): State<Shared>, Read(tenant): Read, Query(query): Query<PageQuery>) -> Answer {
    page::list(core.store.subjects(&tenant.name, &query.request()?).await?, wire)
}

/// Delete a subject with its values
#[utoipa::path(delete, path = "/v1/subjects/{subject}", tag = "subjects", security(("token" = ["deploy"])), params(("subject" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemDetails<'static>)))]
pub(crate) async fn delete(State(core): State<Shared>, Deploy(tenant): Deploy, By(author): By, At(id): At<String>) -> Answer {
    if core.store.by(&author).delete_subject(&tenant.name, &id_of(&id)?).await? { answer::nothing() } else { Err(unknown(&id)) }
}

/// The subject that the start of a run names: an id, or an object that brings values along; null names none.
pub(crate) fn given(value: &RawValue) -> Result<Option<Subject>, Problem> {
    let bad_id = |invalid: Invalid, path: &str| Problem::from(Invalid::new(path, invalid.detail));
    match value.get().as_bytes().first() {
        Some(b'n') => Ok(None),
        Some(b'"') => {
            let id = text_of(value, "subject")?;
            let id = SubjectId::new(&id).map_err(|invalid| bad_id(invalid, "subject"))?;
            Ok(Some(Subject { id, values: SubjectValues::default() }))
        }
        Some(b'{') => {
            let mut fields = fields(value, "subject.", &["id", "values"])?;
            let id = fields.remove("id").ok_or_else(|| Invalid::new("subject.id", "names the subject and must be there"))?;
            let id = SubjectId::new(&text_of(id, "subject.id")?).map_err(|invalid| bad_id(invalid, "subject.id"))?;
            Ok(Some(Subject { id, values: values_of(fields.remove("values"), "subject.")? }))
        }
        _ => Err(Invalid::new("subject", "must be an id, or an object such as {\"id\": \"p-1\", \"values\": {…}}").into()),
    }
}

fn text_of(value: &RawValue, path: &str) -> Result<String, Problem> {
    serde_json::from_str(value.get()).map_err(|_| Invalid::new(path, "must be a text").into())
}

/// The fields of an object, of known names only.
fn fields<'a>(object: &'a RawValue, prefix: &str, known: &[&str]) -> Result<BTreeMap<String, &'a RawValue>, Problem> {
    let at = prefix.trim_end_matches('.');
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(object.get()).map_err(|_| Invalid::new(at, "must be an object"))?;
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(Invalid::new(format!("{prefix}{name}"), format!("unknown field, expected {}", known.join(" or "))).into()),
        None => Ok(fields),
    }
}

fn values_of(object: Option<&RawValue>, prefix: &str) -> Result<SubjectValues, Problem> {
    let Some(object) = object else { return Ok(SubjectValues::default()) };
    SubjectValues::read(object).map_err(|Invalid { path, detail }| {
        let path = if path.is_empty() { format!("{prefix}values") } else { format!("{prefix}values.{path}") };
        Invalid::new(path, detail).into()
    })
}

fn id_of(text: &str) -> Result<SubjectId, Problem> {
    SubjectId::new(text).map_err(|invalid| Problem::new(Code::Name, invalid.detail))
}

fn wire(stored: StoredSubject) -> SubjectAnswer {
    let StoredSubject { id, values, updated_at } = stored;
    SubjectAnswer { id, values, updated_at }
}

fn unknown(id: &str) -> Problem {
    Problem::not_found(format!("subject `{id}`"))
}
