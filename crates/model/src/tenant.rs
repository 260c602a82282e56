//! Tenants and the rules they live under.

use std::fmt;
use std::net::Ipv6Addr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::connector::METHODS;
use crate::{Invalid, Limits, LimitsChange, Quota, QuotaChange, Retention, TenantName, TenantRetention, Weight};

/// A tenant as the operator writes it; every key is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantDocument {
    /// Changes to the default limits.
    #[serde(default)]
    pub limits: LimitsChange,
    /// Changes to the default quota.
    #[serde(default, skip_serializing_if = "QuotaChange::is_empty")]
    pub quota: QuotaChange,
    /// The tenant's part of the processor; 1 where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Weight>,
    /// Capabilities that scripts of the tenant may be lent.
    #[serde(default)]
    pub grants: Grants,
    /// Where requests may go.
    #[serde(default)]
    pub egress: EgressDocument,
    /// How long what runs leave behind, and records of changes, are kept.
    #[serde(default, skip_serializing_if = "TenantRetention::is_empty")]
    pub retention: TenantRetention,
    /// Statuses of documents that the tenant knows beside those that every one has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub document_statuses: Vec<String>,
}

/// Capabilities that scripts of a tenant may be lent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    /// `fetch` in script steps.
    #[serde(default)]
    pub fetch: bool,
}

/// Egress rules as text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EgressDocument {
    /// `host`, `*.domain` or `host:port`. Absent: every public host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<String>>,
    /// `http` and `https`, or one of them. Absent: both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schemes: Option<Vec<String>>,
    /// Methods of requests, in capitals. Absent: every one that there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<String>>,
    /// Ports that may be reached, 1 to 65,535. Absent: every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<u16>>,
    /// Networks of special addresses that are allowed all the same, such as `127.0.0.0/8`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_private: Vec<IpNet>,
}

/// One rule of `egress.allow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRule {
    /// The host in lower case; with `any_subdomain`, what must follow the first dot.
    pub host: String,
    /// The rule was written `*.host`.
    pub any_subdomain: bool,
    /// Absent: every port.
    pub port: Option<u16>,
}

impl HostRule {
    /// Reads `host`, `*.domain`, either with `:port`; an IPv6 address stands in brackets.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (any_subdomain, rest) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !rest.ends_with(']') => (host, Some(port.parse().map_err(|_| format!("`{port}` is no port"))?)),
            _ => (rest, None),
        };
        let invalid = || format!("`{text}` is no host; write `api.example.com`, `*.example.com`, `10.1.2.3:8443` or `[2001:db8::1]`");
        let host = if let Some(address) = host.strip_prefix('[') {
            let address: Ipv6Addr = address.strip_suffix(']').and_then(|address| address.parse().ok()).ok_or_else(invalid)?;
            // The shortest form, which is the one of URLs.
            address.to_string()
        } else if host.contains([':', '*', '/', '@', ' ', '?', '#', '[', ']']) {
            return Err(invalid());
        } else if !host.is_ascii() {
            return Err(format!("`{text}` must be written as it goes over the wire, with `xn--` in front of such a label"));
        } else {
            // `example.com.` is `example.com`, said to be complete.
            host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
        };
        if host.is_empty() {
            return Err(invalid());
        }
        Ok(Self { host, any_subdomain, port })
    }

    /// Whether the rule allows a host, in lower case and without brackets, at a port.
    #[must_use]
    pub fn allows(&self, host: &str, port: u16) -> bool {
        let host_fits = if self.any_subdomain {
            host.strip_suffix(self.host.as_str()).is_some_and(|front| front.len() > 1 && front.ends_with('.'))
        } else {
            host == self.host
        };
        host_fits && self.port.is_none_or(|wanted| wanted == port)
    }
}

impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.any_subdomain { "*." } else { "" };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{star}{open}{}{close}", self.host)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// Where a tenant's requests may go, checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EgressPolicy {
    /// Absent: every public host.
    pub allow: Option<Vec<HostRule>>,
    /// Absent: `http` and `https`.
    pub schemes: Option<Vec<String>>,
    /// Absent: every method.
    pub methods: Option<Vec<String>>,
    /// Absent: every port. Holds beside `allow`, for its rules with a port as well.
    pub ports: Option<Vec<u16>>,
    /// Special addresses that are allowed all the same.
    pub allow_private: Vec<IpNet>,
}

/// A tenant as the rest of the code sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct Tenant {
    pub name: TenantName,
    pub limits: Limits,
    pub quota: Quota,
    pub weight: Weight,
    pub grants: Grants,
    pub egress: EgressPolicy,
    pub document: TenantDocument,
}

impl Tenant {
    /// Checks a document.
    ///
    /// # Errors
    /// The first field that breaks the format.
    pub fn new(name: TenantName, document: TenantDocument) -> Result<Self, Invalid> {
        let limits = document.limits.applied();
        check_limits(&limits)?;
        document.quota.check()?;
        let weight = document.weight.unwrap_or_default();
        weight.check()?;
        document.retention.check("retention")?;
        let allow = document.egress.allow.as_ref().map(|rules| {
            let parsed =
                rules.iter().enumerate().map(|(i, rule)| HostRule::parse(rule).map_err(|e| Invalid::new(format!("egress.allow[{i}]"), e)));
            parsed.collect::<Result<Vec<_>, _>>()
        });
        let EgressDocument { schemes, methods, ports, allow_private, .. } = document.egress.clone();
        check_words("egress.schemes", schemes.as_deref(), &SCHEMES)?;
        check_words("egress.methods", methods.as_deref(), &METHODS)?;
        check_ports(ports.as_deref())?;
        let egress = EgressPolicy { allow: allow.transpose()?, schemes, methods, ports, allow_private };
        Ok(Self { name, limits, quota: document.quota.applied(), weight, grants: document.grants, egress, document })
    }

    /// How long what its runs leave behind is kept, where their flow does not say otherwise.
    #[must_use]
    pub fn retention(&self) -> Retention {
        self.document.retention.of_runs()
    }
}

/// Schemes that requests may have.
const SCHEMES: [&str; 2] = ["http", "https"];

fn check_words(path: &str, words: Option<&[String]>, known: &[&str]) -> Result<(), Invalid> {
    match words.unwrap_or_default().iter().enumerate().find(|(_, word)| !known.contains(&word.as_str())) {
        Some((i, word)) => Err(Invalid::new(format!("{path}[{i}]"), format!("`{word}` is none of {}", known.join(", ")))),
        None => Ok(()),
    }
}

/// What is no number of sixteen bits is no port either, and refused where the document is read.
fn check_ports(ports: Option<&[u16]>) -> Result<(), Invalid> {
    match ports.unwrap_or_default().iter().position(|port| *port == 0) {
        Some(i) => Err(Invalid::new(format!("egress.ports[{i}]"), "0 is no port that can be reached; there are 1 to 65535")),
        None => Ok(()),
    }
}

