//! Whatever happens whenever: a machine takes what answers its question, and nothing else.

use bytes::Bytes;
use proptest::prelude::*;
use snaphook_model::{
    Code, Decision, ErrorPolicy, Fault, Headers, Hook, HttpRequest, HttpResponse, NewResponse, OnError, Payload, Rejection, Retry,
};

use super::stories::{answer, any_plan, called_back, decision};
use crate::machine::{Action, Call, End, Event, Failure, Repeat, Run, RunAction, RunPlan, ScriptAction, ScriptEvent, ScriptStep};
use crate::template::{Filled, FilledFiles};

fn fault(choice: u8) -> Fault {
    Fault::new(Code::ALL[usize::from(choice) % Code::ALL.len()], "no")
}

/// Any event, whatever is asked. Both numbers are choices: among the kinds, and within one.
fn event((kind, choice): (u8, u8)) -> Event {
    let response = || HttpResponse { status: 200, headers: Headers::default(), body: Bytes::from_static(b"{\"a\":[1]}") };
    match kind % 13 {
        0 => Event::Faulted(fault(choice)),
        1 => Event::Filled(Filled { request: HttpRequest::default(), expected: None, files: FilledFiles::default() }),
        2 => Event::NotFilled(fault(choice)),
        3 => Event::Responded(response()),
        4 => Event::Saved(response(), Payload::json("{\"file\":\"f\"}")),
        5 => Event::NotAnswered(fault(choice)),
        6 => Event::Waited,
        7 => Event::NoTime,
        8 => called_back(choice.max(61)),
        9 => Event::NotCalledBack,
        10 => Event::Renewed,
        11 => Event::NotRenewed(fault(choice)),
        _ => Event::Decided(decision(Hook::ALL[usize::from(choice) % Hook::ALL.len()], choice)),
    }
}

fn hook_of(decision: &Decision) -> Hook {
    match decision {
        Decision::PreHook(_) => Hook::PreHook,
        Decision::PreRequest(_) => Hook::PreRequest,
        Decision::PostRequest(_) => Hook::PostRequest,
        Decision::PostHook(_) => Hook::PostHook,
        Decision::PostFail(_) => Hook::PostFail,
        Decision::Step(_) => Hook::Step,
        Decision::Trigger(_) => Hook::Trigger,
    }
}

/// Whether an event answers an action, as the actions' own words say.
fn answers(action: &Action<'_>, event: &Event) -> bool {
    match (action, event) {
        (Action::RunHook { hook, .. }, Event::Decided(decision)) => hook_of(decision) == *hook,
        (Action::RunHook { .. }, Event::Faulted(_))
        | (Action::FillRequest(..), Event::Filled(_) | Event::NotFilled(_))
        | (Action::SendRequest(_), Event::Responded(_) | Event::Saved(..) | Event::NotAnswered(_))
        | (Action::Wait(_), Event::Waited | Event::NoTime)
        | (Action::AwaitCallback(_), Event::CalledBack(_) | Event::NotCalledBack)
        | (Action::Renew, Event::Renewed | Event::NotRenewed(_)) => true,
        _ => false,
    }
}

/// How a step ended.
fn end(choice: u8) -> End {
    let failure = |repeat| Failure { repeat, ..Failure::of(fault(choice)) };
    match choice % 7 {
        0 => End::Succeeded(Payload::json("1")),
        1 => End::Responded(NewResponse { status: 200, headers: Headers::default(), body: Bytes::new() }),
        2 => End::Ignored(failure(Repeat::AsPolicy), Payload::json("2")),
        3 => End::Rejected(Rejection { status: 400, code: None, message: String::new() }),
        4 => End::Failed(failure(Repeat::Never)),
        5 => End::Failed(failure(Repeat::AsPolicy)),
        _ => End::Failed(failure(Repeat::Asked)),
    }
}

fn script_event(choice: u8) -> ScriptEvent {
    match choice % 4 {
        0 => ScriptEvent::Returned(choice.is_multiple_of(8).then(|| Payload::json("2"))),
        1 => ScriptEvent::Faulted(fault(choice)),
        2 => ScriptEvent::Waited,
        _ => ScriptEvent::NoTime,
    }
}

fn any_on_error() -> impl Strategy<Value = OnError> {
    let policy = prop_oneof![Just(ErrorPolicy::Fail), Just(ErrorPolicy::Ignore), Just(ErrorPolicy::Retry)];
    (policy, 0..=10_u32, 0..3_u32, any::<bool>()).prop_map(|(policy, attempts, delay_s, ignore_final)| {
        let (attempts, delay_s, backoff, ignore_final) = (Some(attempts), Some(delay_s), Some(2), Some(ignore_final));
        OnError { policy, attempts, delay_s, backoff, ignore_final }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_call_takes_what_answers_and_nothing_else(
        plan in any_plan(),
        happens in prop::collection::vec((any::<(u8, u8)>(), any::<u8>()), 0..40),
    ) {
        let mut call = Call::new(&plan, Payload::json("{}").into(), true);
        for (any, right) in happens {
            let before = format!("{:?}", call.so_far());
            let event = event(any);
            let expected = answers(&call.next(), &event);
            prop_assert_eq!(call.apply(event.clone()).is_ok(), expected, "{:?} after {}", event, before);
            if !expected {
                prop_assert_eq!(format!("{:?}", call.so_far()), before);
                // Else few stories would come far.
                if let Some(event) = answer(&call.next(), right) {
                    prop_assert!(call.apply(event).is_ok());
                }
            }
        }
    }

    #[test]
    fn a_run_takes_the_ends_of_its_steps_and_nothing_else(
        steps in 0..5_usize,
        attempt in 1..4_u32,
        retried in prop::option::of(0..=10_u32),
        ends in prop::collection::vec(any::<u8>(), 0..10),
    ) {
        let retry = retried.map(|attempts| Retry { attempts, delay_s: 2, backoff: 2 });
        let mut run = Run::new(RunPlan { steps, retry, attempt }, Payload::json("0"));
        let mut ended = 0;
        for choice in ends {
            let before = format!("{run:?}");
            let asks = match run.next() {
                RunAction::RunStep(index, _) => {
                    prop_assert_eq!(index, ended, "one after another");
                    true
                }
                RunAction::Finish(_) => false,
            };
            prop_assert_eq!(run.step_ended(end(choice)).is_ok(), asks);
            let unchanged = format!("{run:?}") == before;
            prop_assert!(asks || unchanged);
            ended += usize::from(asks);
        }
        prop_assert!(ended <= steps);
        let is_over = matches!(run.next(), RunAction::Finish(_));
        prop_assert_eq!(run.into_end().is_some(), is_over);
    }

    #[test]
    fn a_script_step_takes_what_answers_and_nothing_else(on_error in any_on_error(), happens in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut step = ScriptStep::new(on_error, Payload::json("1"));
        for choice in happens {
            let (before, event) = (format!("{step:?}"), script_event(choice));
            let expected = matches!(
                (step.next(), &event),
                (ScriptAction::RunScript(_), ScriptEvent::Returned(_) | ScriptEvent::Faulted(_))
                    | (ScriptAction::Wait(_), ScriptEvent::Waited | ScriptEvent::NoTime)
            );
            prop_assert_eq!(step.apply(event).is_ok(), expected);
            let unchanged = format!("{step:?}") == before;
            prop_assert!(expected || unchanged);
        }
        prop_assert!(step.attempt() <= 11);
        let is_over = matches!(step.next(), ScriptAction::Finish(_));
        prop_assert_eq!(step.into_end().is_some(), is_over);
    }
}
