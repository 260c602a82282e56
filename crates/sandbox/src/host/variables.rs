//! Values by key: the run's as they were at the start, under what this invocation wrote.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::IgnoredAny;
use snaphook_model::{VariableScope, VariableWrite, Variables};
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use crate::abi::{RefusalIn, ScopeOut};
use crate::data::{Data, Stop};
use crate::host::spend_on;

pub(crate) fn add(linker: &mut Linker<Data>) -> wasmtime::Result<()> {
    let mut variables = linker.instance("snaphook:hook/variables@0.1.0")?;
    variables.func_wrap_async("get", |mut store: StoreContextMut<'_, Data>, (scope, key): (ScopeOut, String)| {
        Box::new(async move {
            let (data, scope, asked) = (store.data_mut(), VariableScope::from(scope), key.len());
            let value = if is_state(scope) {
                let got = tokio::time::timeout_at(data.deadline.into(), data.state.get(scope, key)).await;
                got.map_err(|_| Stop::Deadline)??
            } else {
                data.variables.get(scope, &key).map(str::to_owned)
            };
            spend_on(&mut store, asked + value.as_ref().map_or(0, String::len))?;
            Ok((value,))
        })
    })?;
    variables.func_wrap("set", |mut store: StoreContextMut<'_, Data>, (scope, key, value): (ScopeOut, String, Option<String>)| {
        spend_on(&mut store, key.len() + value.as_ref().map_or(0, String::len))?;
        let (data, scope) = (store.data_mut(), VariableScope::from(scope));
        if is_state(scope) {
            return Ok((data.state.set(scope, key, value)?,));
        }
        Ok((data.variables.set(scope, key, value),))
    })?;
    variables.func_wrap_async("keys", |mut store: StoreContextMut<'_, Data>, (scope,): (ScopeOut,)| {
        Box::new(async move {
            let (data, scope) = (store.data_mut(), VariableScope::from(scope));
            let keys = if is_state(scope) {
                let keys = tokio::time::timeout_at(data.deadline.into(), data.state.keys(scope)).await;
                keys.map_err(|_| Stop::Deadline)??
            } else {
                data.variables.keys(scope)
            };
            // A string is made of each of them, however short.
            spend_on(&mut store, bytes_of(&keys))?;
            Ok((keys,))
        })
    })?;
    let mut connection = linker.instance("snaphook:hook/connection@0.1.0")?;
    connection.func_wrap("get", |mut store: StoreContextMut<'_, Data>, (field,): (String,)| {
        let value = store.data().variables.get(VariableScope::Connection, &field).map(str::to_owned);
        spend_on(&mut store, field.len() + value.as_ref().map_or(0, String::len))?;
        Ok((value,))
    })?;
    connection.func_wrap("fields", |mut store: StoreContextMut<'_, Data>, (): ()| {
        let fields = store.data().variables.keys(VariableScope::Connection);
        spend_on(&mut store, bytes_of(&fields))?;
        Ok((fields,))
    })
}

fn bytes_of(keys: &[String]) -> usize {
    keys.iter().map(|key| key.len() + size_of::<String>()).sum()
}

const fn is_state(scope: VariableScope) -> bool {
    matches!(scope, VariableScope::FlowState | VariableScope::TenantState)
}

/// The run's values with this invocation's writes on top. The values below are shared and never copied.
pub(crate) struct Overlay {
    base: Arc<Variables>,
    writes: BTreeMap<(VariableScope, String), Option<String>>,
    /// Bytes in the writable scopes, counted at the first write.
    variables_bytes: Option<usize>,
    meta_bytes: Option<usize>,
    /// What `meta` would have taken with a write that was refused for it.
    meta_refused: Option<usize>,
}

impl Overlay {
    pub(crate) const fn new(base: Arc<Variables>) -> Self {
        Self { base, writes: BTreeMap::new(), variables_bytes: None, meta_bytes: None, meta_refused: None }
    }

    /// Bytes that the latest refused write would have brought `meta` to.
    pub(crate) const fn meta_refused(&self) -> Option<usize> {
        self.meta_refused
    }

    /// What was written, one entry per key.
    pub(crate) fn into_writes(self) -> Vec<VariableWrite> {
        self.writes.into_iter().map(|((scope, key), value)| VariableWrite { scope, key, value }).collect()
    }

    fn get(&self, scope: VariableScope, key: &str) -> Option<&str> {
        // Invocations that wrote nothing, which is most of them, need no key of their own to look with.
        if !self.writes.is_empty()
            && let Some(written) = self.writes.get(&(scope, key.to_owned()))
        {
            return written.as_deref();
        }
        self.base(scope).get(key).map(String::as_str)
    }

    fn keys(&self, scope: VariableScope) -> Vec<String> {
        let written = |key: &str| self.writes.get(&(scope, key.to_owned()));
        let base = self.base(scope).keys().filter(|key| self.writes.is_empty() || written(key).is_none());
        let own = self.writes.iter().filter(|((place, _), value)| *place == scope && value.is_some()).map(|((_, key), _)| key);
        let mut keys: Vec<String> = base.chain(own).cloned().collect();
        keys.sort_unstable();
        keys
    }

