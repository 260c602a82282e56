//! Every story ends, within bounds, whatever happens in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use snaphook_model::{
    AsyncStep, Callback, Code, ContinueIf, Decision, FailingDecision, Fault, Headers, Hook, HttpResponse, NewResponse, Payload, Polling,
    PostFailDecision, PostHookDecision, PostRequestDecision, PreHookDecision, PreRequestDecision, Rejection, ReplacedFailure, Retry,
    StepDecision, TriggerDecision,
};

use super::calls::plan;
use crate::machine::{Accept, Action, Call, CallPlan, End, Event, Repeat, ResponsePath};
use crate::template::{Body, Condition, RequestTemplate, Source, SourceUrl, Values};

/// A choice among the events that may answer an action.
pub(super) fn answer(action: &Action<'_>, choice: u8) -> Option<Event> {
    Some(match action {
        Action::Finish(_) => return None,
        Action::Wait(_) if choice > 220 => Event::NoTime,
        Action::Wait(_) => Event::Waited,
        Action::AwaitCallback(_) => called_back(choice),
        Action::Renew if choice > 200 => Event::NotRenewed(Fault::new(Code::TokenRefused, "no")),
        Action::Renew => Event::Renewed,
        Action::FillRequest(..) if choice > 200 => Event::NotFilled(Fault::new(Code::Template, "no")),
        Action::FillRequest(plan, arguments) => {
            let values = Values::new((*arguments).clone(), Arc::default(), Arc::default());
            plan.fill(&values).map_or_else(Event::NotFilled, Event::Filled)
        }
        Action::SendRequest(_) => {
            let status = [200, 201, 302, 404, 500][usize::from(choice) % 5];
            let response = |body| HttpResponse { status, headers: Headers::default(), body };
            match choice {
                0..=130 => Event::Responded(response(Bytes::from_static(b"{\"a\":[1]}"))),
                // A script, where there is one, sees the body too.
                131..=145 => Event::Saved(response(Bytes::from_static(b"{\"a\":[1]}")), Payload::json("{\"file\":\"f\"}")),
                146..=160 => Event::Saved(response(Bytes::new()), Payload::json("{\"file\":\"f\"}")),
                _ => Event::NotAnswered(Fault::new(Code::ALL[usize::from(choice) % Code::ALL.len()], "no")),
            }
        }
        Action::RunHook { .. } if choice > 240 => Event::Faulted(Fault::new(Code::ScriptThrew, "boom")),
        Action::RunHook { hook, .. } => Event::Decided(decision(*hook, choice)),
    })
}

/// A choice among the decisions of a hook.
pub(super) fn decision(hook: Hook, choice: u8) -> Decision {
    let payload = choice.is_multiple_of(2).then(|| Payload::json("{\"p\":1}"));
    let rejection = Rejection { status: 400, code: None, message: String::new() };
    let response = NewResponse { status: 200, headers: Headers::default(), body: Bytes::new() };
    match hook {
        Hook::PreHook => Decision::PreHook(match choice {
            0..=200 => PreHookDecision::Call(payload.map(|p| p.bytes)),
            201..=220 => PreHookDecision::Reject(rejection),
            _ => PreHookDecision::Respond(response),
        }),
        Hook::PreRequest => Decision::PreRequest(match choice {
            0..=200 => PreRequestDecision::Send(None),
            201..=220 => PreRequestDecision::Reject(rejection),
            _ => PreRequestDecision::Respond(response),
        }),
        Hook::PostRequest => Decision::PostRequest(match choice {
            0..=100 => PostRequestDecision::None(payload),
            101..=150 => PostRequestDecision::Proceed(payload),
            151..=210 => PostRequestDecision::RetryStep(None),
            211..=220 => PostRequestDecision::RetryRun(None),
            221..=230 => PostRequestDecision::Fail(FailingDecision::default()),
            _ => PostRequestDecision::Reauthenticate(None),
        }),
        Hook::PostHook => Decision::PostHook(match choice {
            0..=100 => PostHookDecision::Keep,
            101..=200 => PostHookDecision::Replace(Payload::default()),
            _ => PostHookDecision::Reject(rejection),
        }),
        Hook::PostFail => Decision::PostFail(match choice {
            0..=100 => PostFailDecision::Keep,
            101..=170 => PostFailDecision::Recover(Payload::default()),
            _ => PostFailDecision::Replace(ReplacedFailure { status: 500, code: None, message: String::new() }),
        }),
        Hook::Step => Decision::Step(StepDecision(payload)),
        Hook::Trigger => Decision::Trigger(TriggerDecision { payload, response: None }),
    }
}

pub(super) fn called_back(choice: u8) -> Event {
    let text = |limit| (choice > limit).then(|| "said".to_owned());
    let body = Payload::json("{\"called\":1}");
    match choice {
        0..=60 => Event::NotCalledBack,
        _ => {
            Event::CalledBack(Callback { ok: choice > 140, body, document_status: text(90), error_code: text(100), error_text: text(110) })
        }
    }
}

