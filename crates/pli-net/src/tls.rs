//! Server side TLS: certificate and key from PEM bytes, replaceable while serving.

use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;
use x509_parser::extensions::GeneralName;

/// Why a certificate or key was not taken. Nothing changes then: what was loaded before stays in force.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The chain is not PEM, or holds no certificate.
    #[error("no certificate in the chain file: {0}")]
    Chain(String),
    /// The key is not PEM, or of a kind that is not known.
    #[error("no private key in the key file: {0}")]
    Key(String),
    /// The CAs of client certificates are not PEM, or none.
    #[error("no CA for client certificates: {0}")]
    ClientCa(String),
    /// The key is not the certificate's, or rustls refuses it otherwise.
    #[error("certificate and key do not work together: {0}")]
    Pair(#[from] rustls::Error),
}

/// The ring provider, the only one in the tree.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

struct Loaded {
    resuming: Arc<ServerConfig>,
    ticketless: Arc<ServerConfig>,
}

/// TLS of all doors: one certificate chain with its key, in two forms. Shared behind an `Arc`; [`Self::reload`]
/// swaps the contents, and connections accepted afterwards use the new ones.
pub struct TlsConfig {
    loaded: RwLock<Loaded>,
}

impl TlsConfig {
    /// From the contents of the chain file and of the key file, both PEM. TLS 1.2 and 1.3.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        Self::with_client_ca(chain, key, None)
    }

    /// The same; clients are asked for a certificate of one of these CAs, and need not show any. Not on port 25.
    pub fn with_client_ca(chain: &[u8], key: &[u8], client_ca: Option<&[u8]>) -> Result<Self, TlsError> {
        Ok(Self { loaded: RwLock::new(load(chain, key, client_ca)?) })
    }

    /// Takes a new chain, key and CA; on an error the old ones stay.
    pub fn reload(&self, chain: &[u8], key: &[u8], client_ca: Option<&[u8]>) -> Result<(), TlsError> {
        let loaded = load(chain, key, client_ca)?;
        *self.loaded.write() = loaded;
        Ok(())
    }

    /// For clients: sessions may be resumed.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.loaded.read().resuming.clone())
    }

    /// For port 25: no session tickets and no resumption, since some large senders fail on them (clients.md).
    #[must_use]
    pub fn acceptor_without_tickets(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.loaded.read().ticketless.clone())
    }
}

/// The names that a server's certificate is for: DNS names and addresses among its subject alternative names. RFC 5280
/// §4.2.1.6. None where the chain cannot be read.
#[must_use]
pub fn certificate_names(chain: &[u8]) -> Vec<String> {
    let Some(Ok(certificate)) = CertificateDer::pem_slice_iter(chain).next() else { return Vec::new() };
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(&certificate) else { return Vec::new() };
    let Ok(Some(names)) = parsed.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
            (Ok(four), _) => Some(IpAddr::from(four).to_string()),
            (_, Ok(sixteen)) => Some(IpAddr::from(sixteen).to_string()),
            _ => None,
        },
        _ => None,
    };
    names.value.general_names.iter().filter_map(name).collect()
}

/// Verifies a certificate if the client shows one; one that is no good ends the handshake.
fn client_verifier(ca: &[u8]) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let wrong = |error: &dyn std::fmt::Display| TlsError::ClientCa(error.to_string());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca) {
        roots.add(certificate.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).allow_unauthenticated();
    builder.build().map_err(|error| wrong(&error))
}

fn load(chain: &[u8], key: &[u8], client_ca: Option<&[u8]>) -> Result<Loaded, TlsError> {
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(|e| TlsError::Chain(e.to_string()))?;
    if certificates.is_empty() {
        return Err(TlsError::Chain(String::from("it holds none")));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| TlsError::Key(e.to_string()))?;
    let builder = || {
        ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
    };
    let mut ticketless = builder()?.with_no_client_auth().with_single_cert(certificates.clone(), key.clone_key())?;
    let mut resuming = match client_ca {
        None => ticketless.clone(),
        Some(ca) => builder()?.with_client_cert_verifier(client_verifier(ca)?).with_single_cert(certificates, key)?,
    };
    resuming.ticketer = rustls::crypto::ring::Ticketer::new()?;
    ticketless.session_storage = Arc::new(NoServerSessionStorage {});
    ticketless.send_tls13_tickets = 0;
    Ok(Loaded { resuming: Arc::new(resuming), ticketless: Arc::new(ticketless) })
}
