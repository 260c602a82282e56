//! The one table from a failure's code to the HTTP status of our answer.

use snaphook_model::Code;

/// The status of an answer that reports this code. A rejection's own status stands over the one here.
pub(crate) const fn of(code: Code) -> u16 {
    match code {
        Code::Invalid | Code::Name | Code::CallbackHeader | Code::OAuthState => 400,
        Code::Unauthorized | Code::Signature => 401,
        Code::ScopeMissing | Code::EgressRefused => 403,
        Code::NotFound => 404,
        Code::MethodNotAllowed => 405,
        Code::Conflict
        | Code::ScriptBound
        | Code::Blocked
        | Code::CallbackUsed
        | Code::RunEnded
        | Code::Cancelled
        | Code::IdempotencyKey => 409,
        Code::TooLarge | Code::SourceSize => 413,
        Code::ScriptSyntax
        | Code::ScriptCompile
        | Code::ScriptNoHook
        | Code::ComponentImports
        | Code::ComponentInvalid
        | Code::Compile
        | Code::ScriptThrew
        | Code::ScriptTrapped
        | Code::ScriptContract
        | Code::Fuel
        | Code::Deadline
        | Code::Memory
        | Code::Output
        | Code::HostCalls
        | Code::NeverSettles
        | Code::MetaSize
        | Code::ScriptFailed
        | Code::RetriesUsed
        | Code::ReauthenticateFailed
        | Code::Rejected
        | Code::FileUnknown
        | Code::Template
        | Code::TemplateLimit
        | Code::StorePath
        | Code::CallbackFailed
        | Code::StateSize => 422,
        Code::QuotaConcurrency | Code::QuotaRate | Code::QuotaStorage => 429,
        Code::Internal | Code::ObjectDamaged | Code::OutcomeUnknown => 500,
        Code::Url
        | Code::Dns
        | Code::Connect
        | Code::Tls
        | Code::Redirects
        | Code::ResponseHeader
        | Code::ResponseSize
        | Code::ResponseJson
        | Code::Reset
        | Code::ConnectionBroken
        | Code::TokenRefused
        | Code::Status => 502,
        Code::Overloaded | Code::StoreUnavailable => 503,
        Code::Timeout | Code::CallbackTimeout | Code::PollingExhausted => 504,
    }
}

#[cfg(test)]
mod tests {
    use snaphook_model::{Blame, Code};

    #[test]
    fn a_status_agrees_with_the_blame() {
        for &code in Code::ALL {
            let fits = match code.blame() {
                Blame::Caller => matches!(super::of(code), 400..=413 | 422),
                Blame::Guest => matches!(super::of(code), 413 | 422),
                Blame::Upstream => matches!(super::of(code), 422 | 502 | 504),
                Blame::Platform => matches!(super::of(code), 429 | 500 | 503),
                Blame::Nobody => super::of(code) == 409,
            };
            assert!(fits, "{code}: {}", super::of(code));
        }
    }
}
