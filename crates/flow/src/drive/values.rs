//! What a run knows for its templates: its subject's values, what it generates, what its steps store, what upstreams answered.

use std::sync::Arc;

use bytes::Bytes;
use serde::de::IgnoredAny;
use snaphook_model::{Code, Fault, Subject, SubjectValues, Tenant};
use snaphook_store::StoreError;

use super::Scope;
use crate::clock::Clock;
use crate::prepared::PreparedFlow;
use crate::record;
use crate::runner::Inner;
use crate::template::RunValues;

/// What generated values are made of: letters and digits, which every place takes.
const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// What a run knows when it begins. Nothing is read or made for a flow whose templates do not look at it.
pub(super) async fn of_run(
    inner: &Inner,
    tenant: &Tenant,
    flow: &PreparedFlow,
    subject: Option<&Subject>,
) -> Result<Arc<RunValues>, Fault> {
    // A script's own requests go to connectors that are not known before, and whose headers may name them too.
    let needed = flow.needs.subject || (flow.scripted && tenant.grants.fetch);
    if !needed || (subject.is_none() && flow.generate.is_empty()) {
        return Ok(inner.no_values.clone());
    }
    let mut values = RunValues::default();
    if let Some(Subject { id, values: brought }) = subject {
        let kept = inner.parts.store.subject(&tenant.name, id).await.map_err(record::store_fault)?;
        values.subject = kept.map(|kept| kept.values.0).unwrap_or_default();
        values.subject.extend(brought.0.iter().map(|(name, value)| (name.clone(), value.clone())));
        values.subject.entry("id".to_owned()).or_insert_with(|| serde_json::Value::from(id.as_str()).to_string());
    }
    for (name, length) in &flow.generate {
        values.generated.insert(name.clone(), format!("\"{}\"", generated(&*inner.parts.clock, *length as usize)?));
    }
    Ok(Arc::new(values))
}

/// Keeps values for the rest of the run, and for its subject for good.
pub(super) async fn store(scope: &mut Scope<'_>, stored: Vec<(String, String)>) -> Result<(), Fault> {
    let stored = SubjectValues(stored.into_iter().collect());
    let parts = &scope.inner.parts;
    if let Some(subject) = &scope.start.subject {
        let (tenant, lease) = (&scope.tenant.name, scope.ledger.lease.as_ref());
        match parts.store.add_subject_values(tenant, lease, &subject.id, &stored, parts.clock.now()).await {
            Err(StoreError::LeaseLost) => return scope.abandon().await,
            added => added.map_err(record::store_fault)?,
        }
    }
    let values = Arc::make_mut(&mut scope.values);
    values.stored.extend(stored.0);
    let used = values.stored.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() as u64;
    let limit = SubjectValues::MOST_BYTES as u64;
    if used > limit {
        return Err(Fault::new(Code::TooLarge, format!("a run has stored {used} bytes; at most {limit}")).of_limit(limit, Some(used)));
    }
    Ok(())
}

/// Keeps a response for later templates: its JSON, or an empty object in place of what is none.
pub(super) fn keep_response(scope: &mut Scope<'_>, response: Bytes) {
    let text = std::str::from_utf8(&response).ok();
    let is_json = text.is_some_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
    let kept = if is_json { response } else { Bytes::from_static(b"{}") };
    Arc::make_mut(&mut scope.values).responses.push(kept);
}

/// Letters and digits by chance, each as likely as the others.
fn generated(clock: &dyn Clock, length: usize) -> Result<String, Fault> {
    let mut text = String::with_capacity(length);
    let mut bytes = [0; 64];
    while text.len() < length {
        clock.chance(&mut bytes)?;
        // 248 is four times 62: above it, some letters would come more often.
        let fair = bytes.iter().filter(|byte| **byte < 248).map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
        text.extend(fair.take(length - text.len()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::generated;
    use crate::clock::SystemClock;

    #[test]
    fn generated_values_have_their_length_and_differ() {
        let of = |length| generated(&SystemClock, length).unwrap();
        for length in [1, 16, 128] {
            let text = of(length);
            assert!(text.len() == length && text.bytes().all(|b| b.is_ascii_alphanumeric()), "{text}");
        }
        assert_ne!(of(32), of(32));
    }
}
