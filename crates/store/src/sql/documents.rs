//! Connectors, flows and what they bind.

pub(crate) const INSERT_CONNECTOR: &str = "INSERT INTO connectors (tenant, name, document, updated_at) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (tenant, name) DO NOTHING";
pub(crate) const UPDATE_CONNECTOR: &str = "UPDATE connectors SET document = $3, updated_at = $4 WHERE tenant = $1 AND name = $2";
pub(crate) const CONNECTOR: &str = "SELECT name, document, updated_at FROM connectors WHERE tenant = $1 AND name = $2";
pub(crate) const CONNECTORS: &str =
    "SELECT name, document, updated_at FROM connectors WHERE tenant = $1 AND name > $2 ORDER BY name LIMIT $3";
pub(crate) const DELETE_CONNECTOR: &str = "DELETE FROM connectors WHERE tenant = $1 AND name = $2";

pub(crate) const COUNT_UP: &str = "INSERT INTO flows (tenant, name, last_version) VALUES ($1, $2, 1) \
     ON CONFLICT (tenant, name) DO UPDATE SET last_version = flows.last_version + 1";
pub(crate) const LAST_NUMBER: &str = "SELECT last_version FROM flows WHERE tenant = $1 AND name = $2";
pub(crate) const ADD_FLOW: &str = "INSERT INTO flow_versions (tenant, flow, version, document, updated_at) VALUES ($1, $2, $3, $4, $5)";
pub(crate) const FLOW: &str = "SELECT flow, document, updated_at, version FROM flow_versions WHERE tenant = $1 AND flow = $2 \
     ORDER BY version DESC LIMIT 1";
pub(crate) const FLOW_VERSION: &str =
    "SELECT flow, document, updated_at, version FROM flow_versions WHERE tenant = $1 AND flow = $2 AND version = $3";
pub(crate) const FLOWS: &str = "SELECT flow, document, updated_at, version FROM flow_versions AS v \
     WHERE tenant = $1 AND flow > $2 AND version = \
     (SELECT MAX(w.version) FROM flow_versions AS w WHERE w.tenant = v.tenant AND w.flow = v.flow) ORDER BY flow LIMIT $3";
pub(crate) const DELETE_FLOW: &str = "DELETE FROM flow_versions WHERE tenant = $1 AND flow = $2";

pub(crate) const UNBIND: &str = "DELETE FROM bindings WHERE tenant = $1 AND kind = $2 AND document = $3";
/// Binds nothing when the version does not exist.
pub(crate) const BIND: &str = "INSERT INTO bindings (tenant, kind, document, place, script, version) \
     SELECT v.tenant, $2, $3, $4, v.script, v.version FROM script_versions AS v WHERE v.tenant = $1 AND v.script = $5 AND v.version = $6";
/// Where a script is bound, after a place.
pub(crate) const BINDINGS: &str = "SELECT version, kind, document, place FROM bindings WHERE tenant = $1 AND script = $2 \
     AND (kind, document, place) > ($3, $4, $5) ORDER BY kind, document, place LIMIT $6";
/// What a version of a flow binds, for as long as it is there.
pub(crate) const PIN: &str = "INSERT INTO flow_pins (tenant, flow, flow_version, place, script, version) VALUES ($1, $2, $3, $4, $5, $6)";
