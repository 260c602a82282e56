//! State as an invocation sees it: what was kept when it first asked, under what its run and it itself wrote since.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;

use serde::de::IgnoredAny;
use snaphook_model::{Fault, STATE_KEY_BYTES, StateChanges, StateSeen, VariableScope, VariableWrite, Variables, state_entry_bytes};

use crate::abi::RefusalIn;
use crate::check;
use crate::data::Stop;

/// State on its way: JSON texts by key.
pub type StateFuture<'a> = Pin<Box<dyn Future<Output = Result<BTreeMap<String, String>, Fault>> + Send + 'a>>;

/// Where invocations find the state that is kept.
pub trait GuestState: Send + Sync {
    /// All that is kept now of a flow's state or of its tenant's. Asked at most once for each in an invocation, when the guest first asks for
    /// any of it, so that everything that an invocation reads was kept at the same moment.
    fn read(&self, scope: VariableScope) -> StateFuture<'_>;
}

/// Deletions of this many bytes are taken whatever the limit is, so that a state that became too large can be made smaller.
const DELETIONS_BYTES: u64 = 1 << 20;

/// What an invocation's state is read from.
pub(crate) enum Kept {
    /// There is none: everything is empty.
    Nothing,
    /// Where it is kept.
    Live(Arc<dyn GuestState>),
    /// An earlier run of the same invocation.
    Recorded(StateSeen),
}

/// State in one invocation.
pub(crate) struct State {
    source: Source,
    /// What the run wrote before.
    before: Arc<Variables>,
    /// Whether there is a flow whose state it could be.
    has_flow: bool,
    limit: u64,
    /// What the run has written in all, once this invocation wrote something.
    written: Option<u64>,
    flow: Scoped,
    tenant: Scoped,
}

enum Source {
    Nothing,
    Live(Arc<dyn GuestState>),
    Recorded,
}

/// One of the two.
#[derive(Default)]
struct Scoped {
    /// All that is kept, once it was asked for.
    kept: Option<BTreeMap<String, String>>,
    writes: StateChanges,
    /// What the guest learned of what is kept; in a replay, what it may learn.
    seen: BTreeMap<String, Option<String>>,
    seen_keys: Option<Vec<String>>,
}

impl State {
    pub(crate) fn new(kept: Kept, before: Arc<Variables>, has_flow: bool, limit: u64) -> Self {
        let (mut flow, mut tenant) = (Scoped::default(), Scoped::default());
        let source = match kept {
            Kept::Nothing => Source::Nothing,
            Kept::Live(state) => Source::Live(state),
            Kept::Recorded(recorded) => {
                for (scope, key, value) in recorded.values {
                    if scope == VariableScope::FlowState { &mut flow } else { &mut tenant }.seen.insert(key, value);
                }
                for (scope, keys) in recorded.keys {
                    if scope == VariableScope::FlowState { &mut flow } else { &mut tenant }.seen_keys = Some(keys);
                }
                Source::Recorded
            }
        };
        Self { source, before, has_flow, limit, written: None, flow, tenant }
    }

    /// What was written, one entry per key, and what was learned.
    pub(crate) fn into_parts(self) -> (Vec<VariableWrite>, StateSeen) {
        let (mut writes, mut seen) = (Vec::new(), StateSeen::default());
        for (scope, of) in [(VariableScope::FlowState, self.flow), (VariableScope::TenantState, self.tenant)] {
            writes.extend(of.writes.0.into_iter().map(|(key, value)| VariableWrite { scope, key, value }));
            seen.values.extend(of.seen.into_iter().map(|(key, value)| (scope, key, value)));
            seen.keys.extend(of.seen_keys.map(|keys| (scope, keys)));
        }
        (writes, seen)
    }

    pub(crate) async fn get(&mut self, scope: VariableScope, key: String) -> Result<Option<String>, Stop> {
        if self.is_absent(scope) {
            return Ok(None);
        }
        if let Some(written) = self.written_value(scope, &key) {
            return Ok(written.clone());
        }
        self.load(scope).await?;
        let recorded = matches!(self.source, Source::Recorded);
        let of = self.of(scope);
        if recorded {
            return match (of.seen.get(&key), &of.seen_keys) {
                (Some(value), _) => Ok(value.clone()),
                (None, Some(keys)) if !keys.contains(&key) => Ok(None),
                (None, _) => Err(diverged(scope, &format!("the key `{}`", check::excerpt(&key)))),
            };
        }
        let value = of.kept.as_ref().and_then(|kept| kept.get(&key)).cloned();
        of.seen.insert(key, value.clone());
        Ok(value)
    }

