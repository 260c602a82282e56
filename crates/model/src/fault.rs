//! Failures as data: whose fault, which stable code, and where.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blame {
    /// The request or a definition is wrong.
    Caller,
    /// A script trapped, threw, broke the contract or spent a budget.
    Guest,
    /// The upstream refused, could not be reached, timed out or answered badly.
    Upstream,
    /// Ours.
    Platform,
    /// Nobody's: the end of something that is no failure.
    Nobody,
}

impl Blame {
    /// The word in answers and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Guest => "guest",
            Self::Upstream => "upstream",
            Self::Platform => "platform",
            Self::Nobody => "nobody",
        }
    }
}

macro_rules! codes {
    ($($variant:ident $text:literal $blame:ident $title:literal $help:literal;)*) => {
        /// Every failure that a caller can see. The kebab-case text is stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $title] $variant,)*
        }

        impl Code {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The stable text.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Whose fault it is.
            #[must_use]
            pub const fn blame(self) -> Blame {
                match self { $(Self::$variant => Blame::$blame,)* }
            }

            /// A few words for a heading.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// What it means and what to do, in one or two sentences.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }
        }
    };
}

codes! {
    Invalid "invalid" Caller "request or document is not valid" "Something in the request or the document breaks its format. `path` names the field and `detail` says what is expected there.";
    Name "name" Caller "not a valid name" "Names match [A-Za-z0-9][A-Za-z0-9._-]{0,62}. Choose another one.";
    TooLarge "too-large" Caller "body is too large" "The body exceeds the tenant's limit `request_body_bytes`, or a subject's values exceed what one subject may have. Send less, or ask the operator for a higher limit.";
    NotFound "not-found" Caller "not found" "Nothing of this name exists here, or it belongs to another tenant. Check the name and the token.";
    MethodNotAllowed "method-not-allowed" Caller "method not allowed" "The path exists but does not take this method. The `allow` header lists those it takes.";
    Unauthorized "unauthorized" Caller "token missing or unknown" "Send `Authorization: Bearer TOKEN` with a token that exists and has not expired.";
    Signature "signature" Caller "signature is missing or wrong" "The trigger takes requests that are signed as Standard Webhooks has it: `webhook-id`, `webhook-timestamp` within 300 s of now, and `webhook-signature` over the body as it was sent.";
    ScopeMissing "scope-missing" Caller "token lacks a scope" "The token is known but may not do this. Use one that has the scope named in `detail`.";
    Conflict "conflict" Caller "conflicts with what is there" "The change does not fit what is stored. Read the current state and try again.";
    ScriptBound "script-bound" Caller "script version is bound" "The version still sits at a hook. Bind another version there first; `detail` says where.";
    SourceSize "source-size" Guest "source or component is too large" "The upload exceeds the tenant's limit `source_bytes` or `component_bytes`. Make it smaller, or ask the operator for a higher limit.";
    ScriptSyntax "script-syntax" Guest "script has a syntax error" "The source does not parse. `line` and `column` point into the text as uploaded.";
    ScriptCompile "script-compile" Guest "script does not compile" "Top-level code of the script failed at deploy. `line` and `column` point into the text as uploaded.";
    ScriptNoHook "script-no-hook" Guest "script has no such hook" "The script exports no hook, or not the one that is asked for. Export a function with the hook's name.";
    ComponentImports "component-imports" Guest "component imports what is not offered" "A component may import the host interfaces of the guest SDK and WASI 0.2's cli, clocks, random, io and filesystem. `detail` names the import.";
    ComponentInvalid "component-invalid" Guest "component is not valid" "The bytes are no WebAssembly component of the world `snaphook:hook/hooks`. Build them with the guest SDK.";
    Compile "compile" Guest "compile budget is spent" "Compiling or evaluating the upload took more CPU time, memory or wall time than allowed. Do less at top level, or upload less code.";
    ScriptThrew "script-threw" Guest "script threw" "An exception left the hook. `line` and `column` point into the text as uploaded; `detail` has its message.";
    ScriptTrapped "script-trapped" Guest "script trapped" "WebAssembly stopped the script, for example for an unreachable instruction or too deep a recursion.";
    ScriptContract "script-contract" Guest "script broke the hook's contract" "The hook returned or set something that it cannot. `detail` names it.";
    Fuel "fuel" Guest "fuel is spent" "The invocation used all of its fuel. Do less in the hook, or ask the operator for a higher limit `fuel`.";
    Deadline "deadline" Guest "deadline has passed" "The invocation took longer than the limit `wall_ms`. Do less in the hook, or ask the operator for a higher limit.";
    Memory "memory" Guest "memory is used up" "The invocation needed more than the limit `memory_bytes`. Keep less data at once, or ask the operator for a higher limit.";
    Output "output" Guest "output is too large" "The hook gave back more than the limit `output_bytes`, or sent more in its own requests. Give less, or ask the operator for a higher limit.";
    HostCalls "host-calls" Guest "too many host calls" "The invocation made more HTTP requests than the limit `host_calls`. Make fewer, or ask the operator for a higher limit.";
    NeverSettles "never-settles" Guest "promise never settles" "The hook returned a promise that nothing can settle any more. Make sure that every path resolves or rejects it.";
    MetaSize "meta-size" Guest "meta is too large" "The script wrote more into `meta` than it takes. Keep less there, or use variables.";
    ScriptFailed "script-failed" Guest "script decided to fail" "A post-request script decided that the step failed. `detail` has its message.";
    RetriesUsed "retries-used" Guest "retries are used up" "A script asked for the request again, but the step's `retry` is used up or absent. Allow more attempts, or decide otherwise.";
    ReauthenticateFailed "reauthenticate-failed" Guest "could not authenticate again" "A script asked for a new authentication, but there is nothing to renew or it was renewed already in this attempt.";
    Rejected "rejected" Guest "rejected by a hook" "A hook rejected the call. Status, reason code and message are the hook's own.";
    FileUnknown "file-unknown" Caller "file is not saved" "No earlier step of this run has kept a file under this name. Save it with `save_as_file` before it is sent; `detail` names the files that there are.";
    Template "template" Caller "template fails" "A template of the document became something that its place cannot hold. `path` names the field, `detail` says what it became.";
    TemplateLimit "template-limit" Caller "template is too expensive" "A template, or those of one request together, spent all of their fuel or became too long. Name less in them, or prepare the value in a script.";
    StorePath "store-path" Caller "nothing to store" "The response has nothing at a path of `store_data`, so nothing was stored. `detail` names the path and shows the response.";
    PollingExhausted "polling-exhausted" Upstream "polling is used up" "The response did not hold what `continue_if` asks for in any of the step's `polling` requests. Poll longer, or find out why the upstream does not get there.";
    CallbackTimeout "callback-timeout" Upstream "no callback came in time" "The upstream did not call back within the step's `timeout_s`. It may have done the work.";
    CallbackFailed "callback-failed" Upstream "upstream called back with a failure" "The upstream called back with `X-Link-Status: Failed`. The run's `document` has the code and the text that it gave.";
    CallbackUsed "callback-used" Caller "callback came already" "Another callback with this correlation id was taken before. Each one counts once.";
    CallbackHeader "callback-header" Caller "callback lacks a header" "A callback has the headers `X-Link-Correlation-Id` and `X-Link-Status` (`Ok` or `Failed`). The run goes on waiting for one that has.";
    RunEnded "run-ended" Caller "run has ended" "The run has ended, so nothing can be done about it any more. Retry it to do the same again.";
    Cancelled "cancelled" Nobody "run was cancelled" "Somebody cancelled the run before it had ended.";
    IdempotencyKey "idempotency-key" Caller "idempotency key was used for something else" "A request with this `Idempotency-Key` and another body came before, in the last 24 hours. Use a new key for a new request.";
    OutcomeUnknown "outcome-unknown" Platform "nobody knows whether a request was done" "The node went down between sending a request and writing down its answer, and the endpoint is not `idempotent`, so it was not sent again. Look at the upstream, then retry the run; or say `idempotent: true` where the upstream heeds `Idempotency-Key`.";
    StateSize "state-size" Guest "state is too large" "The run wrote more into `state` than the limit `state_bytes` allows, so nothing of it was kept. `used` has the number of bytes.";
    Blocked "blocked" Nobody "blocked by a condition" "The response did not hold what `continue_if` asks for, so the run ended there. This is no failure and is not tried again.";
    EgressRefused "egress-refused" Caller "request is not allowed to leave" "The tenant's egress policy does not allow this address. `detail` says which rule; the operator can change it with `egress` of the tenant.";
    Url "url" Upstream "URL is not valid" "The request's URL cannot be used. It must be absolute, with http or https.";
    Dns "dns" Upstream "host name does not resolve" "The upstream's name has no address. Check the name.";
    Connect "connect" Upstream "could not connect" "The upstream does not accept connections. Check address and port.";
    Tls "tls" Upstream "TLS failed" "No secure connection could be made. Check the upstream's certificate.";
    Redirects "redirects" Upstream "too many redirects" "The upstream redirects more often than the endpoint's `redirects` allows.";
    ResponseHeader "response-header" Upstream "response header is not valid" "The upstream answered with something that is not HTTP, or with headers that are too large.";
    ResponseSize "response-size" Upstream "response is too large" "The upstream's body exceeds the limit `response_body_bytes`. Ask it for less, or the operator for a higher limit.";
    ResponseJson "response-json" Upstream "response is not the expected JSON" "The upstream's body is not JSON, or lacks what `payload_path` names.";
    Reset "reset" Upstream "connection was reset" "The upstream closed the connection before its answer was whole. It may have done the work.";
    Timeout "timeout" Upstream "request timed out" "The upstream did not answer within `timeout_s`. It may have done the work.";
    Status "status" Upstream "status is not accepted" "The upstream's status is not among those accepted. `detail` names it and the list.";
    ConnectionBroken "connection-broken" Upstream "connection cannot be used" "The connection that the endpoint or step names has no token that could be used. `detail` says why; its `status_detail` does too. Authorize it, or mend its fields.";
    TokenRefused "token-refused" Upstream "token was refused" "The connection's token address gave no token. `detail` has what it said. Nothing was sent to the upstream.";
    OAuthState "oauth-state" Caller "authorization is unknown or over" "The `state` belongs to no authorization that was begun in the last ten minutes and is not finished. Begin again with `POST /v1/connections/NAME/authorize`.";
    QuotaConcurrency "quota-concurrency" Platform "too many requests at once" "The tenant has as many requests in flight as its quota `concurrency` allows. Wait for some to end, or ask the operator for more.";
    QuotaRate "quota-rate" Platform "too many requests" "The tenant sends more requests a second than its quota `rate_per_s` allows. Try again after the time in `Retry-After`, or ask the operator for more.";
    QuotaStorage "quota-storage" Platform "too much is stored" "The tenant's scripts take as much as its quota `script_bytes` allows, or its documents (flows with their versions, connectors, connections, secrets, subjects, tokens) are as many as `documents` allows or take as much as `document_bytes`; `detail` says which. Delete some, of scripts versions that nothing binds or imports, or ask the operator for more.";
    Overloaded "overloaded" Platform "node is at its limit" "This node takes no more work at the moment. Try again after the time in `Retry-After`.";
    StoreUnavailable "store-unavailable" Platform "store is not available" "The database, or the place where scripts and large payloads lie beside it, does not answer. Try again; the operator finds the reason in the node's log.";
    ObjectDamaged "object-damaged" Platform "stored bytes are damaged" "Bytes that were stored are missing, or are not what was stored, and so are not used. The operator puts the object that `detail` names back; a script may be uploaded again.";
    Internal "internal" Platform "internal error" "Something failed on our side. Give the operator the request id; the node's log has the reason under it.";
}

