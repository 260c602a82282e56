//! Places that are waited for. Who waits gets one as soon as it may: one tenant after the other, each in its own order.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::{Ledger, Part};

/// Places of which one tenant has a part.
#[derive(Debug)]
pub struct Places {
    hasher: RandomState,
    /// Held for a look-up, and to choose who comes next: as long as there are tenants who wait.
    state: Mutex<State>,
}

/// By the hash of whoever it is: two that collide share one part, which harms nobody, and no name is copied for a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Holder(u64);

/// Places that are held; given back when dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    who: Holder,
    units: u64,
}

/// Waiting for a place. Dropped, it waits no longer.
#[derive(Debug)]
pub struct Taking {
    places: Arc<Places>,
    who: Holder,
    units: u64,
    /// Its number among those who wait, once it does.
    number: Option<u64>,
}

#[derive(Debug)]
struct State {
    ledger: Ledger<Holder>,
    /// Those who wait, in the order of their coming. None is empty.
    lines: HashMap<Holder, VecDeque<Waiter>>,
    /// Whose line is looked at next.
    turns: VecDeque<Holder>,
    /// Numbers of those who have been given what they waited for and do not know yet.
    given: HashSet<u64>,
    next_number: u64,
    /// Somebody who holds nothing waits for more than is free. Nobody passes by, else it might wait for ever.
    blocked: bool,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    units: u64,
    waker: Waker,
}

impl Places {
    /// So many places. There is at least one.
    #[must_use]
    pub fn new(total: u64, part: Part) -> Arc<Self> {
        let state = State {
            ledger: Ledger::new(total.max(1), part),
            lines: HashMap::new(),
            turns: VecDeque::new(),
            given: HashSet::new(),
            next_number: 0,
            blocked: false,
        };
        Arc::new(Self { hasher: RandomState::new(), state: Mutex::new(state) })
    }

    /// As whom somebody takes places.
    pub fn holder(&self, who: &impl Hash) -> Holder {
        Holder(self.hasher.hash_one(who))
    }

    /// Takes so many places, if they can be had at once. Who holds nothing may have all that are free, however many those are; more than there are
    /// count as all of them.
    pub fn try_take(self: &Arc<Self>, who: Holder, units: u64) -> Option<Place> {
        let mut state = self.state();
        let units = units.min(state.ledger.total());
        state.take(who, units).then(|| Place { places: Arc::clone(self), who, units })
    }

    /// The same, as soon as it may be. Nobody knows when that is: the deadline is the caller's.
    pub fn take(self: &Arc<Self>, who: Holder, units: u64) -> Taking {
        let units = units.min(self.state().ledger.total());
        Taking { places: Arc::clone(self), who, units, number: None }
    }

    /// Places that nobody holds.
    pub fn free(&self) -> u64 {
        self.state().ledger.free()
    }

    /// Places that one holds.
    pub fn held(&self, who: Holder) -> u64 {
        self.state().ledger.held(&who)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under the lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, who: Holder, units: u64) {
        let mut state = self.state();
        state.ledger.give_back(&who, units);
        let woken = state.give_on();
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

impl State {
    fn fits(&self, who: Holder, units: u64) -> bool {
        units <= self.ledger.room(&who) || (self.ledger.held(&who) == 0 && units <= self.ledger.free())
    }

    /// Takes places for who comes just now, unless others were first.
    fn take(&mut self, who: Holder, units: u64) -> bool {
        let now = !self.blocked && !self.lines.contains_key(&who) && self.fits(who, units);
        if now {
            self.ledger.add(&who, units);
        }
        now
    }

    /// Stands in line.
    fn wait(&mut self, who: Holder, units: u64, waker: Waker) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        if !self.lines.contains_key(&who) {
            self.turns.push_back(who);
        }
        self.lines.entry(who).or_default().push_back(Waiter { number, units, waker });
        self.blocked |= self.ledger.held(&who) == 0 && units > self.ledger.free();
        number
    }

    /// Gives what is free to those who wait and may have it. Who may not now may not after others have got some either, so one look at each will do.
    fn give_on(&mut self) -> Vec<Waker> {
        let mut woken = Vec::new();
        let mut passed = 0;
        self.blocked = false;
        while let Some(&who) = self.turns.get(passed) {
            let Some(units) = self.lines.get(&who).and_then(VecDeque::front).map(|waiter| waiter.units) else { break };
            if self.fits(who, units) {
                self.turns.remove(passed);
                woken.extend(self.give_first(who, units));
            } else if self.ledger.held(&who) == 0 {
                self.blocked = true;
                break;
            } else {
                passed += 1;
            }
        }
        woken
    }

    /// Gives places to the first in a line, which comes last among the lines then.
    fn give_first(&mut self, who: Holder, units: u64) -> Option<Waker> {
        let line = self.lines.get_mut(&who)?;
        let first = line.pop_front()?;
        if line.is_empty() {
            self.lines.remove(&who);
        } else {
            self.turns.push_back(who);
        }
        self.ledger.add(&who, units);
        self.given.insert(first.number);
        Some(first.waker)
    }

    /// Leaves the line.
    fn leave(&mut self, who: Holder, number: u64) {
        let Some(line) = self.lines.get_mut(&who) else { return };
        line.retain(|waiter| waiter.number != number);
        if line.is_empty() {
            self.lines.remove(&who);
            self.turns.retain(|turn| *turn != who);
        }
    }

    fn heard_by(&mut self, who: Holder, number: u64, waker: &Waker) {
        let waiter = self.lines.get_mut(&who).and_then(|line| line.iter_mut().find(|waiter| waiter.number == number));
        if let Some(waiter) = waiter {
            waiter.waker.clone_from(waker);
        }
    }
}

impl Future for Taking {
    type Output = Place;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Place> {
        let this = &mut *self;
        let mut state = this.places.state();
        let given = match this.number {
            None => state.take(this.who, this.units),
            Some(number) => state.given.remove(&number),
        };
        if given {
            this.number = None;
            return Poll::Ready(Place { places: Arc::clone(&this.places), who: this.who, units: this.units });
        }
        match this.number {
            None => this.number = Some(state.wait(this.who, this.units, context.waker().clone())),
            Some(number) => state.heard_by(this.who, number, context.waker()),
        }
        Poll::Pending
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut state = self.places.state();
        if state.given.remove(&number) {
            state.ledger.give_back(&self.who, self.units);
        } else {
            state.leave(self.who, number);
        }
        let woken = state.give_on();
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.give_back(self.who, self.units);
    }
}
