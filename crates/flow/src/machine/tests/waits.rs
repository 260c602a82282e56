//! Calls that wait: before another attempt, for another poll, for a callback.

use std::time::Duration;

use bytes::Bytes;
use snaphook_model::{
    AsyncStep, Callback, Code, ContinueIf, Decision, Hook, HttpResponse, Payload, Polling, PostRequestDecision, Retry, WaitReason,
};

use super::calls::{plan, response};
use crate::machine::{Action, Call, CallPlan, End, Event, Repeat};
use crate::template::Condition;

fn start(plan: &CallPlan) -> Call<'_> {
    Call::new(plan, Payload::json(r#"{"a":1}"#).into(), true)
}

fn told(plan: &CallPlan, events: impl IntoIterator<Item = Event>) -> Call<'_> {
    let mut call = start(plan);
    for event in events {
        call.apply(event.clone()).unwrap_or_else(|error| panic!("{error}: {event:?}"));
    }
    call
}

fn waits(call: &Call<'_>) -> Option<u64> {
    match call.next() {
        Action::Wait(delay) => Some(delay.as_secs()),
        _ => None,
    }
}

fn failed(call: Call<'_>) -> (Code, Repeat) {
    match call.into_end() {
        Some(End::Failed(failure)) => (failure.fault.code, failure.repeat),
        other => panic!("no failure, but {other:?}"),
    }
}

fn polling(amount: u32) -> CallPlan {
    let condition = ContinueIf { response_notation: "status".to_owned(), value: "done".into() };
    CallPlan {
        condition: Some(Condition::read("steps[0]", &condition).unwrap()),
        polling: Some(Polling { interval: 5, amount }),
        ..plan(&[])
    }
}

#[test]
fn delays_grow_and_belong_to_scripts_too() {
    let plan = CallPlan { retry: Retry { attempts: 3, delay_s: 2, backoff: 3 }, ..plan(&[(Hook::PostRequest, 1)]) };
    let again = || Event::Decided(Decision::PostRequest(PostRequestDecision::RetryStep(None)));
    let call = told(&plan, [response(200, "{}"), again()]);
    assert_eq!((waits(&call), call.wait_reason()), (Some(2), WaitReason::Retry));
    let call = told(&plan, [response(200, "{}"), again(), Event::Waited, response(500, "{}"), Event::Decided(none())]);
    assert_eq!(waits(&call), Some(6));
    let call = told(&plan, [response(200, "{}"), again(), Event::NoTime]);
    assert_eq!(call.attempt_errors().len(), 1);
    assert_eq!(failed(call), (Code::ScriptFailed, Repeat::AsPolicy));
}

/// An answer of an upstream that has too much to do.
fn busy(status: u16, headers: &[(&str, &str)]) -> Event {
    Event::Responded(HttpResponse { status, headers: headers.iter().copied().collect(), body: Bytes::new() })
}

#[test]
fn an_upstream_that_asks_for_more_time_gets_it() {
    let retry = |delay_s| Retry { attempts: 3, delay_s, backoff: 3 };
    let slow = CallPlan { retry: retry(2), ..plan(&[]) };
    let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    for (status, said, waited) in [
        (429, "30", 30),
        (503, "30", 30),
        (503, "Sun, 06 Nov 1994 08:50:07 GMT", 30),
        (429, "1", 2),
        (429, "86400", 3600),
        (429, "soon", 2),
        (500, "30", 2),
    ] {
        let call = told(&slow, [busy(status, &[date, ("retry-after", said)])]);
        assert_eq!((waits(&call), call.wait_reason()), (Some(waited), WaitReason::Retry), "{status} {said}");
    }
    // The step's own delays grow meanwhile, and the longer of both counts each time.
    let asked = || busy(429, &[("retry-after", "5")]);
    assert_eq!(waits(&told(&slow, [asked(), Event::Waited, asked()])), Some(6));
    // What an earlier response asked for is over.
    let gone = Event::NotAnswered(snaphook_model::Fault::new(Code::Reset, "gone"));
    assert_eq!(waits(&told(&slow, [busy(429, &[("retry-after", "30")]), Event::Waited, gone])), Some(6));
    let at_once = CallPlan { retry: retry(0), ..plan(&[]) };
    assert!(matches!(told(&at_once, [asked()]).next(), Action::SendRequest(_)));
    // A script that retries waits as long.
    let scripted = CallPlan { retry: retry(2), ..plan(&[(Hook::PostRequest, 1)]) };
    let again = Event::Decided(Decision::PostRequest(PostRequestDecision::RetryStep(None)));
    assert_eq!(waits(&told(&scripted, [asked(), again])), Some(5));
}

fn none() -> Decision {
    Decision::PostRequest(PostRequestDecision::None(None))
}

#[test]
fn polling_stops_at_a_match_and_at_its_amount() {
    let (no, yes) = (|| response(200, r#"{"status":"open"}"#), || response(200, r#"{"status":"done"}"#));
    let plan = polling(3);
    let call = told(&plan, [no()]);
    assert_eq!((waits(&call), call.wait_reason()), (Some(5), WaitReason::Polling));
    assert!(matches!(told(&plan, [no(), Event::Waited, yes()]).into_end(), Some(End::Succeeded(_))));
    let call = told(&plan, [no(), Event::Waited, no(), Event::Waited, no()]);
    assert_eq!(call.attempt(), 3);
    assert_eq!(failed(call), (Code::PollingExhausted, Repeat::AsPolicy));
    assert_eq!(failed(told(&polling(1), [no()])).0, Code::PollingExhausted);
}

#[test]
fn retries_count_as_polls() {
    let plan = CallPlan { retry: Retry { attempts: 5, ..Retry::NONE }, ..polling(2) };
    let reset = || Event::NotAnswered(snaphook_model::Fault::new(Code::Reset, "gone"));
    assert_eq!(failed(told(&plan, [reset(), reset()])).0, Code::Reset);
}

fn callback(ok: bool) -> Event {
    let text = |text: &str| Some(text.to_owned());
    let body = Payload::json(r#"{"x":1}"#);
    Event::CalledBack(Callback { ok, body, document_status: None, error_code: text("14001"), error_text: text("bad VAT") })
}

#[test]
fn a_callback_ends_the_step() {
    let with = |use_body| CallPlan { awaits: Some(AsyncStep { use_body, timeout_s: 60 }), ..plan(&[]) };
    let (body, bare) = (with(true), with(false));
    let call = told(&body, [response(202, "{}")]);
    assert!(matches!(call.next(), Action::AwaitCallback(timeout) if timeout == Duration::from_secs(60)));
    let payload = |plan, event| match told(plan, [response(202, "{}"), event]).into_end() {
        Some(End::Succeeded(payload)) => payload.bytes,
        other => panic!("{other:?}"),
    };
    assert_eq!(payload(&body, callback(true)), r#"{"x":1}"#);
    assert_eq!(payload(&bare, callback(true)), r#"{"a":1}"#);
    assert_eq!(failed(told(&body, [response(202, "{}"), Event::NotCalledBack])).0, Code::CallbackTimeout);
    let Some(End::Failed(failure)) = told(&body, [response(202, "{}"), callback(false)]).into_end() else {
        panic!("it said that it failed")
    };
    assert_eq!((failure.fault.code, failure.fault.detail.contains("14001, bad VAT")), (Code::CallbackFailed, true));
    assert!(failure.document.is_some());
    // A request that was refused has asked for nothing.
    assert_eq!(failed(told(&body, [response(500, "{}")])).0, Code::Status);
}
