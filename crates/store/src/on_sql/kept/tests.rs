//! What is carried on between two counts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use snaphook_model::Quota;

use super::{Taken, Tally};
use crate::{KeptDocuments, StoreError};

const fn of(documents: u64, bytes: u64) -> KeptDocuments {
    KeptDocuments { documents, bytes }
}

/// A tenant that keeps something of 100 documents and 1,000 bytes.
fn tally(kept: KeptDocuments) -> Arc<Tally> {
    let tally = Tally::default();
    let quota = Quota { documents: 100, document_bytes: 1_000, ..Quota::default() };
    tally.carried().end_counting(Instant::now(), kept, &quota);
    Arc::new(tally)
}

fn take(tally: &Arc<Tally>, before: KeptDocuments, bytes: usize) -> Result<Taken, StoreError> {
    tally.take(before, bytes, true)
}

#[test]
fn what_adds_is_refused_and_what_takes_less_is_not() {
    let tally = tally(of(99, 900));
    let refused = |before, bytes| take(&tally, before, bytes).map(drop).unwrap_err();
    assert!(matches!(refused(of(0, 0), 101), StoreError::DocumentsSize { limit: 1_000, used: 1_001 }));
    take(&tally, of(0, 0), 100).unwrap().keep();
    assert_eq!(tally.kept(), of(100, 1_000), "the last byte of the last one");
    assert!(matches!(refused(of(0, 0), 0), StoreError::TooManyDocuments { limit: 100, used: 101 }));
    assert!(matches!(refused(of(1, 100), 101), StoreError::DocumentsSize { used: 1_001, .. }));
    take(&tally, of(1, 100), 100).unwrap().keep();
    take(&tally, of(1, 100), 40).unwrap().keep();
    assert_eq!(tally.kept(), of(100, 940));
    tally.carried().most = of(10, 10);
    take(&tally, of(1, 40), 39).unwrap().keep();
    assert_eq!(tally.kept(), of(100, 939), "also where there is far too much");
}

#[test]
fn what_was_not_written_takes_no_room() {
    let tally = tally(of(1, 10));
    drop(take(&tally, of(0, 0), 30).unwrap());
    drop(take(&tally, of(1, 10), 5).unwrap());
    let carried = tally.carried();
    assert_eq!((carried.kept, carried.writing, carried.since), (of(1, 10), of(0, 0), of(0, 0)));
}

#[test]
fn a_count_has_nothing_less_than_there_may_be() {
    let tally = tally(of(2, 20));
    let (one, other) = (take(&tally, of(0, 0), 100).unwrap(), take(&tally, of(1, 10), 3).unwrap());
    tally.carried().begin_counting();
    take(&tally, of(0, 0), 50).unwrap().keep();
    let quota = Quota { documents: 100, document_bytes: 1_000, ..Quota::default() };
    tally.carried().end_counting(Instant::now(), of(2, 20), &quota);
    assert_eq!(tally.kept(), of(4, 170), "it may have seen neither of the two");
    other.keep();
    assert_eq!(tally.kept(), of(4, 170), "and this one already");
    drop(one);
    assert_eq!(tally.kept(), of(3, 70));
    tally.carried().begin_counting();
    tally.carried().end_counting(Instant::now(), of(3, 63), &quota);
    assert_eq!(tally.kept(), of(3, 63), "the next one is exact");
}

#[test]
fn it_is_counted_again_sooner_where_room_is_short_and_seldom_where_that_takes_long() {
    let is_fresh = |kept, age: Duration, took| {
        let tally = tally(kept);
        let mut carried = tally.carried();
        carried.counted = Instant::now().checked_sub(age).map(|at| (at, took));
        carried.is_fresh()
    };
    let (ms, s) = (Duration::from_millis, Duration::from_secs);
    assert!(is_fresh(of(50, 500), ms(500), ms(1)) && !is_fresh(of(50, 500), s(1), ms(1)));
    assert!(!is_fresh(of(51, 0), ms(500), ms(1)) && !is_fresh(of(0, 501), ms(500), ms(1)));
    assert!(is_fresh(of(99, 0), s(4), ms(50)) && !is_fresh(of(99, 0), s(5), ms(50)));
    assert!(is_fresh(of(99, 0), s(20), s(10)) && !is_fresh(of(99, 0), s(30), s(10)));
    assert!(!Tally::default().carried().is_fresh(), "nobody has counted");
}
