//! Single stories of a call: a plan, what happens, how it ends.

use bytes::Bytes;
use snaphook_model::{
    Code, ContinueIf, Decision, FailingDecision, Fault, Headers, Hook, HookInput, HttpResponse, NewRequest, NewResponse, Payload,
    PostFailDecision, PostHookDecision, PostRequestDecision, PreHookDecision, PreRequestDecision, ReasonCode, Rejection, ReplacedFailure,
    Retry,
};

use crate::machine::{Accept, Action, BoundHooks, Call, CallPlan, End, Event, Failure, Repeat, ResponsePath};
use crate::template::{Body, Condition, FilePlan, RequestTemplate};

pub(super) fn plan(bound: &[(Hook, usize)]) -> CallPlan {
    let count = |hook| bound.iter().find(|(h, _)| *h == hook).map_or(0, |(_, n)| *n);
    CallPlan {
        connector: "shop".into(),
        endpoint: "create".into(),
        request: RequestTemplate {
            method: "POST".to_owned(),
            url: "https://a.example/x".to_owned(),
            headers: Headers::default(),
            body: Body::Arguments,
            templates: None,
        },
        bound: BoundHooks::new(count),
        retry: Retry::NONE,
        polling: None,
        awaits: None,
        renewable: false,
        idempotent: false,
        accept: Accept::Success,
        payload_path: None,
        condition: None,
        store: Vec::new(),
        files: FilePlan::default(),
    }
}

/// So many further attempts, at once.
pub(super) const fn again(attempts: u32) -> Retry {
    Retry { attempts, ..Retry::NONE }
}

