//! Connections and secrets of a call: read when it begins, sealed as they are, with tokens kept fresh. What scripts and templates see are
//! placeholders; only egress opens anything.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use snaphook_egress::{Credentials, Grant, SealedValue, SecretHost, Secrets, TokenRequest};
use snaphook_model::{
    Code, ConnectionKind, ConnectionStatus, Fault, HostRule, HttpRequest, Name, PLACEHOLDER, RunId, SealedSecret, SecretName, Tenant,
    TenantName,
};
use snaphook_store::{FetchedToken, StoredConnection};
use url::Url;

use crate::record::store_fault;
use crate::runner::Inner;

/// A token is renewed this long before its end: requests take time to arrive, and clocks differ.
const MARGIN: Duration = Duration::from_secs(10);
/// How long one node may take for a token before others think that it has died.
const FETCH: Duration = Duration::from_secs(30);
/// Between two looks at what another node fetches.
const LOOK: Duration = Duration::from_millis(50);

/// What the requests of an endpoint or a step may use, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Uses {
    /// The connection that the connector or the step names.
    pub(crate) connection: Option<Name>,
    /// Secrets that templates name.
    pub(crate) secrets: Vec<SecretName>,
    /// The host of the request as the definition has it; none where a template makes it.
    pub(crate) own_host: Option<SecretHost>,
}

impl Uses {
    pub(crate) fn is_empty(&self) -> bool {
        self.connection.is_none() && self.secrets.is_empty()
    }
}

/// The host that a URL names, with its port, where no template makes it.
pub(crate) fn host_of(url: &str) -> Option<SecretHost> {
    let literal = url.split("{{").next().unwrap_or_default().split("{%").next().unwrap_or_default();
    let scheme = literal.find("://")? + 3;
    // What is cut off by a template may go on with the host.
    if literal.len() < url.len() && !literal[scheme..].contains(['/', '?', '#']) {
        return None;
    }
    let url = Url::parse(literal).ok()?;
    let host = match url.host()? {
        url::Host::Domain(name) => name.trim_end_matches('.').to_owned(),
        url::Host::Ipv4(address) => address.to_string(),
        url::Host::Ipv6(address) => address.to_string(),
    };
    let rule = HostRule { host, any_subdomain: false, port: url.port_or_known_default() };
    Some(SecretHost { rule, in_clear: url.scheme() == "http" })
}

/// Those who fetch tokens on this node: one at a time for each connection.
#[derive(Default)]
pub(crate) struct Turns(Mutex<HashMap<(TenantName, Name), Weak<Turn>>>);

type Turn = tokio::sync::Mutex<()>;

impl Turns {
    fn of(&self, tenant: &TenantName, name: &Name) -> Arc<Turn> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = turns.entry((tenant.clone(), name.clone())).or_default();
        turn.upgrade().unwrap_or_else(|| {
            let new = Arc::default();
            *turn = Arc::downgrade(&new);
            new
        })
    }
}

/// What the requests of one call may use.
#[derive(Debug, Clone)]
pub(crate) struct CallSecrets {
    run: RunId,
    connection: Option<StoredConnection>,
    /// Where the connection's secrets may go.
    hosts: Arc<[SecretHost]>,
    secrets: Vec<(SecretName, SealedSecret)>,
    /// Where other secrets may go.
    own_hosts: Arc<[SecretHost]>,
}

impl CallSecrets {
    /// Reads what is used; none where nothing is.
    ///
    /// # Errors
    /// `connection-broken` and `invalid` where it is not there, `store-unavailable` when the store does not answer.
    pub(crate) async fn read(inner: &Inner, tenant: &TenantName, run: RunId, uses: &Uses) -> Result<Option<Self>, Fault> {
        if uses.is_empty() {
            return Ok(None);
        }
        let own_hosts: Arc<[SecretHost]> = uses.own_host.clone().into_iter().collect();
        let connection = match &uses.connection {
            Some(name) => Some(read(inner, tenant, name).await?),
            None => None,
        };
        let hosts = hosts_of(connection.as_ref(), &own_hosts)?;
        let mut secrets = Vec::with_capacity(uses.secrets.len());
        for name in &uses.secrets {
            let sealed = inner.parts.store.secret(tenant, name).await.map_err(store_fault)?;
            let missing = || Fault::new(Code::Invalid, format!("there is no secret `{name}`, which a template names"));
            secrets.push((name.clone(), sealed.ok_or_else(missing)?));
        }
        Ok(Some(Self { run, connection, hosts, secrets, own_hosts }))
    }

