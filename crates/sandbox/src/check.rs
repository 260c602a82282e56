//! Judges what a hook decided: whether it can be sent, answered or stored, and how large it is.

use snaphook_model::connector::{METHODS, is_framing_header};
use snaphook_model::{
    Code, Decision, FailingDecision, Fault, Headers, NewRequest, NewResponse, Payload, PostFailDecision, PostHookDecision,
    PostRequestDecision, PreHookDecision, PreRequestDecision, ReasonCode, StepDecision, TriggerDecision, TriggerResponse,
};

/// A decision that everything after the sandbox can rely on, or the fault of the script that made it.
pub(crate) fn decision(mut decision: Decision, output_limit: u64) -> Result<Decision, Fault> {
    let size = size(&decision);
    if size > output_limit {
        let detail = format!("the hook gave back {size} bytes; the limit `output_bytes` is {output_limit}");
        return Err(Fault::new(Code::Output, detail).of_limit(output_limit, Some(size)));
    }
    cut_texts(&mut decision);
    match &decision {
        Decision::PreHook(PreHookDecision::Call(Some(arguments))) => json(arguments)?,
        Decision::PreHook(PreHookDecision::Respond(response)) | Decision::PreRequest(PreRequestDecision::Respond(response)) => {
            answer(response)?;
        }
        Decision::PreRequest(PreRequestDecision::Send(Some(request))) => sendable(request)?,
        Decision::PreHook(PreHookDecision::Reject(rejection))
        | Decision::PreRequest(PreRequestDecision::Reject(rejection))
        | Decision::PostHook(PostHookDecision::Reject(rejection)) => status("status", rejection.status, 100)?,
        Decision::PostRequest(PostRequestDecision::None(Some(payload)) | PostRequestDecision::Proceed(Some(payload)))
        | Decision::PostHook(PostHookDecision::Replace(payload))
        | Decision::PostFail(PostFailDecision::Recover(payload))
        | Decision::Step(StepDecision(Some(payload))) => content_type(payload)?,
        Decision::Trigger(TriggerDecision { payload, response }) => {
            payload.as_ref().map_or(Ok(()), content_type)?;
            response.as_ref().map_or(Ok(()), trigger_answer)?;
        }
        // 0 says that there was no response, as in the failure that the hook was given.
        Decision::PostFail(PostFailDecision::Replace(failure)) if failure.status != 0 => status("status", failure.status, 100)?,
        _ => {}
    }
    Ok(decision)
}

/// Messages are for people, and stand several times in a run's record: what is longer than this is no message.
const MAX_MESSAGE_BYTES: usize = 8 << 10;

/// Cuts messages and codes to a length that records can hold.
fn cut_texts(decision: &mut Decision) {
    let (message, code) = match decision {
        Decision::PreHook(PreHookDecision::Reject(rejection))
        | Decision::PreRequest(PreRequestDecision::Reject(rejection))
        | Decision::PostHook(PostHookDecision::Reject(rejection)) => (Some(&mut rejection.message), rejection.code.as_mut()),
        Decision::PostFail(PostFailDecision::Replace(failure)) => (Some(&mut failure.message), failure.code.as_mut()),
        Decision::PostRequest(PostRequestDecision::Fail(failing)) => (failing.message.as_mut(), failing.code.as_mut()),
        Decision::PostRequest(
            PostRequestDecision::RetryStep(message) | PostRequestDecision::RetryRun(message) | PostRequestDecision::Reauthenticate(message),
        ) => (message.as_mut(), None),
        _ => (None, None),
    };
    let code = match code {
        Some(ReasonCode::Text(text)) => Some(text),
        _ => None,
    };
    for text in [message, code].into_iter().flatten() {
        if text.len() > MAX_MESSAGE_BYTES {
            text.truncate(text.floor_char_boundary(MAX_MESSAGE_BYTES));
            text.push('…');
        }
    }
}

fn broken(detail: String) -> Fault {
    Fault::new(Code::ScriptContract, detail)
}

fn json(arguments: &[u8]) -> Result<(), Fault> {
    // What is skipped over is not looked into, so a text in it may be none.
    let text = std::str::from_utf8(arguments).map_err(|error| broken(format!("the new arguments are no JSON text: {error}")))?;
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(broken(format!("the new arguments are no JSON text: {error}"))),
    }
}

