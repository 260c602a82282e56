//! Telling short work from long, by the time of the processor that it has: on a busy machine what is short may take long by the clock on the wall.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::background::Running;

/// So much of the processor an invocation has on the task that awaits it. Nearly all need less.
pub(crate) const SHORT: Duration = Duration::from_millis(1);

/// What a future is taken to have had at most the first time that it was polled, where that was only measured by the clock on the wall: guests let
/// others run at a tick of a clock, which comes within [`SHORT`].
const FIRST: Duration = Duration::from_micros(500);

/// What a future gives while it is short, or nothing once it has shown that it is not; and how much it has had.
///
/// Asking the system for that takes about a microsecond each time that it is polled, and nearly all futures end the first time. So that time is measured
/// only where somebody counts on it (`exactly`).
pub(crate) async fn while_short<T>(running: &mut Running<T>, exactly: bool) -> (Option<T>, Duration) {
    let (mut had, mut measured) = (Duration::ZERO, exactly);
    poll_fn(|context| {
        let polled = if measured {
            timed(&mut had, || running.as_mut().poll(context))
        } else {
            let begun = Instant::now();
            let polled = running.as_mut().poll(context);
            (had, measured) = (begun.elapsed().min(FIRST), true);
            polled
        };
        match polled {
            Poll::Ready(given) => Poll::Ready((Some(given), had)),
            Poll::Pending if had >= SHORT => Poll::Ready((None, had)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// What a future gives, and how much of the processor it has had.
pub(crate) async fn to_its_end<T>(mut running: Running<T>) -> (T, Duration) {
    let mut had = Duration::ZERO;
    let given = poll_fn(|context| timed(&mut had, || running.as_mut().poll(context))).await;
    (given, had)
}

fn timed<T>(had: &mut Duration, work: impl FnOnce() -> T) -> T {
    let before = processor_time();
    let done = work();
    *had += processor_time().saturating_sub(before);
    done
}

/// What this thread has had of the processor.
pub(crate) fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does something each time that it is polled, so many times.
    fn polled(times: u32, each: fn()) -> Running<u32> {
        let mut left = times;
        Box::pin(poll_fn(move |context| {
            each();
            left -= 1;
            context.waker().wake_by_ref();
            if left == 0 { Poll::Ready(times) } else { Poll::Pending }
        }))
    }

    fn work() {
        let until = processor_time() + SHORT;
        while processor_time() < until {}
    }

    #[tokio::test]
    async fn who_is_kept_from_the_processor_stays_short() {
        for exactly in [false, true] {
            let (given, had) = while_short(&mut polled(3, || std::thread::sleep(2 * SHORT)), exactly).await;
            assert_eq!(given, Some(3));
            assert!(had < SHORT, "{had:?}");
        }
    }

    #[tokio::test]
    async fn who_works_on_is_long_and_goes_on_from_there() {
        for (exactly, taken) in [(false, 2), (true, 1)] {
            let mut running = polled(4, work);
            let (given, _) = while_short(&mut running, exactly).await;
            assert_eq!(given, None);
            let (given, had) = to_its_end(running).await;
            assert_eq!(given, 4);
            assert!(had >= (4 - taken) * SHORT, "{had:?}");
        }
    }
}
