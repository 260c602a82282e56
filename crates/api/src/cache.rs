//! A bounded cache that never keeps what was changed while it was being loaded.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};

use snaphook_telemetry::Lookups;

/// Values by key. Who changes the source calls `forget` after the change is stored.
pub(crate) struct Cache<K, V> {
    entries: moka::sync::Cache<K, V>,
    /// Counts changes. A loader that sees it move takes its own entry out again: the value may be from before the change.
    changes: AtomicU64,
    lookups: Lookups,
}

impl<K, V> Cache<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// `name` is what its look-ups are counted as.
    pub(crate) fn new(name: &'static str, entries: u64) -> Self {
        Self::of(name, moka::sync::Cache::builder().max_capacity(entries))
    }

    /// Bounded by the sum of weights, in bytes.
    pub(crate) fn weighed(name: &'static str, bytes: u64, weigh: impl Fn(&K, &V) -> usize + Send + Sync + 'static) -> Self {
        let weigher = move |key: &K, value: &V| u32::try_from(weigh(key, value)).unwrap_or(u32::MAX);
        Self::of(name, moka::sync::Cache::builder().max_capacity(bytes).weigher(weigher))
    }

    fn of(name: &'static str, builder: moka::sync::CacheBuilder<K, V, moka::sync::Cache<K, V>>) -> Self {
        // What was just asked for is about to be used, however seldom it was before.
        let entries = builder.eviction_policy(moka::policy::EvictionPolicy::lru()).build();
        Self { entries, changes: AtomicU64::new(0), lookups: Lookups::of(name) }
    }

    /// What is kept under a key.
    pub(crate) fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let found = self.entries.get(key);
        self.lookups.count(found.is_some());
        found
    }

    /// What is kept under a key, else what `load` finds. What is not there is not remembered.
    pub(crate) async fn get_or<E, F>(&self, key: &K, load: impl FnOnce() -> F) -> Result<Option<V>, E>
    where
        F: Future<Output = Result<Option<V>, E>>,
    {
        if let Some(value) = self.get(key) {
            return Ok(Some(value));
        }
        let before = self.mark();
        // Boxed, so that who finds the value does not carry the loader's state around.
        let Some(value) = Box::pin(load()).await? else { return Ok(None) };
        self.put_since(before, key, value.clone());
        Ok(Some(value))
    }

    /// A mark to be taken before work on a value begins, for [`Cache::put_since`].
    pub(crate) fn mark(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Keeps a value whose making began at a mark, unless anything was dropped since: it may have been made from what is gone.
    pub(crate) fn put_since(&self, mark: u64, key: &K, value: V) {
        if self.mark() == mark {
            self.entries.insert(key.clone(), value);
            if self.mark() != mark {
                self.entries.invalidate(key);
            }
        }
    }

    /// Drops a key, after its value has changed at the source.
    pub(crate) fn forget<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.entries.invalidate(key);
    }

    /// Drops every key that fits, by looking at all of them: for rare changes only.
    pub(crate) fn forget_where(&self, fits: impl Fn(&K, &V) -> bool) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        for (key, value) in &self.entries {
            if fits(&key, &value) {
                self.entries.invalidate(key.as_ref());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Cache;

    #[tokio::test]
    async fn a_value_that_changes_while_it_is_loaded_is_not_kept() {
        let cache = Cache::<u8, &str>::new("tests", 10);
        let old = cache.get_or(&1, async || {
            cache.forget(&1);
            Ok::<_, ()>(Some("old"))
        });
        assert_eq!(old.await, Ok(Some("old")));
        assert_eq!(cache.get(&1), None);
        assert_eq!(cache.get_or(&1, async || Ok::<_, ()>(Some("new"))).await, Ok(Some("new")));
        assert_eq!(cache.get(&1), Some("new"));
        cache.forget_where(|key, _| *key == 1);
        assert_eq!(cache.get(&1), None);
    }
}
