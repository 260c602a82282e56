//! Hooks as ordinary functions, on the test host.

use snaphook_guest::crypto::{self, Algorithm, Scheme};
use snaphook_guest::log::{self, Level};
use snaphook_guest::testing::Test;
use snaphook_guest::{
    CallResult, Context, Error, ErrorKind, Headers, NewResponse, Payload, PostRequest, PostRequestDecision, PreRequest, PreRequestDecision,
    Rejection, Request, Response, Result, Step, StepInput, Trigger, TriggerDecision, TriggerRequest, TriggerResponse, Value, bail, http,
    json,
};

struct Hooks;

impl PreRequest for Hooks {
    fn pre_request(mut request: Request, context: Context) -> Result<PreRequestDecision> {
        if request.method == "DELETE" {
            return Ok(Rejection::new(403, "nothing is deleted here").code(7).into());
        }
        if request.bytes().is_empty() {
            return Ok(NewResponse::new(204).into());
        }
        let mut body: Value = request.json()?;
        body["attempt"] = context.attempt.into();
        request.set_json(&body)?;
        request.headers.set("X-Seen", "yes");
        Ok(request.into())
    }
}

impl PostRequest for Hooks {
    fn post_request(response: Response, _context: Context) -> Result<PostRequestDecision> {
        if response.text()?.contains("Invalid session") {
            return Ok(PostRequestDecision::fail("Invalid session"));
        }
        Ok(PostRequestDecision::none())
    }
}

impl Step for Hooks {
    fn step(payload: StepInput, context: Context) -> Result<Option<Payload>> {
        let count: u32 = context.variables.get("count")?.unwrap_or_default();
        context.variables.set("count", &(count + 1))?;
        context.meta.set("seen", "yes")?;
        log::info("counted");
        if payload.content_type != "application/json" {
            bail!("cannot read {}", payload.content_type);
        }
        Ok(Some(Payload::json(&json!({"was": payload.json::<Value>()?}))?))
    }
}

impl Trigger for Hooks {
    fn trigger(request: TriggerRequest, context: Context) -> Result<TriggerDecision> {
        if request.bytes().is_empty() {
            return Ok(TriggerDecision::keep());
        }
        let payload = json!({"path": request.path, "q": request.query("q"), "given": request.json::<Value>()?, "test": context.test_run});
        Ok(TriggerDecision::from(Payload::json(&payload)?).respond(TriggerResponse::new(202).header("x-made", "here")))
    }
}

snaphook_guest::export!(Hooks: PreRequest, PostRequest, Step, Trigger);

#[test]
fn a_trigger_gives_a_payload_and_an_answer() {
    let request = TriggerRequest::new("POST", "/in/7?q=a+b").with_json(&json!({"n": 1}));

    let decision = Hooks::trigger(request, Test::new().test_run().context()).expect("the hook decides");

    let payload = Payload::json(&json!({"path": "/in/7", "q": "a b", "given": {"n": 1}, "test": true})).expect("JSON");
    assert_eq!(decision.payload, Some(payload));
    assert_eq!(decision.response, Some(TriggerResponse::new(202).header("x-made", "here")));
    let nothing = Hooks::trigger(TriggerRequest::new("GET", ""), Test::new().context()).expect("the hook decides");
    assert_eq!(nothing, TriggerDecision::keep());
}

