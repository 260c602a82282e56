//! Invocations beside each other: nobody holds up anybody.

use std::time::{Duration, Instant};

use snaphook_model::{Code, Limits};

use crate::guests::{KEEP, stepper};
use crate::support::{Bench, code, limits, of_tenant, step, within};

#[tokio::test(flavor = "current_thread")]
async fn an_endless_loop_holds_up_nobody_on_the_same_thread() {
    let bench = Bench::new();
    let endless = bench.program(&stepper(&[], "", "(loop $again (br $again)) (unreachable)"));
    let quick = bench.program(&stepper(&[], "", KEEP));
    let forever = Limits { fuel: u64::MAX, wall_ms: 300, ..limits() };
    let looping = bench.sandbox.invoke(&endless, step(forever));
    let beside = async {
        let mut slowest = Duration::ZERO;
        for _ in 0..20 {
            let begun = Instant::now();
            let outcome = bench.sandbox.invoke(&quick, step(limits())).await;
            assert!(outcome.result.is_ok(), "{:?}", outcome.result);
            slowest = slowest.max(begun.elapsed());
            tokio::task::yield_now().await;
        }
        (Instant::now(), slowest)
    };
    let begun = Instant::now();
    let (looped, (done, slowest)) = tokio::join!(looping, beside);
    assert_eq!(code(&looped), Code::Deadline);
    assert!(done - begun < Duration::from_millis(250), "the others were done after {:?}", done - begun);
    assert!(slowest < Duration::from_millis(200), "{slowest:?}");
}

#[tokio::test]
async fn more_invocations_than_places_wait_their_turn() {
    let bench = Bench::new();
    let program = bench.program(&stepper(&[], "", KEEP));
    let all = (0..200).map(|_| bench.sandbox.invoke(&program, step(limits())));
    for outcome in within(Duration::from_secs(20), futures_util::future::join_all(all)).await {
        assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    }
}

#[tokio::test]
async fn without_a_place_before_the_deadline_the_node_is_overloaded() {
    let bench = Bench::new();
    let endless = bench.program(&stepper(&[], "", "(loop $again (br $again)) (unreachable)"));
    let forever = Limits { fuel: u64::MAX, wall_ms: 2_000, ..limits() };
    // Only tenants with nothing have the last places.
    let of = |number: usize| of_tenant(&format!("t{number}"), step(forever));
    let occupy = futures_util::future::join_all((0..32).map(|number| bench.sandbox.invoke(&endless, of(number))));
    let one_more = async {
        // Each of them has its two pages of memory as soon as it has a place.
        while bench.sandbox.pool_used_bytes() < 32 * (128 << 10) {
            tokio::task::yield_now().await;
        }
        let mut invocation = step(forever);
        invocation.deadline = Some(Instant::now() + Duration::from_millis(50));
        bench.sandbox.invoke(&endless, invocation).await
    };
    let (occupied, refused) = tokio::join!(occupy, one_more);
    assert!(occupied.iter().all(|outcome| code(outcome) == Code::Deadline));
    assert_eq!((code(&refused), refused.usage.fuel), (Code::Overloaded, 0));
}

#[tokio::test]
async fn one_tenants_invocations_leave_places_to_another() {
    let bench = Bench::new();
    let endless = bench.program(&stepper(&[], "", "(loop $again (br $again)) (unreachable)"));
    let quick = bench.program(&stepper(&[], "", KEEP));
    let forever = Limits { fuel: u64::MAX, wall_ms: 1_000, ..limits() };
    let occupy = futures_util::future::join_all((0..64).map(|_| bench.sandbox.invoke(&endless, of_tenant("greedy", step(forever)))));
    let other = async {
        while bench.sandbox.pool_used_bytes() < 16 * (128 << 10) {
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(bench.sandbox.pool_used_bytes(), 16 * (128 << 10), "half of the places");
        let mut invocation = of_tenant("quiet", step(limits()));
        invocation.deadline = Some(Instant::now() + Duration::from_millis(500));
        bench.sandbox.invoke(&quick, invocation).await
    };
    let (_, quiet) = tokio::join!(occupy, other);
    assert!(quiet.result.is_ok(), "{:?}", quiet.result);
}

#[tokio::test]
async fn two_tenants_who_want_everything_leave_places_to_a_third() {
    let bench = Bench::new();
    let endless = bench.program(&stepper(&[], "", "(loop $again (br $again)) (unreachable)"));
    let quick = bench.program(&stepper(&[], "", KEEP));
    let forever = Limits { fuel: u64::MAX, wall_ms: 1_000, ..limits() };
    // Taken in turns, as when both are at it all the time; whoever comes first has more for as long as its first invocations last.
    let greedy = |number: usize| of_tenant(if number.is_multiple_of(2) { "even" } else { "odd" }, step(forever));
    let occupy = futures_util::future::join_all((0..128).map(|number| bench.sandbox.invoke(&endless, greedy(number))));
    let third = async {
        while bench.sandbox.pool_used_bytes() < 20 * (128 << 10) {
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let held = bench.sandbox.pool_used_bytes() / (128 << 10);
        assert!((20..=22).contains(&held), "two thirds of 32 places: {held}");
        let mut invocation = of_tenant("quiet", step(limits()));
        invocation.deadline = Some(Instant::now() + Duration::from_millis(500));
        bench.sandbox.invoke(&quick, invocation).await
    };
    let (_, third) = tokio::join!(occupy, third);
    assert!(third.result.is_ok(), "{:?}", third.result);
}

#[tokio::test]
async fn an_invocation_that_is_dropped_gives_everything_back() {
    let bench = Bench::new();
    let endless = bench.program(&stepper(&[], "", "(loop $again (br $again)) (unreachable)"));
    for _ in 0..40 {
        let forever = Limits { fuel: u64::MAX, ..limits() };
        let invocation = bench.sandbox.invoke(&endless, step(forever));
        assert!(tokio::time::timeout(Duration::from_millis(3), invocation).await.is_err());
    }
    // One that is on another thread ends at its next tick.
    within(Duration::from_secs(10), async {
        while bench.sandbox.pool_used_bytes() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let quick = bench.step(&stepper(&[], "", KEEP), limits()).await;
    assert!(quick.result.is_ok());
}
