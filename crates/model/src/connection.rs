//! Connections: a tenant's credentials for a third-party API, as everybody but egress knows them. Texts of secret fields are never here.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::connector::{check_headers, from_document, is_framing_header};
use crate::{HostRule, Invalid};

/// How a connection proves who the tenant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectionKind {
    /// A key in a header or in the query.
    ApiKey,
    /// A key and a secret, each in a header.
    ApiKeySecret,
    /// User name and password, as RFC 7617 has it.
    Basic,
    /// A token, as RFC 6750 has it.
    Bearer,
    /// The key of signatures; it is never sent.
    PrivateKey,
    /// A token that the node fetches with the client's own credentials (RFC 6749, 4.4).
    #[serde(rename = "oauth2-client-credentials")]
    OAuth2ClientCredentials,
    /// A token that somebody has agreed to in a browser (RFC 6749, 4.1, with RFC 7636).
    #[serde(rename = "oauth2-authorization-code")]
    OAuth2AuthorizationCode,
}

/// A field that connections of a kind have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldRule {
    /// Its key in `fields`.
    pub name: &'static str,
    /// Whether it is sealed and never shown.
    pub secret: bool,
    /// Whether a connection of the kind must have it.
    pub required: bool,
}

const fn open(name: &'static str) -> FieldRule {
    FieldRule { name, secret: false, required: true }
}

const fn sealed(name: &'static str) -> FieldRule {
    FieldRule { name, secret: true, required: true }
}

const fn optional(name: &'static str) -> FieldRule {
    FieldRule { name, secret: false, required: false }
}

/// The field with headers for the token's address; the only one that is no text.
pub const TOKEN_HEADERS: &str = "headers";

impl ConnectionKind {
    /// The fields that it has, and no others.
    #[must_use]
    pub const fn fields(self) -> &'static [FieldRule] {
        const API_KEY: &[FieldRule] = &[sealed("api_key")];
        const API_KEY_SECRET: &[FieldRule] = &[sealed("api_key"), sealed("api_secret")];
        const BASIC: &[FieldRule] = &[open("username"), sealed("password")];
        const BEARER: &[FieldRule] = &[sealed("token")];
        const PRIVATE_KEY: &[FieldRule] = &[optional("username"), sealed("private_key")];
        const CLIENT: &[FieldRule] =
            &[open("token_url"), optional("scopes"), open("client_id"), sealed("client_secret"), optional(TOKEN_HEADERS)];
        const CODE: &[FieldRule] = &[
            open("authorize_url"),
            open("token_url"),
            optional("scopes"),
            open("client_id"),
            sealed("client_secret"),
            optional(TOKEN_HEADERS),
        ];
        match self {
            Self::ApiKey => API_KEY,
            Self::ApiKeySecret => API_KEY_SECRET,
            Self::Basic => BASIC,
            Self::Bearer => BEARER,
            Self::PrivateKey => PRIVATE_KEY,
            Self::OAuth2ClientCredentials => CLIENT,
            Self::OAuth2AuthorizationCode => CODE,
        }
    }

    /// Whether its token comes from a token address, and may end.
    #[must_use]
    pub const fn is_oauth2(self) -> bool {
        matches!(self, Self::OAuth2ClientCredentials | Self::OAuth2AuthorizationCode)
    }
}

/// Where a key goes in a request. Absent: only where a template or a script puts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Place {
    /// The key in one header and the secret in another.
    Headers {
        /// Of `api_key`.
        header: String,
        /// Of `api_secret`.
        secret_header: String,
    },
    /// The key in a header.
    Header {
        /// Its name.
        header: String,
        /// Stands before the key, with the blank that it may need.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        prefix: String,
    },
    /// The key in the query.
    Query {
        /// The parameter's name.
        query: String,
    },
}

/// A connection's document without the texts of its secret fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// What it is.
    pub kind: ConnectionKind,
    /// Values of the fields that are no secrets: texts, and an object of texts for [`TOKEN_HEADERS`].
    #[serde(default)]
    pub fields: BTreeMap<String, Value>,
    /// Where a key goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Hosts that its secrets may go to. Absent: the hosts of the connectors and steps that name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<String>>,
}

