//! What a hook was given and only looked at goes on as the very bytes that came, however they were written.

use bytes::Bytes;
use snaphook_compile::Compiled;
use snaphook_model::{
    Decision, Headers, HookInput, HttpRequest, Payload, PostHookDecision, PostRequestDecision, PreHookDecision, PreRequestDecision,
    StepDecision, TriggerDecision, TriggerRequest, Variables,
};

use crate::support::{invoke, invoke_with, js};

/// JSON that `JSON.stringify` would write in another way, and one text that it would not.
const TEXTS: &[&str] = &[
    r#"{ "id": 9007199254740993, "data": {"items": []} }"#,
    r#"{"id":9007199254740993}"#,
    r#"{"id":123456789012345678901234567890,"small":0.00000001}"#,
    r#"{"price":1.0}"#,
    r#"{"n":1e3}"#,
    r#"{"n":-0}"#,
    r#"{"n":0.50,"m":1E-3}"#,
    r#"{"a":1,"b":2,"a":3}"#,
    r#"{"b":1,"2":2,"1":3}"#,
    r#"{"a":"\u00e9\/\u001F"}"#,
    r#"{"\u0061":{"n":[1.50]}}"#,
    "{\n  \"list\": [1, 2, {\"x\": \"ü\"}]\n}\n",
    r#"{"a":[1,2.5,"ü\n",null,true],"b":{}}"#,
];

/// One script with every hook, each of which looks at everything and then runs this code with what it was given as `given`.
fn script(code: &str) -> Compiled {
    let look = "const look = (value) => { JSON.parse(' [1] '); JSON.parse('[1]'); if (JSON.stringify(value) === '0') throw 0; };";
    let source = format!(
        "{look}
         export function preHook(call) {{ const given = call.arguments; look(given); {code} }}
         export function preRequest(request) {{ const given = request.body; look(given); {code} }}
         export function postRequest(response) {{ const given = response.body; look(given); {code} }}
         export function postHook(result) {{ const given = result.payload; look(result.arguments); look(given); {code} }}
         export function trigger(request) {{ const given = request.body; look(given); {code} }}
         export default function (given) {{ look(given); {code} }}"
    );
    js(&source).unwrap()
}

fn headers() -> Headers {
    [("content-type", "application/json; charset=utf-8")].into_iter().collect()
}

/// The same data at every hook.
fn inputs(text: &'static str) -> Vec<HookInput> {
    let (method, url) = ("POST".to_owned(), "http://a/".to_owned());
    let (connector, endpoint, body) = ("c".into(), "e".into(), Bytes::from_static(text.as_bytes()));
    let request = HttpRequest { method: method.clone(), url: url.clone(), headers: headers(), body: body.clone() };
    let trigger = TriggerRequest { method: method.clone(), url: url.clone(), path: String::new(), headers: headers(), body: body.clone() };
    vec![
        HookInput::PreHook { connector, endpoint, arguments: body.clone() },
        HookInput::PreRequest { request },
        HookInput::PostRequest { method, url, status: 200, headers: headers(), payload: body.clone(), payload_type: None },
        HookInput::PostHook {
            connector: "c".into(),
            endpoint: "e".into(),
            status: 200,
            headers: headers(),
            payload: body.clone(),
            payload_type: Some("application/json".to_owned()),
            arguments: body.clone(),
        },
        HookInput::Step { payload: Payload::json(body) },
        HookInput::Trigger { request: trigger },
    ]
}

/// What the decision puts in the place of the data; nothing where it keeps them.
fn replaced(decision: Decision) -> Option<Bytes> {
    let payload = match decision {
        Decision::PreHook(PreHookDecision::Call(arguments)) => return arguments,
        Decision::PreRequest(PreRequestDecision::Send(request)) => return request.and_then(|request| request.body),
        Decision::PostHook(PostHookDecision::Keep) => None,
        Decision::PostRequest(PostRequestDecision::None(payload) | PostRequestDecision::Proceed(payload))
        | Decision::Step(StepDecision(payload))
        | Decision::Trigger(TriggerDecision { payload, response: None }) => payload,
        Decision::PostHook(PostHookDecision::Replace(payload)) => Some(payload),
        other => panic!("{other:?}"),
    };
    payload.map(|payload| payload.bytes)
}