    /// Makes sure that there is a token, where the connection has one. `renew`: another one than there is.
    ///
    /// # Errors
    /// `connection-broken`, `token-refused`, or what the token's address ends with.
    pub(crate) async fn ready(&mut self, inner: &Arc<Inner>, tenant: &Arc<Tenant>, deadline: Instant, renew: bool) -> Result<(), Fault> {
        let Some(stored) = &mut self.connection else { return Ok(()) };
        if !stored.connection.kind.is_oauth2() || (!renew && is_fresh(stored, inner.parts.clock.now())) {
            return Ok(());
        }
        // In a task of its own: who waits may be cancelled, and what comes may be the only token that the next one is got with.
        let fetching = tokio::spawn(fetch_in_turn(inner.clone(), tenant.clone(), stored.clone(), renew));
        let fetched = match tokio::time::timeout_at(deadline.into(), fetching).await {
            Ok(Ok(fetched)) => fetched,
            Ok(Err(error)) => Err(Fault::new(Code::Internal, error.to_string())),
            Err(_) => Err(Fault::new(Code::Timeout, format!("no token for connection `{}` came in time", stored.name))),
        };
        match fetched {
            Ok(fetched) => *stored = fetched,
            Err(fault) => {
                // Another try begins with what this one left.
                if let Ok(left) = read(inner, &tenant.name, &stored.name).await {
                    *stored = left;
                }
                return Err(fault);
            }
        }
        // It may have been replaced meanwhile, and have other hosts.
        self.hosts = hosts_of(self.connection.as_ref(), &self.own_hosts)?;
        Ok(())
    }

    /// Whether there is a token that can be another one.
    pub(crate) fn is_renewable(&self) -> bool {
        self.connection.as_ref().is_some_and(|stored| stored.connection.kind.is_oauth2())
    }

    /// The connection's fields as JSON texts, with placeholders for secret ones.
    pub(crate) fn fields(&self, inner: &Inner, tenant: &TenantName) -> BTreeMap<String, String> {
        let Some(stored) = &self.connection else { return BTreeMap::new() };
        let mut fields: BTreeMap<_, _> = stored.connection.fields.iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
        fields.insert("name".to_owned(), Value::from(stored.name.as_str()).to_string());
        for (field, value) in self.of_connection(inner, tenant, stored) {
            fields.insert(field, Value::from(value.placeholder).to_string());
        }
        fields
    }

    /// Placeholders of secrets, as JSON texts by name.
    pub(crate) fn named(&self, inner: &Inner, tenant: &TenantName) -> BTreeMap<String, String> {
        let secrets = self.secrets.iter().map(|(name, sealed)| (name.to_string(), self.of_secret(inner, tenant, name, sealed)));
        secrets.map(|(name, value)| (name, Value::from(value.placeholder).to_string())).collect()
    }

    /// Everything for egress.
    pub(crate) fn sealed(&self, inner: &Inner, tenant: &TenantName) -> Secrets {
        let mut values: Vec<_> = self.secrets.iter().map(|(name, sealed)| self.of_secret(inner, tenant, name, sealed)).collect();
        let credentials = self.connection.as_ref().map(|stored| {
            let mut fields = BTreeMap::new();
            for (field, value) in self.of_connection(inner, tenant, stored) {
                // A token that was never fetched has a placeholder and nothing behind it.
                if !value.sealed.0.is_empty() {
                    fields.insert(field, values.len());
                    values.push(value);
                }
            }
            Credentials {
                kind: stored.connection.kind,
                place: stored.connection.place.clone(),
                username: stored.connection.text("username").map(str::to_owned),
                fields,
                hosts: self.hosts.clone(),
            }
        });
        Secrets { values, credentials, ..Secrets::default() }
    }

    /// Whether a placeholder of these stands in a request, in whatever way its colon is written.
    pub(crate) fn stand_in(&self, inner: &Inner, tenant: &TenantName, request: &HttpRequest) -> bool {
        let of_secrets = self.secrets.iter().map(|(name, sealed)| self.of_secret(inner, tenant, name, sealed));
        let of_connection = self.connection.iter().flat_map(|stored| self.of_connection(inner, tenant, stored)).map(|(_, value)| value);
        let body = std::str::from_utf8(&request.body).unwrap_or_default();
        of_secrets.chain(of_connection).any(|value| {
            let letters = value.placeholder.trim_start_matches(PLACEHOLDER);
            let in_headers = request.headers.iter().any(|(_, header)| header.contains(letters));
            in_headers || request.url.contains(letters) || body.contains(letters)
        })
    }

    /// What is shown in records for each placeholder.
    pub(crate) fn shown(&self, inner: &Inner, tenant: &TenantName) -> Vec<(String, String)> {
        let values = self.sealed(inner, tenant).values;
        values.into_iter().map(|value| (value.placeholder, format!("[{}]", value.name))).collect()
    }

