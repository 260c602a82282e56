//! Calls that keep their response as a file, or send files.

use std::collections::BTreeMap;

use bytes::Bytes;
use snaphook_model::{Decision, Headers, Hook, HookInput, HttpResponse, Payload, PostFailDecision, PostRequestDecision};

use super::calls::plan;
use crate::machine::{Action, Call, CallPlan, End, Event, ResponsePath};
use crate::template::FilePlan;

const FILE: &str = r#"{"file":"f"}"#;

fn start(plan: &CallPlan) -> Call<'_> {
    Call::new(plan, Payload::json("null").into(), false)
}

fn saving(bound: &[(Hook, usize)]) -> CallPlan {
    CallPlan { files: FilePlan::read("files", &BTreeMap::new(), None, Some(("save_as_file", "f"))).unwrap(), ..plan(bound) }
}

/// An answer that the driver keeps as a file.
fn saved(status: u16, body: &'static str) -> Event {
    let response = HttpResponse { status, headers: Headers::default(), body: Bytes::from_static(body.as_bytes()) };
    Event::Saved(response, Payload::json(FILE))
}

fn decided(decision: PostRequestDecision) -> Event {
    Event::Decided(Decision::PostRequest(decision))
}

/// What a call's end is, and whether the response counts in it.
fn told(plan: &CallPlan, events: impl IntoIterator<Item = Event>) -> (Option<End>, bool) {
    let mut call = start(plan);
    for event in events {
        call.apply(event).unwrap();
    }
    let counts = call.response_counts();
    (call.into_end(), counts)
}

#[test]
fn a_description_goes_on_in_place_of_the_content() {
    let done = |payload: &'static str| (Some(End::Succeeded(Payload::json(payload))), true);
    assert_eq!(told(&saving(&[]), [saved(200, "")]), done(FILE));
    // Nothing is picked out of what is not there.
    let picking = CallPlan { payload_path: Some(ResponsePath::parse("a.b")), ..saving(&[]) };
    assert_eq!(told(&picking, [saved(200, "")]), done(FILE));

    let scripted = saving(&[(Hook::PostRequest, 1)]);
    let mut call = start(&scripted);
    call.apply(saved(200, "content")).unwrap();
    let Action::RunHook { input: HookInput::PostRequest { payload, .. }, .. } = call.next() else { panic!("a post-request is next") };
    assert_eq!(payload, "content");
    assert_eq!(told(&scripted, [saved(200, "content"), decided(PostRequestDecision::None(None))]), done(FILE));
    let returned = PostRequestDecision::None(Some(Payload::json("1")));
    assert_eq!(told(&scripted, [saved(200, "content"), decided(returned)]), done("1"));
    assert_eq!(told(&scripted, [saved(500, "content"), decided(PostRequestDecision::Proceed(None))]), done(FILE));
}

#[test]
fn a_response_that_was_not_good_does_not_count() {
    let mut scripted = saving(&[(Hook::PostRequest, 1), (Hook::PostFail, 1)]);
    scripted.retry = super::calls::again(1);
    let recover = Event::Decided(Decision::PostFail(PostFailDecision::Recover(Payload::json("2"))));
    let none = || decided(PostRequestDecision::None(None));
    let retry = decided(PostRequestDecision::RetryStep(None));
    let (end, counts) = told(&scripted, [saved(500, "a"), none(), saved(500, "b"), none(), recover]);
    assert_eq!((end, counts), (Some(End::Succeeded(Payload::json("2"))), false));
    let (end, counts) = told(&scripted, [saved(200, "a"), retry, saved(200, "b"), none()]);
    assert_eq!((end, counts), (Some(End::Succeeded(Payload::json(FILE))), true));
}