#[test]
fn a_changed_request_is_what_is_sent() {
    let request = Request::new("POST", "https://api.example.com/").with_body(r#"{"a":1}"#);

    let decision = Hooks::pre_request(request, Test::new().attempt(2).context()).expect("the hook decides");

    let PreRequestDecision::Send(Some(sent)) = decision else { panic!("sent: {decision:?}") };
    assert_eq!(sent.text().expect("text"), r#"{"a":1,"attempt":2}"#);
    assert_eq!(sent.headers.get("x-seen"), Some("yes"));
}

#[test]
fn rejections_and_answers_convert_into_decisions() {
    let test = Test::new();
    let rejected = Hooks::pre_request(Request::new("DELETE", "https://api.example.com/"), test.context());
    assert_eq!(rejected.expect("the hook decides"), Rejection::new(403, "nothing is deleted here").code(7).into());
    let answered = Hooks::pre_request(Request::new("GET", "https://api.example.com/"), test.context());
    assert_eq!(answered.expect("the hook decides"), NewResponse::new(204).into());
}

#[test]
fn without_a_type_of_its_own_a_payload_is_what_the_header_says() {
    let response = Response::new(200).with_header("Content-Type", "text/csv").with_body("a,b");
    assert_eq!((response.content_type(), Response::new(204).content_type()), (Some("text/csv"), None));
    let result = CallResult::new(200, &json!({}), "{}").with_header("content-type", "application/json");
    assert_eq!(result.content_type(), Some("application/json"));
}

#[test]
fn a_200_with_an_error_in_its_body_fails() {
    let response = Response::new(200).with_header("content-type", "text/plain").with_body("Invalid session");

    let decision = Hooks::post_request(response, Test::new().context()).expect("the hook decides");

    assert_eq!(decision, PostRequestDecision::fail("Invalid session"));
}

#[test]
fn a_step_reads_and_writes_values() {
    let test = Test::new().flow("orders", "Shape").variable("count", &41);

    let payload = Hooks::step(StepInput::of_json(&json!({"n": 1})), test.context()).expect("the step gives a payload");

    assert_eq!(payload, Some(Payload::json(&json!({"was": {"n": 1}})).expect("JSON")));
    assert_eq!(test.variable_now::<u32>("count"), Some(42));
    assert_eq!(test.meta_now("seen").as_deref(), Some("yes"));
    assert_eq!(test.logs(), [(Level::Info, "counted".to_owned())]);
}

#[test]
fn an_error_names_its_line() {
    let error = Hooks::step(StepInput::new("text/csv", "a;b"), Test::new().context()).expect_err("the step cannot read it");
    assert_eq!((error.message(), error.kind()), ("cannot read text/csv", ErrorKind::Threw));
    assert!(error.location().file().ends_with("hooks.rs"), "{error:?}");

    fn converted() -> Result<u32> {
        Ok("seven".parse::<u32>()?)
    }
    let line = line!() - 2;
    let error = converted().expect_err("no number");
    assert_eq!((error.location().line(), error.message()), (line, "invalid digit found in string"));
}

#[test]
fn readers_name_the_line_of_the_hook() {
    fn read(response: &Response) -> Result<Value> {
        response.json()
    }
    let line = line!() - 2;
    let error = read(&Response::new(200).with_body("<html>")).expect_err("that is no JSON");
    assert_eq!(error.location().line(), line, "{error:?}");
}

#[test]
fn an_error_tells_its_causes() {
    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("bad amount")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let error = Error::from(Outer("x".parse::<u32>().expect_err("no number")));
    assert_eq!(error.to_string(), "bad amount: invalid digit found in string");
    assert_eq!(Error::contract("no").kind(), ErrorKind::Contract);
}

#[test]
fn values_have_limits_and_types() {
    let test = Test::new().config("Regions", &["eu"]).step_result("first", &json!({"id": 1})).meta("old", "text");
    let context = test.context();
    assert_eq!(context.config.get::<Vec<String>>("Regions").expect("a list"), Some(vec!["eu".to_owned()]));
    assert_eq!(context.step_results.keys(), ["first"]);
    assert_eq!(context.meta.get("old").as_deref(), Some("text"));
    assert!(context.config.get::<u32>("Regions").is_err());
    assert_eq!(context.variables.get::<u32>("none").expect("nothing is no error"), None);

    context.meta.remove("old");
    context.meta.set("k", &"x".repeat(10_239)).expect("10,240 bytes with the key");
    let error = context.meta.set("l", "").expect_err("one byte too many");
    assert_eq!(error.message(), "meta `l` would outgrow its limit");
}

#[test]
fn requests_need_a_grant_and_overlap() {
    let ungranted = http::Request::get("crm:/contacts").send().expect_err("nothing was granted");
    assert_eq!(ungranted.message(), "egress-refused: this invocation has no grant for requests");

    let test = Test::new().answering(|request| match request.url.as_str() {
        "crm:/down" => Err(http::Failure::new("connect", "could not connect")),
        url => Ok(http::Response::new(200, format!("\"{url}\""))),
    });
    let started = ["crm:/a", "crm:/down", "crm:/b"].map(|url| http::Request::get(url).start().expect("granted"));
    let answers: Vec<_> = http::wait_all(started).into_iter().map(|answer| answer.and_then(|answer| answer.json::<String>())).collect();
    let texts: Vec<_> = answers.iter().map(|answer| answer.as_deref().map_err(Error::message)).collect();
    assert_eq!(texts, [Ok("crm:/a"), Err("connect: could not connect"), Ok("crm:/b")]);
    assert_eq!(test.requests().len(), 3);
}

#[test]
fn digests_are_the_known_ones() {
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(crypto::digest(Algorithm::Sha1, "abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
    // RFC 4231, test case 2.
    let mac = crypto::hmac(Algorithm::Sha256, "Jefe", "what do ya want for nothing?");
    assert_eq!(hex(mac), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_eq!(crypto::digest(Algorithm::Sha384, "").len(), 48);
    assert_eq!(crypto::digest(Algorithm::Sha512, "").len(), 64);
}

#[test]
fn a_test_signs_as_it_says_and_hmac_by_itself() {
    let test = Test::new().connection("private_key", &"sealed:key");
    let key: String = test.context().connection.get("private_key").unwrap().unwrap();
    assert_eq!(crypto::sign(Scheme::Hmac(Algorithm::Sha1), "key", "x").unwrap(), crypto::hmac(Algorithm::Sha1, "key", "x"));
    let refused = crypto::sign(Scheme::Ed25519, &key, "x").unwrap_err();
    assert!(refused.to_string().contains("Test::signing"), "{refused}");
    let _test = test.signing(|scheme, key, data| match scheme {
        Scheme::Ed25519 => Ok([key, data].concat()),
        _ => Err("no".to_owned()),
    });
    assert_eq!(crypto::sign(Scheme::Ed25519, &key, "x").unwrap(), b"sealed:keyx");
    assert_eq!(Error::from(crypto::sign(Scheme::RsaPssSha256, &key, "x").unwrap_err()).message(), "no");
}

#[test]
fn chance_follows_from_the_seed() {
    let draw = |seed| {
        let _test = Test::new().seed(seed);
        crypto::random(20)
    };
    assert_eq!(draw(3), draw(3));
    assert_ne!(draw(3), draw(4));
    assert_eq!(draw(3).len(), 20);
}

#[test]
fn headers_keep_their_order_and_ignore_case() {
    let mut headers: Headers = [("Accept", "a"), ("x", "1"), ("accept", "b")].into_iter().collect();
    assert_eq!(headers.get_all("ACCEPT").collect::<Vec<_>>(), ["a", "b"]);
    headers.set("Accept", "c");
    assert_eq!(headers.iter().collect::<Vec<_>>(), [("x", "1"), ("accept", "c")]);
    headers.remove("X");
    assert_eq!((headers.len(), headers.is_empty()), (1, false));
}