    fn of_secret(&self, inner: &Inner, tenant: &TenantName, name: &SecretName, sealed: &SealedSecret) -> SealedValue {
        let (label, hosts) = (name.to_string(), self.own_hosts.clone());
        let placeholder = inner.parts.egress.placeholder(tenant, self.run, &label);
        SealedValue { placeholder, name: label.clone(), label, sealed: sealed.clone(), member: None, hosts }
    }

    /// The secret fields that are for requests: a client's secret is for the token's address alone.
    fn of_connection(&self, inner: &Inner, tenant: &TenantName, stored: &StoredConnection) -> Vec<(String, SealedValue)> {
        // A private key is for signatures; it goes nowhere.
        let hosts: Arc<[SecretHost]> =
            if stored.connection.kind == ConnectionKind::PrivateKey { Arc::default() } else { self.hosts.clone() };
        let value = |field: &str, label: String, sealed: SealedSecret, member: Option<&str>| {
            let placeholder = inner.parts.egress.placeholder(tenant, self.run, &format!("{label}.{field}"));
            let (name, member) = (format!("{}.{field}", stored.name), member.map(str::to_owned));
            (field.to_owned(), SealedValue { placeholder, name, label, sealed, member, hosts: hosts.clone() })
        };
        let name = stored.name.as_str();
        if stored.connection.kind.is_oauth2() {
            // There is a placeholder before there is a token: a script may see the request before it is fetched.
            let token = stored.token.clone().unwrap_or_else(|| SealedSecret(bytes::Bytes::new()));
            return vec![value("access_token", snaphook_egress::token_label(name), token, Some("access_token"))];
        }
        let sealed =
            |(field, sealed): (&String, &SealedSecret)| value(field, snaphook_egress::field_label(name, field), sealed.clone(), None);
        stored.sealed.iter().map(sealed).collect()
    }
}

/// Where a connection's secrets may go: its own hosts, else that of the definition that names it.
fn hosts_of(connection: Option<&StoredConnection>, own: &Arc<[SecretHost]>) -> Result<Arc<[SecretHost]>, Fault> {
    let rules = connection.map(|stored| stored.connection.host_rules()).transpose()?.flatten();
    Ok(rules.map_or_else(|| own.clone(), |rules| named(rules, own)))
}

/// A connection's own hosts. Whoever wrote down an address without TLS at one of them means it.
fn named(rules: Vec<HostRule>, own: &[SecretHost]) -> Arc<[SecretHost]> {
    let is_named = |SecretHost { rule: own, in_clear }: &&SecretHost| {
        *in_clear && rules.iter().any(|rule| rule.allows(&own.host, own.port.unwrap_or_default()))
    };
    let mut hosts: Vec<_> = own.iter().filter(is_named).cloned().collect();
    hosts.extend(rules.into_iter().map(SecretHost::named));
    hosts.into()
}

async fn fetch_in_turn(inner: Arc<Inner>, tenant: Arc<Tenant>, used: StoredConnection, renew: bool) -> Result<StoredConnection, Fault> {
    let turn = inner.turns.of(&tenant.name, &used.name);
    let _turn = turn.lock().await;
    fetch(&inner, &tenant, &used, renew).await
}

async fn read(inner: &Inner, tenant: &TenantName, name: &Name) -> Result<StoredConnection, Fault> {
    let stored = inner.parts.store.connection(tenant, name).await.map_err(store_fault)?;
    stored.ok_or_else(|| Fault::new(Code::ConnectionBroken, format!("connection `{name}` does not exist")))
}

fn is_fresh(stored: &StoredConnection, now: Timestamp) -> bool {
    let ends = |at: Timestamp| at.duration_since(now) > MARGIN.try_into().unwrap_or_default();
    stored.token.is_some() && stored.token_expires_at.is_none_or(ends)
}

/// Fetches a token, or waits for the node that does. Gives the connection as it is then.
async fn fetch(inner: &Inner, tenant: &Tenant, used: &StoredConnection, renew: bool) -> Result<StoredConnection, Fault> {
    let (store, clock) = (&inner.parts.store, &inner.parts.clock);
    loop {
        let stored = read(inner, &tenant.name, &used.name).await?;
        // Somebody else may have been quicker.
        if is_fresh(&stored, clock.now()) && (!renew || stored.token != used.token) {
            return Ok(stored);
        }
        // Those who waited while another failed are told the same, and do not ask once more each.
        if let (true, Some(why)) = (stored.revision != used.revision, &stored.status_detail) {
            let code = if stored.status == ConnectionStatus::Broken { Code::TokenRefused } else { Code::ConnectionBroken };
            return Err(Fault::new(code, format!("connection `{}`: {why}", stored.name)));
        }
        let grant = grant(inner, &tenant.name, &stored)?;
        let now = clock.now();
        let until = now.saturating_add(FETCH).map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
        let begun = store.begin_fetching(&tenant.name, &stored.name, stored.revision, (now, until)).await.map_err(store_fault)?;
        if !begun {
            tokio::time::sleep(LOOK).await;
            continue;
        }
        let fetched = inner.parts.egress.fetch_token(asked(tenant, &stored), grant).await;
        let (fetched, fault) = outcome(fetched, &stored, clock.now());
        let kept = store.end_fetching(&tenant.name, &stored.name, stored.revision, &fetched).await.map_err(store_fault)?;
        match fault {
            Some(fault) => return Err(Fault { detail: format!("connection `{}`: {}", stored.name, fault.detail), ..fault }),
            // Replaced meanwhile: what was fetched belongs to credentials that are gone.
            None if !kept => {}
            None => return read(inner, &tenant.name, &used.name).await,
        }
    }
}

