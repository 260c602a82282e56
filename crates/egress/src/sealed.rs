//! Secrets in requests. Everybody else knows a secret by its placeholder; here its text is put in as the request leaves, towards its own hosts
//! only, and taken out of the answer as it comes in. Texts are opened for one request and wiped after it.

mod fill;
mod mask;
mod spellings;

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use snaphook_model::{
    Code, ConnectionKind, Fault, HostRule, HttpRequest, HttpResponse, PLACEHOLDER, PLACEHOLDER_RANDOM, Place, SealedSecret, TenantName,
};
use url::Url;
use zeroize::Zeroizing;

use crate::room::Room;
use crate::vault::Vault;

pub(crate) use fill::{Filling, fill_form};
pub(crate) use mask::{Mask, Sought};

/// A host that secrets may go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretHost {
    /// Which host, at which port.
    pub rule: HostRule,
    /// Whether they may go there without TLS.
    pub in_clear: bool,
}

impl SecretHost {
    /// As a document names it. Who names a host alone means HTTPS; what else listens at a port is known to whoever names the port.
    #[must_use]
    pub fn named(rule: HostRule) -> Self {
        let in_clear = rule.port.is_some_and(|port| port != HTTPS);
        Self { rule, in_clear }
    }
}

/// The port at which nobody speaks without TLS.
const HTTPS: u16 = 443;

/// A secret that a run may use without seeing it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedValue {
    /// What stands for it.
    pub placeholder: String,
    /// What a record shows for it, without brackets.
    pub name: String,
    /// What it was sealed under: the name of a secret, or a connection and its field.
    pub label: String,
    /// As it is stored.
    pub sealed: SealedSecret,
    /// Of a sealed JSON object, the member that is the secret.
    pub member: Option<String>,
    /// Where it may go.
    pub hosts: Arc<[SecretHost]>,
}

/// Credentials that are added to a request when all scripts have seen it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// What they are.
    pub kind: ConnectionKind,
    /// Where a key goes.
    pub place: Option<Place>,
    /// Of Basic authentication.
    pub username: Option<String>,
    /// Which of the values is which field; `access_token` is a token's.
    pub fields: BTreeMap<String, usize>,
    /// Where they may go.
    pub hosts: Arc<[SecretHost]>,
}

/// What a request may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// By their placeholders.
    pub values: Vec<SealedValue>,
    /// Of the connection that is used.
    pub credentials: Option<Credentials>,
    /// What earlier requests of the run used. It is put in nowhere, and taken out of the answer like what this one uses: upstreams may know each other.
    pub earlier: Vec<Arc<Secrets>>,
}

/// Secrets with their texts, for one request.
pub(crate) struct Opened<'a> {
    vault: &'a Vault,
    tenant: &'a TenantName,
    secrets: &'a Secrets,
    texts: Vec<Zeroizing<String>>,
}

impl Vault {
    /// What stands for a secret within one run: not to be guessed, and the same on every node that works on the run.
    #[must_use]
    pub fn placeholder(&self, tenant: &TenantName, run: &str, label: &str) -> String {
        let text = self.keyed(&[tenant.as_str(), run, label].join("\n"));
        format!("{PLACEHOLDER}{}", &text[..PLACEHOLDER_RANDOM])
    }

    pub(crate) fn open_all<'a>(&'a self, tenant: &'a TenantName, secrets: &'a Secrets) -> Result<Opened<'a>, Fault> {
        let opened = Opened { vault: self, tenant, secrets, texts: self.texts_of(tenant, secrets)? };
        // What cannot be found in an answer is not sent.
        Mask::check(&opened.sought()?)?;
        Ok(opened)
    }

    fn texts_of(&self, tenant: &TenantName, secrets: &Secrets) -> Result<Vec<Zeroizing<String>>, Fault> {
        secrets.values.iter().map(|value| self.text_of(tenant, value)).collect()
    }

    pub(crate) fn text_of(&self, tenant: &TenantName, value: &SealedValue) -> Result<Zeroizing<String>, Fault> {
        let bytes = self.unseal_as(tenant, &value.label, &value.sealed)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| not_text(&value.name))?;
        let Some(member) = &value.member else { return Ok(Zeroizing::new(text.to_owned())) };
        // Only the one member is copied out.
        #[derive(serde::Deserialize)]
        #[serde(transparent)]
        struct Members<'t>(#[serde(borrow)] BTreeMap<std::borrow::Cow<'t, str>, &'t serde_json::value::RawValue>);
        let members: Members<'_> = serde_json::from_str(text).map_err(|_| not_text(&value.name))?;
        let found = members.0.get(member.as_str()).and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
        found.map(Zeroizing::new).ok_or_else(|| not_text(&value.name))
    }
}

fn not_text(name: &str) -> Fault {
    tracing::error!(name, "what was sealed is not what it should be");
    Fault::new(Code::Internal, "internal error")
}