    pub(crate) async fn keys(&mut self, scope: VariableScope) -> Result<Vec<String>, Stop> {
        if self.is_absent(scope) {
            return Ok(Vec::new());
        }
        self.load(scope).await?;
        let recorded = matches!(self.source, Source::Recorded);
        let of = self.of(scope);
        if !recorded {
            of.seen_keys = of.kept.as_ref().map(|kept| kept.keys().cloned().collect());
        }
        let kept = of.seen_keys.clone().ok_or_else(|| diverged(scope, "all keys"))?;
        let mut keys: BTreeSet<String> = kept.into_iter().collect();
        let written = self.before.state(scope).into_iter().chain([&self.own(scope).writes]);
        for (key, value) in written.flat_map(|changes| &changes.0) {
            if value.is_some() {
                keys.insert(key.clone())
            } else {
                keys.remove(key)
            };
        }
        Ok(keys.into_iter().collect())
    }

    pub(crate) fn set(&mut self, scope: VariableScope, key: String, value: Option<String>) -> Result<Result<(), RefusalIn>, Stop> {
        if self.is_absent(scope) {
            return Ok(Err(RefusalIn::ReadOnly));
        }
        if key.len() > STATE_KEY_BYTES || key.contains('\0') {
            return Ok(Err(RefusalIn::Invalid));
        }
        let new = state_entry_bytes(&key, value.as_deref().unwrap_or_default());
        let old = self.written_value(scope, &key).map_or(0, |old| state_entry_bytes(&key, old.as_deref().unwrap_or_default()));
        let used = self.written.unwrap_or_else(|| self.before.flow_state.bytes() + self.before.tenant_state.bytes()) - old + new;
        let limit = if value.is_some() { self.limit } else { self.limit.max(DELETIONS_BYTES) };
        // What cannot fit ends the invocation before it is read.
        if used > limit && new > old {
            return Err(Stop::StateSize { used });
        }
        if value.as_deref().is_some_and(|value| serde_json::from_str::<IgnoredAny>(value).is_err()) {
            return Ok(Err(RefusalIn::Invalid));
        }
        self.written = Some(used);
        self.of(scope).writes.0.insert(key, value);
        Ok(Ok(()))
    }

    /// What the run, this invocation included, has made of a key, where it made anything of it.
    fn written_value(&self, scope: VariableScope, key: &str) -> Option<&Option<String>> {
        self.own(scope).writes.0.get(key).or_else(|| self.before.state(scope)?.0.get(key))
    }

    /// A flow's state where there is no flow.
    fn is_absent(&self, scope: VariableScope) -> bool {
        scope == VariableScope::FlowState && !self.has_flow
    }

    const fn own(&self, scope: VariableScope) -> &Scoped {
        match scope {
            VariableScope::FlowState => &self.flow,
            _ => &self.tenant,
        }
    }

    const fn of(&mut self, scope: VariableScope) -> &mut Scoped {
        match scope {
            VariableScope::FlowState => &mut self.flow,
            _ => &mut self.tenant,
        }
    }

    /// Reads what is kept, unless that was done.
    async fn load(&mut self, scope: VariableScope) -> Result<(), Stop> {
        if self.of(scope).kept.is_some() {
            return Ok(());
        }
        let kept = match &self.source {
            Source::Recorded => return Ok(()),
            Source::Nothing => BTreeMap::new(),
            Source::Live(state) => state.read(scope).await.map_err(Stop::Ours)?,
        };
        self.of(scope).kept = Some(kept);
        Ok(())
    }
}

