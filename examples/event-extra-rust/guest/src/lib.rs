//! A pre-hook that adds data to a call: what the binding's `parms.extradata` holds goes into the call's `eventData`.
//! The same hook as `../event-extra/scripts/add-extra.js`.

use serde::Deserialize;
use snaphook_guest::serde_json::Map;
use snaphook_guest::{Call, Context, PreHook, PreHookDecision, Rejection, Result, Value, log};

/// The hook.
pub struct AddExtra;

/// The binding's parameters.
#[derive(Deserialize)]
struct Parms {
    extradata: Map<String, Value>,
}

impl PreHook for AddExtra {
    fn pre_hook(call: Call, context: Context) -> Result<PreHookDecision> {
        let parms: Parms = context.parms()?;
        let mut arguments: Value = call.arguments()?;
        let Some(event_data) = arguments.get_mut("eventData").and_then(Value::as_object_mut) else {
            return Ok(Rejection::new(400, "eventData is missing").code("event-data").into());
        };
        log::info(["adding ", &parms.extradata.keys().map(String::as_str).collect::<Vec<_>>().join(", ")].concat());
        event_data.extend(parms.extradata);
        PreHookDecision::call(&arguments)
    }
}

snaphook_guest::export!(AddExtra: PreHook);
