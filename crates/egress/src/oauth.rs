//! Tokens of OAuth 2.0 (RFC 6749): fetched, renewed and agreed to. What comes back is sealed before it leaves this crate.

mod members;

use std::pin::Pin;
use std::time::Duration;

use oauth2::basic::{BasicClient, BasicErrorResponse, BasicTokenType};
use oauth2::{
    AsyncHttpClient, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, ExtraTokenFields, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, RefreshToken, RequestTokenError, Scope, StandardTokenResponse, TokenResponse as _, TokenUrl,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use snaphook_model::{Code, Connection, EgressPolicy, Fault, Headers, HttpRequest, SealedSecret, TenantName};
use tokio::sync::{mpsc, oneshot};
use zeroize::{Zeroize as _, Zeroizing};

use crate::sealed::{Mask, Sought};
use crate::{Egress, Outbound};
use members::Members;

/// Of a token's address. Tokens are some kilobytes.
const MAX_ANSWER: u64 = 256 << 10;
/// Of a request to it.
const TIMEOUT: Duration = Duration::from_secs(20);

/// How a token is asked for.
#[derive(Debug, Clone, Copy)]
pub enum Grant<'a> {
    /// With the client's own credentials.
    ClientCredentials,
    /// With the token before, which has a refresh token.
    Refresh(&'a SealedSecret),
    /// With what the browser brought back.
    Code {
        /// As the authorization address gave it.
        code: &'a str,
        /// Of the one who began, sealed.
        verifier: &'a SealedSecret,
        /// As it was given then.
        redirect_url: &'a str,
    },
}

/// Whose token, and where from.
#[derive(Debug, Clone, Copy)]
pub struct TokenRequest<'a> {
    /// On whose behalf.
    pub tenant: &'a TenantName,
    /// Where the tenant's requests may go.
    pub policy: &'a EgressPolicy,
    /// The connection's name.
    pub name: &'a str,
    /// Its document.
    pub connection: &'a Connection,
    /// Its sealed client secret, where it has one.
    pub client_secret: Option<&'a SealedSecret>,
}

/// A token as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The whole answer, with what it left out taken from the one before.
    pub sealed: SealedSecret,
    /// From its arrival; absent where the address did not say, nor for the token before.
    pub expires_in: Option<Duration>,
}

/// A token, some time.
pub type TokenFuture<'a> = Pin<Box<dyn Future<Output = Result<Token, Fault>> + Send + 'a>>;

/// Whatever else an answer has, which is kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Rest {
    #[serde(flatten)]
    members: Map<String, Value>,
}

impl ExtraTokenFields for Rest {}

type Answer = StandardTokenResponse<Rest, BasicTokenType>;
type Client<Auth, Token> = oauth2::Client<
    BasicErrorResponse,
    Answer,
    oauth2::basic::BasicTokenIntrospectionResponse,
    oauth2::StandardRevocableToken,
    oauth2::basic::BasicRevocationErrorResponse,
    Auth,
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    Token,
>;

/// Under what a connection's field is sealed. No secret's name has a slash.
#[must_use]
pub fn field_label(connection: &str, field: &str) -> String {
    format!("connections/{connection}/{field}")
}

/// Under what its token is sealed.
#[must_use]
pub fn token_label(connection: &str) -> String {
    format!("connections/{connection}#token")
}

/// Under what the proof of who began to authorize it is sealed.
#[must_use]
pub fn verifier_label(connection: &str) -> String {
    format!("connections/{connection}#verifier")
}

/// Where to send a browser, and what proves later that it was sent: its state in plain, for the address alone, and a sealed verifier.
///
/// # Errors
/// `invalid` when an address of the connection cannot be used.
pub fn authorize_url(egress: &Egress, asked: TokenRequest<'_>, redirect_url: &str) -> Result<(String, String, SealedSecret), Fault> {
    let TokenRequest { tenant, name, connection, .. } = asked;
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let authorize = connection.text("authorize_url").unwrap_or_default().to_owned();
    let client = BasicClient::new(ClientId::new(connection.text("client_id").unwrap_or_default().to_owned()))
        .set_auth_uri(AuthUrl::new(authorize).map_err(|error| unusable("authorize_url", &error))?)
        .set_redirect_uri(RedirectUrl::new(redirect_url.to_owned()).map_err(|error| unusable("redirect_uri", &error))?);
    let (url, state) = client.authorize_url(CsrfToken::new_random).add_scopes(scopes(connection)).set_pkce_challenge(challenge).url();
    let verifier = Zeroizing::new(verifier.into_secret());
    let sealed = egress.vault.seal_as(tenant, &verifier_label(name), &verifier)?;
    Ok((url.into(), state.into_secret(), sealed))
}

impl Egress {
    /// Seals the text of a connection's field. Who hands it in wipes it afterwards.
    ///
    /// # Errors
    /// `invalid` when the text is empty or too long.
    pub fn seal_field(&self, tenant: &TenantName, connection: &str, field: &str, text: &str) -> Result<SealedSecret, Fault> {
        self.vault.seal_as(tenant, &field_label(connection, field), text)
    }