fn start(plan: &CallPlan) -> Call<'_> {
    Call::new(plan, Payload::json(r#"{"a":1}"#).into(), true)
}

pub(super) fn response(status: u16, body: &'static str) -> Event {
    let headers = Headers::from_iter([("content-type", "application/json")]);
    Event::Responded(HttpResponse { status, headers, body: Bytes::from_static(body.as_bytes()) })
}

fn input(call: &Call<'_>) -> HookInput {
    match call.next() {
        Action::RunHook { input, .. } => input,
        other => panic!("no hook is next, but {other:?}"),
    }
}

fn at(call: &Call<'_>) -> Option<(Hook, usize)> {
    match call.next() {
        Action::RunHook { hook, index, .. } => Some((hook, index)),
        _ => None,
    }
}

fn sent(call: &Call<'_>) -> (String, Bytes) {
    match call.next() {
        Action::SendRequest(request) => (request.url.clone(), request.body.clone()),
        other => panic!("no request is next, but {other:?}"),
    }
}

fn after(mut call: Call<'_>, events: impl IntoIterator<Item = Event>) -> Call<'_> {
    for event in events {
        call.apply(event.clone()).unwrap_or_else(|error| panic!("{error}: {event:?}"));
    }
    call
}

fn end(call: Call<'_>, events: impl IntoIterator<Item = Event>) -> End {
    after(call, events).into_end().expect("the story is told to its end")
}

fn failure(end: End) -> Failure {
    match end {
        End::Failed(failure) => failure,
        other => panic!("no failure, but {other:?}"),
    }
}

fn payload(end: End) -> Bytes {
    match end {
        End::Succeeded(payload) => payload.bytes,
        other => panic!("no success, but {other:?}"),
    }
}

fn pre_hook(decision: PreHookDecision) -> Event {
    Event::Decided(Decision::PreHook(decision))
}
fn pre_request(decision: PreRequestDecision) -> Event {
    Event::Decided(Decision::PreRequest(decision))
}
fn post_request(decision: PostRequestDecision) -> Event {
    Event::Decided(Decision::PostRequest(decision))
}
fn post_hook(decision: PostHookDecision) -> Event {
    Event::Decided(Decision::PostHook(decision))
}
fn post_fail(decision: PostFailDecision) -> Event {
    Event::Decided(Decision::PostFail(decision))
}
fn none() -> Event {
    post_request(PostRequestDecision::None(None))
}
fn threw() -> Event {
    Event::Faulted(Fault::new(Code::ScriptThrew, "boom"))
}
fn rejection() -> Rejection {
    Rejection { status: 500, code: Some(ReasonCode::Number(50000)), message: "too high".to_owned() }
}

#[test]
fn without_hooks_the_body_passes_byte_for_byte() {
    let plan = plan(&[]);
    let call = start(&plan);
    assert_eq!(sent(&call).1, r#"{"a":1}"#);
    assert_eq!(payload(end(call, [response(201, "{ \"x\" : 1.0 }")])), "{ \"x\" : 1.0 }");
}

#[test]
fn pre_hooks_chain_arguments_and_the_others_see_the_original() {
    let plan = plan(&[(Hook::PreHook, 2), (Hook::PostHook, 1)]);
    let call = after(start(&plan), [pre_hook(PreHookDecision::Call(Some(Bytes::from_static(b"{\"a\":2}"))))]);
    assert_eq!(at(&call), Some((Hook::PreHook, 1)));
    let HookInput::PreHook { arguments, connector, endpoint } = input(&call) else { panic!("a pre-hook's input") };
    assert_eq!((&*arguments, &*connector, &*endpoint), (&b"{\"a\":2}"[..], "shop", "create"));
    let call = after(call, [pre_hook(PreHookDecision::Call(None))]);
    assert_eq!(sent(&call).1, "{\"a\":2}");
    let call = after(call, [response(200, "7")]);
    let HookInput::PostHook { arguments, payload, status, .. } = input(&call) else { panic!("a post-hook's input") };
    assert_eq!((&*arguments, &*payload, status), (&b"{\"a\":1}"[..], &b"7"[..], 200));
}

#[test]
fn reject_and_respond_end_a_call_without_request_and_without_later_hooks() {
    let all = [(Hook::PreHook, 2), (Hook::PreRequest, 2), (Hook::PostRequest, 1), (Hook::PostHook, 1), (Hook::PostFail, 1)];
    let plan = plan(&all);
    let answer = NewResponse { status: 202, headers: Headers::default(), body: Bytes::new() };
    let go = || [pre_hook(PreHookDecision::Call(None)), pre_hook(PreHookDecision::Call(None))];
    assert_eq!(end(start(&plan), [pre_hook(PreHookDecision::Reject(rejection()))]), End::Rejected(rejection()));
    assert_eq!(end(start(&plan), [pre_hook(PreHookDecision::Respond(answer.clone()))]), End::Responded(answer.clone()));
    let call = after(start(&plan), go());
    assert_eq!(end(call, [pre_request(PreRequestDecision::Reject(rejection()))]), End::Rejected(rejection()));
    let call = after(start(&plan), go());
    assert_eq!(end(call, [pre_request(PreRequestDecision::Respond(answer.clone()))]), End::Responded(answer));
}

#[test]
fn a_guest_fault_before_the_request_means_no_request_and_runs_post_fail() {
    for hook in [Hook::PreHook, Hook::PreRequest] {
        let plan = plan(&[(hook, 1), (Hook::PostFail, 1)]);
        let call = after(start(&plan), [threw()]);
        let HookInput::PostFail { status, code, message, arguments, .. } = input(&call) else { panic!("a post-fail's input") };
        assert_eq!((status, code.as_str(), message.as_str(), &*arguments), (0, "script-threw", "boom", &b"{\"a\":1}"[..]));
        assert_eq!(failure(end(call, [post_fail(PostFailDecision::Keep)])).fault.code, Code::ScriptThrew);
    }
}

#[test]
fn pre_requests_chain_and_an_absent_body_stays() {
    let plan = plan(&[(Hook::PreRequest, 2)]);
    let new = |url: &str, body: Option<&'static [u8]>| {
        let body = body.map(Bytes::from_static);
        let request = NewRequest { method: "PUT".to_owned(), url: url.to_owned(), headers: Headers::default(), body };
        pre_request(PreRequestDecision::Send(Some(request)))
    };
    let call = after(start(&plan), [new("https://a.example/1", Some(b"b"))]);
    let HookInput::PreRequest { request } = input(&call) else { panic!("a pre-request's input") };
    assert_eq!((request.url.as_str(), &*request.body), ("https://a.example/1", &b"b"[..]));
    let call = after(call, [new("https://a.example/2", None)]);
    assert_eq!(sent(&call), ("https://a.example/2".to_owned(), Bytes::from_static(b"b")));
}

#[test]
fn the_status_check_stands_until_a_script_proceeds() {
    let lists = [
        (Accept::Success, 204, true),
        (Accept::Success, 301, false),
        (Accept::Any, 500, true),
        (Accept::Listed(vec![200, 201]), 201, true),
        (Accept::Listed(vec![200, 201]), 204, false),
    ];
    for (accept, status, succeeds) in lists {
        let plan = CallPlan { accept, ..plan(&[(Hook::PostRequest, 1)]) };
        let found = end(start(&plan), [response(status, "1"), none()]);
        assert_eq!(matches!(found, End::Succeeded(_)), succeeds, "{status}");
        assert_eq!(payload(end(start(&plan), [response(status, "1"), post_request(PostRequestDecision::Proceed(None))])), "1");
    }
    let plan = CallPlan { accept: Accept::Listed(vec![200, 201]), ..plan(&[]) };
    let Failure { fault, repeat, .. } = failure(end(start(&plan), [response(204, "")]));
    assert_eq!(
        (fault.code, fault.detail.as_str(), repeat),
        (Code::Status, "the upstream answered 204; accepted: 200, 201", Repeat::AsPolicy)
    );
}

#[test]
fn a_go_on_is_remembered_while_later_scripts_still_decide() {
    let plan = plan(&[(Hook::PostRequest, 3)]);
    let proceed = || post_request(PostRequestDecision::Proceed(Some(Payload::json("2"))));
    let call = after(start(&plan), [response(500, "1"), proceed()]);
    let HookInput::PostRequest { payload: given, payload_type, status, .. } = input(&call) else { panic!("a post-request's input") };
    assert_eq!((&*given, payload_type.as_deref(), status), (&b"2"[..], Some("application/json"), 500));
    assert_eq!(payload(end(call.clone(), [none(), none()])), "2");
    let fail = post_request(PostRequestDecision::Fail(FailingDecision { message: Some("no".to_owned()), code: None }));
    assert_eq!(failure(end(call, [none(), fail])).fault.detail, "no");
}

#[test]
fn explicit_decisions_end_the_list() {
    let plan = plan(&[(Hook::PostRequest, 2)]);
    let decisions = [
        (PostRequestDecision::RetryStep(None), Code::RetriesUsed, Repeat::AsPolicy),
        (PostRequestDecision::RetryRun(Some("again".to_owned())), Code::ScriptFailed, Repeat::Asked),
        (PostRequestDecision::Fail(FailingDecision::default()), Code::ScriptFailed, Repeat::Never),
        (PostRequestDecision::Reauthenticate(None), Code::ReauthenticateFailed, Repeat::AsPolicy),
    ];
    for (decision, code, repeat) in decisions {
        let found = failure(end(start(&plan), [response(200, "1"), post_request(decision.clone())]));
        assert_eq!((found.fault.code, found.repeat), (code, repeat), "{decision:?}");
    }
}

#[test]
fn retries_are_shared_by_scripts_statuses_and_failures_that_may_pass() {
    let plan = CallPlan { retry: again(3), ..plan(&[(Hook::PostRequest, 1)]) };
    let retry = || post_request(PostRequestDecision::RetryStep(Some("busy".to_owned())));
    let reset = || Event::NotAnswered(Fault::new(Code::Reset, "reset"));
    let call = after(start(&plan), [response(200, "1"), retry(), reset(), response(500, "2"), none()]);
    assert_eq!(call.attempt(), 4);
    let ends = |last: Vec<Event>| end(call.clone(), last);
    assert_eq!(payload(ends(vec![response(200, "3"), none()])), "3");
    assert_eq!(failure(ends(vec![response(200, "3"), retry()])).fault.code, Code::RetriesUsed);
    assert_eq!(failure(ends(vec![response(503, "3"), none()])).fault.code, Code::Status);
    assert_eq!(failure(ends(vec![reset()])).fault.code, Code::Reset);
    let call = after(call, [response(200, "3"), none()]);
    let codes: Vec<_> = call.attempt_errors().iter().map(|error| error.as_ref().map(|fault| fault.code)).collect();
    assert_eq!(codes, [Some(Code::ScriptFailed), Some(Code::Reset), Some(Code::Status), None]);
}

#[test]
fn what_cannot_pass_is_not_retried_and_scripts_that_fail_are() {
    let plan = CallPlan { retry: again(5), ..plan(&[(Hook::PreHook, 1), (Hook::PostRequest, 1)]) };
    let go = pre_hook(PreHookDecision::Call(None));
    for code in [Code::EgressRefused, Code::Tls, Code::Url, Code::ResponseSize] {
        let found = end(start(&plan), [go.clone(), Event::NotAnswered(Fault::new(code, "no"))]);
        assert_eq!(failure(found).fault.code, code);
    }
    assert_eq!(failure(end(start(&plan), [threw()])).fault.code, Code::ScriptThrew);
    let call = after(start(&plan), [go, response(200, "1"), threw(), response(200, "2"), none()]);
    assert_eq!((call.attempt(), payload(call.into_end().unwrap())), (2, Bytes::from_static(b"2")));
}

#[test]
fn what_an_attempt_returned_is_gone_in_the_next() {
    let plan = CallPlan { retry: again(1), ..plan(&[(Hook::PostRequest, 2)]) };
    let first = [response(200, "1"), post_request(PostRequestDecision::Proceed(Some(Payload::json("9"))))];
    let call = after(after(start(&plan), first), [post_request(PostRequestDecision::RetryStep(None)), response(500, "2"), none(), none()]);
    assert_eq!(failure(call.into_end().unwrap()).fault.code, Code::Status);
}

#[test]
fn a_path_picks_the_payload_unless_a_script_returned_one() {
    let plan = CallPlan { payload_path: Some(ResponsePath::parse("data.items.-1")), ..plan(&[(Hook::PostRequest, 1)]) };
    let body = r#"{"data": {"items": [1, {"big": 12345678901234567890, "x":1.0 }]}}"#;
    let call = after(start(&plan), [response(200, body)]);
    let HookInput::PostRequest { payload: given, payload_type, .. } = input(&call) else { panic!("a post-request's input") };
    assert_eq!((given.as_ref(), payload_type), (body.as_bytes(), None));
    assert_eq!(payload(end(call.clone(), [none()])), r#"{"big": 12345678901234567890, "x":1.0 }"#);
    assert_eq!(payload(end(call, [post_request(PostRequestDecision::None(Some(Payload::json("5"))))])), "5");
    for (body, says) in [("no", "is none"), ("{}", "nothing at `data`"), (r#"{"data":{"items":[]}}"#, "nothing at `data.items.-1`")] {
        let found = failure(end(start(&plan), [response(200, body), none()]));
        assert_eq!(found.fault.code, Code::ResponseJson);
        assert!(found.fault.detail.contains(says) && found.fault.detail.contains("data.items.-1"), "{}", found.fault.detail);
    }
}

#[test]
fn a_condition_blocks_without_another_try_and_a_script_stands_over_it() {
    let condition = |value: serde_json::Value| {
        let condition = ContinueIf { response_notation: "detail.status".to_owned(), value };
        CallPlan {
            condition: Some(Condition::read("steps[0]", &condition).unwrap()),
            retry: again(3),
            ..plan(&[(Hook::PostRequest, 1), (Hook::PostFail, 1)])
        }
    };
    let done = condition("done".into());
    assert_eq!(payload(end(start(&done), [response(200, r#"{"detail":{"status":"done"}}"#), none()])).len(), 28);
    for body in [r#"{"detail":{"status":"wait"}}"#, r#"{"detail":{}}"#, "[]"] {
        let blocked = failure(end(start(&done), [response(200, body), none()]));
        assert_eq!((blocked.fault.code, blocked.repeat), (Code::Blocked, Repeat::Never), "{body}");
        let proceed = post_request(PostRequestDecision::Proceed(None));
        assert_eq!(payload(end(start(&done), [response(200, body), proceed])), body);
    }
    for (found, expected, fits) in
        [("true", "true".into(), true), ("5", 5.into(), true), ("\"5\"", 5.into(), true), ("5.0", 5.into(), false)]
    {
        let body: &'static str = format!(r#"{{"detail":{{"status":{found}}}}}"#).leak();
        let plan = condition(expected);
        let ended = end(start(&plan), [response(200, body), none()]);
        assert_eq!(matches!(ended, End::Succeeded(_)), fits, "{body}");
    }
    let call = after(start(&done), [response(200, "no JSON"), none()]);
    assert_eq!(at(&call), Some((Hook::PostFail, 0)), "what is no JSON is a failure");
}

#[test]
fn what_is_stored_is_all_there_or_nothing_is_stored() {
    let store = vec![("A".to_owned(), ResponsePath::parse("a.0")), ("B".to_owned(), ResponsePath::parse("b"))];
    let plan = CallPlan { store, ..plan(&[]) };
    let mut call = after(start(&plan), [response(200, r#"{"a":[1.50],"b":{"c": 1}}"#)]);
    let (stored, _) = call.take_kept();
    assert_eq!(stored, [("A".to_owned(), "1.50".to_owned()), ("B".to_owned(), r#"{"c": 1}"#.to_owned())]);
    let mut call = after(start(&plan), [response(200, r#"{"a":[1]}"#)]);
    assert_eq!(call.take_kept().0, []);
    let failed = failure(call.into_end().unwrap());
    assert_eq!((failed.fault.code, failed.fault.path.as_deref()), (Code::StorePath, Some("store_data.B")));
    assert!(failed.fault.detail.contains("`b`") && failed.fault.detail.contains(r#"{"a":[1]}"#), "{}", failed.fault.detail);
}

#[test]
fn post_hooks_replace_or_reject_and_never_meet_post_fail() {
    let plan = plan(&[(Hook::PostHook, 2), (Hook::PostFail, 1)]);
    let call = after(start(&plan), [response(200, "1"), post_hook(PostHookDecision::Replace(Payload::json("2")))]);
    let HookInput::PostHook { payload: given, payload_type, .. } = input(&call) else { panic!("a post-hook's input") };
    assert_eq!((given.as_ref(), payload_type.as_deref()), (&b"2"[..], Some("application/json")));
    assert_eq!(payload(end(call.clone(), [post_hook(PostHookDecision::Keep)])), "2");
    assert_eq!(end(call.clone(), [post_hook(PostHookDecision::Reject(rejection()))]), End::Rejected(rejection()));
    assert_eq!(failure(end(call, [threw()])).fault.code, Code::ScriptThrew);
}

#[test]
fn post_fail_keeps_recovers_or_replaces() {
    let plan = plan(&[(Hook::PostHook, 1), (Hook::PostFail, 2)]);
    let failed = || after(start(&plan), [response(409, "{\"why\":1}")]);
    let HookInput::PostFail { status, code, message, .. } = input(&failed()) else { panic!("a post-fail's input") };
    assert_eq!((status, code.as_str(), message.as_str()), (409, "status", "the upstream answered 409; accepted: 2xx"));
    let keep = || post_fail(PostFailDecision::Keep);
    assert_eq!(failure(end(failed(), [keep(), keep()])).fault.code, Code::Status);
    assert_eq!(payload(end(failed(), [post_fail(PostFailDecision::Recover(Payload::json("1")))])), "1");
    let replaced = ReplacedFailure { status: 418, code: Some(ReasonCode::Text("tea".to_owned())), message: "pot".to_owned() };
    let call = after(failed(), [post_fail(PostFailDecision::Replace(replaced))]);
    let HookInput::PostFail { status, code, message, .. } = input(&call) else { panic!("a post-fail's input") };
    assert_eq!((status, code.as_str(), message.as_str()), (418, "tea", "pot"));
    let expected = Rejection { status: 418, code: Some(ReasonCode::Text("tea".to_owned())), message: "pot".to_owned() };
    assert_eq!(end(call, [keep()]), End::Rejected(expected));
    assert_eq!(failure(end(failed(), [threw()])).fault.code, Code::ScriptThrew);
}

#[test]
fn a_run_that_is_made_again_has_not_failed_for_good() {
    let plan = plan(&[(Hook::PostRequest, 1), (Hook::PostFail, 1)]);
    let again = || [response(200, "1"), post_request(PostRequestDecision::RetryRun(None))];
    assert_eq!(failure(end(start(&plan), again())).repeat, Repeat::Asked);
    let last = after(Call::new(&plan, Payload::json("1").into(), false), again());
    assert_eq!(at(&last), Some((Hook::PostFail, 0)));
    assert_eq!(failure(end(last, [post_fail(PostFailDecision::Keep)])).repeat, Repeat::Never);
}

#[test]
fn events_that_answer_nothing_are_refused_and_change_nothing() {
    let plan = plan(&[(Hook::PreRequest, 1)]);
    let mut call = start(&plan);
    for event in [response(200, "1"), none(), Event::NotAnswered(Fault::new(Code::Dns, "x"))] {
        assert!(call.apply(event).is_err());
        assert_eq!(at(&call), Some((Hook::PreRequest, 0)));
    }
    let error = call.apply(none()).unwrap_err();
    assert_eq!(error.to_string(), "another hook's decision cannot happen while script 0 of pre-request is awaited");
}

#[test]
fn arguments_cross_as_json_and_go_out_as_they_are() {
    let plan = plan(&[(Hook::PreHook, 1)]);
    let cases: [(&[u8], &str, &str); 6] = [
        (b"", "application/json", "null"),
        (b"", "text/plain", "null"),
        (b"{} ", "application/json", "{} "),
        (b"{oops", "application/json", "\"{oops\""),
        (b"hi \"you\"", "text/plain", "\"hi \\\"you\\\"\""),
        (b"\xff", "image/png", "{\"base64\":\"/w==\"}"),
    ];
    for (bytes, content_type, shown) in cases {
        let given = Payload { bytes: Bytes::copy_from_slice(bytes), content_type: content_type.to_owned() };
        let call = Call::new(&plan, given.into(), false);
        let HookInput::PreHook { arguments, .. } = input(&call) else { panic!("a pre-hook's input") };
        assert_eq!(arguments, shown);
        assert_eq!(sent(&after(call, [pre_hook(PreHookDecision::Call(None))])).1, bytes);
    }
}

#[test]
fn a_response_without_media_type_gets_the_one_it_fits() {
    let plan = plan(&[]);
    for (body, expected) in [(&b"{}"[..], "application/json"), (b"hi", "text/plain; charset=utf-8"), (b"\xff", "application/octet-stream")]
    {
        let event = Event::Responded(HttpResponse { status: 200, headers: Headers::default(), body: Bytes::copy_from_slice(body) });
        let End::Succeeded(payload) = end(start(&plan), [event]) else { panic!("a success") };
        assert_eq!((payload.content_type.as_str(), &*payload.bytes), (expected, body));
    }
}
