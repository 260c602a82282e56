//! Certificates made anew in each test, so that none is committed and none expires; and a client that trusts one of them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A certificate that is signed by itself, and its key, both as PEM.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Certificate {
    /// One for these names, each a host name or an address.
    ///
    /// # Panics
    /// When a name fits into no certificate.
    #[must_use]
    pub fn of(names: &[&str]) -> Self {
        Self::until(names, 4096)
    }

    /// One that ends with the last day of a year.
    ///
    /// # Panics
    /// As [`Certificate::of`].
    #[must_use]
    pub fn until(names: &[&str], year: i32) -> Self {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut wanted = CertificateParams::new(names).expect("the names fit into a certificate");
        wanted.not_after = date_time_ymd(year, 12, 31);
        let key = KeyPair::generate().expect("the machine has chance");
        let certificate = wanted.self_signed(&key).expect("the key was just made");
        Self { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// Connects to a server as a client that trusts this certificate alone and offers these protocols by ALPN.
    ///
    /// # Errors
    /// When no connection or no handshake comes about.
    ///
    /// # Panics
    /// When the certificate is none.
    pub async fn connect(&self, address: SocketAddr, name: &str, protocols: &[&str]) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("it is PEM")).expect("it is a certificate");
        let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider knows the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(address).await?).await
    }
}

/// Takes connections under a certificate for these names, each a host name or an address, which is signed by itself and comes along as PEM.
/// `protocols` are offered by ALPN.
pub(crate) fn acceptor(names: &[&str], protocols: &[&str]) -> (TlsAcceptor, String) {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("the names fit into a certificate");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("the key was just written");
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows the default versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("key and certificate belong together");
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    (TlsAcceptor::from(Arc::new(config)), made.cert.pem())
}