/// A document as somebody sends it: what is to be stored, and what becomes of each secret field.
#[derive(Debug)]
pub struct ConnectionDraft {
    /// What is stored as it stands.
    pub connection: Connection,
    /// Texts of secret fields that are new; wiped when they are dropped.
    pub secrets: Vec<(&'static str, Zeroizing<String>)>,
    /// Secret fields that keep the value that they have.
    pub kept: BTreeSet<&'static str>,
}

impl ConnectionDraft {
    /// Reads and checks a document.
    ///
    /// # Errors
    /// The first field that breaks the format, with its path. No value of a secret field is repeated.
    pub fn parse(mut document: Value) -> Result<Self, Invalid> {
        // Taken out before anything else reads the document, so that nothing else has them.
        let mut given = match document.get_mut("fields") {
            None => serde_json::Map::new(),
            Some(fields) => match fields.take() {
                Value::Object(map) => map,
                _ => return Err(Invalid::new("fields", "must be an object")),
            },
        };
        if let Some(object) = document.as_object_mut() {
            object.remove("fields");
        }
        let mut connection: Connection = from_document(document)?;
        let (mut secrets, mut kept) = (Vec::new(), BTreeSet::new());
        for rule in connection.kind.fields() {
            let path = format!("fields.{}", rule.name);
            match given.remove(rule.name) {
                None | Some(Value::Null) if rule.required && !rule.secret => return Err(Invalid::new(path, "is missing")),
                None | Some(Value::Null) => {}
                Some(Value::String(text)) if rule.secret => match text.is_empty() {
                    true => return Err(Invalid::new(path, "must not be empty; leave it out to remove it")),
                    false => secrets.push((rule.name, Zeroizing::new(text))),
                },
                Some(value) if rule.secret && keeps(&value) => drop(kept.insert(rule.name)),
                Some(_) if rule.secret => {
                    return Err(Invalid::new(path, "must be a text, or {\"set\": true} to keep the value that it has"));
                }
                Some(value) => {
                    check_open(rule.name, &path, &value)?;
                    connection.fields.insert(rule.name.to_owned(), value);
                }
            }
        }
        if let Some(unknown) = given.keys().next() {
            let known: Vec<_> = connection.kind.fields().iter().map(|rule| rule.name).collect();
            return Err(Invalid::new(format!("fields.{unknown}"), format!("is no field of this kind; there are {}", known.join(", "))));
        }
        connection.check()?;
        Ok(Self { connection, secrets, kept })
    }
}

impl Connection {
    fn check(&self) -> Result<(), Invalid> {
        match (&self.place, self.kind) {
            (None, _)
            | (Some(Place::Header { .. } | Place::Query { .. }), ConnectionKind::ApiKey)
            | (Some(Place::Headers { .. }), ConnectionKind::ApiKeySecret) => {}
            (Some(_), ConnectionKind::ApiKey) => {
                return Err(Invalid::new("place", "must be {\"header\", \"prefix\"} or {\"query\"}: there is one key to place"));
            }
            (Some(_), ConnectionKind::ApiKeySecret) => return Err(Invalid::new("place", "must be {\"header\", \"secret_header\"}")),
            (Some(_), _) => return Err(Invalid::new("place", "belongs to `api-key` and `api-key-secret` alone")),
        }
        match &self.place {
            Some(Place::Header { header, prefix }) => {
                check_name("place.header", header)?;
                if prefix.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
                    return Err(Invalid::new("place.prefix", "holds a control character"));
                }
            }
            Some(Place::Headers { header, secret_header }) => {
                check_name("place.header", header)?;
                check_name("place.secret_header", secret_header)?;
            }
            Some(Place::Query { query }) if query.is_empty() => return Err(Invalid::new("place.query", "must not be empty")),
            Some(Place::Query { .. }) | None => {}
        }
        self.host_rules().map(drop)
    }

    /// The hosts that are written out, read.
    ///
    /// # Errors
    /// The first that is none.
    pub fn host_rules(&self) -> Result<Option<Vec<HostRule>>, Invalid> {
        let read = |(i, text): (usize, &String)| HostRule::parse(text).map_err(|error| Invalid::new(format!("hosts[{i}]"), error));
        self.hosts.as_ref().map(|hosts| hosts.iter().enumerate().map(read).collect()).transpose()
    }

    /// A field that is no secret, as text.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Value::as_str)
    }

    /// The headers that go to the token's address.
    #[must_use]
    pub fn token_headers(&self) -> Vec<(&str, &str)> {
        let headers = self.fields.get(TOKEN_HEADERS).and_then(Value::as_object).into_iter().flatten();
        headers.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect()
    }
}

/// `{"set": true}`, as a connection is shown.
fn keeps(value: &Value) -> bool {
    value.as_object().is_some_and(|object| object.len() == 1 && object.get("set") == Some(&Value::Bool(true)))
}

fn check_open(name: &str, path: &str, value: &Value) -> Result<(), Invalid> {
    match (name, value) {
        (TOKEN_HEADERS, Value::Object(headers)) => {
            let text = |(name, value): (&String, &Value)| match value {
                Value::String(text) => Ok((name.clone(), text.clone())),
                _ => Err(Invalid::new(format!("{path}.{name}"), "must be a text")),
            };
            check_headers(path, &headers.iter().map(text).collect::<Result<_, _>>()?)
        }
        (TOKEN_HEADERS, _) => Err(Invalid::new(path, "must be an object of texts")),
        ("token_url" | "authorize_url", Value::String(url)) => crate::connector::check_url(path, url),
        (_, Value::String(text)) if text.is_empty() => Err(Invalid::new(path, "must not be empty")),
        (_, Value::String(_)) => Ok(()),
        _ => Err(Invalid::new(path, "must be a text")),
    }
}

