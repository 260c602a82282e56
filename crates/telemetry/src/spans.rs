//! The table of spans.

/// On which side of an exchange a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// It answers a request.
    Server,
    /// It sends one.
    Client,
    /// Neither.
    Internal,
}

impl SpanKind {
    /// The word in the documentation.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Internal => "internal",
        }
    }
}

/// Something that is told of a span.
#[derive(Debug, Clone, Copy)]
pub struct AttributeDescription {
    /// As it is exported.
    pub name: &'static str,
    /// What it says.
    pub help: &'static str,
}

/// A row of the table of spans.
#[derive(Debug, Clone, Copy)]
pub struct SpanDescription {
    /// The span's name.
    pub name: &'static str,
    /// On which side it is.
    pub kind: SpanKind,
    /// What it spans, and below what it hangs.
    pub help: &'static str,
    /// What may be told of it.
    pub attributes: &'static [AttributeDescription],
}

macro_rules! spans {
    ($($variant:ident $name:literal $kind:ident $help:literal [$($attribute:literal $what:literal,)*];)*) => {
        /// What a span is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum SpanName {
            $(#[doc = $help] $variant,)*
        }

        /// Every span that a node makes.
        pub const SPANS: &[SpanDescription] = &[$(SpanDescription {
            name: $name,
            kind: SpanKind::$kind,
            help: $help,
            attributes: &[
                $(AttributeDescription { name: $attribute, help: $what },)*
                AttributeDescription { name: "snaphook.code", help: "the code of the failure, where it failed" },
                AttributeDescription { name: "snaphook.blame", help: "whose fault that is" },
            ],
        }),*];
    };
}

spans! {
    Api "api" Server "One request to the node's API, until its answer is ready. Continues the caller's trace where it sends `traceparent`. Probes, metrics and documentation have none." [
        "http.request.method" "the method, or `other` where it is none of HTTP's own",
        "http.route" "the pattern of the route; absent where there is no such path",
        "http.response.status_code" "the answer's status",
        "snaphook.request_id" "as in the answer's `x-request-id` and in the node's log",
    ];
    Run "run" Internal "One run of a flow or one direct call, from its begin until its end. Below the request that began it; a run that repeats another is below the same." [
        "snaphook.tenant" "whose it is",
        "snaphook.run" "the run's id",
        "snaphook.flow" "the flow; absent for a direct call",
        "snaphook.flow_version" "its version",
        "snaphook.call" "`connector/endpoint` of a direct call",
        "snaphook.attempt" "from 1; a repeated run counts on",
        "snaphook.status" "how it ended",
        "snaphook.fuel" "fuel of all its invocations",
    ];
    Hook "hook" Internal "One invocation: one call of one hook in a fresh sandbox. Below its run." [
        "snaphook.tenant" "whose it is",
        "snaphook.run" "the run's id",
        "snaphook.step" "the step; absent for a direct call and a trigger",
        "snaphook.hook" "which hook",
        "snaphook.script" "whose code",
        "snaphook.version" "which version of it",
        "snaphook.attempt" "the step's attempt, from 1",
        "snaphook.decision" "the kind of its decision",
        "snaphook.fuel" "fuel that it spent",
        "snaphook.memory_bytes" "linear memory that it used",
    ];
    Request "request" Client "One request to an upstream, redirects included. Below its run, or below the hook whose script sends it with `fetch`. The upstream is sent `traceparent`." [
        "snaphook.tenant" "whose it is",
        "snaphook.run" "the run's id",
        "snaphook.step" "the step; absent for a direct call and for `fetch`",
        "snaphook.attempt" "the step's attempt, from 1; absent for `fetch`",
        "http.request.method" "the method, or `other` where it is none of HTTP's own",
        "http.response.status_code" "the answer's status; absent where there was none",
    ];
    Wait "wait" Internal "One wait of a run, for a time or for a callback, until the run goes on. Below its run." [
        "snaphook.tenant" "whose it is",
        "snaphook.run" "the run's id",
        "snaphook.step" "the step that waits; absent for a direct call",
        "snaphook.reason" "what it waits for: `retry`, `polling` or `callback`",
    ];
}

impl SpanName {
    /// Its row in the table.
    #[must_use]
    pub const fn description(self) -> &'static SpanDescription {
        &SPANS[self as usize]
    }

    /// As it is exported.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.description().name
    }
}

#[cfg(test)]
mod tests {
    use super::{SPANS, SpanName};

    #[test]
    fn every_name_has_its_row() {
        for name in [SpanName::Api, SpanName::Run, SpanName::Hook, SpanName::Request, SpanName::Wait] {
            assert_eq!(format!("{name:?}").to_lowercase(), name.as_str());
        }
        assert_eq!(SPANS.len(), 5);
    }
}
