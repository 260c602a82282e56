//! The API's description, made from the handlers. `openapi.json` beside the sources is this text, and a test holds it so.

use std::collections::HashSet;

use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use crate::routes::{
    audit, bound, callbacks, calls, checks, connections, connectors, dashboard, flows, me, node, overview, replays, run_control,
    run_events, runs, scripts, secrets, subjects, tenants, test_runs, tokens, triggers, usage, versions,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Snaphook",
        description = "Runs users' scripts around HTTP calls, each in a fresh sandbox. Every answer has `x-request-id`; every error is a problem (RFC 9457).",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        tenants::put, tenants::get, tenants::list, tenants::delete,
        tokens::create_for_tenant, tokens::create, tokens::list, tokens::delete,
        me::get, usage::get,
        scripts::put, scripts::list, scripts::get, checks::check, bound::list,
        versions::get, versions::source, versions::component, versions::delete, test_runs::test,
        connectors::put, connectors::get, connectors::list, connectors::delete,
        flows::put, flows::get, flows::get_version, flows::list, flows::delete,
        connections::put, connections::get, connections::list, connections::delete, connections::authorize, connections::callback,
        secrets::put, secrets::list, secrets::delete,
        subjects::put, subjects::get, subjects::list, subjects::delete,
        overview::get, calls::call, runs::start, runs::list, runs::get, run_events::events, run_control::cancel, run_control::retry, replays::replay,
        audit::list,
        callbacks::call_back, triggers::trigger,
        dashboard::index, dashboard::file,
        node::healthz, node::readyz, node::metrics, node::openapi, node::error,
    ),
    modifiers(&Tokens)
)]
struct Document;

/// The two kinds of token.
struct Tokens;

impl utoipa::Modify for Tokens {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = |description: &str| {
            SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description)).build())
        };
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", bearer("A tenant's token with the scope that the operation names; `admin` has them all."));
        components.add_security_scheme("operator", bearer("The operator's token."));
    }
}

/// The description as pretty JSON, with a line's end.
///
/// # Panics
/// Never: the document holds texts and numbers only.
#[must_use]
pub fn openapi_json() -> String {
    let mut text = Document::openapi().to_pretty_json().expect("texts and numbers always serialise");
    text.push('\n');
    text
}

/// The patterns of all routes that are described.
pub(crate) fn patterns() -> HashSet<String> {
    Document::openapi().paths.paths.into_keys().collect()
}