/// A replay knows what the invocation learned then, and nothing else.
fn diverged(scope: VariableScope, what: &str) -> Stop {
    let of = if scope == VariableScope::FlowState { "flow" } else { "tenant" };
    Stop::Diverged(format!(
        "{what} of the {of}'s state was not read: a replay has what the recorded invocation read, and that is not among it"
    ))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const FLOW: VariableScope = VariableScope::FlowState;
    const TENANT: VariableScope = VariableScope::TenantState;

    /// Gives another value at every look.
    struct Moving(std::sync::atomic::AtomicU32);

    impl GuestState for Moving {
        fn read(&self, _: VariableScope) -> StateFuture<'_> {
            let looks = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Box::pin(async move { Ok(["a", "b", "c"].map(|key| (key.to_owned(), looks.to_string())).into()) })
        }
    }

    fn state(limit: u64) -> State {
        let mut before = Variables::default();
        let write = |key: &str, value: Option<&str>| VariableWrite { scope: FLOW, key: key.to_owned(), value: value.map(str::to_owned) };
        before.apply(vec![write("b", None), write("d", Some("true"))]);
        State::new(Kept::Live(Arc::new(Moving(0.into()))), Arc::new(before), true, limit)
    }

    fn get(state: &mut State, scope: VariableScope, key: &str) -> Result<Option<String>, Stop> {
        state.get(scope, key.to_owned()).now_or_never().unwrap()
    }

    #[test]
    fn one_moment_is_seen_with_what_the_run_wrote_over_it() {
        let mut state = state(1000);
        for _ in 0..2 {
            assert_eq!(get(&mut state, FLOW, "a").unwrap().as_deref(), Some("0"));
            assert_eq!(get(&mut state, FLOW, "b").unwrap(), None);
            assert_eq!(get(&mut state, FLOW, "d").unwrap().as_deref(), Some("true"));
        }
        assert!(state.set(FLOW, "a".to_owned(), Some("[]".to_owned())).unwrap().is_ok());
        assert!(state.set(FLOW, "c".to_owned(), None).unwrap().is_ok());
        assert_eq!(get(&mut state, FLOW, "a").unwrap().as_deref(), Some("[]"));
        assert_eq!(state.keys(FLOW).now_or_never().unwrap().unwrap(), ["a", "d"]);
        assert_eq!(get(&mut state, TENANT, "a").unwrap().as_deref(), Some("1"), "each of the two is read once");
        let (writes, _) = state.into_parts();
        assert_eq!(
            writes.iter().map(|write| (write.key.as_str(), write.value.as_deref())).collect::<Vec<_>>(),
            [("a", Some("[]")), ("c", None)]
        );
    }

    #[test]
    fn a_replay_gives_what_was_seen_and_nothing_else() {
        let mut first = state(1000);
        let look = |state: &mut State| (get(state, FLOW, "a"), get(state, FLOW, "zz"), state.keys(TENANT).now_or_never().unwrap());
        let before = look(&mut first);
        let (_, seen) = first.into_parts();
        let mut again = State::new(Kept::Recorded(seen), Arc::default(), true, 1000);
        assert_eq!(look(&mut again), before);
        assert!(matches!(get(&mut again, FLOW, "c"), Err(Stop::Diverged(_))));
        assert!(matches!(again.keys(FLOW).now_or_never().unwrap(), Err(Stop::Diverged(_))));
        assert_eq!(get(&mut again, TENANT, "no such key").unwrap(), None, "it was told of all keys");
    }

    #[test]
    fn a_direct_call_has_no_flows_state() {
        let mut state = State::new(Kept::Nothing, Arc::default(), false, 1000);
        assert_eq!(get(&mut state, FLOW, "a").unwrap(), None);
        assert!(matches!(state.set(FLOW, "a".to_owned(), Some("1".to_owned())), Ok(Err(RefusalIn::ReadOnly))));
        assert!(state.set(TENANT, "a".to_owned(), Some("1".to_owned())).unwrap().is_ok());
    }

    #[test]
    fn what_cannot_be_kept_is_not_taken() {
        let mut state = state(500);
        let mut set = |key: &str, value: Option<String>| state.set(TENANT, key.to_owned(), value);
        for key in ["\0", &"k".repeat(STATE_KEY_BYTES + 1)] {
            assert!(matches!(set(key, Some("1".to_owned())), Ok(Err(RefusalIn::Invalid))));
        }
        assert!(matches!(set("a", Some("{oops".to_owned())), Ok(Err(RefusalIn::Invalid))));
        // Before it were a deletion and `true`: 65 and 69 bytes.
        let text = |length: usize| Some(format!("\"{}\"", "x".repeat(length)));
        assert_eq!(set("a", text(300)).unwrap_err(), Stop::StateSize { used: 65 + 69 + 65 + 302 });
        assert!(set("a", text(299)).unwrap().is_ok());
        assert!(set("b", None).unwrap().is_ok(), "making less is always possible");
    }
}
