//! Single stories of a run.

use std::time::Duration;

use snaphook_model::{Code, Fault, Headers, NewResponse, Payload, Rejection, Retry};

use crate::machine::{End, Failure, Repeat, Run, RunAction, RunEnd, RunPlan};

fn failed(repeat: Repeat) -> End {
    End::Failed(Failure { repeat, ..Failure::of(Fault::new(Code::Status, "500")) })
}

fn end(plan: RunPlan, steps: Vec<End>) -> RunEnd {
    let mut run = Run::new(plan, Payload::json("0"));
    for step in steps {
        run.step_ended(step).unwrap();
    }
    run.into_end().expect("the story is told to its end")
}

fn delay(end: RunEnd) -> Option<u64> {
    match end {
        RunEnd::Failed(_, delay) => delay.map(|delay| delay.as_secs()),
        other => panic!("no failure, but {other:?}"),
    }
}

#[test]
fn payloads_go_from_step_to_step() {
    let mut run = Run::new(RunPlan { steps: 3, retry: None, attempt: 1 }, Payload::json("0"));
    assert_eq!(run.next(), RunAction::RunStep(0, &Payload::json("0")));
    run.step_ended(End::Succeeded(Payload::json("1"))).unwrap();
    assert_eq!(run.next(), RunAction::RunStep(1, &Payload::json("1")));
    let headers = Headers::from_iter([("content-type", "text/plain")]);
    run.step_ended(End::Responded(NewResponse { status: 404, headers, body: "two".into() })).unwrap();
    let two = Payload { bytes: "two".into(), content_type: "text/plain".to_owned() };
    assert_eq!(run.next(), RunAction::RunStep(2, &two));
    run.step_ended(End::Succeeded(Payload::json("3"))).unwrap();
    assert_eq!(run.next(), RunAction::Finish(&RunEnd::Succeeded(Payload::json("3"))));
    assert!(run.step_ended(End::Succeeded(Payload::json("4"))).is_err());
}

#[test]
fn the_first_failure_ends_the_run() {
    let plan = RunPlan { steps: 2, retry: None, attempt: 1 };
    assert!(matches!(end(plan, vec![failed(Repeat::AsPolicy)]), RunEnd::Failed(_, None)));
    let rejection = Rejection { status: 403, code: None, message: "no".to_owned() };
    assert_eq!(end(plan, vec![End::Rejected(rejection.clone())]), RunEnd::Rejected(rejection));
}

#[test]
fn another_run_follows_as_the_flow_and_the_script_say() {
    let retry = |attempts, delay_s, backoff| Some(Retry { attempts, delay_s, backoff });
    let cases = [
        (None, 1, Repeat::AsPolicy, None),
        (None, 1, Repeat::Asked, Some(60)),
        (None, 2, Repeat::Asked, None),
        (retry(0, 5, 1), 1, Repeat::Asked, None),
        (retry(2, 5, 3), 1, Repeat::AsPolicy, Some(5)),
        (retry(2, 5, 3), 2, Repeat::Asked, Some(15)),
        (retry(2, 5, 3), 3, Repeat::AsPolicy, None),
        (retry(2, 5, 3), 1, Repeat::Never, None),
        (retry(10, 3600, 10), 10, Repeat::AsPolicy, Some(30 * 24 * 3600)),
    ];
    for (retry, attempt, repeat, expected) in cases {
        let plan = RunPlan { steps: 1, retry, attempt };
        assert_eq!(delay(end(plan, vec![failed(repeat)])), expected, "{retry:?} {attempt} {repeat:?}");
        assert_eq!(plan.asked().is_some(), retry.map_or(1, |retry| retry.attempts) >= attempt);
    }
    assert_eq!(RunPlan { steps: 1, retry: None, attempt: 1 }.asked(), Some(Duration::from_secs(60)));
}

#[test]
fn an_ignored_failure_leaves_the_run_partial() {
    let plan = RunPlan { steps: 2, retry: None, attempt: 1 };
    let End::Failed(failure) = failed(Repeat::AsPolicy) else { unreachable!() };
    let ignored = || End::Ignored(failure.clone(), Payload::json("before"));
    assert_eq!(end(plan, vec![ignored(), End::Succeeded(Payload::json("1"))]), RunEnd::Partial(Payload::json("1")));
    assert_eq!(end(plan, vec![End::Succeeded(Payload::json("1")), ignored()]), RunEnd::Partial(Payload::json("before")));
    assert!(matches!(end(plan, vec![ignored(), failed(Repeat::AsPolicy)]), RunEnd::Failed(..)), "a failure that is not ignored stays one");
}