fn sendable(request: &NewRequest) -> Result<(), Fault> {
    method(&request.method)?;
    url(&request.url)?;
    headers(&request.headers)
}

fn answer(response: &NewResponse) -> Result<(), Fault> {
    // Below 200 a response is only the announcement of another.
    status("status of the response", response.status, 200)?;
    headers(&response.headers)
}

/// It goes out as it stands, so its status must be one that a client can read.
fn trigger_answer(response: &TriggerResponse) -> Result<(), Fault> {
    if !(200..600).contains(&response.status) {
        return Err(broken(format!("the status of the trigger's response is {}; it must be 200 to 599", response.status)));
    }
    headers(&response.headers)
}

fn status(what: &str, status: u16, lowest: u16) -> Result<(), Fault> {
    if (lowest..=999).contains(&status) {
        return Ok(());
    }
    Err(broken(format!("the {what} is {status}; it must be {lowest} to 999")))
}

/// Refuses a method that requests cannot have.
pub(crate) fn method(method: &str) -> Result<(), Fault> {
    if METHODS.contains(&method) {
        return Ok(());
    }
    Err(broken(format!("`{}` is no method; there are {}, in capitals", excerpt(method), METHODS.join(", "))))
}

fn url(text: &str) -> Result<(), Fault> {
    // The parser drops line breaks and tabs in silence; what is sent should be what was written.
    let plain = text.bytes().all(|byte| byte > b' ' && byte != 0x7f);
    let usable = plain && url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if usable {
        return Ok(());
    }
    Err(broken(format!("the url `{}` cannot be used; it must be absolute, with http:// or https://", excerpt(text))))
}

/// Refuses headers that could end a header line, frame a message, or are none at all.
pub(crate) fn headers(headers: &Headers) -> Result<(), Fault> {
    for (name, value) in headers.iter() {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(token) {
            return Err(broken(format!("`{}` is no header name", excerpt(name))));
        }
        if is_framing_header(name) {
            return Err(broken(format!("the header `{}` is set by the node itself and cannot be given", excerpt(name))));
        }
        if !is_header_value(value) {
            return Err(broken(format!("the value of the header `{}` holds a control character", excerpt(name))));
        }
    }
    Ok(())
}

fn content_type(payload: &Payload) -> Result<(), Fault> {
    // It becomes a header, and is compared as ASCII.
    if payload.content_type.is_ascii() && payload.content_type.contains('/') && is_header_value(&payload.content_type) {
        return Ok(());
    }
    Err(broken(format!("`{}` is no content type; write one such as application/json", excerpt(&payload.content_type))))
}

fn is_header_value(value: &str) -> bool {
    !value.bytes().any(|byte| byte < b' ' && byte != b'\t' || byte == 0x7f)
}

/// The front of a text, fit for a message: one line, without what a terminal would obey.
pub(crate) fn excerpt(text: &str) -> String {
    let mut excerpt: String = text.chars().take(80).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if excerpt.len() < text.len() {
        excerpt.push('…');
    }
    excerpt
}

