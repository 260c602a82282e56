//! Connections as their owner handles them: stored with their secrets sealed, and authorized in a browser.

use std::collections::BTreeMap;
use std::time::Duration;

use snaphook_egress::{Grant, authorize_url};
use snaphook_model::{Author, Code, ConnectionDraft, ConnectionKind, ConnectionStatus, Fault, Invalid, Name, Tenant, TenantName};
use snaphook_store::{Authorization, Change, FetchedToken, StoredConnection};

use crate::connections::{asked, outcome};
use crate::record::store_fault;
use crate::runner::Runner;

/// How long a browser has from the address to its callback.
const AUTHORIZATION: Duration = Duration::from_mins(10);

impl Runner {
    /// Seals the new secrets of a connection and stores it. Its token stays where the credentials are the same.
    ///
    /// # Errors
    /// `invalid` where a field is to keep a value that it does not have, `conflict` when it was changed meanwhile, `store-unavailable` when the store
    /// does not answer.
    pub async fn put_connection(&self, author: &Author, tenant: &TenantName, name: &Name, draft: ConnectionDraft) -> Result<Change, Fault> {
        let parts = &self.inner.parts;
        let before = parts.store.connection(tenant, name).await.map_err(store_fault)?;
        let revision = before.as_ref().map(|before| before.revision);
        let mut sealed = BTreeMap::new();
        for field in &draft.kept {
            let missing = || Invalid::new(format!("fields.{field}"), "has no value that it could keep");
            let kept = before.as_ref().filter(|before| before.connection.kind == draft.connection.kind);
            let kept = kept.and_then(|before| before.sealed.get(*field)).ok_or_else(missing)?;
            sealed.insert((*field).to_owned(), kept.clone());
        }
        let others = !draft.secrets.is_empty();
        for (field, text) in &draft.secrets {
            sealed.insert((*field).to_owned(), parts.egress.seal_field(tenant, name.as_str(), field, text)?);
        }
        let same = before.is_some_and(|before| {
            let (old, new) = (&before.connection, &draft.connection);
            !others && before.sealed == sealed && old.kind == new.kind && old.fields == new.fields
        });
        let begins_as = match draft.connection.kind {
            _ if same => None,
            ConnectionKind::OAuth2AuthorizationCode => Some(ConnectionStatus::Unauthorized),
            _ => Some(ConnectionStatus::Ok),
        };
        let document = (&draft.connection, &sealed);
        let store = parts.store.by(author);
        let put = store.put_connection(tenant, name, document, (revision, begins_as), author.at).await.map_err(store_fault)?;
        put.ok_or_else(|| Fault::new(Code::Conflict, format!("connection `{name}` was changed at the same time; look at it and try again")))
    }

    /// Begins an authorization: the address to open in a browser, once, within ten minutes.
    ///
    /// # Errors
    /// `not-found` where there is no such connection, `invalid` where it is of another kind or an address of it cannot be used.
    pub async fn begin_authorization(&self, author: &Author, tenant: &Tenant, name: &Name, redirect_url: &str) -> Result<String, Fault> {
        let parts = &self.inner.parts;
        let stored = self.stored_connection(&tenant.name, name).await?;
        if stored.connection.kind != ConnectionKind::OAuth2AuthorizationCode {
            return Err(Fault::new(Code::Invalid, "only connections of the kind `oauth2-authorization-code` are authorized in a browser"));
        }
        let (url, state, verifier) = authorize_url(&parts.egress, asked(tenant, &stored), redirect_url)?;
        let authorization = Authorization { tenant: tenant.name.clone(), connection: name.clone(), verifier };
        let now = parts.clock.now();
        let until = now.saturating_add(AUTHORIZATION).map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
        parts.store.by(author).begin_authorization(&hash(&state), &authorization, (now, until)).await.map_err(store_fault)?;
        Ok(url)
    }

    /// Whose authorization a browser comes back from. It is over from then on, whatever becomes of it.
    ///
    /// # Errors
    /// `oauth-state` where none was begun under this state in the last ten minutes, or it is over.
    pub async fn take_authorization(&self, state: &str) -> Result<Authorization, Fault> {
        let parts = &self.inner.parts;
        let unknown =
            || Fault::new(Code::OAuthState, "no authorization was begun under this `state` in the last ten minutes, or it is over");
        if !is_state(state) {
            return Err(unknown());
        }
        let taken = parts.store.take_authorization(&hash(state), parts.clock.now()).await.map_err(store_fault)?;
        taken.ok_or_else(unknown)
    }

    /// Fetches the token that an authorization allows and keeps it with its connection.
    ///
    /// # Errors
    /// `token-refused`, or what a request to the token's address ends with; `oauth-state` where the connection was changed meanwhile.
    pub async fn finish_authorization(
        &self,
        author: &Author,
        tenant: &Tenant,
        begun: &Authorization,
        (code, redirect_url): (&str, &str),
    ) -> Result<(), Fault> {
        let parts = &self.inner.parts;
        let stored = self.stored_connection(&tenant.name, &begun.connection).await?;
        let grant = Grant::Code { code, verifier: &begun.verifier, redirect_url };
        let fetched = parts.egress.fetch_token(asked(tenant, &stored), grant).await;
        let (mut fetched, fault) = outcome(fetched, &stored, parts.clock.now());
        if fault.is_some() && stored.token.is_some() {
            // What was refused is the new authorization; a token that is there goes on being good, or not.
            fetched.status = stored.status;
        }
        self.keep(Some(author), tenant, &stored, &fetched).await?;
        fault.map_or(Ok(()), Err)
    }

    /// Notes that whoever was asked in the browser said no.
    ///
    /// # Errors
    /// `token-refused` with what was said, or `store-unavailable`.
    pub async fn refuse_authorization(&self, tenant: &Tenant, begun: &Authorization, said: &str) -> Result<(), Fault> {
        let stored = self.stored_connection(&tenant.name, &begun.connection).await?;
        let fault = Fault::new(Code::TokenRefused, format!("the authorization was refused: {said}"));
        // A token that is there goes on being good.
        let status_detail = Some(fault.detail.clone());
        let refused = FetchedToken { token: None, expires_at: None, status: stored.status, status_detail };
        self.keep(None, tenant, &stored, &refused).await?;
        Err(fault)
    }

    async fn keep(&self, author: Option<&Author>, tenant: &Tenant, stored: &StoredConnection, fetched: &FetchedToken) -> Result<(), Fault> {
        let store = &self.inner.parts.store;
        let kept = match author {
            Some(author) => store.by(author).end_fetching(&tenant.name, &stored.name, stored.revision, fetched).await,
            None => store.end_fetching(&tenant.name, &stored.name, stored.revision, fetched).await,
        };
        if kept.map_err(store_fault)? {
            return Ok(());
        }
        Err(Fault::new(Code::OAuthState, "the connection was changed while it was being authorized; begin again"))
    }

    async fn stored_connection(&self, tenant: &TenantName, name: &Name) -> Result<StoredConnection, Fault> {
        let stored = self.inner.parts.store.connection(tenant, name).await.map_err(store_fault)?;
        stored.ok_or_else(|| Fault::new(Code::NotFound, format!("connection `{name}` does not exist")))
    }
}

/// Whether a text can be a state that was given: 128 bits of chance in base64.
fn is_state(text: &str) -> bool {
    text.len() == 22 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// The state itself is in no database: whoever reads one could finish what others began.
fn hash(state: &str) -> String {
    blake3::hash(state.as_bytes()).to_hex().to_string()
}
