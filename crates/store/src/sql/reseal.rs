//! Other seals.

pub(crate) const SECRET: &str = "UPDATE secrets SET sealed = $4 WHERE tenant = $1 AND name = $2 AND sealed = $3";
/// Every change of a token or a document is another revision.
pub(crate) const CONNECTION: &str = "UPDATE connections SET sealed = $4, token = $5 WHERE tenant = $1 AND name = $2 AND revision = $3";
pub(crate) const AUTHORIZATIONS: &str =
    "SELECT state, connection, verifier FROM authorizations WHERE tenant = $1 AND state > $2 ORDER BY state LIMIT 200";
pub(crate) const AUTHORIZATION: &str = "UPDATE authorizations SET verifier = $4 WHERE tenant = $1 AND state = $2 AND verifier = $3";