impl Code {
    /// The code with this text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }

    /// Whether the same again may succeed: the world may have changed, the request need not.
    #[must_use]
    pub const fn retryable(self) -> bool {
        matches!(
            self,
            Self::Connect
                | Self::Dns
                | Self::Reset
                | Self::Timeout
                | Self::Status
                | Self::QuotaConcurrency
                | Self::QuotaRate
                | Self::Overloaded
                | Self::StoreUnavailable
                | Self::Internal
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("unknown code `{text}`")))
    }
}

/// A place in a file that the uploaded source took in: in a script that it imports, or in a file that was bundled into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// `signing@2` for an imported script, `src/text.ts` for a bundled file, `signing@2/src/text.ts` for a bundled file of an imported script.
    pub file: String,
    /// Line in that file, from 1.
    pub line: u32,
    /// Column in that file, from 1.
    pub column: u32,
}

/// A failure that a caller may read. What only the log may hold is not in here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{detail}")]
pub struct Fault {
    /// What failed.
    pub code: Code,
    /// One public sentence about this case.
    pub detail: String,
    /// The field of the request or document, such as `steps[2].foo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Line in the uploaded source, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column in the uploaded source, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// The file that it is really about, when that is not the uploaded source itself. Seldom there, so faults stay small without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Box<Origin>>,
    /// The limit that was reached, in its own unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// What was used or wanted of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
}