/// What lets a call wait.
fn any_waits() -> impl Strategy<Value = (Retry, Option<Polling>, Option<AsyncStep>)> {
    let retry = (0..=10_u32, 0..3_u32).prop_map(|(attempts, delay_s)| Retry { attempts, delay_s, backoff: 2 });
    let polling = prop::option::of((1..4_u32, 1..6_u32).prop_map(|(interval, amount)| Polling { interval, amount }));
    let awaits = prop::option::of(any::<bool>().prop_map(|use_body| AsyncStep { use_body, timeout_s: 60 }));
    (retry, polling, awaits)
}

pub(super) fn any_plan() -> impl Strategy<Value = CallPlan> {
    let accept = prop_oneof![Just(Accept::Success), Just(Accept::Any), Just(Accept::Listed(vec![200, 404]))];
    let path = prop_oneof![Just(None), Just(Some("a.0")), Just(Some("missing"))];
    let condition = prop_oneof![Just(None), Just(Some("1")), Just(Some("{{ payload.a }}"))];
    (prop::array::uniform5(0..4_usize), any_waits(), accept, path, any::<[bool; 2]>(), condition).prop_map(
        |(bound, (retry, polling, awaits), accept, path, [templated, renewable], condition)| {
            let bound: Vec<_> = Hook::ALL.into_iter().zip(bound).collect();
            let mut plan = plan(&bound);
            if templated {
                plan.request = templated_request();
            }
            let condition = condition.map(|value| ContinueIf { response_notation: "a.0".to_owned(), value: value.into() });
            plan.condition = condition.map(|condition| Condition::read("steps[0]", &condition).unwrap());
            let polling = polling.filter(|_| plan.condition.is_some());
            CallPlan { retry, polling, awaits, renewable, accept, payload_path: path.map(ResponsePath::parse), ..plan }
        },
    )
}

fn templated_request() -> RequestTemplate {
    let source = Source {
        path: "steps[0]",
        method: "POST".to_owned(),
        url: SourceUrl::Whole("https://a.example/{{ payload.a }}"),
        headers: Vec::new(),
        data: None,
        encode: None,
        otherwise: Body::Arguments,
        condition: None,
    };
    RequestTemplate::read(source).unwrap().0
}

/// The call as it is after it was written down and read back: it must ask for the same.
fn written_down<'p>(plan: &'p CallPlan, call: Call<'p>) -> Result<Call<'p>, TestCaseError> {
    let written = rmp_serde::to_vec_named(call.so_far()).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let read = rmp_serde::from_slice(&written).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let resumed = Call::resumed(plan, read);
    prop_assert_eq!(format!("{:?}", resumed.next()), format!("{:?}", call.next()));
    Ok(resumed)
}

/// What must hold of any story, told to its end.
fn tell(plan: &CallPlan, choices: &[u8], may_repeat: bool) -> Result<(), TestCaseError> {
    let mut call = Call::new(plan, Payload::json("{}").into(), may_repeat);
    let (mut ran, mut requests, mut events) = (BTreeMap::<Hook, usize>::new(), 0, 0);
    let bound = |hook| plan.bound.of(hook);
    let per_attempt = bound(Hook::PreRequest) + 2 + bound(Hook::PostRequest);
    let attempts = match plan.polling {
        Some(polling) => polling.amount,
        None => plan.retry.attempts + 1,
    };
    // A token is renewed once for each attempt that `retry` allows, and the request sent once more for it.
    let attempts = if plan.renewable { attempts + plan.retry.attempts + 1 } else { attempts };
    // Before each attempt but the first there may be a wait or a new token, and a wait for the callback.
    let most = bound(Hook::PreHook) + attempts as usize * (per_attempt + 1) + bound(Hook::PostHook).max(bound(Hook::PostFail));
    while let Some(event) = answer(&call.next(), choices.get(events % choices.len().max(1)).copied().unwrap_or(0)) {
        match call.next() {
            Action::RunHook { hook, index, .. } => {
                prop_assert!(index < bound(hook));
                *ran.entry(hook).or_default() += 1;
            }
            Action::SendRequest(_) => requests += 1,
            Action::FillRequest(..) | Action::Wait(_) | Action::AwaitCallback(_) | Action::Renew | Action::Finish(_) => {}
        }
        call = written_down(plan, call)?;
        prop_assert!(call.apply(event).is_ok());
        events += 1;
        prop_assert!(events <= most, "more than {most} events");
    }
    prop_assert!(call.attempt() <= attempts);
    prop_assert!(requests <= attempts);
    prop_assert!(!(ran.contains_key(&Hook::PostHook) && ran.contains_key(&Hook::PostFail)), "post-hook and post-fail in one call");
    prop_assert_eq!(call.attempt_errors().len(), call.attempt() as usize, "every attempt has ended");
    prop_assert!(call.apply(Event::Faulted(Fault::new(Code::Fuel, ""))).is_err(), "nothing happens after the end");
    let asked = matches!(call.into_end(), Some(End::Failed(failure)) if failure.repeat == Repeat::Asked);
    prop_assert!(may_repeat || !asked);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn every_story_ends_within_bounds(plan in any_plan(), choices in prop::collection::vec(any::<u8>(), 1..80), may_repeat in any::<bool>()) {
        tell(&plan, &choices, may_repeat)?;
    }

    #[test]
    fn no_body_and_no_path_makes_the_pick_panic(path in ".{0,20}", body in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = ResponsePath::parse(&path).pick(&Bytes::from(body));
    }
}