impl Opened<'_> {
    /// Puts texts in where placeholders stand and the URL's host may have them, and adds the credentials.
    ///
    /// # Errors
    /// `script-contract` when a text cannot stand where its placeholder does, `connection-broken` when it cannot stand where the connection puts it.
    pub(crate) fn fill(&self, request: &mut HttpRequest, url: &Url) -> Result<(), Fault> {
        Filling::new(self, url).request(request)?;
        self.add_credentials(request, url)
    }

    /// Values that may go to a URL's host.
    fn allowed(&self, url: &Url) -> impl Iterator<Item = (&SealedValue, &str)> {
        let (host, port) = host_of(url);
        let all = self.secrets.values.iter().zip(self.texts.iter().map(|text| text.as_str()));
        let in_clear = url.scheme() != "https";
        all.filter(move |(value, _)| allows(&value.hosts, (&host, port), in_clear))
    }

    fn add_credentials(&self, request: &mut HttpRequest, url: &Url) -> Result<(), Fault> {
        let Some(credentials) = &self.secrets.credentials else { return Ok(()) };
        let (host, port) = host_of(url);
        if !allows(&credentials.hosts, (&host, port), url.scheme() != "https") {
            return Ok(());
        }
        let text = |field: &str| credentials.fields.get(field).and_then(|&at| self.texts.get(at)).map(|text| text.as_str());
        // What a template or a script has put there stands.
        let mut header = |name: &str, value: Zeroizing<String>| {
            if !fill::header_takes(&value) {
                let detail = format!("what the connection puts into header `{name}` holds characters that a header cannot have");
                return Err(Fault::new(Code::ConnectionBroken, detail));
            }
            if request.headers.get(name).is_none() {
                request.headers.set(name, value.as_str());
            }
            Ok(())
        };
        match (credentials.kind, &credentials.place) {
            (ConnectionKind::ApiKey, Some(Place::Header { header: name, prefix })) => {
                if let Some(key) = text("api_key") {
                    header(name, Zeroizing::new(format!("{prefix}{key}")))?;
                }
            }
            (ConnectionKind::ApiKey, Some(Place::Query { query })) => {
                if let Some(key) = text("api_key") {
                    let mut url = crate::target::parse(&request.url)?;
                    if !url.query_pairs().any(|(name, _)| name == query.as_str()) {
                        url.query_pairs_mut().append_pair(query, key);
                        request.url = url.into();
                    }
                }
            }
            (ConnectionKind::ApiKeySecret, Some(Place::Headers { header: name, secret_header })) => {
                for (name, field) in [(name, "api_key"), (secret_header, "api_secret")] {
                    if let Some(key) = text(field) {
                        header(name, Zeroizing::new(key.to_owned()))?;
                    }
                }
            }
            (ConnectionKind::Basic, _) => {
                if let Some(password) = text("password") {
                    let pair = Zeroizing::new(format!("{}:{password}", credentials.username.as_deref().unwrap_or_default()));
                    header("authorization", Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes()))))?;
                }
            }
            (ConnectionKind::Bearer, _) => {
                if let Some(token) = text("token") {
                    header("authorization", Zeroizing::new(format!("Bearer {token}")))?;
                }
            }
            (ConnectionKind::OAuth2ClientCredentials | ConnectionKind::OAuth2AuthorizationCode, _) => {
                if let Some(token) = text("access_token") {
                    header("authorization", Zeroizing::new(format!("Bearer {token}")))?;
                }
            }
            (ConnectionKind::ApiKey | ConnectionKind::ApiKeySecret | ConnectionKind::PrivateKey, _) => {}
        }
        Ok(())
    }

    /// Puts placeholders in place of texts that an answer repeats, so that no script and no record ever has one.
    ///
    /// # Errors
    /// `response-size` when that makes it too large, `overloaded` when there is no memory for it.
    pub(crate) fn mask(&self, response: &mut HttpResponse, max_bytes: u64, room: Room) -> Result<(), Fault> {
        Mask::new(&self.sought()?)?.response(response, max_bytes, room)
    }

    /// Whether a URL holds the text of a secret.
    ///
    /// # Errors
    /// As for every search.
    pub(crate) fn stand_in(&self, url: &Url) -> Result<bool, Fault> {
        Ok(Mask::new(&self.sought()?)?.is_in(url.as_str()))
    }

    /// What an answer is searched for. What earlier requests used is opened for that alone.
    fn sought(&self) -> Result<Vec<Sought<'_>>, Fault> {
        let mut sought = self::sought(self.secrets, &self.texts);
        for earlier in &self.secrets.earlier {
            sought.extend(self::sought(earlier, &self.vault.texts_of(self.tenant, earlier)?));
        }
        Ok(sought)
    }
}

/// The texts, and a user's name and password as Basic authentication has them together.
fn sought<'a>(secrets: &'a Secrets, texts: &[Zeroizing<String>]) -> Vec<Sought<'a>> {
    // What goes nowhere comes back from nowhere.
    let sent = secrets.values.iter().zip(texts).filter(|(value, _)| !value.hosts.is_empty());
    let mut sought: Vec<_> = sent.map(|(value, text)| (text.clone(), value.placeholder.as_str())).collect();
    sought.extend(secrets.credentials.as_ref().and_then(|credentials| {
        let at = *credentials.fields.get("password")?;
        let pair = format!("{}:{}", credentials.username.as_deref().unwrap_or_default(), texts.get(at)?.as_str());
        Some((Zeroizing::new(pair), secrets.values.get(at)?.placeholder.as_str()))
    }));
    sought
}

/// The host as rules have it, and the port.
fn host_of(url: &Url) -> (String, u16) {
    let host = match url.host() {
        Some(url::Host::Domain(name)) => name.trim_end_matches('.').to_owned(),
        Some(url::Host::Ipv4(address)) => address.to_string(),
        Some(url::Host::Ipv6(address)) => address.to_string(),
        None => String::new(),
    };
    (host, url.port_or_known_default().unwrap_or_default())
}

fn allows(hosts: &[SecretHost], (host, port): (&str, u16), in_clear: bool) -> bool {
    hosts.iter().any(|known| known.rule.allows(host, port) && (known.in_clear || !in_clear))
}

#[cfg(test)]
mod tests;
