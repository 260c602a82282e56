//! The rule, and who holds how much.

use std::collections::HashMap;
use std::hash::Hash;

/// What one may have of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// One alone has the whole divided by this. With 1 nothing is left to others.
    pub one_in: u64,
    /// Never more than this, however much is free.
    pub most: u64,
}

impl Part {
    /// Alone one has half.
    pub const HALF: Self = Self::one_in(2);

    /// Alone one has so large a part.
    #[must_use]
    pub const fn one_in(parts: u64) -> Self {
        Self { one_in: if parts == 0 { 1 } else { parts }, most: u64::MAX }
    }

    /// So much for one, of so much for all: also what one has alone.
    #[must_use]
    pub const fn of(most: u64, total: u64) -> Self {
        let most = if most == 0 { 1 } else { most };
        let parts = total / most;
        Self { one_in: if parts == 0 { 1 } else { parts }, most }
    }
}

/// How much more one may take at once who holds so much, while so much is free: afterwards, what is held is at most what is left free divided by
/// `one_in - 1`. Who holds nothing may always have the last unit, since to share it is to lose it.
#[must_use]
pub const fn room(part: Part, held: u64, free: u64) -> u64 {
    let fair = free.saturating_sub(held.saturating_mul(part.one_in - 1)) / part.one_in;
    let left = part.most.saturating_sub(held);
    let room = if fair < left { fair } else { left };
    if room == 0 && held == 0 && free > 0 { 1 } else { room }
}

/// Who holds how much of something that there is so much of, in units that its owner chooses: the smallest that is worth having.
#[derive(Debug)]
pub struct Ledger<K> {
    total: u64,
    part: Part,
    taken: u64,
    /// Those who hold something.
    held: HashMap<K, u64>,
}

impl<K: Hash + Eq + Clone> Ledger<K> {
    /// Of so many units.
    #[must_use]
    pub fn new(total: u64, part: Part) -> Self {
        Self { total, part, taken: 0, held: HashMap::new() }
    }

    /// Units that there are, taken or not.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Units that nobody holds.
    #[must_use]
    pub const fn free(&self) -> u64 {
        self.total.saturating_sub(self.taken)
    }

    /// Units that one holds.
    #[must_use]
    pub fn held(&self, who: &K) -> u64 {
        self.held.get(who).copied().unwrap_or_default()
    }

    /// Those who hold something, and how much.
    pub fn holders(&self) -> impl Iterator<Item = (&K, u64)> {
        self.held.iter().map(|(who, held)| (who, *held))
    }

    /// Units that one may take now.
    #[must_use]
    pub fn room(&self, who: &K) -> u64 {
        room(self.part, self.held(who), self.free())
    }

    /// The same, if so many were free.
    #[must_use]
    pub fn room_of(&self, who: &K, free: u64) -> u64 {
        room(self.part, self.held(who), free)
    }

    /// Takes units, unless they are more than one may take now.
    pub fn take(&mut self, who: &K, units: u64) -> bool {
        let fits = units <= self.room(who);
        if fits {
            self.add(who, units);
        }
        fits
    }

    /// Counts units that are held already, whatever the rule says.
    pub fn add(&mut self, who: &K, units: u64) {
        if units == 0 {
            return;
        }
        self.taken = self.taken.saturating_add(units);
        match self.held.get_mut(who) {
            Some(held) => *held = held.saturating_add(units),
            None => drop(self.held.insert(who.clone(), units)),
        }
    }

    /// Gives units back; no more than are held.
    pub fn give_back(&mut self, who: &K, units: u64) {
        let Some(held) = self.held.get_mut(who) else { return };
        let units = units.min(*held);
        *held -= units;
        self.taken = self.taken.saturating_sub(units);
        if *held == 0 {
            self.held.remove(who);
        }
    }
}