/// Upper ends keep one tenant's limits inside what a node is built for: a sandbox slot is 1 GiB of address space, and an
/// invocation longer than two minutes belongs into a step of its own.
fn check_limits(limits: &Limits) -> Result<(), Invalid> {
    let ranges: [(&str, u64, u64, u64); 11] = [
        ("fuel", limits.fuel, 100_000, 1_000_000_000_000),
        ("wall_ms", limits.wall_ms, 1, 120_000),
        ("memory_bytes", limits.memory_bytes, 1 << 20, 1 << 30),
        ("output_bytes", limits.output_bytes, 1, 256 << 20),
        ("log_bytes", limits.log_bytes, 0, 16 << 20),
        ("host_calls", limits.host_calls.into(), 0, 10_000),
        ("source_bytes", limits.source_bytes, 1, 16 << 20),
        ("component_bytes", limits.component_bytes, 1, 256 << 20),
        ("request_body_bytes", limits.request_body_bytes, 1, 1 << 30),
        ("response_body_bytes", limits.response_body_bytes, 1, 1 << 30),
        // An invocation that asks for state holds all of its scope.
        ("state_bytes", limits.state_bytes, 0, 64 << 20),
    ];
    match ranges.into_iter().find(|(_, value, low, high)| !(low..=high).contains(&value)) {
        Some((field, value, low, high)) => Err(Invalid::new(format!("limits.{field}"), format!("{value} is not between {low} and {high}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{HostRule, Tenant, TenantDocument};
    use crate::{Invalid, TenantName};

    fn allows(rule: &str, host: &str, port: u16) -> bool {
        HostRule::parse(rule).unwrap().allows(host, port)
    }

    fn tenant(egress: Value) -> Result<Tenant, Invalid> {
        let document: TenantDocument = serde_json::from_value(json!({"egress": egress})).unwrap();
        Tenant::new(TenantName::new("acme").unwrap(), document)
    }

    #[test]
    fn schemes_and_methods_are_words_that_there_are() {
        let policy = tenant(json!({"schemes": ["https"], "methods": ["GET", "POST"]})).unwrap().egress;
        assert_eq!(
            (policy.schemes.unwrap(), policy.methods.unwrap()),
            (vec!["https".to_owned()], vec!["GET".to_owned(), "POST".to_owned()])
        );
        let wrong = |egress| tenant(egress).unwrap_err().to_string();
        assert!(wrong(json!({"schemes": ["https", "ftp"]})).contains("egress.schemes[1]"));
        assert!(wrong(json!({"methods": ["get"]})).contains("`get` is none of GET, POST"));
    }

    #[test]
    fn ports_are_those_that_can_be_reached() {
        assert_eq!(tenant(json!({})).unwrap().egress.ports, None);
        assert_eq!(tenant(json!({"ports": []})).unwrap().egress.ports, Some(Vec::new()));
        assert_eq!(tenant(json!({"ports": [1, 443, 65_535]})).unwrap().egress.ports, Some(vec![1, 443, 65_535]));
        let zero = tenant(json!({"ports": [443, 0]})).unwrap_err().to_string();
        assert!(zero.contains("egress.ports[1]") && zero.contains("0 is no port"), "{zero}");
        for no_port in [json!([65_536]), json!([-1]), json!(["443"]), json!(443)] {
            assert!(serde_json::from_value::<TenantDocument>(json!({"egress": {"ports": no_port}})).is_err(), "{no_port}");
        }
    }

    #[test]
    fn a_rule_names_a_host_or_what_is_below_a_domain() {
        assert!(allows("API.example.com.", "api.example.com", 443));
        assert!(allows("*.example.com", "a.b.example.com", 80));
        assert!(allows("10.1.2.3:8443", "10.1.2.3", 8443));
        assert!(allows("[2001:DB8:0::1]:8443", "2001:db8::1", 8443));
        assert!(allows("[::1]", "::1", 80));
        for (host, port) in [("example.com", 443), ("xexample.com", 443), (".example.com", 443), ("example.com.evil.example", 443)] {
            assert!(!allows("*.example.com", host, port), "{host}");
        }
        assert!(!allows("10.1.2.3:8443", "10.1.2.3", 443));
        for text in ["*.example.com", "api.example.com:8443", "[2001:db8::1]:443", "[::1]"] {
            assert_eq!(HostRule::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_rule() {
        for text in [
            "",
            "*",
            "*.",
            "a/b",
            "http://a",
            "a b",
            "a:b",
            "a:99999",
            "fd00::1",
            "2001:db8::1:80",
            "fd00::",
            "[::1",
            "[a]",
            "u@a",
            "bücher.example",
            "a*.b",
        ] {
            assert!(HostRule::parse(text).is_err(), "{text}");
        }
    }
}
