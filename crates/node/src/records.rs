//! Walks through the record of a run.

use serde_json::Value;

/// An invocation, and the step that it belongs to; the trigger's belongs to none.
pub(crate) struct Invocation<'a> {
    pub(crate) step: Option<&'a str>,
    pub(crate) record: &'a Value,
}

/// Every invocation of a run: the trigger's, then each step's.
pub(crate) fn invocations(run: &Value) -> impl Iterator<Item = Invocation<'_>> {
    let trigger = Some(&run["trigger"]).filter(|trigger| trigger.is_object()).map(|record| Invocation { step: None, record });
    let of_steps = list(&run["steps"]).flat_map(|step| {
        let of_attempts = list(&step["attempts"]).flat_map(|attempt| list(&attempt["hooks"]));
        let records = list(&step["hooks"]).chain(of_attempts);
        records.map(|record| Invocation { step: step["name"].as_str(), record })
    });
    trigger.into_iter().chain(of_steps)
}

/// What ran: a flow, or a direct call's `connector/endpoint`.
pub(crate) fn what(run: &Value) -> &str {
    run["flow"].as_str().or(run["call"].as_str()).unwrap_or_default()
}

/// Whether nothing more will happen in it.
pub(crate) fn has_ended(run: &Value) -> bool {
    !run["ended_at"].is_null()
}

/// The items of a list; none of anything else.
pub(crate) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