    /// Fetches or renews a token.
    ///
    /// # Errors
    /// `token-refused` when its address says no or answers with something else; what a request may end with where it does not answer at all.
    pub fn fetch_token<'a>(&'a self, asked: TokenRequest<'a>, grant: Grant<'a>) -> TokenFuture<'a> {
        Box::pin(self.fetch(asked, grant))
    }

    async fn fetch(&self, asked: TokenRequest<'_>, grant: Grant<'_>) -> Result<Token, Fault> {
        let TokenRequest { tenant, name, connection, client_secret, .. } = asked;
        let url = connection.text("token_url").unwrap_or_default().to_owned();
        let mut client = Client::<oauth2::EndpointNotSet, oauth2::EndpointNotSet>::new(ClientId::new(
            connection.text("client_id").unwrap_or_default().to_owned(),
        ))
        .set_token_uri(TokenUrl::new(url).map_err(|error| unusable("token_url", &error))?);
        if let Some(sealed) = client_secret {
            let text = self.text(tenant, &field_label(name, "client_secret"), sealed)?;
            client = client.set_client_secret(ClientSecret::new(text.to_string()));
        }
        let (asking, mut questions) = Asking::new();
        let answered = async {
            match grant {
                Grant::ClientCredentials => {
                    let answered = client.exchange_client_credentials().add_scopes(scopes(connection)).request_async(&asking).await;
                    Ok::<_, Fault>((Members::default(), answered))
                }
                Grant::Refresh(token) => {
                    let before = Members::of(&self.text(tenant, &token_label(name), token)?);
                    let refresh = RefreshToken::new(before.text("refresh_token").to_owned());
                    let answered = client.exchange_refresh_token(&refresh).request_async(&asking).await;
                    refresh.into_secret().zeroize();
                    Ok((before, answered))
                }
                Grant::Code { code, verifier, redirect_url } => {
                    let verifier = self.text(tenant, &verifier_label(name), verifier)?;
                    let redirect = RedirectUrl::new(redirect_url.to_owned()).map_err(|error| unusable("redirect_uri", &error))?;
                    let client = client.set_redirect_uri(redirect);
                    let exchange = client.exchange_code(AuthorizationCode::new(code.to_owned()));
                    Ok((
                        Members::default(),
                        exchange.set_pkce_verifier(PkceCodeVerifier::new(verifier.to_string())).request_async(&asking).await,
                    ))
                }
            }
        };
        let ask = async {
            while let Some((question, told)) = questions.recv().await {
                drop(told.send(self.ask(asked, question).await));
            }
        };
        // The asking ends with the answer; it lives as long as what asks.
        let (before, answered) = tokio::select! {
            answered = answered => answered?,
            () = ask => return Err(Fault::new(Code::Internal, "nobody asks for the token any more")),
        };
        let answer = match answered {
            Ok(answer) => answer,
            Err(error) => return Err(refused(error, &self.sent(asked, grant)?)),
        };
        self.seal_token(tenant, name, before, &answer)
    }

    /// What a token's address was sent and may repeat, as its answers are shown.
    fn sent(&self, asked: TokenRequest<'_>, grant: Grant<'_>) -> Result<Mask<'static>, Fault> {
        let TokenRequest { tenant, name, client_secret, .. } = asked;
        let mut texts: Vec<Sought<'static>> = Vec::new();
        if let Some(sealed) = client_secret {
            texts.push((self.text(tenant, &field_label(name, "client_secret"), sealed)?, "[client_secret]"));
        }
        match grant {
            Grant::ClientCredentials => {}
            Grant::Refresh(token) => {
                let members = Members::of(&self.text(tenant, &token_label(name), token)?);
                for (member, shown) in
                    [("refresh_token", "[refresh_token]"), ("access_token", "[access_token]"), ("id_token", "[id_token]")]
                {
                    texts.push((Zeroizing::new(members.text(member).to_owned()), shown));
                }
            }
            Grant::Code { code, verifier, .. } => {
                texts.push((Zeroizing::new(code.to_owned()), "[code]"));
                texts.push((self.text(tenant, &verifier_label(name), verifier)?, "[code_verifier]"));
            }
        }
        Mask::new(&texts)
    }

    /// Whether a token can be renewed without anybody.
    ///
    /// # Errors
    /// `internal` when it does not open.
    pub fn can_refresh(&self, tenant: &TenantName, connection: &str, token: &SealedSecret) -> Result<bool, Fault> {
        let members = Members::of(&self.text(tenant, &token_label(connection), token)?);
        Ok(members.0.get("refresh_token").is_some_and(Value::is_string))
    }

    /// The answer over the token before: what it does not say stays.
    fn seal_token(&self, tenant: &TenantName, name: &str, mut merged: Members, answer: &Answer) -> Result<Token, Fault> {
        let internal = |error: serde_json::Error| Fault::new(Code::Internal, error.to_string());
        let Value::Object(new) = serde_json::to_value(answer).map_err(internal)? else {
            return Err(Fault::new(Code::Internal, "a token is no object"));
        };
        merged.take(new);
        // It is as long as the one before where the answer does not say.
        let before = || merged.0.get("expires_in").and_then(Value::as_u64).map(Duration::from_secs);
        let expires_in = answer.expires_in().or_else(before);
        let text = Zeroizing::new(serde_json::to_string(&merged.0).map_err(internal)?);
        Ok(Token { sealed: self.vault.seal_as(tenant, &token_label(name), &text)?, expires_in })
    }

    fn text(&self, tenant: &TenantName, label: &str, sealed: &SealedSecret) -> Result<Zeroizing<String>, Fault> {
        let bytes = self.vault.unseal_as(tenant, label, sealed)?;
        let text = std::str::from_utf8(&bytes).map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    /// One request to a token's address, under the tenant's policy as any other.
    async fn ask(&self, asked: TokenRequest<'_>, request: oauth2::HttpRequest) -> Result<oauth2::HttpResponse, Failed> {
        let (head, body) = request.into_parts();
        let mut headers = Headers::default();
        for (name, value) in &head.headers {
            headers.set(name.as_str(), value.to_str().unwrap_or_default());
        }
        for (name, value) in asked.connection.token_headers() {
            headers.set(name, value);
        }
        let request = HttpRequest { method: head.method.to_string(), url: head.uri.to_string(), headers, body: body.into() };
        let outbound = Outbound {
            tenant: asked.tenant,
            request,
            policy: asked.policy,
            timeout: TIMEOUT,
            max_response_bytes: MAX_ANSWER,
            secrets: None,
            trace: None,
            redirects: 0,
        };
        let response = self.send(outbound).await.map_err(Failed)?;
        // Whoever is busy or broken says nothing about the credentials.
        if response.status >= 500 || matches!(response.status, 408 | 429) {
            let detail = format!("the token's address answered with status {}", response.status);
            return Err(Failed(Fault::new(Code::Status, detail)));
        }
        let mut answer = http::Response::builder().status(response.status);
        for (name, value) in response.headers.iter() {
            answer = answer.header(name, value);
        }
        answer.body(response.body.to_vec()).map_err(|error| Failed(Fault::new(Code::ResponseHeader, error.to_string())))
    }
}