    fn set(&mut self, scope: VariableScope, key: String, value: Option<String>) -> Result<(), RefusalIn> {
        let limit = match scope {
            VariableScope::Variables => VariableScope::VARIABLES_BYTES,
            VariableScope::Meta => VariableScope::META_BYTES,
            _ => return Err(RefusalIn::ReadOnly),
        };
        // What cannot fit is refused before it is read: text of JSON takes at most six bytes for one that counts.
        let escaped = if scope == VariableScope::Meta { 6 } else { 1 };
        if value.as_ref().is_some_and(|value| value.len() > limit * escaped + 2) || key.len() > limit {
            return Err(self.too_large(scope, key.len() + value.map_or(0, |value| value.len() / escaped)));
        }
        let new = match &value {
            Some(value) => key.len() + value_bytes(scope, value).ok_or(RefusalIn::Invalid)?,
            None => 0,
        };
        let old = self.get(scope, &key).map_or(0, |value| key.len() + value_bytes(scope, value).unwrap_or(value.len()));
        let total = self.bytes(scope) - old + new;
        // Making less is always possible, so that a scope that is too large from elsewhere can be emptied.
        if total > limit && new > old {
            return Err(self.too_large(scope, total));
        }
        match scope {
            VariableScope::Variables => self.variables_bytes = Some(total),
            _ => self.meta_bytes = Some(total),
        }
        if value.is_none() && !self.base(scope).contains_key(&key) {
            // Nothing below it is hidden, so nothing is to be kept of it.
            self.writes.remove(&(scope, key));
        } else {
            self.writes.insert((scope, key), value);
        }
        Ok(())
    }

    fn too_large(&mut self, scope: VariableScope, bytes: usize) -> RefusalIn {
        if scope == VariableScope::Meta {
            self.meta_refused = Some(bytes);
        }
        RefusalIn::TooLarge
    }

    /// Keys and values of a writable scope together.
    fn bytes(&self, scope: VariableScope) -> usize {
        let counted = if scope == VariableScope::Meta { self.meta_bytes } else { self.variables_bytes };
        let count = |(key, value): (&String, &String)| key.len() + value_bytes(scope, value).unwrap_or(value.len());
        counted.unwrap_or_else(|| self.base(scope).iter().map(count).sum())
    }

    /// The values below.
    fn base(&self, scope: VariableScope) -> &BTreeMap<String, String> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        self.base.scope(scope).unwrap_or(&NONE)
    }
}

/// The size of a value as its scope counts it: the text itself in `meta`, JSON text elsewhere. `None` when it is not valid there.
fn value_bytes(scope: VariableScope, value: &str) -> Option<usize> {
    if scope == VariableScope::Meta {
        return serde_json::from_str::<JsonText<'_>>(value).ok().map(|text| text.0.len());
    }
    serde_json::from_str::<IgnoredAny>(value).ok().map(|_| value.len())
}

/// A JSON string, not copied where it holds no escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct JsonText<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use snaphook_model::{VariableScope, Variables};

    use super::Overlay;
    use crate::abi::RefusalIn;

    const VARIABLES: VariableScope = VariableScope::Variables;
    const META: VariableScope = VariableScope::Meta;

    fn overlay() -> Overlay {
        let mut base = Variables::default();
        base.variables.insert("a".to_owned(), "1".to_owned());
        base.config.insert("c".to_owned(), "true".to_owned());
        Overlay::new(Arc::new(base))
    }

    #[test]
    fn a_write_is_seen_by_later_reads_and_recorded_once() {
        let mut overlay = overlay();
        for value in ["2", "3"] {
            assert!(overlay.set(VARIABLES, "b".to_owned(), Some(value.to_owned())).is_ok());
        }
        assert!(overlay.set(VARIABLES, "a".to_owned(), None).is_ok());
        assert_eq!(overlay.get(VARIABLES, "b"), Some("3"));
        assert_eq!(overlay.get(VARIABLES, "a"), None);
        assert_eq!(overlay.keys(VARIABLES), ["b"]);
        let writes: Vec<_> = overlay.into_writes().into_iter().map(|write| (write.key, write.value)).collect();
        assert_eq!(writes, [("a".to_owned(), None), ("b".to_owned(), Some("3".to_owned()))]);
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let mut overlay = overlay();
        let mut set = |scope, value: &str| overlay.set(scope, "k".to_owned(), Some(value.to_owned()));
        assert!(matches!(set(VariableScope::Config, "1"), Err(RefusalIn::ReadOnly)));
        assert!(matches!(set(VARIABLES, "{oops"), Err(RefusalIn::Invalid)));
        assert!(matches!(set(META, "1"), Err(RefusalIn::Invalid)));
        assert!(set(META, "\"text\"").is_ok());
    }

    #[test]
    fn meta_counts_text_and_ends_at_its_limit() {
        let mut overlay = overlay();
        let text = |length: usize| Some(format!("\"{}\"", "x".repeat(length)));
        assert!(overlay.set(META, "k".to_owned(), text(VariableScope::META_BYTES - 1)).is_ok());
        assert!(matches!(overlay.set(META, "l".to_owned(), text(0)), Err(RefusalIn::TooLarge)));
        assert!(overlay.set(META, "k".to_owned(), text(5)).is_ok());
        assert!(overlay.set(META, "l".to_owned(), text(0)).is_ok());
    }
}