#[tokio::test]
async fn hooks_that_only_look_change_nothing() {
    // The second one writes what was there already.
    for code in ["", "for (const key in given) given[key] = given[key];"] {
        let compiled = script(code);
        for text in TEXTS {
            for input in inputs(text) {
                let hook = input.hook();
                let decision = invoke(&compiled, input).await.result.unwrap();
                assert_eq!(replaced(decision), None, "{hook}: {text}");
            }
        }
    }
}

#[tokio::test]
async fn a_mark_before_a_body_is_no_change() {
    let compiled = script("");
    for input in
        inputs("\u{feff}{\"a\":1}").into_iter().filter(|input| !matches!(input, HookInput::PreHook { .. } | HookInput::PostHook { .. }))
    {
        let hook = input.hook();
        assert_eq!(replaced(invoke(&compiled, input).await.result.unwrap()), None, "{hook}");
    }
}

#[tokio::test]
async fn changes_are_seen_however_the_data_were_written() {
    for (code, expected) in [
        ("given.seen = true;", r#"{"id":9007199254740992,"data":{"items":[]},"seen":true}"#),
        ("given.data.items.push(1.5);", r#"{"id":9007199254740992,"data":{"items":[1.5]}}"#),
        ("delete given.data;", r#"{"id":9007199254740992}"#),
        ("given.id = 1;", r#"{"id":1,"data":{"items":[]}}"#),
        ("given.id += 1;", r#"{"id":9007199254740992,"data":{"items":[]}}"#),
    ] {
        let compiled = script(code);
        let rounds = code.contains("+=");
        for text in TEXTS.iter().take(1).chain(&["{\"id\":9007199254740992,\"data\":{\"items\":[]}}"]) {
            for input in inputs(text) {
                let hook = input.hook();
                let bytes = replaced(invoke(&compiled, input).await.result.unwrap());
                // What a number cannot hold, it cannot change.
                let expected = (!rounds).then(|| Bytes::from_static(expected.as_bytes()));
                assert_eq!(bytes, expected, "{hook}: {code}");
            }
        }
    }
}

#[tokio::test]
async fn variables_that_are_only_looked_at_are_not_written() {
    for (code, writes) in [("", 0), ("value.seen = true;", 1)] {
        let source = format!("export default (_, context) => {{ const value = context.variables.value; JSON.stringify(value); {code} }};");
        let compiled = js(&source).unwrap();
        for text in TEXTS {
            let mut variables = Variables::default();
            variables.variables.insert("value".to_owned(), (*text).to_owned());
            let outcome = invoke_with(&compiled, HookInput::Step { payload: Payload::json("{}") }, variables).await;
            assert!(outcome.result.is_ok() && outcome.writes.len() == writes, "{text}: {:?} {:?}", outcome.result, outcome.writes);
        }
    }
}

/// Looking at the data once more costs about what reading and writing them cost; only data that were written in an odd way need it.
#[tokio::test]
async fn changes_of_plain_data_cost_no_second_look() {
    let rows: Vec<_> = (0..100).map(|i| format!(r#"{{"name":"näme {i}","price":{i}.25,"at":17673230{i:05},"tags":["a","\n"]}}"#)).collect();
    let plain: &'static str = format!(r#"{{"rows":[{}]}}"#, rows.join(",")).leak();
    let odd: &'static str = format!(r#"{{ "rows":[{}]}}"#, rows.join(",")).leak();
    let (change, look) = (script("given.x = 1;"), script(""));
    for (plain, odd) in inputs(plain).into_iter().zip(inputs(odd)) {
        let hook = plain.hook();
        let (looked, same) = (invoke(&look, plain.clone()).await, invoke(&change, plain).await);
        let odd = invoke(&change, odd).await;
        assert!(same.usage.fuel < looked.usage.fuel + looked.usage.fuel / 20, "{hook}: {} and {}", looked.usage.fuel, same.usage.fuel);
        assert!(odd.usage.fuel > same.usage.fuel + same.usage.fuel / 10, "{hook}: {} and {}", same.usage.fuel, odd.usage.fuel);
    }
}
