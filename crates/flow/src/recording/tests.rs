//! What is written down is read back, and nothing grows beyond its bound.

use snaphook_model::{
    Code, FailingDecision, Headers, HttpRequest, HttpResponse, NewRequest, NewResponse, Payload, PostFailDecision, PostHookDecision,
    PostRequestDecision, PreHookDecision, PreRequestDecision, ReasonCode, Rejection, ReplacedFailure, RunId, SignatureScheme, StepDecision,
    TenantName, Told, TriggerDecision, TriggerRequest, TriggerResponse, VariableScope,
};

use super::*;

fn context() -> Context {
    Context {
        tenant: TenantName::new("acme").unwrap(),
        flow: Some("orders".to_owned()),
        step: None,
        run: RunId("0198c5f2-0000-7000-8000-000000000001".parse().unwrap()),
        attempt: 2,
        started_at_ms: 1_700_000_000_000,
        now_ms: 1_700_000_000_123,
        seed: u64::MAX - 1,
        parms: "{\"a\":[1,\"ü\"]}".into(),
        test_run: false,
    }
}

fn entry(input: HookInput, result: Result<Decision, Fault>) -> Entry {
    Entry::new(Name::new("sign").unwrap(), 3, input, context(), result)
}

fn headers() -> Headers {
    Headers::from_iter([("content-type", "a/b"), ("x-a", ""), ("x-a", "2")])
}

fn request(body: &Bytes) -> HttpRequest {
    HttpRequest { method: "PUT".to_owned(), url: "crm:/x?y=1".to_owned(), headers: headers(), body: body.clone() }
}

/// Every kind of input and of decision, with bodies that are no text.
fn entries() -> Vec<Entry> {
    let body = Bytes::from_static(b"\x00\xff{\"\"}");
    let other = Bytes::from(vec![7; 3000]);
    let payload = || Payload { bytes: other.clone(), content_type: "text/plain".to_owned() };
    let rejection = || Rejection { status: 423, code: Some(ReasonCode::Number(-17)), message: "lo\u{0}cked".to_owned() };
    let pre_hook = || HookInput::PreHook { connector: "crm".into(), endpoint: "send".into(), arguments: body.clone() };
    let pre_request = || HookInput::PreRequest { request: request(&body) };
    let post_request = || HookInput::PostRequest {
        method: "GET".to_owned(),
        url: "http://u/".to_owned(),
        status: 418,
        headers: headers(),
        payload: body.clone(),
        payload_type: None,
    };
    let post_hook = || HookInput::PostHook {
        connector: "crm".into(),
        endpoint: "send".into(),
        status: 200,
        headers: headers(),
        payload: body.clone(),
        payload_type: Some("text/csv".to_owned()),
        arguments: other.clone(),
    };
    let post_fail = || HookInput::PostFail {
        connector: "crm".into(),
        endpoint: "send".into(),
        status: 0,
        code: "connect".to_owned(),
        message: "no".to_owned(),
        arguments: other.clone(),
    };
    let trigger = || HookInput::Trigger {
        request: TriggerRequest { method: "PUT".to_owned(), path: "/a".to_owned(), body: body.clone(), ..TriggerRequest::default() },
    };
    let answered = |body| Some(TriggerResponse { status: 202, headers: headers(), body });
    let new_request = |body| NewRequest { method: "GET".to_owned(), url: "http://v/".to_owned(), headers: headers(), body };
    let response = || NewResponse { status: 204, headers: headers(), body: other.clone() };
    let failing = FailingDecision { message: None, code: Some(ReasonCode::Text("17".to_owned())) };
    let replaced = ReplacedFailure { status: 1, code: None, message: String::new() };
    let decided = |input: HookInput, decision| entry(input, Ok(decision));
    let mut all = vec![
        decided(pre_hook(), Decision::PreHook(PreHookDecision::Call(None))),
        decided(pre_hook(), Decision::PreHook(PreHookDecision::Call(Some(other.clone())))),
        decided(pre_hook(), Decision::PreHook(PreHookDecision::Reject(rejection()))),
        decided(pre_request(), Decision::PreRequest(PreRequestDecision::Send(Some(new_request(None))))),
        decided(pre_request(), Decision::PreRequest(PreRequestDecision::Send(Some(new_request(Some(Bytes::new())))))),
        decided(pre_request(), Decision::PreRequest(PreRequestDecision::Respond(response()))),
        decided(post_request(), Decision::PostRequest(PostRequestDecision::None(Some(payload())))),
        decided(post_request(), Decision::PostRequest(PostRequestDecision::RetryRun(Some("again".to_owned())))),
        decided(post_request(), Decision::PostRequest(PostRequestDecision::Fail(failing))),
        decided(post_hook(), Decision::PostHook(PostHookDecision::Replace(payload()))),
        decided(post_fail(), Decision::PostFail(PostFailDecision::Recover(payload()))),
        decided(post_fail(), Decision::PostFail(PostFailDecision::Replace(replaced))),
        decided(HookInput::Step { payload: payload() }, Decision::Step(StepDecision(Some(payload())))),
        decided(trigger(), Decision::Trigger(TriggerDecision { payload: Some(payload()), response: answered(Some(body.clone())) })),
        decided(trigger(), Decision::Trigger(TriggerDecision { payload: None, response: answered(None) })),
        entry(pre_hook(), Err(Fault::new(Code::ScriptThrew, "Error: x").at(3, 4).of_limit(5, None))),
    ];
    let told = |ticket, order, answer| Exchange { ticket, request: request(&body), told: Some(Told { order, answer }) };
    let fine = HttpResponse { status: 200, headers: headers(), body: other.clone() };
    let step = all.last_mut().unwrap();
    step.granted = true;
    step.exchanges = vec![
        told(1, 1, Ok(fine)),
        told(3, 0, Err(Fault::new(Code::Connect, "no"))),
        Exchange { ticket: 4, request: request(&other), told: None },
    ];
    let signed = |answer| Signed { scheme: SignatureScheme::RsaPssSha256, asked: [7; 32], answer };
    step.signatures = vec![signed(Ok(vec![0, 255])), signed(Err("no such key".to_owned()))];
    step.changed = vec![VariableWrite { scope: VariableScope::StepResults, key: "a".to_owned(), value: Some("1".to_owned()) }];
    step.writes = vec![VariableWrite { scope: VariableScope::Meta, key: "b".to_owned(), value: None }];
    step.fuel = u64::MAX;
    all
}