impl Fault {
    /// A failure with a code and a sentence.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), path: None, line: None, column: None, origin: None, limit: None, used: None }
    }

    /// The same with a place in the uploaded source.
    #[must_use]
    pub fn at(mut self, line: u32, column: u32) -> Self {
        self.line = Some(line);
        self.column = Some(column);
        self
    }

    /// The same with the file that it is really about.
    #[must_use]
    pub fn from_file(mut self, origin: Option<Origin>) -> Self {
        self.origin = origin.map(Box::new);
        self
    }

    /// The same with the limit that was reached and what was used of it.
    #[must_use]
    pub fn of_limit(mut self, limit: u64, used: Option<u64>) -> Self {
        self.limit = Some(limit);
        self.used = used;
        self
    }

    /// The same with the field it is about.
    #[must_use]
    pub fn in_field(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Whose fault it is.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        self.code.blame()
    }
}

/// A document breaks its format at `path`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {detail}")]
pub struct Invalid {
    /// Such as `steps[2].foo`; empty for the whole document.
    pub path: String,
    /// What is expected there.
    pub detail: String,
}

impl Invalid {
    /// A complaint about a field.
    pub fn new(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { path: path.into(), detail: detail.into() }
    }
}

impl From<Invalid> for Fault {
    fn from(invalid: Invalid) -> Self {
        Self::new(Code::Invalid, invalid.detail).in_field(invalid.path)
    }
}
