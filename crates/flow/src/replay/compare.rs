//! Whether two invocations did the same.

use snaphook_model::{Code, Decision, Fault, HookInput, NewRequest, PreHookDecision, PreRequestDecision, StepDecision};

use super::Made;

/// Whether the same goes on from here: the same decision to the last byte, the same values written, the same requests made.
pub(super) fn same(before: &Made, after: &Made, input: &HookInput, same_version: bool) -> bool {
    let results = match (&before.result, &after.result) {
        // Values of an invocation that failed do not count.
        (Ok(before_decision), Ok(after_decision)) => {
            before.writes == after.writes && spelled_out(before_decision, input) == spelled_out(after_decision, input)
        }
        (Err(before), Err(after)) => same_fault(before, after, same_version),
        _ => false,
    };
    results && before.requests == after.requests
}

/// A decision that keeps what was given, with what was given: a version that hands the same back says the same.
///
/// Not for a post-request's payload: returning one, even an equal one, keeps `payload_path` from being applied.
fn spelled_out(decision: &Decision, input: &HookInput) -> Decision {
    match (decision, input) {
        (Decision::PreHook(PreHookDecision::Call(None)), HookInput::PreHook { arguments, .. }) => {
            Decision::PreHook(PreHookDecision::Call(Some(arguments.clone())))
        }
        (Decision::PreRequest(PreRequestDecision::Send(new)), HookInput::PreRequest { request }) => {
            let sent = new.clone().map_or_else(|| request.clone(), |new| new.over(request));
            let sent = NewRequest { method: sent.method, url: sent.url, headers: sent.headers, body: Some(sent.body) };
            Decision::PreRequest(PreRequestDecision::Send(Some(sent)))
        }
        (Decision::Step(StepDecision(None)), HookInput::Step { payload }) => Decision::Step(StepDecision(Some(payload.clone()))),
        _ => decision.clone(),
    }
}

/// Another version may fail the same way on another line. A sentence about time says how long it took, which is no matter of the script's.
/// Where a guest was stopped is looked up in what is left of it, in short time, and may stay unknown on a busy node: what is unknown differs from
/// nothing.
fn same_fault(before: &Fault, after: &Fault, same_version: bool) -> bool {
    let place = |fault: &Fault| fault.line.zip(fault.column);
    let same_place = || place(before).zip(place(after)).is_none_or(|(before, after)| before == after);
    before.code == after.code && (before.code == Code::Deadline || before.detail == after.detail) && (!same_version || same_place())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use snaphook_model::{HttpRequest, Payload, PostRequestDecision, VariableScope, VariableWrite};

    use super::*;

    fn made(result: Result<Decision, Fault>) -> Made {
        Made { result, writes: Vec::new(), requests: Vec::new() }
    }

    fn call(arguments: Option<&'static str>) -> Made {
        made(Ok(Decision::PreHook(PreHookDecision::Call(arguments.map(|text| Bytes::from_static(text.as_bytes()))))))
    }

    fn input() -> HookInput {
        HookInput::PreHook { connector: "a".into(), endpoint: "b".into(), arguments: Bytes::from_static(b"{}") }
    }

    #[test]
    fn bytes_count_and_handing_back_what_was_given_is_keeping_it() {
        assert!(same(&call(None), &call(Some("{}")), &input(), false));
        assert!(!same(&call(None), &call(Some("{ }")), &input(), false));
        let returned = |payload: Option<Payload>| made(Ok(Decision::PostRequest(PostRequestDecision::None(payload))));
        let response = HookInput::PostRequest {
            method: "GET".to_owned(),
            url: String::new(),
            status: 200,
            headers: snaphook_model::Headers::default(),
            payload: Bytes::from_static(b"{}"),
            payload_type: None,
        };
        assert!(!same(&returned(None), &returned(Some(Payload::json("{}"))), &response, false));
    }

    #[test]
    fn what_it_wrote_and_asked_for_counts() {
        let mut writing = call(None);
        writing.writes.push(VariableWrite { scope: VariableScope::Meta, key: "k".to_owned(), value: None });
        assert!(!same(&call(None), &writing, &input(), true));
        let mut asking = call(None);
        asking.requests.push(HttpRequest::default());
        assert!(!same(&call(None), &asking, &input(), true));
    }

    #[test]
    fn faults_are_the_same_by_code_and_sentence_and_in_one_version_by_place() {
        let threw = |detail: &str, line| made(Err(Fault::new(Code::ScriptThrew, detail).at(line, 1)));
        assert!(same(&threw("a", 1), &threw("a", 2), &input(), false));
        assert!(!same(&threw("a", 1), &threw("a", 2), &input(), true));
        let nowhere = || made(Err(Fault::new(Code::ScriptThrew, "a")));
        assert!(same(&threw("a", 1), &nowhere(), &input(), true) && same(&nowhere(), &threw("a", 1), &input(), true));
        assert!(!same(&threw("a", 1), &threw("b", 1), &input(), false));
        assert!(!same(&threw("a", 1), &call(None), &input(), false));
        let late = |detail: &str| made(Err(Fault::new(Code::Deadline, detail)));
        assert!(same(&late("after 1 ms"), &late("after 2 ms"), &input(), true));
    }
}
