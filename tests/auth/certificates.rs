//! AUTH=EXTERNAL with client certificates.

use std::sync::Arc;

use pli_tests::Instance;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::{command, imap, next};

struct Ca {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }
    /// A client that has a certificate with these addresses.
    fn client(&self, instance: &Instance, addresses: &[&str]) -> Arc<ClientConfig> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names =
            addresses.iter().map(|address| SanType::Rfc822Name((*address).try_into().unwrap())).collect();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&instance.ca).unwrap()).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let chain = vec![certificate.der().clone()];
        Arc::new(builder.with_root_certificates(roots).with_client_auth_cert(chain, key).unwrap())
    }
}

#[test]
fn a_certificate_names_its_account() {
    let ca = Ca::new();
    let mut instance = pli_tests::Builder::default().config("auth", "client_ca = \"tls/clients.pem\"").prepare();
    std::fs::write(instance.dir.join("tls/clients.pem"), &ca.pem).unwrap();
    instance.serve();
    let (account, other) = (instance.account(), instance.account());
    let own = ca.client(&instance, &["someone@elsewhere.example", &account.address]);
    let connect = |tls| {
        let mut wire = instance.connect_as("imaps", tls).unwrap();
        let greeting = next(&mut wire);
        assert!(greeting.contains("AUTH=EXTERNAL"), "{greeting}");
        wire
    };
    for response in ["=".to_owned(), crate::encode(&account.address)] {
        let mut wire = connect(&own);
        assert!(command(&mut wire, "a", &format!("AUTHENTICATE EXTERNAL {response}")).starts_with("a OK"));
        assert!(command(&mut wire, "b", "SELECT INBOX").starts_with("b OK"));
    }
    let mut wire = connect(&own);
    let answer = command(&mut wire, "a", &format!("AUTHENTICATE EXTERNAL {}", crate::encode(&other.address)));
    assert!(answer.starts_with("a NO"), "{answer}");
    let listed = crate::json(&instance, &["who"]);
    assert!(listed.as_array().unwrap().iter().all(|s| s["method"] == "certificate"), "{listed}");

    let stranger = ca.client(&instance, &["nobody@example.org"]);
    let mut wire = connect(&stranger);
    assert!(command(&mut wire, "a", "AUTHENTICATE EXTERNAL =").starts_with("a NO"));
    let mut smtp = instance.connect_as("submissions", &own).unwrap();
    next(&mut smtp);
    smtp.line("EHLO client.example").unwrap();
    assert!(next(&mut smtp).contains(" EXTERNAL"));
    smtp.line("AUTH EXTERNAL =").unwrap();
    assert!(next(&mut smtp).starts_with("235"));

    // Without a certificate all goes on as before; one of another CA ends the handshake.
    let mut wire = imap(&instance);
    wire.line("c CAPABILITY").unwrap();
    assert!(!next(&mut wire).contains("EXTERNAL"));
    let forged = Ca::new().client(&instance, &[&account.address]);
    let refused = instance.connect_as("imaps", &forged).map(|mut wire| wire.read());
    assert!(!matches!(refused, Ok(Ok(Some(_)))), "no greeting for a forged certificate");
}