fn check_name(path: &str, name: &str) -> Result<(), Invalid> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(Invalid::new(path, "is no header name"));
    }
    if is_framing_header(name) {
        return Err(Invalid::new(path, "is set by the node itself and cannot be given"));
    }
    Ok(())
}

/// Whether a connection can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionStatus {
    /// As far as is known.
    Ok,
    /// Nobody has agreed to it yet.
    Unauthorized,
    /// The token's address refuses to give or renew a token.
    Broken,
}

impl ConnectionStatus {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unauthorized => "unauthorized",
            Self::Broken => "broken",
        }
    }

    /// Reads it.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        [Self::Ok, Self::Unauthorized, Self::Broken].into_iter().find(|status| status.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::ConnectionDraft;

    fn refused(document: Value) -> (String, String) {
        let error = ConnectionDraft::parse(document).unwrap_err();
        (error.path, error.detail)
    }

    #[test]
    fn every_kind_has_its_fields_and_no_others() {
        let whole = [
            json!({"kind": "api-key", "fields": {"api_key": "k"}, "place": {"header": "x-api-key", "prefix": "Key "}}),
            json!({"kind": "api-key", "fields": {"api_key": "k"}, "place": {"query": "key"}}),
            json!({"kind": "api-key-secret", "fields": {"api_key": "k", "api_secret": "s"}, "place": {"header": "a", "secret_header": "b"}}),
            json!({"kind": "basic", "fields": {"username": "u", "password": "p"}}),
            json!({"kind": "bearer", "fields": {"token": "t"}, "hosts": ["api.example.com", "*.example.org:8443"]}),
            json!({"kind": "private-key", "fields": {"private_key": "pem"}}),
            json!({"kind": "oauth2-client-credentials", "fields": {"token_url": "https://t.example/token", "scopes": "a b", "client_id": "c",
                "client_secret": "s", "headers": {"x-extra": "1"}}}),
            json!({"kind": "oauth2-authorization-code", "fields": {"authorize_url": "https://t.example/a", "token_url": "https://t.example/t",
                "client_id": "c", "client_secret": "s"}}),
        ];
        for document in whole {
            let draft = ConnectionDraft::parse(document.clone()).unwrap_or_else(|error| panic!("{document}: {error}"));
            let shown = serde_json::to_string(&draft.connection).unwrap();
            for (field, text) in &draft.secrets {
                assert!(!shown.contains(&format!("\"{field}\"")) && !shown.contains(&format!("\"{}\"", text.as_str())), "{shown}");
            }
            assert_eq!(serde_json::from_str::<super::Connection>(&shown).unwrap(), draft.connection);
        }
    }

    #[test]
    fn what_is_wrong_is_named_without_the_secret() {
        let cases = [
            (json!({"kind": "basic", "fields": {"password": "hunter2"}}), "fields.username"),
            (json!({"kind": "basic", "fields": {"username": "u", "token": "hunter2"}}), "fields.token"),
            (json!({"kind": "bearer", "fields": {"token": ""}}), "fields.token"),
            (json!({"kind": "bearer", "fields": {"token": {"set": "hunter2"}}}), "fields.token"),
            (json!({"kind": "bearer", "fields": ["hunter2"]}), "fields"),
            (json!({"kind": "bearer", "fields": {"token": "t"}, "place": {"query": "hunter2"}}), "place"),
            (json!({"kind": "api-key", "fields": {"api_key": "t"}, "place": {"header": "host"}}), "place.header"),
            (json!({"kind": "api-key", "fields": {"api_key": "t"}, "hosts": ["https://x"]}), "hosts[0]"),
            (json!({"kind": "api-key", "fields": {"api_key": "t"}, "extra": 1}), "extra"),
        ];
        for (document, path) in cases {
            let (found, detail) = refused(document.clone());
            assert_eq!(found, path, "{document}: {detail}");
            assert!(!detail.contains("hunter2"), "{detail}");
        }
    }

    #[test]
    fn a_value_is_kept_where_it_is_shown_as_set() {
        let draft =
            ConnectionDraft::parse(json!({"kind": "api-key-secret", "fields": {"api_key": {"set": true}, "api_secret": "new"}})).unwrap();
        assert_eq!(draft.kept.into_iter().collect::<Vec<_>>(), ["api_key"]);
        assert_eq!(draft.secrets, [("api_secret", zeroize::Zeroizing::new("new".to_owned()))]);
    }
}