#[test]
fn what_is_written_down_is_read_back() {
    let (mut recorder, limits) = (Recorder::default(), Limits::default());
    for entry in entries() {
        recorder.note("build 1", &limits, entry);
    }
    let Some(Recording::Whole { head, bodies }) = recorder.finish() else { panic!("it is small") };
    assert!(bodies.len() <= 6, "bodies that are shared are kept once, not {} of them", bodies.len());
    let mut expected = entries();
    expected[0].begins = Some(Header { build: "build 1".to_owned(), limits });
    assert_eq!(read(&head, &bodies).unwrap().entries, expected);
    assert!(matches!(read(&head, &bodies[1..]), Err(Unreadable::Body)));
    for cut in 0..head.len() {
        // Some ends lie between two entries; nowhere may reading panic.
        let _ = read(&head[..cut], &bodies);
    }
}

#[test]
fn recording_goes_on_where_it_was_left() {
    let limits = Limits::default();
    let mut recorder = Recorder::default();
    recorder.note("build 1", &limits, entries().remove(0));
    let mut recorder = Recorder::resumed(recorder.finish());
    recorder.note("build 2", &limits, entries().remove(1));
    recorder.note("build 2", &limits, entries().remove(2));
    let Some(Recording::Whole { head, bodies }) = recorder.finish() else { panic!("it is small") };
    let read = read(&head, &bodies).unwrap().entries;
    let builds: Vec<_> = read.iter().map(|entry| entry.begins.as_ref().map(|header| header.build.as_str())).collect();
    assert_eq!(builds, [Some("build 1"), Some("build 2"), None]);
    assert_eq!(read[1].input, entries()[1].input);
    assert_eq!(Recorder::resumed(Some(Recording::TooLarge)).finish(), Some(Recording::TooLarge));
    assert_eq!(Recorder::resumed(None).finish(), None);
}

