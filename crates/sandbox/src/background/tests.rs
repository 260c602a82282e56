//! Turns are taken on real threads; what each tenant had is counted in slices of equal length.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use snaphook_aside::Way;
use snaphook_model::{TenantName, Weight};

use super::lanes::{Lanes, WINDOW, processors_in_window};
use super::{Background, KEPT_AWAY, Member, Queue, RELIEF, was_kept_away};
use crate::short::processor_time;

fn tenant(name: &str) -> TenantName {
    TenantName::new(name).unwrap()
}

/// Works for about a millisecond of the processor at a time until it is told to stop, and counts how often it did.
fn busy(stop: &Arc<AtomicBool>, slices: &Arc<AtomicU64>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let (stop, slices) = (Arc::clone(stop), Arc::clone(slices));
    Box::pin(std::future::poll_fn(move |context| {
        let until = processor_time() + Duration::from_millis(1);
        while processor_time() < until {}
        slices.fetch_add(1, Ordering::Relaxed);
        if stop.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }))
}

/// The slices that each of some tenants had, given their weights and how many futures each brought, until there were so many in all.
async fn shares(tenants: &[(&str, u32, usize)], total: u64) -> Vec<u64> {
    let background = Background::start().unwrap();
    let stop = Arc::<AtomicBool>::default();
    let counts: Vec<_> = tenants.iter().map(|_| Arc::<AtomicU64>::default()).collect();
    let mut tasks = Vec::new();
    for (&(name, weight, futures), slices) in tenants.iter().zip(&counts) {
        tasks.extend((0..futures).map(|_| background.run(&tenant(name), Weight(weight), busy(&stop, slices))));
    }
    let all = || counts.iter().map(|count| count.load(Ordering::Relaxed)).collect::<Vec<_>>();
    let seen = loop {
        let seen = all();
        if seen.iter().sum::<u64>() >= total {
            break seen;
        }
        tokio::task::yield_now().await;
    };
    stop.store(true, Ordering::Relaxed);
    futures_util::future::join_all(tasks).await;
    seen
}

#[tokio::test]
async fn who_brings_more_gets_no_more() {
    // At least as many futures as threads on both sides: one alone could not use its part.
    let few = std::thread::available_parallelism().unwrap().get();
    let had = shares(&[("many", 1, 16 * few), ("few", 1, few)], 300).await;
    assert!(had[1] * 10 >= had[0] * 7 && had[0] * 10 >= had[1] * 7, "{had:?}");
}

#[tokio::test]
async fn a_heavier_tenant_gets_more() {
    let futures = 4 * std::thread::available_parallelism().unwrap().get();
    let had = shares(&[("light", 1, futures), ("heavy", 3, futures)], 300).await;
    assert!(had[1] * 10 >= had[0] * 22 && had[1] * 10 <= had[0] * 40, "{had:?}");
}

/// So many parts of a thousand of what all processors give in a window.
fn thousandths(parts: u64) -> Duration {
    Duration::from_nanos(u64::try_from(processors_in_window()).unwrap() / 1000 * parts)
}

#[test]
fn short_invocations_have_their_tenants_part_while_others_wait() {
    let (many, long, now) = (tenant("many"), tenant("long"), Instant::now());
    let mut lanes = Lanes::default();
    lanes.count_short(&many, Weight(1), thousandths(5000), now);
    assert!(!lanes.has_had_its_part(&many, now), "nobody else is there");
    lanes.lane(&long, Some(Weight(1))).futures = 1;
    let now = now + WINDOW;
    lanes.count_short(&many, Weight(1), thousandths(499), now);
    assert!(!lanes.has_had_its_part(&many, now), "half is its part");
    lanes.count_short(&many, Weight(1), thousandths(1), now);
    assert!(lanes.has_had_its_part(&many, now) && !lanes.has_had_its_part(&long, now));
    lanes.forget_idle();
    assert!(lanes.has_had_its_part(&many, now), "who has no future here has had it all the same");
    assert!(!lanes.has_had_its_part(&many, now + WINDOW), "in the next window it has had nothing");
    // Three quarters are the part of who weighs three times as much.
    let now = now + WINDOW;
    lanes.count_short(&many, Weight(3), thousandths(749), now);
    assert!(!lanes.has_had_its_part(&many, now));
    lanes.count_short(&many, Weight(3), thousandths(1), now);
    assert!(lanes.has_had_its_part(&many, now));
    // Without anybody else nothing is remembered.
    lanes.lane(&long, None).futures = 0;
    lanes.forget_idle();
    assert!(lanes.of.is_empty() && lanes.weights == 0);
}

