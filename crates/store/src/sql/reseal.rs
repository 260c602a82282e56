//! Other seals.

pub(crate) const SECRET: &str = "UPDATE secrets SET sealed = $4 WHERE tenant = $1 AND name = $2 AND sealed = $3";
/// Every change of a token or a document is another revision.
pub(crate) const CONNECTION: &str = "UPDATE connections SET sealed = $4, token = $5 WHERE tenant = $1 AND name = $2 AND revision = $3";
pub(crate) const AUTHORIZATIONS: &str =
    "SELECT state, connection, verifier FROM authorizations WHERE tenant = $1 AND state > $2 ORDER BY state LIMIT 200";
pub(crate) const AUTHORIZATION: &str = "UPDATE authorizations SET verifier = $4 WHERE tenant = $1 AND state = $2 AND verifier = $3";
pub(crate) const BY_SEALED: &str = "callbacks_sealed";
/// Those behind $2, which the index [`BY_SEALED`] has alone; `by_index` names it.
pub(crate) fn callbacks(by_index: &str) -> String {
    format!(
        "SELECT correlation, sealed FROM callbacks{by_index} WHERE tenant = $1 AND correlation > $2 AND sealed IS NOT NULL \
         ORDER BY correlation LIMIT 200"
    )
}
pub(crate) const CALLBACK: &str = "UPDATE callbacks SET sealed = $4 WHERE tenant = $1 AND correlation = $2 AND sealed = $3";