/// What is stored of an attempt, and why it failed.
pub(crate) fn outcome(
    fetched: Result<snaphook_egress::Token, Fault>,
    stored: &StoredConnection,
    now: Timestamp,
) -> (FetchedToken, Option<Fault>) {
    match fetched {
        Ok(token) => {
            let expires_at = token.expires_in.and_then(|time| now.saturating_add(time).ok());
            (FetchedToken { token: Some(token.sealed), expires_at, status: ConnectionStatus::Ok, status_detail: None }, None)
        }
        Err(fault) => {
            // An address that does not answer says nothing about the credentials.
            let status = if fault.code == Code::TokenRefused { ConnectionStatus::Broken } else { stored.status };
            let status_detail = Some(fault.detail.clone());
            (FetchedToken { token: None, expires_at: None, status, status_detail }, Some(fault))
        }
    }
}

/// How the next token is asked for.
fn grant<'a>(inner: &Inner, tenant: &TenantName, stored: &'a StoredConnection) -> Result<Grant<'a>, Fault> {
    if stored.connection.kind == ConnectionKind::OAuth2ClientCredentials {
        return Ok(Grant::ClientCredentials);
    }
    let broken = |detail: String| Err(Fault::new(Code::ConnectionBroken, format!("connection `{}` {detail}; authorize it", stored.name)));
    match &stored.token {
        None => broken("was never authorized".to_owned()),
        Some(_) if stored.status == ConnectionStatus::Broken => {
            broken(format!("is broken: {}", stored.status_detail.as_deref().unwrap_or("its token was refused")))
        }
        Some(token) if inner.parts.egress.can_refresh(tenant, stored.name.as_str(), token)? => Ok(Grant::Refresh(token)),
        Some(_) => broken("has a token that is over and cannot be renewed".to_owned()),
    }
}

/// Whose token, for egress.
pub(crate) fn asked<'a>(tenant: &'a Tenant, stored: &'a StoredConnection) -> TokenRequest<'a> {
    TokenRequest {
        tenant: &tenant.name,
        policy: &tenant.egress,
        name: stored.name.as_str(),
        connection: &stored.connection,
        client_secret: stored.sealed.get("client_secret"),
    }
}

#[cfg(test)]
mod tests {
    use snaphook_egress::SecretHost;
    use snaphook_model::HostRule;

    use super::{host_of, named};

    #[test]
    fn an_address_without_tls_counts_where_its_host_is_named() {
        let in_clear = |own: &str, hosts: &[&str]| {
            let rules = hosts.iter().map(|host| HostRule::parse(host).unwrap()).collect();
            let hosts = named(rules, host_of(own).as_slice());
            hosts.iter().filter(|host| host.in_clear).map(|host: &SecretHost| host.rule.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(in_clear("http://10.1.2.3:8080/x", &["10.1.2.3", "api.example.com"]), ["10.1.2.3:8080"]);
        assert_eq!(in_clear("http://10.1.2.3:8080/x", &["api.example.com"]), [""; 0]);
        assert_eq!(in_clear("https://api.example.com:8443/x", &["api.example.com"]), [""; 0]);
        assert_eq!(in_clear("https://api.example.com/x", &["api.example.com", "other.example:81"]), ["other.example:81"]);
    }

    #[test]
    fn a_host_is_known_where_no_template_makes_it() {
        let host = |url: &str| host_of(url).map(|host| host.rule.to_string());
        assert_eq!(host("https://api.example.com/a/{{ b }}").as_deref(), Some("api.example.com:443"));
        assert_eq!(host("http://127.0.0.1:8080?x={{ b }}").as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(host("https://API.example.com").as_deref(), Some("api.example.com:443"));
        for made in [
            "https://{{ host }}/a",
            "https://api.{{ domain }}/a",
            "https://api.example.com{{ rest }}",
            "{{ url }}",
            "https://a{% if x %}b{% endif %}/",
        ] {
            assert_eq!(host(made), None, "{made}");
        }
    }
}
