//! The hook as an ordinary function: `cargo test`, no wasm and no node.

use event_extra::AddExtra;
use snaphook_guest::log::Level;
use snaphook_guest::testing::Test;
use snaphook_guest::{Call, PreHook, PreHookDecision, Rejection, json};

#[test]
fn extra_data_is_added() {
    let test = Test::new().parms(&json!({"extradata": {"b": 2}}));
    let call = Call::new("game", "send-event", &json!({"eventType": "gift", "eventData": {"a": 1}}));

    let decision = AddExtra::pre_hook(call, test.context()).expect("the hook decides");

    let wanted = PreHookDecision::call(&json!({"eventType": "gift", "eventData": {"a": 1, "b": 2}}));
    assert_eq!(decision, wanted.expect("the arguments are JSON"));
    assert_eq!(test.logs(), [(Level::Info, "adding b".to_owned())]);
}

#[test]
fn a_call_without_event_data_is_rejected() {
    let test = Test::new().parms(&json!({"extradata": {"b": 2}}));

    let decision = AddExtra::pre_hook(Call::new("game", "send-event", &json!({})), test.context());

    let wanted = Rejection::new(400, "eventData is missing").code("event-data");
    assert_eq!(decision.expect("the hook decides"), wanted.into());
}

#[test]
fn a_binding_without_parameters_is_an_error() {
    let error = AddExtra::pre_hook(Call::new("game", "send-event", &json!({"eventData": {}})), Test::new().context());

    assert!(error.expect_err("`extradata` is missing").message().starts_with("missing field `extradata`"));
}
