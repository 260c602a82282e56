//! Tokens and what they allow.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenScope {
    /// Writing scripts, connectors and flows; test runs.
    Deploy,
    /// Calls and run starts.
    Invoke,
    /// Every GET of the tenant.
    Read,
    /// Callbacks of upstreams. People see it as "API AsyncFlow Send Callback".
    Callback,
    /// All of these, and tokens.
    Admin,
}

impl fmt::Display for TokenScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deploy => "deploy",
            Self::Invoke => "invoke",
            Self::Read => "read",
            Self::Callback => "callback",
            Self::Admin => "admin",
        })
    }
}

/// The scopes of a token, at least one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenScopes(pub Vec<TokenScope>);

impl TokenScopes {
    /// Whether the token may do what needs `scope`.
    #[must_use]
    pub fn allow(&self, scope: TokenScope) -> bool {
        self.0.iter().any(|held| *held == scope || *held == TokenScope::Admin)
    }
}

/// A token as it is stored: never its text, which is shown once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Given by us; names the token in the API.
    pub id: String,
    /// Given by the tenant, for people.
    pub name: String,
    /// What it allows.
    pub scopes: TokenScopes,
    /// When it was made.
    pub created_at: jiff::Timestamp,
    /// From when on it is unknown.
    pub expires_at: Option<jiff::Timestamp>,
    /// The minute in which it was presented last, as far as that is noted; lists alone tell it.
    #[serde(skip)]
    pub last_used_at: Option<jiff::Timestamp>,
}