type Question = (oauth2::HttpRequest, oneshot::Sender<Result<oauth2::HttpResponse, Failed>>);

/// Our way out, as the crate wants one: it passes requests on to whoever has the way.
struct Asking(mpsc::Sender<Question>);

impl Asking {
    fn new() -> (Self, mpsc::Receiver<Question>) {
        let (questions, asked) = mpsc::channel(1);
        (Self(questions), asked)
    }
}

impl<'c> AsyncHttpClient<'c> for Asking {
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Result<oauth2::HttpResponse, Failed>> + Send + 'c>>;

    fn call(&'c self, request: oauth2::HttpRequest) -> Self::Future {
        Box::pin(async move {
            let (told, answer) = oneshot::channel();
            let gone = || Failed(Fault::new(Code::Internal, "nobody sends the request for the token"));
            self.0.send((request, told)).await.map_err(|_| gone())?;
            answer.await.unwrap_or_else(|_| Err(gone()))
        })
    }
}

/// A request to a token's address that got no answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failed(Fault);

/// Letters of what a token's address says that are kept.
const MOST_SAID: usize = 500;

/// The failure for an answer without a token. What was sent is not shown again, and of an answer that cannot be read, nothing.
fn refused(error: RequestTokenError<Failed, BasicErrorResponse>, sent: &Mask<'_>) -> Fault {
    let detail = match error {
        RequestTokenError::Request(Failed(fault)) => return fault,
        RequestTokenError::ServerResponse(answer) => {
            let error = answer.error().as_ref();
            let description = answer.error_description().map(|text| format!(": {text}")).unwrap_or_default();
            let said: String = sent.text(&format!("`{error}`{description}")).chars().take(MOST_SAID).collect();
            if matches!(error, "server_error" | "temporarily_unavailable") {
                return Fault::new(Code::Status, format!("the token's address has no token at the moment: {said}"));
            }
            format!("the token's address refuses with {said}")
        }
        RequestTokenError::Parse(error, _) => {
            let (line, column) = (error.inner().line(), error.inner().column());
            format!("the token's address answered with something that is no token, at line {line}, column {column}")
        }
        RequestTokenError::Other(text) => format!("the token's address cannot be used: {text}"),
    };
    Fault::new(Code::TokenRefused, detail)
}

fn scopes(connection: &Connection) -> Vec<Scope> {
    let scopes = connection.text("scopes").unwrap_or_default();
    scopes.split_whitespace().map(|scope| Scope::new(scope.to_owned())).collect()
}

fn unusable(field: &str, error: &impl std::fmt::Display) -> Fault {
    Fault::new(Code::Invalid, format!("`{field}` of the connection cannot be used: {error}"))
}
