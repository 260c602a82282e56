//! What a tenant may and does use, for the tenant itself.

use axum::extract::State;

use crate::answer::{self, Answer};
use crate::extract::Read;
use crate::routes::tenants::TenantRules;
use crate::shared::Shared;

/// Read the tenant's own limits, quota and usage
///
/// As the operator sees them at `GET /v1/tenants/{tenant}`. `usage` is that of the node that answers.
#[utoipa::path(get, path = "/v1/usage", tag = "tenants", security(("token" = ["read"])), responses((status = 200, body = TenantRules)))]
pub(crate) async fn get(State(core): State<Shared>, Read(tenant): Read) -> Answer {
    answer::ok(&TenantRules::with_kept(&core, &tenant.name, &tenant.document).await?)
}
