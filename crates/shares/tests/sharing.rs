//! Any number of tenants who want everything, and one who comes after them.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use snaphook_shares::{Ledger, Part, Place, Places, Taking, room};

fn polled(taking: Pin<&mut Taking>) -> Option<Place> {
    match taking.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(place) => Some(place),
        Poll::Pending => None,
    }
}

/// Places of tenants who want everything, numbered from 0: each takes what it may, a unit at a time and one after the other, until none may.
fn saturated(places: &Arc<Places>, hogs: usize) -> Vec<Vec<Place>> {
    let mut held: Vec<Vec<Place>> = (0..hogs).map(|_| Vec::new()).collect();
    loop {
        let mut taken = false;
        for (number, held) in held.iter_mut().enumerate() {
            let place = places.try_take(places.holder(&number), 1);
            taken |= place.is_some();
            held.extend(place);
        }
        if !taken {
            return held;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn alone_one_has_its_part(total in 1..100_000_u64, one_in in 1..20_u64) {
        let mut ledger = Ledger::new(total, Part::one_in(one_in));
        while ledger.take(&"alone", 1) {}
        prop_assert_eq!(ledger.held(&"alone"), (total / one_in).max(1));
    }

    #[test]
    fn a_bound_in_units_is_what_one_has_alone(total in 1..10_000_u64, most in 1..10_000_u64) {
        let mut ledger = Ledger::new(total, Part::of(most, total));
        while ledger.take(&"alone", 1) {}
        prop_assert_eq!(ledger.held(&"alone"), most.min(total));
    }

    #[test]
    fn whatever_was_taken_a_newcomer_gets_some_of_what_is_free(
        total in 1..5_000_u64,
        one_in in 2..9_u64,
        takes in vec((0..50_u32, 1..200_u64), 0..500),
    ) {
        let mut ledger = Ledger::new(total, Part::one_in(one_in));
        for (who, units) in takes {
            let (held, free) = (ledger.held(&who), ledger.free());
            let taken = ledger.take(&who, units);
            prop_assert_eq!(taken, units <= room(Part::one_in(one_in), held, free));
            prop_assert!(ledger.free() <= total && ledger.holders().map(|(_, held)| held).sum::<u64>() == total - ledger.free());
            // Who has just taken something holds no more than its multiple of what it left; but for the only unit of one who held nothing.
            prop_assert!(!taken || ledger.held(&who) == 1 || ledger.held(&who) * (one_in - 1) <= ledger.free());
            prop_assert!(ledger.free() == 0 || ledger.room(&u32::MAX) > 0);
        }
    }

    #[test]
    fn hogs_that_take_turns_leave_a_share_of_equal_size(hogs in 1..60_usize, per_hog in 1..20_usize) {
        let total = (hogs + 1) * per_hog;
        let places = Places::new(total as u64, Part::HALF);
        let held = saturated(&places, hogs);
        prop_assert!(held.iter().all(|held| held.len() == per_hog), "{:?}", held.iter().map(Vec::len).collect::<Vec<_>>());
        let newcomer = places.try_take(places.holder(&hogs), 1);
        prop_assert!(newcomer.is_some(), "served at once");
    }

    #[test]
    fn who_came_first_comes_down_to_its_share(hogs in 2..12_usize, per_hog in 2..10_usize, ended in vec(any::<Index>(), 1_000)) {
        let places = Places::new(((hogs + 1) * per_hog) as u64, Part::HALF);
        // One after the other, so that the first has half of all and the second half of the rest.
        let mut held = Vec::new();
        for hog in 0..hogs {
            while let Some(place) = places.try_take(places.holder(&hog), 1) {
                held.push((hog, place));
            }
        }
        // Each waits for as many as it can get; whichever place is given back, all is given on.
        let mut waiting: Vec<_> = (0..hogs).map(|hog| Box::pin(places.take(places.holder(&hog), 1))).collect();
        for ended in ended {
            drop(held.swap_remove(ended.index(held.len())));
            for (hog, taking) in waiting.iter_mut().enumerate() {
                while let Some(place) = polled(taking.as_mut()) {
                    held.push((hog, place));
                    *taking = Box::pin(places.take(places.holder(&hog), 1));
                }
            }
        }
        prop_assert!(places.free() as usize + 1 >= per_hog, "{} of {per_hog}", places.free());
        prop_assert!(places.try_take(places.holder(&hogs), 1).is_some());
    }

    #[test]
    fn what_is_given_back_goes_to_a_newcomer_first(hogs in 1..12_usize, total in 16..80_u64) {
        let places = Places::new(total, Part::HALF);
        let mut held = Vec::new();
        let mut waiting = Vec::new();
        for hog in 0..hogs {
            while let Some(place) = places.try_take(places.holder(&hog), 1) {
                held.push((hog, place));
            }
            let mut taking = Box::pin(places.take(places.holder(&hog), 1));
            prop_assert!(polled(taking.as_mut()).is_none());
            waiting.push(taking);
        }
        let nothing_yet = waiting.iter().enumerate().filter(|(hog, _)| places.held(places.holder(hog)) == 0).count();
        // The first gives back, and goes on holding something.
        prop_assume!(nothing_yet as u64 + 1 < places.held(places.holder(&0_usize)));
        let mut newcomer = pin!(places.take(places.holder(&hogs), 1));
        if places.free() > 0 {
            prop_assert!(polled(newcomer).is_some(), "at once");
        } else {
            prop_assert!(polled(newcomer.as_mut()).is_none());
            // Those before it who have nothing either come first; whoever has some comes after it.
            for _ in 0..=nothing_yet {
                held.remove(0);
            }
            let served = polled(newcomer).is_some();
            prop_assert!(served);
        }
    }
}

#[test]
fn who_holds_nothing_may_have_more_than_a_part_and_is_not_passed_by() {
    let places = Places::new(8, Part::HALF);
    let [large, small, other] = ["large", "small", "other"].map(|name| places.holder(&name));
    let held = places.try_take(small, 2).unwrap();
    let mut waiting = Box::pin(places.take(large, 100));
    assert!(polled(waiting.as_mut()).is_none(), "all, which is more than is free");
    let mut later = Box::pin(places.take(other, 1));
    assert!(polled(later.as_mut()).is_none() && places.try_take(small, 1).is_none(), "nobody passes by");
    drop(held);
    let all = polled(waiting.as_mut()).unwrap();
    assert_eq!((places.held(large), places.free()), (8, 0));
    assert!(polled(later.as_mut()).is_none());
    drop(all);
    assert!(polled(later.as_mut()).is_some());
    assert_eq!(places.free(), 8);
}

#[test]
fn who_waits_no_longer_leaves_nothing_behind() {
    let places = Places::new(2, Part::HALF);
    let [one, other] = ["one", "other"].map(|name| places.holder(&name));
    let held = [places.try_take(one, 1).unwrap(), places.try_take(other, 1).unwrap()];
    let mut first = Box::pin(places.take(one, 1));
    let mut second = Box::pin(places.take(one, 1));
    assert!(polled(first.as_mut()).is_none() && polled(second.as_mut()).is_none());
    drop(held);
    // The first has been given a place that it never hears of.
    drop(first);
    assert!(polled(second.as_mut()).is_some());
    let mut large = Box::pin(places.take(one, 2));
    let held = places.try_take(other, 1).unwrap();
    assert!(polled(large.as_mut()).is_none() && places.try_take(other, 1).is_none());
    drop(large);
    drop(held);
    assert_eq!(places.free(), 2);
    assert!(places.try_take(other, 1).is_some());
}
