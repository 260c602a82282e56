//! Who is asking: a token's text to a caller with scopes.
//!
//! A token is never compared as text. Its BLAKE3 is looked up, so the time that takes says nothing about tokens that exist; the operator's is
//! compared in a time that does not depend on where two hashes differ.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header};
use snaphook_model::{Code, TenantName, TokenRecord, TokenScope, Who};
use snaphook_store::{Store, TokenHash};

use crate::ambient;
use crate::cache::Cache;
use crate::problem::Problem;
use crate::uses::{self, Uses};

/// Begins every token, so that scanners for leaked secrets can know ours.
const PREFIX: &str = "snap_";

/// Tokens kept in memory: a few hundred bytes each, so some megabytes at most.
const KEPT_TOKENS: u64 = 20_000;

/// A new token's text: 256 bits of chance.
#[must_use]
pub fn new_token() -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(ambient::random::<32>()))
}

/// What is stored of a token.
#[must_use]
pub fn token_hash(token: &str) -> TokenHash {
    TokenHash(*blake3::hash(token.as_bytes()).as_bytes())
}

/// A known token.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) tenant: TenantName,
    record: TokenRecord,
    /// The minute of the last use that is noted.
    used: AtomicI64,
}

impl Known {
    /// Who it is, as it is noted with a change.
    pub(crate) fn who(&self) -> Who {
        Who::Token { id: self.record.id.clone(), name: self.record.name.clone() }
    }

    /// The token as it is stored.
    pub(crate) const fn record(&self) -> &TokenRecord {
        &self.record
    }

    /// Whether the token has a scope.
    pub(crate) fn check(&self, scope: TokenScope) -> Result<(), Problem> {
        if self.record.scopes.allow(scope) {
            return Ok(());
        }
        Err(Problem::new(Code::ScopeMissing, format!("this needs a token with the scope `{scope}`")))
    }
}

/// Finds out who is asking.
pub(crate) struct Auth {
    store: Arc<dyn Store>,
    operator: TokenHash,
    kept: Cache<TokenHash, Arc<Known>>,
    uses: Uses,
}

impl Auth {
    pub(crate) fn new(store: Arc<dyn Store>, operator: TokenHash) -> Self {
        Self { store, operator, kept: Cache::new("tokens", KEPT_TOKENS), uses: Uses::default() }
    }

    /// The tenant's token behind a request, if it has a scope.
    pub(crate) async fn tenant(&self, headers: &HeaderMap, scope: TokenScope) -> Result<Arc<Known>, Problem> {
        let known = self.known(headers).await?;
        known.check(scope)?;
        Ok(known)
    }

    /// The tenant's token behind a request, whatever it opens.
    pub(crate) async fn known(&self, headers: &HeaderMap) -> Result<Arc<Known>, Problem> {
        let hash = presented(headers)?;
        if self.is_operator(hash) {
            return Err(Problem::new(Code::ScopeMissing, "the operator's token manages tenants and opens nothing inside them"));
        }
        self.find(hash).await
    }

    /// The token behind a request, whosesoever it is; none for the operator's.
    pub(crate) async fn anyone(&self, headers: &HeaderMap) -> Result<Option<Arc<Known>>, Problem> {
        let hash = presented(headers)?;
        if self.is_operator(hash) { Ok(None) } else { self.find(hash).await.map(Some) }
    }

    /// Whether the operator is asking.
    pub(crate) async fn operator(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let hash = presented(headers)?;
        if self.is_operator(hash) {
            return Ok(());
        }
        self.find(hash).await?;
        Err(Problem::new(Code::ScopeMissing, "this needs the operator's token; a tenant's tokens do not have the scope `operator`"))
    }

    /// `blake3::Hash` compares in constant time.
    fn is_operator(&self, hash: TokenHash) -> bool {
        blake3::Hash::from_bytes(hash.0) == blake3::Hash::from_bytes(self.operator.0)
    }

    /// Writes down which tokens were used.
    pub(crate) async fn write_uses(&self) {
        self.uses.write(&*self.store).await;
    }

    async fn find(&self, hash: TokenHash) -> Result<Arc<Known>, Problem> {
        let load = async || {
            let found = self.store.find_token(hash).await?;
            Ok::<_, Problem>(found.map(|(tenant, record)| Arc::new(Known { tenant, record, used: AtomicI64::new(i64::MIN) })))
        };
        let known = self.kept.get_or(&hash, load).await?.ok_or_else(unknown)?;
        let now = ambient::now();
        if known.record.expires_at.is_some_and(|at| at <= now) {
            return Err(unknown());
        }
        // A token that lacks the scope was used as well: its owner wants to know of that, too.
        let minute = uses::minute(now);
        if known.used.load(Ordering::Relaxed) != minute && self.uses.add(&known.tenant, &known.record.id, minute) {
            known.used.store(minute, Ordering::Relaxed);
        }
        Ok(known)
    }

    /// After a token was deleted.
    pub(crate) fn forget_token(&self, tenant: &TenantName, id: &str) {
        self.kept.forget_where(|_, known| known.record.id == id && known.tenant == *tenant);
    }

    /// After a tenant was deleted.
    pub(crate) fn forget_tenant(&self, tenant: &TenantName) {
        self.forget_of(&|owner| owner == tenant);
    }

    /// After something of these tenants was changed.
    pub(crate) fn forget_of(&self, tenants: &dyn Fn(&TenantName) -> bool) {
        self.kept.forget_where(|_, known| tenants(&known.tenant));
    }
}

fn unknown() -> Problem {
    challenge("the token is unknown or has expired")
}

fn challenge(detail: &str) -> Problem {
    Problem::new(Code::Unauthorized, detail).with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

/// The hash of the token in `Authorization`: Bearer, or Basic with an empty user name.
fn presented(headers: &HeaderMap) -> Result<TokenHash, Problem> {
    let value = headers.get(header::AUTHORIZATION).ok_or_else(|| challenge("there is no `Authorization` header"))?;
    let unreadable = || challenge("`Authorization` must be `Bearer TOKEN`, or Basic with an empty user name and the token as password");
    let (scheme, credentials) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(unreadable)?;
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("bearer") && !credentials.is_empty() {
        return Ok(token_hash(credentials));
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let decoded = STANDARD.decode(credentials).map_err(|_| unreadable())?;
        let token = decoded.strip_prefix(b":").and_then(|token| std::str::from_utf8(token).ok());
        return Ok(token_hash(token.filter(|token| !token.is_empty()).ok_or_else(unreadable)?));
    }
    Err(unreadable())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, header};
    use snaphook_model::Code;

    use super::{new_token, presented, token_hash};

    fn with(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().expect("a header value"))])
    }

    #[test]
    fn a_token_comes_as_bearer_or_as_basic_without_a_user() {
        let wanted = token_hash("snap_x");
        for good in ["Bearer snap_x", "bearer  snap_x", "Basic OnNuYXBfeA=="] {
            assert_eq!(presented(&with(good)).ok(), Some(wanted), "{good}");
        }
        for bad in ["snap_x", "Basic dTpzbmFwX3g=", "Basic ???", "Digest x"] {
            assert_eq!(presented(&with(bad)).expect_err(bad).code(), Code::Unauthorized);
        }
        assert_eq!(presented(&HeaderMap::new()).expect_err("nothing given").code(), Code::Unauthorized);
    }

    #[test]
    fn tokens_are_long_and_differ() {
        let (one, other) = (new_token(), new_token());
        assert!(one.starts_with("snap_") && one.len() == 48 && one != other);
    }
}
