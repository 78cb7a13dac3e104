//! Doors over loopback: limits, ports in use, TLS with and without resumption, reload, shutdown.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pli_net::{
    BindError, ClientTls, Connection, ConnectionLimits, Listener, ServeOptions, Shutdown, TlsConfig, TlsError, serve,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

fn pem() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec![String::from("mail.example.org")]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn options(limits: &Arc<ConnectionLimits>, tls: Option<Arc<TlsConfig>>) -> ServeOptions {
    ServeOptions {
        implicit_tls: tls,
        limits: Arc::clone(limits),
        handshake_timeout: Duration::from_millis(300),
        refusal: String::from("421 too many\r\n"),
        shutdown: Shutdown::new(),
    }
}

/// A door whose handler says `hello`, then waits for a byte or the end.
fn open(options: &ServeOptions) -> SocketAddr {
    let listener = Listener::bind("test", "127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.address().unwrap();
    tokio::spawn(serve(listener, options.clone(), |mut connection: Connection, end| async move {
        let _ = connection.write_all(b"hello").await;
        let _ = connection.flush().await;
        let mut byte = [0];
        tokio::select! {
            _ = connection.read(&mut byte) => {}
            () = end.cancelled() => { let _ = connection.write_all(b"bye").await; }
        }
        let _ = connection.shutdown().await;
    }));
    address
}

async fn five(connection: &mut Connection) -> String {
    let mut bytes = [0; 5];
    connection.read_exact(&mut bytes).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let first = Listener::bind("smtp", "127.0.0.1:0".parse().unwrap()).unwrap();
    let address = first.address().unwrap();
    let Err(error) = Listener::bind("imaps", address) else { panic!("bound twice") };
    assert!(matches!(error, BindError::InUse { .. }), "{error}");
    assert_eq!(error.to_string(), format!("imaps: {address} is in use by another program"));
}

#[tokio::test]
async fn connections_over_the_limit_are_told_and_closed() {
    let limits = ConnectionLimits::new(10, 2);
    let options = options(&limits, None);
    let address = open(&options);
    let mut first = Connection::connect(address).await.unwrap();
    let mut second = Connection::connect(address).await.unwrap();
    assert_eq!((five(&mut first).await, five(&mut second).await), (String::from("hello"), String::from("hello")));
    let mut third = Connection::connect(address).await.unwrap();
    let mut said = String::new();
    third.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "421 too many\r\n");
    first.write_all(b"x").await.unwrap();
    let mut rest = String::new();
    first.read_to_string(&mut rest).await.unwrap();
    // Its place is free once its handler has returned.
    for _ in 0..500 {
        if limits.connections() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(five(&mut Connection::connect(address).await.unwrap()).await, "hello");
}

#[tokio::test]
async fn shutdown_tells_handlers_and_waits_for_them() {
    let options = options(&ConnectionLimits::new(10, 10), None);
    let address = open(&options);
    let mut connection = Connection::connect(address).await.unwrap();
    assert_eq!(five(&mut connection).await, "hello");
    assert!(options.shutdown.finish(Duration::from_secs(5)).await);
    let mut rest = String::new();
    connection.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "bye");
    let stuck = Shutdown::new();
    stuck.tracker().spawn(std::future::pending::<()>());
    assert!(!stuck.finish(Duration::from_millis(20)).await, "the bound holds");
}

#[tokio::test]
async fn implicit_tls_with_a_silent_peer_blocks_nobody() {
    let (chain, key) = pem();
    let tls = Arc::new(TlsConfig::from_pem(chain.as_bytes(), key.as_bytes()).unwrap());
    let options = options(&ConnectionLimits::new(10, 10), Some(tls));
    let address = open(&options);
    let mut silent = TcpStream::connect(address).await.unwrap();
    let client = ClientTls::opportunistic().unwrap();
    let plain = Connection::connect(address).await.unwrap();
    let mut connection = plain.upgrade_client(&client, "mail.example.org").await.unwrap();
    assert_eq!(five(&mut connection).await, "hello");
    assert_eq!(connection.tls().unwrap().version, "TLSv1.3");
    // The silent one is closed after the handshake's time.
    let mut nothing = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), silent.read_to_end(&mut nothing)).await.unwrap().unwrap();
    assert!(nothing.is_empty());
}

async fn handshakes(acceptor: TlsAcceptor, chain: &str) -> Vec<HandshakeKind> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut tls = acceptor.accept(stream).await.unwrap();
            tls.write_all(b"x").await.unwrap();
            tls.shutdown().await.unwrap();
        }
    });
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("mail.example.org").unwrap();
        let mut tls = connector.connect(name, stream).await.unwrap();
        let mut all = Vec::new();
        tls.read_to_end(&mut all).await.unwrap();
        kinds.push(tls.get_ref().1.handshake_kind().unwrap());
    }
    kinds
}

#[tokio::test]
async fn tickets_for_clients_and_none_for_servers() {
    let (chain, key) = pem();
    let tls = TlsConfig::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
    assert_eq!(handshakes(tls.acceptor(), &chain).await, [HandshakeKind::Full, HandshakeKind::Resumed]);
    assert_eq!(handshakes(tls.acceptor_without_tickets(), &chain).await, [HandshakeKind::Full, HandshakeKind::Full]);
}

#[tokio::test]
async fn a_reload_takes_effect_or_changes_nothing() {
    let (chain, key) = pem();
    let (other_chain, other_key) = pem();
    let tls = TlsConfig::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
    assert!(matches!(tls.reload(b"", other_key.as_bytes(), None), Err(TlsError::Chain(_))));
    assert!(matches!(tls.reload(other_chain.as_bytes(), b"x", None), Err(TlsError::Key(_))));
    assert!(matches!(tls.reload(other_chain.as_bytes(), key.as_bytes(), None), Err(TlsError::Pair(_))));
    assert_eq!(handshakes(tls.acceptor(), &chain).await.len(), 2, "the old certificate stays");
    tls.reload(other_chain.as_bytes(), other_key.as_bytes(), None).unwrap();
    assert_eq!(handshakes(tls.acceptor(), &other_chain).await.len(), 2);
}
