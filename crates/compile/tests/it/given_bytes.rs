//! Bytes that a decision holds are those that the helper was given, whatever becomes of the buffer afterwards.

use snaphook_compile::Compiled;
use snaphook_model::{
    Decision, HookInput, HttpRequest, Payload, PostFailDecision, PostRequestDecision, PreHookDecision, PreRequestDecision, TriggerDecision,
};

use crate::support::{invoke, js};

const TEXT: &str = "hello world, hello world, hello world";

/// Makes the decision from bytes that nothing else holds, waits, and makes much else of the same size.
fn script(bytes: &str) -> Compiled {
    let source = format!(
        "import {{ proceed, recover, respond }} from 'snaphook';
         const text = {TEXT:?};
         async function later(make) {{
           const decision = make({bytes});
           await new Promise((resolve) => setTimeout(resolve, 1));
           for (let i = 0; i < 300; i++) {{
             new Uint8Array(text.length).fill(120);
             new Uint8Array(new ArrayBuffer(text.length + 5)).fill(121);
             'z'.repeat(text.length) + i;
           }}
           return decision;
         }}
         export const postRequest = () => later((bytes) => proceed(bytes));
         export const postFail = () => later((bytes) => recover(bytes));
         export const preHook = () => later((body) => respond({{ body }}));
         export const preRequest = () => later((body) => respond({{ body }}));
         export const trigger = () => later((bytes) => ({{ payload: bytes, response: {{ body: bytes }} }}));"
    );
    js(&source).unwrap()
}

fn inputs() -> [HookInput; 5] {
    let (connector, endpoint, status) = ("c".into(), "e".into(), 200);
    [
        HookInput::PostRequest {
            method: String::new(),
            url: String::new(),
            status,
            headers: Default::default(),
            payload: Default::default(),
            payload_type: None,
        },
        HookInput::PostFail { connector, endpoint, status, code: String::new(), message: String::new(), arguments: "{}".into() },
        HookInput::PreHook { connector: "c".into(), endpoint: "e".into(), arguments: "{}".into() },
        HookInput::PreRequest { request: HttpRequest::default() },
        HookInput::Trigger { request: Default::default() },
    ]
}

fn given(decision: Decision) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let payload = |payload: Payload| {
        assert_eq!(payload.content_type, "application/octet-stream");
        text(&payload.bytes)
    };
    match decision {
        Decision::PostRequest(PostRequestDecision::Proceed(Some(given))) | Decision::PostFail(PostFailDecision::Recover(given)) => {
            vec![payload(given)]
        }
        Decision::PreHook(PreHookDecision::Respond(response)) | Decision::PreRequest(PreRequestDecision::Respond(response)) => {
            vec![text(&response.body)]
        }
        Decision::Trigger(TriggerDecision { payload: Some(given), response: Some(response) }) => {
            vec![payload(given), text(&response.body.unwrap())]
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn bytes_outlive_the_buffer_they_came_in() {
    for bytes in [
        "new TextEncoder().encode(text)",
        "new TextEncoder().encode(text).buffer",
        "new DataView(new TextEncoder().encode(text).buffer)",
        "new TextEncoder().encode('...' + text).subarray(3)",
    ] {
        let compiled = script(bytes);
        for input in inputs() {
            let hook = input.hook();
            let decision = invoke(&compiled, input).await.result.unwrap();
            assert!(given(decision).iter().all(|given| given == TEXT), "{hook}: {bytes}");
        }
    }
}

#[tokio::test]
async fn a_decision_keeps_the_bytes_of_its_time() {
    for after in ["bytes.fill(120)", "bytes.buffer.transfer(100000)", "bytes.buffer.transfer(0)"] {
        let source = format!(
            "import {{ proceed, recover, respond }} from 'snaphook';
             const made = (make) => {{
               const bytes = new TextEncoder().encode({TEXT:?});
               const decision = make(bytes);
               {after};
               for (let i = 0; i < 300; i++) new Uint8Array({}).fill(121);
               return decision;
             }};
             export const postRequest = () => made((bytes) => proceed(bytes));
             export const postFail = () => made((bytes) => recover(bytes));
             export const preHook = () => made((body) => respond({{ body }}));
             export const preRequest = () => made((body) => respond({{ body }}));",
            TEXT.len()
        );
        let compiled = js(&source).unwrap();
        for input in inputs().into_iter().filter(|input| !matches!(input, HookInput::Trigger { .. })) {
            let hook = input.hook();
            let decision = invoke(&compiled, input).await.result.unwrap();
            assert!(given(decision).iter().all(|given| given == TEXT), "{hook}: {after}");
        }
    }
}
