//! Single stories of a script step.

use snaphook_model::{Code, ErrorPolicy, Fault, OnError, Payload};

use crate::machine::{End, ScriptAction, ScriptEvent, ScriptStep};

fn threw() -> ScriptEvent {
    ScriptEvent::Faulted(Fault::new(Code::ScriptThrew, "boom"))
}

fn retry(attempts: u32, ignore_final: bool) -> OnError {
    let (attempts, delay_s, backoff, ignore_final) = (Some(attempts), Some(2), Some(3), Some(ignore_final));
    OnError { policy: ErrorPolicy::Retry, attempts, delay_s, backoff, ignore_final }
}

/// How a step that always throws ends, with the waits in seconds and how often the script ran.
fn always_throwing(on_error: OnError) -> (End, Vec<u64>, u32) {
    let mut step = ScriptStep::new(on_error, Payload::json("1"));
    let (mut waits, mut runs) = (Vec::new(), 0);
    loop {
        let event = match step.next() {
            ScriptAction::RunScript(payload) => {
                assert_eq!(payload, &Payload::json("1"));
                runs += 1;
                assert_eq!(step.attempt(), runs);
                threw()
            }
            ScriptAction::Wait(wait) => {
                waits.push(wait.as_secs());
                ScriptEvent::Waited
            }
            ScriptAction::Finish(end) => return (end.clone(), waits, runs),
        };
        step.apply(event).unwrap();
    }
}

#[test]
fn a_failing_script_is_tried_as_often_as_its_policy_says() {
    let (end, waits, runs) = always_throwing(OnError::default());
    assert!(matches!(end, End::Failed(_)), "{end:?}");
    assert_eq!((waits, runs), (vec![], 1));
    let (end, waits, runs) = always_throwing(retry(2, false));
    assert!(matches!(end, End::Failed(_)), "{end:?}");
    assert_eq!((waits, runs), (vec![2, 6], 3));
    let (end, _, runs) = always_throwing(retry(2, true));
    assert!(matches!(&end, End::Ignored(failure, payload) if failure.fault.code == Code::ScriptThrew && *payload == Payload::json("1")));
    assert_eq!(runs, 3);
    let (end, waits, runs) = always_throwing(OnError { policy: ErrorPolicy::Ignore, ..OnError::default() });
    assert!(matches!(end, End::Ignored(..)), "{end:?}");
    assert_eq!((waits, runs), (vec![], 1));
}

#[test]
fn a_later_attempt_may_succeed() {
    let mut step = ScriptStep::new(retry(2, false), Payload::json("1"));
    for event in [threw(), ScriptEvent::Waited, ScriptEvent::Returned(None)] {
        step.apply(event).unwrap();
    }
    assert!(step.apply(ScriptEvent::Waited).is_err());
    assert_eq!(step.into_end(), Some(End::Succeeded(Payload::json("1"))));
}

#[test]
fn a_wait_without_time_ends_the_step() {
    for (ignore_final, ignored) in [(false, false), (true, true)] {
        let mut step = ScriptStep::new(retry(2, ignore_final), Payload::json("1"));
        assert!(step.apply(ScriptEvent::Waited).is_err());
        step.apply(threw()).unwrap();
        assert!(step.apply(threw()).is_err());
        step.apply(ScriptEvent::NoTime).unwrap();
        let end = step.into_end().unwrap();
        assert_eq!(matches!(end, End::Ignored(..)), ignored, "{end:?}");
    }
}

#[test]
fn what_cannot_help_is_not_tried_again() {
    let mut step = ScriptStep::new(retry(2, false), Payload::json("1"));
    step.apply(ScriptEvent::Faulted(Fault::new(Code::NotFound, "gone"))).unwrap();
    assert!(matches!(step.into_end(), Some(End::Failed(_))));
}