#[test]
fn a_run_that_is_too_large_says_so_and_nothing_more() {
    let limits = Limits::default();
    let input = |bytes: usize| HookInput::Step { payload: Payload::json(vec![b' '; bytes]) };
    let step = |bytes: usize| entry(input(bytes), Ok(Decision::Step(StepDecision(None))));
    assert_eq!(Recorder::default().finish(), None);
    let mut recorder = Recorder::default();
    recorder.note("b", &limits, step(MAX_BYTES / 2));
    recorder.note("b", &limits, step(MAX_BYTES / 4));
    assert!(recorder.wants(&Ok(Decision::Step(StepDecision(None)))));
    recorder.note("b", &limits, step(MAX_BYTES / 4));
    assert!(!recorder.wants(&Ok(Decision::Step(StepDecision(None)))));
    recorder.note("b", &limits, step(1));
    assert_eq!(recorder.finish(), Some(Recording::TooLarge));
    let mut large_values = step(1);
    large_values.changed =
        vec![VariableWrite { scope: VariableScope::StepResults, key: "a".to_owned(), value: Some("x".repeat(MAX_BYTES)) }];
    let mut recorder = Recorder::default();
    recorder.note("b", &limits, large_values);
    assert_eq!(recorder.finish(), Some(Recording::TooLarge));
}

#[test]
fn what_a_run_that_is_too_large_began_with_is_kept() {
    let limits = Limits::default();
    let wanted: Result<Decision, Fault> = Ok(Decision::Step(StepDecision(None)));
    let step = |bytes: usize| entry(HookInput::Step { payload: Payload::json(vec![b' '; bytes]) }, wanted.clone());
    let input = Payload { bytes: vec![7_u8; MAX_BYTES / 2].into(), content_type: "a/b".to_owned() };
    let writes = vec![VariableWrite { scope: VariableScope::Variables, key: "a".to_owned(), value: Some("1".to_owned()) }];
    let values = SubjectValues(BTreeMap::from([("b".to_owned(), "2".to_owned())]));
    let open = |recorder: &mut Recorder| recorder.open(&input, writes.clone(), values.clone());

    let mut many = Recorder::default();
    open(&mut many);
    many.note("b", &limits, step(MAX_BYTES / 4));
    many.saved();
    many.note("b", &limits, step(MAX_BYTES / 4));
    let mut told = Recorder::default();
    open(&mut told);
    assert_eq!(told.within(None::<()>), None);
    let mut trigger = Recorder::default();
    trigger.note("b", &limits, step(MAX_BYTES));
    let mut trigger = Recorder::resumed(trigger.finish());
    assert_eq!(trigger.so_far(), None);
    open(&mut trigger);
    let mut both = Recorder::default();
    both.note("b", &limits, step(MAX_BYTES / 2));
    open(&mut both);
    for recorder in [many, told, trigger, both] {
        let so_far = recorder.so_far();
        let Some(Recording::Whole { head, bodies }) = recorder.finish() else { panic!("what it began with is small") };
        let whole = || Some(Recording::Whole { head: head.clone(), bodies: bodies.clone() });
        assert_eq!(so_far, whole());
        let Recorded { opening, entries, too_large } = read(&head, &bodies).unwrap();
        assert!(too_large && entries.is_empty() && bodies.len() == 1);
        let (opening, body) = opening.unwrap();
        assert_eq!((opening.content_type.as_str(), &body), ("a/b", &input.bytes));
        assert_eq!((opening.subject_values(), opening.writes), (values.clone(), writes.clone()));
        // Whoever goes on with the run adds nothing to it.
        let mut resumed = Recorder::resumed(whole());
        assert!(!resumed.wants(&wanted) && resumed.so_far().is_none());
        resumed.note("b", &limits, step(1));
        assert_eq!(resumed.finish(), whole());
    }
    let mut alone = Recorder::default();
    alone.open(&Payload::json(vec![b' '; MAX_BYTES]), Vec::new(), SubjectValues::default());
    assert_eq!(alone.finish(), Some(Recording::TooLarge));
}

#[test]
fn what_failed_on_our_side_is_not_written_down() {
    let recorder = Recorder::default();
    assert!(!recorder.wants(&Err(Fault::new(Code::Overloaded, "full"))));
    assert!(recorder.wants(&Err(Fault::new(Code::Fuel, "spent"))));
}
