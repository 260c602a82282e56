//! Scripts, versions and their bytes.

use super::objects::object_bytes;

pub(crate) const COUNT_UP: &str = "INSERT INTO scripts (tenant, name, last_version) VALUES ($1, $2, 1) \
     ON CONFLICT (tenant, name) DO UPDATE SET last_version = scripts.last_version + 1";
pub(crate) const LAST_NUMBER: &str = "SELECT last_version FROM scripts WHERE tenant = $1 AND name = $2";
pub(crate) const ADD: &str =
    "INSERT INTO script_versions (tenant, script, version, hash, interpreter, record) VALUES ($1, $2, $3, $4, $5, $6)";
pub(crate) const ADD_BYTES: &str = "INSERT INTO script_bytes \
     (tenant, script, version, source, component, source_object, component_object) VALUES ($1, $2, $3, $4, $5, $6, $7)";
/// What all versions of a tenant take. A few thousand rows at most, whose bytes are not read for it.
pub(crate) const BYTES: &str = concat!(
    "SELECT CAST(COALESCE(SUM(octet_length(b.source) + octet_length(b.component) + ",
    object_bytes!("b", "source_object", "sources"),
    " + ",
    object_bytes!("b", "component_object", "components"),
    "), 0) AS BIGINT) FROM script_bytes AS b WHERE b.tenant = $1"
);
/// Adds nothing when the imported version does not exist.
pub(crate) const ADD_IMPORT: &str = "INSERT INTO script_imports (tenant, script, version, imported, imported_version) \
     SELECT v.tenant, $2, $3, v.script, v.version FROM script_versions AS v WHERE v.tenant = $1 AND v.script = $4 AND v.version = $5";
pub(crate) const LATEST: &str = "SELECT record, hash FROM script_versions WHERE tenant = $1 AND script = $2 ORDER BY version DESC LIMIT 1";
pub(crate) const GET: &str = "SELECT record FROM script_versions WHERE tenant = $1 AND script = $2 AND version = $3";
pub(crate) const LIST: &str = "SELECT script, record FROM script_versions AS v WHERE tenant = $1 AND script > $2 AND version = \
     (SELECT MAX(w.version) FROM script_versions AS w WHERE w.tenant = v.tenant AND w.script = v.script) ORDER BY script LIMIT $3";
pub(crate) const LIST_VERSIONS: &str = "SELECT version, record FROM script_versions WHERE tenant = $1 AND script = $2 AND version < $3 \
     ORDER BY version DESC LIMIT $4";
pub(crate) const SOURCE: &str = "SELECT source, source_object FROM script_bytes WHERE tenant = $1 AND script = $2 AND version = $3";
pub(crate) const COMPONENT: &str = "SELECT b.component, b.component_object, v.interpreter FROM script_bytes AS b JOIN script_versions AS v \
     ON v.tenant = b.tenant AND v.script = b.script AND v.version = b.version WHERE b.tenant = $1 AND b.script = $2 AND b.version = $3";
pub(crate) const MARK: &str = "SELECT h.hash, v.interpreter FROM component_hashes AS h JOIN script_versions AS v \
     ON v.tenant = h.tenant AND v.script = h.script AND v.version = h.version WHERE h.tenant = $1 AND h.script = $2 AND h.version = $3";
pub(crate) const OBJECTS: &str =
    "SELECT component_object, source_object FROM script_bytes WHERE tenant = $1 AND script = $2 AND version = $3";
pub(crate) const REPLACE: &str =
    "UPDATE script_versions SET interpreter = $4, record = $5 WHERE tenant = $1 AND script = $2 AND version = $3";
pub(crate) const REPLACE_BYTES: &str = "UPDATE script_bytes SET component = $4, component_object = $5 \
     WHERE tenant = $1 AND script = $2 AND version = $3";
pub(crate) const STALE: &str = "SELECT tenant, script, version FROM script_versions \
     WHERE interpreter <> $1 AND (tenant, script, version) > ($2, $3, $4) ORDER BY tenant, script, version LIMIT $5";
pub(crate) const BOUND: &str = "SELECT kind, document, place FROM bindings WHERE tenant = $1 AND script = $2 AND version = $3 UNION ALL \
     SELECT 'script', script, 'version ' || version FROM script_imports WHERE tenant = $1 AND imported = $2 AND imported_version = $3 \
     ORDER BY 1, 2, 3 LIMIT 20";
/// Where queued runs of a flow's earlier version need it.
pub(crate) const HELD: &str = "SELECT p.flow, p.flow_version, p.place FROM flow_pins AS p \
     WHERE p.tenant = $1 AND p.script = $2 AND p.version = $3 AND EXISTS (SELECT 1 FROM run_queue AS q \
     WHERE q.tenant = p.tenant AND q.flow = p.flow AND q.flow_version = p.flow_version) ORDER BY p.flow, p.flow_version, p.place LIMIT 20";
pub(crate) const DELETE: &str = "DELETE FROM script_versions WHERE tenant = $1 AND script = $2 AND version = $3";
pub(crate) const PUT_HASH: &str = "INSERT INTO component_hashes (tenant, script, version, hash) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (tenant, script, version) DO UPDATE SET hash = excluded.hash";
pub(crate) const HASHES_OF_TENANT: &str =
    "SELECT DISTINCT hash FROM component_hashes WHERE tenant = $1 AND hash > $2 ORDER BY hash LIMIT $3";
pub(crate) const ALL_HASHES: &str = "SELECT DISTINCT hash FROM component_hashes WHERE hash > $1 ORDER BY hash LIMIT $2";
pub(crate) const HASH_IN_USE: &str = "SELECT hash FROM component_hashes WHERE hash = $1 LIMIT 1";
/// Components of versions that were stored before their hashes were.
pub(crate) const WITHOUT_HASH: &str = "SELECT b.tenant, b.script, b.version, b.component, b.component_object FROM script_bytes AS b \
     WHERE NOT EXISTS (SELECT 1 FROM component_hashes AS h WHERE h.tenant = b.tenant AND h.script = b.script AND h.version = b.version) LIMIT 16";