/// Everything in a decision that grows with what the guest gives, in bytes.
fn size(decision: &Decision) -> u64 {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let code = |code: &Option<ReasonCode>| match code {
        Some(ReasonCode::Text(text)) => text.len(),
        _ => 0,
    };
    let headers = |headers: &Headers| headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    let response = |response: &NewResponse| response.body.len() + headers(&response.headers);
    let request = |request: &NewRequest| {
        request.method.len() + request.url.len() + headers(&request.headers) + request.body.as_ref().map_or(0, bytes::Bytes::len)
    };
    let payload = |payload: &Payload| payload.bytes.len() + payload.content_type.len();
    let optional = |of: &Option<Payload>| of.as_ref().map_or(0, payload);
    let size = match decision {
        Decision::PreHook(PreHookDecision::Call(arguments)) => arguments.as_ref().map_or(0, bytes::Bytes::len),
        Decision::PreRequest(PreRequestDecision::Send(sent)) => sent.as_ref().map_or(0, request),
        Decision::PreHook(PreHookDecision::Respond(given)) | Decision::PreRequest(PreRequestDecision::Respond(given)) => response(given),
        Decision::PreHook(PreHookDecision::Reject(rejection))
        | Decision::PreRequest(PreRequestDecision::Reject(rejection))
        | Decision::PostHook(PostHookDecision::Reject(rejection)) => rejection.message.len() + code(&rejection.code),
        Decision::PostRequest(PostRequestDecision::None(given) | PostRequestDecision::Proceed(given)) => optional(given),
        Decision::PostRequest(
            PostRequestDecision::RetryStep(message) | PostRequestDecision::RetryRun(message) | PostRequestDecision::Reauthenticate(message),
        ) => text(message),
        Decision::PostRequest(PostRequestDecision::Fail(FailingDecision { message, code: reason })) => text(message) + code(reason),
        Decision::PostHook(PostHookDecision::Replace(given)) | Decision::PostFail(PostFailDecision::Recover(given)) => payload(given),
        Decision::PostFail(PostFailDecision::Replace(failure)) => failure.message.len() + code(&failure.code),
        Decision::PostHook(PostHookDecision::Keep) | Decision::PostFail(PostFailDecision::Keep) => 0,
        Decision::Step(StepDecision(given)) => optional(given),
        Decision::Trigger(TriggerDecision { payload, response }) => {
            let answer = |response: &TriggerResponse| headers(&response.headers) + response.body.as_ref().map_or(0, bytes::Bytes::len);
            optional(payload) + response.as_ref().map_or(0, answer)
        }
    };
    size as u64
}

#[cfg(test)]
mod tests {
    use snaphook_model::{Code, Decision, Headers, NewRequest, NewResponse, Payload, PreHookDecision, PreRequestDecision, StepDecision};

    fn sent(method: &str, url: &str, headers: &[(&str, &str)]) -> Option<String> {
        let headers = headers.iter().copied().collect::<Headers>();
        let request = NewRequest { method: method.to_owned(), url: url.to_owned(), headers, body: None };
        super::decision(Decision::PreRequest(PreRequestDecision::Send(Some(request))), 1000).err().map(|fault| fault.detail)
    }

    #[test]
    fn requests_that_can_be_sent_pass() {
        assert_eq!(sent("POST", "https://api.example.com/a?b=c", &[("x-a", "b\tü"), ("X-A", "")]), None);
    }

    #[test]
    fn requests_that_cannot_be_sent_are_named() {
        let url = "http://a/";
        for (found, named) in [
            (sent("get", url, &[]), "`get` is no method"),
            (sent("GET", "/relative", &[]), "/relative"),
            (sent("GET", "ftp://a/", &[]), "ftp://a/"),
            (sent("GET", "http://a/\r\nHost: b", &[]), "http://a/  Host: b"),
            (sent("GET", url, &[("Content-Length", "1")]), "Content-Length"),
            (sent("GET", url, &[("host", "b")]), "host"),
            (sent("GET", url, &[("x", "a\r\nb: c")]), "`x`"),
            (sent("GET", url, &[("x", "a\0")]), "`x`"),
            (sent("GET", url, &[("a b", "")]), "`a b`"),
            (sent("GET", url, &[("", "")]), "no header name"),
        ] {
            assert!(found.as_ref().is_some_and(|found| found.contains(named)), "{found:?} does not name {named}");
        }
    }

    #[test]
    fn output_beyond_the_limit_names_both_numbers() {
        let payload = Payload::json(vec![b'1'; 100]);
        let fault = super::decision(Decision::Step(StepDecision(Some(payload))), 99).expect_err("too large");
        assert_eq!((fault.code, fault.limit, fault.used), (Code::Output, Some(99), Some(116)));
    }

    #[test]
    fn answers_and_arguments_are_checked() {
        let respond = |status| {
            let response = NewResponse { status, headers: Headers::default(), body: "".into() };
            super::decision(Decision::PreHook(PreHookDecision::Respond(response)), 10).is_ok()
        };
        assert!(respond(200) && respond(999) && !respond(101) && !respond(1000) && !respond(0));
        let call = |text: &'static str| super::decision(Decision::PreHook(PreHookDecision::Call(Some(text.into()))), 100).is_ok();
        assert!(call("{\"a\": [1]}") && !call("{\"a\": ") && !call("\u{fffd}"));
    }
}
