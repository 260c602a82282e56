//! Certificates made anew in each test, so that none is committed and none expires.

use std::sync::Arc;

use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

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
