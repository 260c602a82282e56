//! Which crate may name which: the picture of `crates/README.md`.

use serde_json::Value;

use crate::run::{cargo, output};

/// Ours, and which of ours each may depend on outside tests.
const ARROWS: [(&str, &[&str]); 18] = [
    ("snaphook-model", &[]),
    ("snaphook-interpreter", &[]),
    ("snaphook-shares", &[]),
    ("snaphook-aside", &[]),
    ("snaphook-wall", &[]),
    ("snaphook-telemetry", &["snaphook-model"]),
    ("snaphook-sandbox", &["snaphook-aside", "snaphook-model", "snaphook-shares", "snaphook-telemetry"]),
    ("snaphook-egress", &["snaphook-aside", "snaphook-model", "snaphook-shares", "snaphook-telemetry"]),
    ("snaphook-store", &["snaphook-aside", "snaphook-model", "snaphook-shares", "snaphook-telemetry"]),
    (
        "snaphook-compile",
        &["snaphook-aside", "snaphook-interpreter", "snaphook-model", "snaphook-sandbox", "snaphook-telemetry", "snaphook-wall"],
    ),
    (
        "snaphook-flow",
        &[
            "snaphook-aside",
            "snaphook-egress",
            "snaphook-model",
            "snaphook-sandbox",
            "snaphook-shares",
            "snaphook-store",
            "snaphook-telemetry",
        ],
    ),
    ("snaphook-dashboard", &[]),
    (
        "snaphook-api",
        &[
            "snaphook-compile",
            "snaphook-dashboard",
            "snaphook-flow",
            "snaphook-model",
            "snaphook-sandbox",
            "snaphook-shares",
            "snaphook-store",
            "snaphook-telemetry",
        ],
    ),
    (
        "snaphook",
        &[
            "snaphook-api",
            "snaphook-compile",
            "snaphook-egress",
            "snaphook-flow",
            "snaphook-model",
            "snaphook-sandbox",
            "snaphook-store",
            "snaphook-telemetry",
            "snaphook-wall",
        ],
    ),
    (
        "snaphook-fuzzing",
        &["snaphook-api", "snaphook-compile", "snaphook-egress", "snaphook-flow", "snaphook-model", "snaphook-sandbox", "snaphook-store"],
    ),
    ("snaphook-testkit", &[]),
    ("snaphook-tests", &["snaphook-testkit"]),
    ("xtask", &[]),
];

/// Crates from the registry that exactly one of ours may name outside tests.
const OWNED: [(&str, &str); 16] = [
    ("wasmtime", "snaphook-sandbox"),
    ("wasmtime-wasi", "snaphook-sandbox"),
    ("wasmtime-wizer", "snaphook-compile"),
    ("oxc", "snaphook-compile"),
    ("wit-component", "snaphook-compile"),
    ("reqwest", "snaphook-egress"),
    ("aes-gcm", "snaphook-egress"),
    ("sqlx", "snaphook-store"),
    ("object_store", "snaphook-store"),
    ("axum", "snaphook-api"),
    ("prometheus", "snaphook-telemetry"),
    ("figment", "snaphook"),
    ("opentelemetry_sdk", "snaphook"),
    ("opentelemetry-otlp", "snaphook"),
    ("landlock", "snaphook-wall"),
    ("seccompiler", "snaphook-wall"),
];

/// For tests only, so it names what a test names.
const TESTS: &str = "snaphook-fuzzing";

/// Crates that do I/O or run tasks; the model has none of them.
const NOT_PURE: [&str; 4] = ["tokio", "hyper", "futures-util", "tracing"];

pub(super) fn check() -> Result<Vec<String>, String> {
    let metadata = output(cargo().args(["metadata", "--no-deps", "--offline", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|error| error.to_string())?;
    let mut complaints = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
            complaints.push(format!("crate {name} is not on the map: add it to the arrows in xtask and to crates/README.md"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let dependency_name = dependency["name"].as_str().unwrap_or_default();
            if dependency["kind"].as_str() != Some("dev") {
                complaints.extend(complaint(name, allowed, dependency_name));
            }
        }
    }
    Ok(complaints)
}

fn complaint(name: &str, allowed: &[&str], dependency: &str) -> Option<String> {
    let ours = ARROWS.iter().any(|(known, _)| *known == dependency);
    if ours && !allowed.contains(&dependency) {
        return Some(format!("{name} may not depend on {dependency}"));
    }
    if let Some((_, owner)) = OWNED.iter().find(|(owned, _)| *owned == dependency)
        && *owner != name
        && name != TESTS
    {
        return Some(format!("{name} may not depend on {dependency}; only {owner} does"));
    }
    (name == "snaphook-model" && NOT_PURE.contains(&dependency)).then(|| format!("the model is pure and may not depend on {dependency}"))
}
