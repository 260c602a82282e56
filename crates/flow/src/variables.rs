//! A run's values by key, and which of them changed since they were last recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use snaphook_model::{VariableScope, VariableWrite, Variables};

/// The values of a run. Shared with its invocations until one of them writes.
#[derive(Debug)]
pub(crate) struct RunVariables {
    values: Arc<Variables>,
    changed: Changed,
}

/// What a recording does not know yet.
#[derive(Debug)]
enum Changed {
    /// Nothing is recorded so far.
    All,
    These(BTreeSet<(VariableScope, String)>),
}

impl RunVariables {
    pub(crate) const fn new(values: Arc<Variables>) -> Self {
        Self { values, changed: Changed::All }
    }

    /// Puts others in their place: those of a run that is taken up again.
    pub(crate) fn replace(&mut self, values: Variables) {
        *self = Self::new(Arc::new(values));
    }

    /// As they are now.
    pub(crate) const fn values(&self) -> &Arc<Variables> {
        &self.values
    }

    /// Sets one value, as JSON text.
    pub(crate) fn set(&mut self, scope: VariableScope, key: &str, value: String) {
        self.apply(vec![VariableWrite { scope, key: key.to_owned(), value: Some(value) }]);
    }

    /// Puts other values in place of a scope's.
    pub(crate) fn replace_scope(&mut self, scope: VariableScope, new: BTreeMap<String, String>) {
        let write = |key: &String, value: Option<String>| VariableWrite { scope, key: key.clone(), value };
        let before = self.values.scope(scope).into_iter().flatten();
        let gone: Vec<_> = before.filter(|(key, _)| !new.contains_key(*key)).map(|(key, _)| write(key, None)).collect();
        let same = |key: &str, value: &str| self.values.scope(scope).and_then(|values| values.get(key)).is_some_and(|old| old == value);
        let other = new.iter().filter(|(key, value)| !same(key, value)).map(|(key, value)| write(key, Some(value.clone())));
        let writes = gone.into_iter().chain(other).collect();
        self.apply(writes);
    }

    /// Applies what an invocation wrote.
    pub(crate) fn apply(&mut self, writes: Vec<VariableWrite>) {
        if writes.is_empty() {
            return;
        }
        if let Changed::These(keys) = &mut self.changed {
            keys.extend(writes.iter().map(|write| (write.scope, write.key.clone())));
        }
        Arc::make_mut(&mut self.values).apply(writes);
    }

    /// What leads from the values as last taken to those of now; at first from no values at all.
    pub(crate) fn take_changes(&mut self) -> Vec<VariableWrite> {
        match std::mem::replace(&mut self.changed, Changed::These(BTreeSet::new())) {
            Changed::All => self.values.as_writes(),
            Changed::These(keys) => keys.into_iter().map(|(scope, key)| self.values.as_write(scope, key)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_lead_from_one_recording_to_the_next() {
        let mut base = Variables::default();
        base.config.insert("Region".to_owned(), "\"eu\"".to_owned());
        base.variables.insert("a".to_owned(), "1".to_owned());
        let mut variables = RunVariables::new(Arc::new(base));
        let mut replayed = Variables::default();
        let write = |key: &str, value: Option<&str>| VariableWrite {
            scope: VariableScope::Variables,
            key: key.to_owned(),
            value: value.map(str::to_owned),
        };
        for writes in [vec![], vec![write("a", None), write("b", Some("2"))], vec![write("b", Some("3")), write("b", Some("4"))]] {
            variables.apply(writes);
            variables.set(VariableScope::StepResults, "first", "{}".to_owned());
            replayed.apply(variables.take_changes());
            assert_eq!(&replayed, &**variables.values());
        }
        assert_eq!(variables.take_changes(), []);
    }
}
