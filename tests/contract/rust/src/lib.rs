//! The contract's behaviour in Rust. `guest.js` and `guest.ts` do the same.

use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;
use snaphook_guest::crypto::{self, Algorithm};
use snaphook_guest::log::{self, Level};
use snaphook_guest::{
    Call, CallResult, Context, Error, Failing, Failure, NewResponse, Payload, PostFail, PostFailDecision, PostHook, PostHookDecision,
    PostRequest, PostRequestDecision, PreHook, PreHookDecision, PreRequest, PreRequestDecision, ReasonCode, Rejection, ReplacedFailure,
    Request, Response, Result, Step, StepInput, Trigger, TriggerDecision, TriggerRequest, TriggerResponse, Value, bail, json,
};

static INVOCATIONS: AtomicU32 = AtomicU32::new(0);

struct Guest;

#[derive(Deserialize)]
struct Parms {
    act: String,
    #[serde(default)]
    code: Value,
}

impl Parms {
    fn code(&self) -> Option<ReasonCode> {
        match &self.code {
            Value::Number(number) => number.as_i64().map(Into::into),
            Value::String(text) => Some(text.as_str().into()),
            _ => None,
        }
    }

    fn reject(&self, status: u16, message: &str) -> Rejection {
        let rejection = Rejection::new(status, message);
        match self.code() {
            Some(code) => rejection.code(code),
            None => rejection,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl PreHook for Guest {
    fn pre_hook(call: Call, context: Context) -> Result<PreHookDecision> {
        let parms: Parms = context.parms()?;
        match parms.act.as_str() {
            "keep" => Ok(PreHookDecision::keep()),
            "change" => {
                let mut arguments: Value = call.arguments()?;
                arguments["seen"] = json!({"connector": call.connector, "endpoint": call.endpoint});
                PreHookDecision::call(&arguments)
            }
            "replace" => PreHookDecision::call(&json!({"only": call.arguments::<Value>()?["a"]})),
            "reject" => Ok(parms.reject(409, "not now").into()),
            "respond" => Ok(NewResponse::new(203).header("x-made", "here").json(&json!({"cached": true}))?.into()),
            "contract" => Err(Error::contract("`recover` does not belong to a pre-hook")),
            act => bail!("no such act: {act}"),
        }
    }
}

impl PreRequest for Guest {
    fn pre_request(mut request: Request, context: Context) -> Result<PreRequestDecision> {
        let parms: Parms = context.parms()?;
        match parms.act.as_str() {
            "keep" => return Ok(PreRequestDecision::keep()),
            "change" => {
                let signature = hex(&crypto::hmac(Algorithm::Sha256, "key", request.bytes()));
                let mut body: Value = request.json()?;
                body["signed"] = true.into();
                request.set_json(&body)?;
                request.method = "PUT".to_owned();
                request.url.push_str("?v=2");
                request.headers.set("X-Sig", signature);
                request.headers.append("x-tag", "b");
                request.headers.remove("x-drop");
            }
            "headers" => {
                let length = request.text()?.len();
                request.headers.set("x-length", length.to_string());
            }
            "framing" => request.headers.set("content-length", "3"),
            "split" => request.headers.set("x-split", "a\r\nx-smuggled: b"),
            "reject" => return Ok(parms.reject(403, "not this one").into()),
            "respond" => return Ok(NewResponse::new(200).header("content-type", "text/plain").body("made here").into()),
            act => bail!("no such act: {act}"),
        }
        Ok(request.into())
    }
}

impl PostRequest for Guest {
    fn post_request(response: Response, context: Context) -> Result<PostRequestDecision> {
        let parms: Parms = context.parms()?;
        Ok(match parms.act.as_str() {
            "keep" => PostRequestDecision::none(),
            "change" => PostRequestDecision::replace(Payload::json(&json!({
                "method": response.method,
                "url": response.url,
                "status": response.status,
                "type": response.headers.get("Content-Type"),
                "body": response.text()?,
            }))?),
            "proceed" => PostRequestDecision::proceed(),
            "proceed-with" => PostRequestDecision::proceed_with(Payload::json(&json!({"from": response.json::<Value>()?["id"]}))?),
            "retry-step" => PostRequestDecision::retry_step("again"),
            "retry-run" => PostRequestDecision::retry_run("all again"),
            "fail" => {
                let failing = Failing::new("Invalid session");
                match parms.code() {
                    Some(code) => failing.code(code).into(),
                    None => failing.into(),
                }
            }
            "reauthenticate" => PostRequestDecision::reauthenticate("expired"),
            act => bail!("no such act: {act}"),
        })
    }
}

impl PostHook for Guest {
    fn post_hook(result: CallResult, context: Context) -> Result<PostHookDecision> {
        let parms: Parms = context.parms()?;
        Ok(match parms.act.as_str() {
            "keep" => PostHookDecision::Keep,
            "change" => {
                let (arguments, payload): (Value, Value) = (result.arguments()?, result.json()?);
                let id = result.headers.get("x-id");
                Payload::json(&json!({"arguments": arguments, "status": result.status, "id": id, "payload": payload}))?.into()
            }
            "reject" => parms.reject(403, "not for you").into(),
            act => bail!("no such act: {act}"),
        })
    }
}

impl PostFail for Guest {
    fn post_fail(failure: Failure, context: Context) -> Result<PostFailDecision> {
        let parms: Parms = context.parms()?;
        Ok(match parms.act.as_str() {
            "keep" => PostFailDecision::Keep,
            "recover" => {
                let arguments: Value = failure.arguments()?;
                let Failure { status, code, message, .. } = failure;
                let payload = json!({"arguments": arguments, "status": status, "code": code, "message": message});
                PostFailDecision::Recover(Payload::json(&payload)?)
            }
            "replace" => {
                let replaced = ReplacedFailure::new(503, "come back later");
                match parms.code() {
                    Some(code) => replaced.code(code).into(),
                    None => replaced.into(),
                }
            }
            act => bail!("no such act: {act}"),
        })
    }
}

impl Step for Guest {
    fn step(payload: StepInput, context: Context) -> Result<Option<Payload>> {
        let parms: Parms = context.parms()?;
        Ok(Some(match parms.act.as_str() {
            "keep" => return Ok(None),
            "change" => Payload::json(&json!({"given": payload.json::<Value>()?}))?,
            "text" => {
                let text = payload.text()?;
                Payload::text(format!("{text}, {} long", text.len()))
            }
            "bytes" => Payload::json(&json!({"sum": payload.bytes().iter().map(|byte| u32::from(*byte)).sum::<u32>()}))?,
            "digest" => Payload::json(&json!({"sha256": hex(&crypto::digest(Algorithm::Sha256, payload.bytes()))}))?,
            "context" => Payload::json(&context_of(&context)?)?,
            "log" => {
                let levels = [Level::Debug, Level::Info, Level::Log, Level::Warn, Level::Error];
                levels.into_iter().zip(["one", "two", "three", "four", "five"]).for_each(|(level, text)| log::write(level, text));
                return Ok(None);
            }
            "fresh" => Payload::json(&json!({"invocations": INVOCATIONS.fetch_add(1, Ordering::Relaxed) + 1}))?,
            "throw" => bail!("boom"),
            act => bail!("no such act: {act}"),
        }))
    }
}

impl Trigger for Guest {
    fn trigger(request: TriggerRequest, context: Context) -> Result<TriggerDecision> {
        let parms: Parms = context.parms()?;
        Ok(match parms.act.as_str() {
            "keep" => TriggerDecision::keep(),
            "change" => Payload::json(&json!({
                "method": request.method,
                "url": request.url,
                "path": request.path,
                "q": request.query("q"),
                "tag": request.headers.get("X-Tag"),
                "given": request.json::<Value>()?,
                "test": context.test_run,
            }))?
            .into(),
            "respond" => {
                let response = TriggerResponse::new(201).header("content-type", "text/csv").body("hello,world");
                TriggerDecision::from(Payload::text(request.text()?)).respond(response)
            }
            "accept" => TriggerResponse::new(202).header("x-made", "here").into(),
            "empty" => TriggerResponse::new(200).header("content-type", "application/octet-stream").body("").into(),
            "bytes" => Payload::json(&json!({"sum": request.bytes().iter().map(|byte| u32::from(*byte)).sum::<u32>()}))?.into(),
            "framing" => TriggerResponse::new(200).header("transfer-encoding", "chunked").into(),
            "split" => TriggerResponse::new(200).header("x-split", "a\r\nx-smuggled: b").into(),
            "status" => TriggerResponse::new(700).into(),
            act => bail!("no such act: {act}"),
        })
    }
}

fn context_of(context: &Context) -> Result<Value> {
    let (variables, meta) = (context.variables, context.meta);
    let count: i64 = variables.get("count")?.ok_or_else(|| Error::new("no count"))?;
    let before = json!({"count": count, "trace": meta.get("trace")});
    variables.set("count", &(count + 1))?;
    variables.set("made", &json!({"here": true}))?;
    variables.remove("gone");
    meta.set("trace", "second")?;
    let mut keys = variables.keys();
    keys.sort();
    let (count, made): (Value, Value) = (variables.get("count")?.unwrap_or_default(), variables.get("made")?.unwrap_or_default());
    Ok(json!({
        "before": before,
        "after": {"count": count, "trace": meta.get("trace"), "made": made, "keys": keys},
        "base": context.config.get::<Value>("App Base URL")?,
        "first": context.step_results.get::<Value>("first")?,
        "attempt": context.attempt,
    }))
}

snaphook_guest::export!(Guest: PreHook, PreRequest, PostRequest, PostHook, PostFail, Step, Trigger);
