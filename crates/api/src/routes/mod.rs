//! The routes, one resource per file.

use axum::Router;
use axum::middleware::from_fn;
use axum::routing::{any, get, post, put};
use snaphook_model::Code;

use crate::extract::refuse_query;
use crate::problem::Problem;
use crate::shared::Shared;
use crate::watch::note_route;

pub(crate) mod audit;
mod bindings;
pub(crate) mod bound;
pub(crate) mod callbacks;
pub(crate) mod calls;
pub(crate) mod checks;
pub(crate) mod connections;
pub(crate) mod connectors;
pub(crate) mod dashboard;
pub(crate) mod flows;
pub(crate) mod me;
pub(crate) mod node;
pub(crate) mod overview;
pub(crate) mod replays;
pub(crate) mod run_control;
pub(crate) mod run_events;
pub(crate) mod runs;
pub(crate) mod scripts;
pub(crate) mod secrets;
pub(crate) mod subjects;
pub(crate) mod tenants;
pub(crate) mod test_runs;
pub(crate) mod tokens;
pub(crate) mod triggers;
pub(crate) mod usage;
pub(crate) mod versions;

/// Every route; what is not here is 404, and a method that is not here 405.
pub(crate) fn router(core: Shared) -> Router {
    let router = plain().route_layer(from_fn(refuse_query)).merge(with_query()).route_layer(from_fn(note_route));
    router
        .fallback(async || Problem::new(Code::NotFound, "there is no such path"))
        .method_not_allowed_fallback(async || Problem::new(Code::MethodNotAllowed, "the path exists but does not take this method"))
        .with_state(core)
}

/// Routes that read no query.
fn plain() -> Router<Shared> {
    Router::new()
        .route("/v1/me", get(me::get))
        .route("/v1/usage", get(usage::get))
        .route("/v1/tenants/{tenant}", put(tenants::put).get(tenants::get).delete(tenants::delete))
        .route("/v1/tenants/{tenant}/tokens", post(tokens::create_for_tenant))
        .route("/v1/tokens/{id}", axum::routing::delete(tokens::delete))
        .route("/v1/scripts/{script}/versions/{version}", get(versions::get).delete(versions::delete))
        .route("/v1/scripts/{script}/versions/{version}/source", get(versions::source))
        .route("/v1/scripts/{script}/versions/{version}/component", get(versions::component))
        .route("/v1/scripts/{script}/versions/{version}/test", post(test_runs::test))
        .route("/v1/connectors/{connector}", put(connectors::put).get(connectors::get).delete(connectors::delete))
        .route("/v1/subjects/{subject}", put(subjects::put).get(subjects::get).delete(subjects::delete))
        .route("/v1/flows/{flow}", put(flows::put).get(flows::get).delete(flows::delete))
        .route("/v1/flows/{flow}/versions/{version}", get(flows::get_version))
        .route("/v1/flows/{flow}/runs", post(runs::start))
        .route("/v1/call/{connector}/{endpoint}", post(calls::call))
        .route("/v1/runs/{run}", get(runs::get))
        .route("/v1/runs/{run}/replay", post(replays::replay))
        .route("/v1/runs/{run}/cancel", post(run_control::cancel))
        .route("/v1/runs/{run}/retry", post(run_control::retry))
        .route("/v1/callbacks", post(callbacks::call_back))
        .route("/v1/connections/{connection}", put(connections::put).get(connections::get).delete(connections::delete))
        .route("/v1/connections/{connection}/authorize", post(connections::authorize))
        .route("/v1/secrets/{secret}", put(secrets::put).delete(secrets::delete))
        .route("/", get(dashboard::index))
        .route("/dashboard/{*file}", get(dashboard::file))
        .route("/healthz", get(node::healthz))
        .route("/readyz", get(node::readyz))
        .route("/metrics", get(node::metrics))
        .route("/openapi.json", get(node::openapi))
        .route("/errors/{code}", get(node::error))
}

/// Lists, and uploads that have a parameter: each checks its own query. A trigger's query is for its script.
fn with_query() -> Router<Shared> {
    Router::new()
        .route("/v1/audit", get(audit::list))
        .route("/v1/tenants", get(tenants::list))
        .route("/v1/tokens", get(tokens::list).post(tokens::create))
        .route("/v1/scripts", get(scripts::list))
        .route("/v1/scripts/{script}", put(scripts::put).get(scripts::get))
        .route("/v1/scripts/{script}/check", post(checks::check))
        .route("/v1/scripts/{script}/bindings", get(bound::list))
        .route("/v1/connectors", get(connectors::list))
        .route("/v1/flows", get(flows::list))
        .route("/v1/subjects", get(subjects::list))
        .route("/v1/overview", get(overview::get))
        .route("/v1/runs", get(runs::list))
        .route("/v1/runs/{run}/events", get(run_events::events))
        .route("/v1/secrets", get(secrets::list))
        .route("/v1/connections", get(connections::list))
        .route(connections::CALLBACK, get(connections::callback))
        .route("/t/{*address}", any(triggers::trigger))
}