#[tokio::test]
async fn what_was_had_elsewhere_is_made_good_here() {
    let background = Background::start().unwrap();
    let (stop, [had, none]) = (Arc::default(), [Arc::<AtomicU64>::default(), Arc::default()]);
    let futures = 2 * std::thread::available_parallelism().unwrap().get();
    let begin = |name: &str, slices: &Arc<AtomicU64>| -> Vec<_> {
        (0..futures).map(|_| background.run(&tenant(name), Weight(1), busy(&stop, slices))).collect()
    };
    let mut tasks = begin("none", &none);
    while none.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    assert!(!background.is_due(&tenant("had")));
    background.had_elsewhere(&tenant("had"), Weight(1), Duration::from_millis(200));
    tasks.extend(begin("had", &had));
    while had.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    let ahead = none.load(Ordering::Relaxed);
    assert!(ahead >= 150, "{ahead} slices of a millisecond make 200 good");
    stop.store(true, Ordering::Relaxed);
    futures_util::future::join_all(tasks).await;
    assert!(!background.is_due(&tenant("had")), "nobody is there any more");
}

#[tokio::test]
async fn what_is_done_for_a_tenant_elsewhere_is_counted_as_its_own() {
    let background = Background::start().unwrap();
    let (stop, slices) = (Arc::default(), Arc::<AtomicU64>::default());
    let task = background.run(&tenant("other"), Weight(1), busy(&stop, &slices));
    while slices.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    let took = Duration::from_millis(5);
    let done = background.counted(&tenant("acme"), Weight(1), || {
        let before = processor_time();
        while processor_time() - before < took {}
        "done"
    });
    let counted = background.queue.lanes().of.get(&tenant("acme")).map(|lane| lane.short);
    assert!(done == "done" && counted.is_some_and(|counted| counted >= took), "{counted:?}");
    stop.store(true, Ordering::Relaxed);
    task.await;
}

#[tokio::test]
async fn a_future_that_is_let_go_of_ends_and_leaves_nothing() {
    let background = Background::start().unwrap();
    let (stop, slices) = (Arc::default(), Arc::<AtomicU64>::default());
    let task = background.run(&tenant("acme"), Weight(1), busy(&stop, &slices));
    while slices.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    drop(task);
    let queue: &Queue = &background.queue;
    let begun = Instant::now();
    while !queue.lanes().of.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(10), "the lane is still there");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn timers_and_panics_are_those_of_whoever_waits() {
    let background = Background::start().unwrap();
    let slept = background.run(&tenant("acme"), Weight(1), Box::pin(tokio::time::sleep(Duration::from_millis(1))));
    slept.await;
    let task = background.run(&tenant("acme"), Weight(1), Box::pin(async { panic!("on purpose") }));
    let joined: Result<(), _> = tokio::spawn(task).await;
    assert!(joined.unwrap_err().is_panic());
    // The threads live on.
    background.run(&tenant("acme"), Weight(1), Box::pin(async {})).await;
}

/// Needs the runtime to be given back, as connections of a pool do.
struct OfTheRuntime;

impl Drop for OfTheRuntime {
    fn drop(&mut self) {
        drop(tokio::runtime::Handle::current());
    }
}

#[tokio::test]
async fn what_a_future_holds_is_given_back_in_its_runtime() {
    let background = Background::start().unwrap();
    let (stop, slices) = (Arc::default(), Arc::<AtomicU64>::default());
    let working = busy(&stop, &slices);
    let held = OfTheRuntime;
    let task = background.run(
        &tenant("acme"),
        Weight(1),
        Box::pin(async move {
            let _held = held;
            working.await;
        }),
    );
    while slices.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    // A panic in there would end the whole process.
    drop(task);
    background.run(&tenant("acme"), Weight(1), Box::pin(async {})).await;
}

#[test]
fn who_is_kept_away_is_relieved_for_a_while() {
    let queue = Arc::<Queue>::default();
    let _member = Member::join(&queue, &tenant("one"), Weight(1));
    let (runnable, _task) = async_task::spawn(async {}, |_| {});
    queue.push(&tenant("one"), runnable);
    let lanes = || queue.lanes();
    assert_eq!(lanes().kept_away(), None);
    queue.ran(&tenant("one"), Duration::ZERO, true);
    // For the threads that make way wholly there is nothing now; the others have it at once.
    assert!(lanes().kept_away().is_some_and(|left| left <= RELIEF));
    lanes().kept_away_until = Some(Instant::now() + Duration::from_secs(600));
    let (of, runnable) = queue.next(Way::Half).expect("it is ready");
    assert_eq!(of, tenant("one"));
    queue.push(&of, runnable);
    lanes().kept_away_until = Some(Instant::now());
    assert!(queue.next(Way::Whole).is_some());
}

#[test]
fn a_slice_that_computes_long_was_not_kept_away() {
    let [short, long] = [KEPT_AWAY / 60, 2 * KEPT_AWAY];
    assert!(was_kept_away(short, KEPT_AWAY));
    assert!(!was_kept_away(short, KEPT_AWAY / 2));
    assert!(!was_kept_away(long, long));
}
