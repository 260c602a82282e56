//! TLS in front: the certificate that is shown, which can be replaced while connections are open, and the handshake.
//!
//! Files are not read here: the node does that, and hands over what it found.

use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{InconsistentKeys, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Offered by ALPN, the one we would rather speak first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A certificate with its chain, and the key that belongs to it.
#[derive(Clone)]
pub struct Identity {
    config: Arc<ServerConfig>,
    certificate: CertificateDer<'static>,
}

/// Why a certificate and a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Text without a certificate, or with a broken one.
    #[error("the file of the certificate {0}")]
    Certificate(String),
    /// Text without a private key, or with a broken one.
    #[error("the file of the key {0}")]
    Key(String),
    /// Each is fine, and they are of two pairs.
    #[error("the key is not the certificate's; the chain begins with the certificate of the node itself")]
    Mismatch,
    /// An algorithm that we do not have, or a certificate that is none.
    #[error("they cannot be used: {0}")]
    Unusable(rustls::Error),
}

impl Identity {
    /// Reads PEM: the node's certificate, then those that lead to its root; and the key in PKCS #8, PKCS #1 or SEC 1.
    ///
    /// # Errors
    /// When either is missing or broken, or they do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|error| IdentityError::Certificate(format!("is broken: {error}")))?;
        let Some(certificate) = chain.first().cloned() else {
            return Err(IdentityError::Certificate("has no certificate in it; it begins with `-----BEGIN CERTIFICATE-----`".to_owned()));
        };
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            rustls::pki_types::pem::Error::NoItemsFound => {
                IdentityError::Key("has no private key in it; one without a password begins with `-----BEGIN PRIVATE KEY-----`".to_owned())
            }
            error => IdentityError::Key(format!("is broken: {error}")),
        })?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(IdentityError::Unusable)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => IdentityError::Mismatch,
                error => IdentityError::Unusable(error),
            })?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Self { config: Arc::new(config), certificate })
    }

    /// The node's own certificate, in DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }
}

/// What the listener shows to clients. Cheap to clone; all clones show the same.
#[derive(Clone)]
pub struct Tls {
    /// Locked to read or replace the pointer, no longer.
    shown: Arc<RwLock<Identity>>,
}

impl Tls {
    /// Shows this certificate until another one takes its place.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self { shown: Arc::new(RwLock::new(identity)) }
    }

    /// Shows another certificate to connections from now on. Those that are open go on; their sessions cannot be taken up again.
    pub fn replace(&self, identity: Identity) {
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = identity;
    }

    /// The handshake on a connection. It has no deadline of its own.
    pub(crate) async fn accept<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = Arc::clone(&self.shown.read().unwrap_or_else(PoisonError::into_inner).config);
        TlsAcceptor::from(config).accept(stream).await
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing of a key comes near a log.
        formatter.write_str("Tls")
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Identity")
    }
}
