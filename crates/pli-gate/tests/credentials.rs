//! Logins by each way, over a real store: SCRAM, app passwords, tokens, certificates; and the sessions that they make.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64URL};
use pli_audit::Status;
use pli_crypto::{SCRAM_ITERATIONS, ScramKeys, ScramVerifier, SecretString};
use pli_gate::{Answer, AuthError, Handle, Login, LoginSettings, Method, Presence, Which, limits};
use pli_sasl::{Ask, Exchange, Failure, Issuer, Mechanism, Server, Step, Terms};
use pli_store::NewAppPassword;
use pli_types::{AccountId, Action, Actor, SessionInfo};
use ring::signature::KeyPair as _;
use ring::{digest, hmac, pbkdf2};
use serde_json::json;
use support::{PASSWORD, World, admin, on, session, world};

const APP: &str = "abcdefghjkmnpqrstuvwxyz2";

/// How an exchange ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Refused(AuthError),
    Failed(Failure),
    /// The server's proof was wrong.
    Impostor,
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

/// A client of SCRAM-SHA-256.
async fn scram(world: &World, user: &str, password: &str) -> Result<Login, End> {
    let session = session(Actor::Anonymous);
    let mut exchange = Exchange::new(Mechanism::ScramSha256, Terms::default());
    let bare = format!("n={user},r=abcdefgh");
    let mut step = exchange.start(Some(format!("n,,{bare}").as_bytes()));
    let mut expected = None;
    loop {
        step = match step {
            Step::Fail(failure) => return Err(End::Failed(failure)),
            Step::Challenge(bytes) => {
                let text = String::from_utf8(bytes).unwrap();
                match expected.take() {
                    None => {
                        let (message, proof) = answer(&bare, &text, password);
                        expected = Some(proof);
                        exchange.respond(message.as_bytes())
                    }
                    Some(proof) if proof == text => exchange.respond(b""),
                    Some(_) => return Err(End::Impostor),
                }
            }
            Step::Ask(ask) => match world.gate.sasl(&session, ask, &[]).await.map_err(End::Refused)? {
                Answer::Verifiers(verifiers) => exchange.verifiers(verifiers),
                Answer::Login(login) => return Ok(*login),
            },
        };
    }
}

fn answer(bare: &str, server: &str, password: &str) -> (String, String) {
    let fields: Vec<&str> = server.split(',').collect();
    let salt = BASE64.decode(fields[1].strip_prefix("s=").unwrap()).unwrap();
    let iterations: u32 = fields[2].strip_prefix("i=").unwrap().parse().unwrap();
    let unproved = format!("c=biws,{}", fields[0]);
    let exchange = format!("{bare},{server},{unproved}");
    let mut salted = [0; 32];
    let times = std::num::NonZeroU32::new(iterations).unwrap();
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, times, &salt, password.as_bytes(), &mut salted);
    let key = mac(&salted, b"Client Key");
    let signature = mac(digest::digest(&digest::SHA256, &key).as_ref(), exchange.as_bytes());
    let proof: Vec<u8> = key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
    let expected = mac(&mac(&salted, b"Server Key"), exchange.as_bytes());
    (format!("{unproved},p={}", BASE64.encode(proof)), format!("v={}", BASE64.encode(expected)))
}

async fn plain(world: &World, user: &str, password: &str) -> Result<Login, AuthError> {
    world.gate.authenticate(&session(Actor::Anonymous), user, &SecretString::from(password)).await
}

async fn add_app(world: &World, account: AccountId, address: &str, label: &str, password: &str) -> u32 {
    let store = world.gate.store();
    let scram = ScramKeys::derive(&password.into(), &store.scram_salt(address), SCRAM_ITERATIONS).unwrap();
    let hash = store.app_password_hash(account, password);
    let new = NewAppPassword { label: label.to_owned(), hash, scram, iterations: SCRAM_ITERATIONS };
    let permit = world.gate.admit(&admin(), Action::AppPasswordChange, &on(account)).unwrap();
    store.add_app_password(permit, account, new).await.unwrap().value
}

async fn revoke(world: &World, account: AccountId, id: u32) {
    let permit = world.gate.admit(&admin(), Action::AppPasswordChange, &on(account)).unwrap();
    world.gate.store().remove_app_password(permit, account, id).await.unwrap();
}

/// Without waiting: the clock is set by hand, the delays are real ones.
fn forget(world: &World) {
    world.pass(Duration::from_secs(24 * 3600));
}

#[tokio::test]
async fn scram_works_from_the_second_login_of_an_old_account_on() {
    let world = world().await;
    // The account's entry is from before SCRAM.
    assert_eq!(scram(&world, "alice@example.org", PASSWORD).await.err(), Some(End::Refused(AuthError::Failed)));
    plain(&world, "alice", PASSWORD).await.unwrap();
    let login = scram(&world, "alice@example.org", PASSWORD).await.unwrap();
    assert_eq!((login.account, login.presence.method), (world.alice, Method::Scram));
    assert_eq!(scram(&world, "alice", PASSWORD).await.unwrap().account, world.alice, "the local part alone");
    assert_eq!(scram(&world, "alice", "wrong").await.err(), Some(End::Refused(AuthError::Failed)));
    let logins = world.events(Action::Login).await.into_iter().filter(|event| event.result.status == Status::Done);
    let ways: Vec<_> = logins.map(|event| event.result.reason.unwrap()).collect();
    assert_eq!(ways, ["password", "scram", "scram"]);
    // A new password: the old proof is worth nothing.
    let change = pli_store::AccountChange {
        password: Some(Some(pli_crypto::hash_password(&"another".into()).unwrap())),
        ..pli_store::AccountChange::default()
    };
    world.change(world.alice, change).await;
    assert!(scram(&world, "alice", PASSWORD).await.is_err());
}

#[tokio::test]
async fn nobody_learns_from_scram_which_accounts_there_are() {
    let world = world().await;
    plain(&world, "alice", PASSWORD).await.unwrap();
    let first = async |user: &str| {
        let ask = Ask::Verifiers { user: user.to_owned() };
        let Answer::Verifiers(verifiers) = world.gate.sasl(&session(Actor::Anonymous), ask, &[]).await.unwrap() else {
            panic!("verifiers")
        };
        (verifiers.salt, verifiers.iterations)
    };
    let (known, unknown) = (first("alice@example.org").await, first("nobody@example.org").await);
    assert_eq!((known.0.len(), known.1), (unknown.0.len(), unknown.1));
    assert_eq!(unknown, first("nobody@example.org").await, "always the same");
    for (one, other) in [("alice", "Alice@Example.ORG"), ("nobody", "Nobody@EXAMPLE.org")] {
        assert_eq!(first(one).await, first(other).await, "{one}: one person, one salt");
    }
    assert_ne!(unknown.0, first("nobody2@example.org").await.0);
    // bob has a password and nothing for SCRAM: as if he were not there.
    assert_eq!(first("bob").await.1, unknown.1);
    for user in ["nobody", "bob", "alice"] {
        assert_eq!(scram(&world, user, "wrong").await.err(), Some(End::Refused(AuthError::Failed)), "{user}");
    }
}

#[tokio::test]
async fn app_passwords() {
    let world = world().await;
    let id = add_app(&world, world.alice, "alice@example.org", "phone", APP).await;
    let login = plain(&world, "alice", APP).await.unwrap();
    assert_eq!((login.account, login.presence.method), (world.alice, Method::App(id)));
    for typed in ["abcd-efgh-jkmn-pqrs-tuvw-xyz2", " Abcdefgh jkmnpqrs tuvwxyz2 ", "ABCDEFGHJKMNPQRSTUVWXYZ2"] {
        assert!(plain(&world, "alice", typed).await.is_ok(), "{typed}");
    }
    assert_eq!(plain(&world, "bob", APP).await.err(), Some(AuthError::Failed), "of another account");
    assert_eq!(plain(&world, "alice", &APP.replace('2', "3")).await.err(), Some(AuthError::Failed));
    assert!(plain(&world, "alice", PASSWORD).await.is_ok(), "the account's own goes on");
    // By SCRAM as well, beside the account's own.
    assert_eq!(scram(&world, "alice", APP).await.unwrap().presence.method, Method::App(id));
    assert_eq!(scram(&world, "alice", PASSWORD).await.unwrap().presence.method, Method::Scram);
    let store = world.gate.store();
    let used = store.app_passwords(world.alice).unwrap()[0].last_used.unwrap();
    world.pass(Duration::from_secs(60));
    plain(&world, "alice", APP).await.unwrap();
    assert_eq!(store.app_passwords(world.alice).unwrap()[0].last_used, Some(used), "not written for each login");
    world.pass(Duration::from_secs(600));
    plain(&world, "alice", APP).await.unwrap();
    assert!(store.app_passwords(world.alice).unwrap()[0].last_used.unwrap() > used);

    let handle = Handle::new();
    login.presence.attach(&handle);
    revoke(&world, world.alice, id).await;
    assert_eq!(world.gate.end_sessions(Which::App(world.alice, id)).len(), 1);
    assert!(handle.has_ended());
    forget(&world);
    assert_eq!(plain(&world, "alice", APP).await.err(), Some(AuthError::Failed));
    assert!(scram(&world, "alice", APP).await.is_err());
    let events = world.events(Action::AppPasswordChange).await;
    assert_eq!(events.len(), 2, "made and revoked");
}

#[tokio::test]
async fn an_app_password_revoked_between_proof_and_login_opens_nothing() {
    let world = world().await;
    let id = add_app(&world, world.alice, "alice@example.org", "phone", APP).await;
    revoke(&world, world.alice, id).await;
    let salt = world.gate.store().scram_salt("alice@example.org");
    let keys = ScramKeys::derive(&APP.into(), &salt, SCRAM_ITERATIONS).unwrap();
    let ask = Ask::Proved { user: String::from("alice"), app: Some(id), keys: keys.clone() };
    let answer = world.gate.sasl(&session(Actor::Anonymous), ask.clone(), &[]).await;
    assert!(matches!(answer, Err(AuthError::Failed)));
    // Nor does it open what another one is made for.
    let next = add_app(&world, world.alice, "alice@example.org", "phone", &APP.replace('2', "3")).await;
    assert_eq!(next, id + 1, "a number is not given again, also when it was the newest");
    let ask = Ask::Proved { user: String::from("alice"), app: Some(next), keys };
    assert!(matches!(world.gate.sasl(&session(Actor::Anonymous), ask, &[]).await, Err(AuthError::Failed)));
}

async fn set_password(world: &World, password: &str) {
    let entry = pli_crypto::hash_password(&password.into()).unwrap();
    let verifier =
        ScramVerifier::derive(&password.into(), &world.gate.store().scram_salt("alice@example.org")).unwrap();
    let password = Some(Some(verifier.beside(&entry)));
    world.change(world.alice, pli_store::AccountChange { password, ..pli_store::AccountChange::default() }).await;
}

#[tokio::test]
async fn a_password_changed_between_proof_and_login_opens_nothing() {
    let world = world().await;
    set_password(&world, "another").await;
    let salt = world.gate.store().scram_salt("alice@example.org");
    let ask = |password: &str| {
        let keys = ScramKeys::derive(&password.into(), &salt, SCRAM_ITERATIONS).unwrap();
        Ask::Proved { user: String::from("alice"), app: None, keys }
    };
    assert!(world.gate.sasl(&session(Actor::Anonymous), ask("another"), &[]).await.is_ok());
    assert!(matches!(world.gate.sasl(&session(Actor::Anonymous), ask(PASSWORD), &[]).await, Err(AuthError::Failed)));
}

#[tokio::test]
async fn sessions_end_with_the_password_or_the_token_that_opened_them() {
    let world = world().await;
    let id = add_app(&world, world.alice, "alice@example.org", "phone", APP).await;
    let (issuer, token) = issuer();
    world.gate.set_logins(LoginSettings { issuer: Some(issuer.clone()), ..LoginSettings::default() });
    let by_token = async |until: i64| {
        let token = token("alice@example.org", until);
        let ask = Ask::Token { user: None, token, server: Server::default() };
        let Ok(Answer::Login(login)) = world.gate.sasl(&session(Actor::Anonymous), ask, &[]).await else {
            panic!("no login")
        };
        attached(login.presence)
    };
    let (own, own_handle) = attached(plain(&world, "alice", PASSWORD).await.unwrap().presence);
    let (app, app_handle) = attached(plain(&world, "alice", APP).await.unwrap().presence);
    let now = 1_795_500_001;
    let (bearer, bearer_handle) = by_token(now + 3600).await;
    assert_eq!(world.gate.end_sessions(Which::Password(world.alice)).len(), 1);
    let ended = || [own_handle.has_ended(), app_handle.has_ended(), bearer_handle.has_ended()];
    assert_eq!((own.method, app.method, ended()), (Method::Password, Method::App(id), [true, false, false]));
    // A token that is in its last second: the leeway for clocks is a minute.
    let (short, short_handle) = by_token(now - 59).await;
    tokio::time::timeout(Duration::from_secs(20), short_handle.ended()).await.unwrap();
    assert!(matches!(short.method, Method::Token { .. }) && !bearer_handle.has_ended());
    // The same keys again change nothing; others end what the old ones opened.
    world.gate.set_logins(LoginSettings { issuer: Some(issuer), ..LoginSettings::default() });
    assert!(!bearer_handle.has_ended());
    world.gate.set_logins(LoginSettings { issuer: Some(self::issuer().0), ..LoginSettings::default() });
    assert!(bearer_handle.has_ended() && !app_handle.has_ended());
    drop(bearer);
}

fn attached(presence: Arc<Presence>) -> (Arc<Presence>, Arc<Handle>) {
    let handle = Handle::new();
    presence.attach(&handle);
    (presence, handle)
}

#[tokio::test]
async fn a_token_meant_for_another_server_opens_nothing() {
    let world = world().await;
    let (issuer, token) = issuer();
    let names = vec![String::from("mail.example.org"), String::from("*.Example.net")];
    world.gate.set_logins(LoginSettings { issuer: Some(issuer), names, ports: vec![993], ..LoginSettings::default() });
    for (host, port, right) in [
        (None, None, true),
        (Some("Mail.Example.org."), Some(993), true),
        (Some("imap.example.net"), None, true),
        (None, Some(994), false),
        (Some("example.net"), None, false),
        (Some("a.b.example.net"), None, false),
        (Some(".example.net"), None, false),
        (Some("mail.example.org.evil.example"), Some(993), false),
        (Some(""), None, false),
    ] {
        let server = Server { host: host.map(str::to_owned), port };
        let ask = Ask::Token { user: None, token: token("alice@example.org", 1_795_503_600), server };
        let answer = world.gate.sasl(&session(Actor::Anonymous), ask, &[]).await;
        assert_eq!(answer.is_ok(), right, "{host:?} {port:?}");
    }
}

/// An issuer with a key of its own, and a token of it.
fn issuer() -> (Issuer, impl Fn(&str, i64) -> SecretString) {
    let random = ring::rand::SystemRandom::new();
    let pkcs8 = ring::signature::Ed25519KeyPair::generate_pkcs8(&random).unwrap();
    let pair = ring::signature::Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": BASE64URL.encode(pair.public_key().as_ref()) });
    let set = json!({ "keys": [jwk] }).to_string();
    let issuer = Issuer::new("https://sso.example.org", "mail", "email", set.as_bytes()).unwrap();
    let token = move |address: &str, expires: i64| {
        let part = |value: serde_json::Value| BASE64URL.encode(value.to_string());
        let claims = json!({ "iss": "https://sso.example.org", "aud": "mail", "exp": expires, "email": address });
        let message = format!("{}.{}", part(json!({ "alg": "EdDSA" })), part(claims));
        let signature = BASE64URL.encode(pair.sign(message.as_bytes()));
        SecretString::from(format!("{message}.{signature}"))
    };
    (issuer, token)
}

#[tokio::test]
async fn tokens() {
    let world = world().await;
    let (issuer, token) = issuer();
    let until = 1_795_500_000 + 3600;
    let ask = async |user: Option<&str>, token: SecretString| {
        let ask = Ask::Token { user: user.map(str::to_owned), token, server: Server::default() };
        match world.gate.sasl(&session(Actor::Anonymous), ask, &[]).await {
            Ok(Answer::Login(login)) => Ok(login.account),
            Ok(Answer::Verifiers(_)) => panic!("verifiers"),
            Err(error) => Err(error),
        }
    };
    assert!(!world.gate.terms(None, false).tokens);
    assert_eq!(ask(None, token("alice@example.org", until)).await, Err(AuthError::Failed), "off");
    world.gate.set_logins(LoginSettings { issuer: Some(issuer), ..LoginSettings::default() });
    assert!(world.gate.terms(None, false).tokens);
    assert_eq!(ask(None, token("alice@example.org", until)).await, Ok(world.alice));
    assert_eq!(ask(Some("Alice@example.org"), token("alice@example.org", until)).await, Ok(world.alice));
    assert_eq!(ask(Some("alice"), token("alice@example.org", until)).await, Ok(world.alice));
    assert_eq!(ask(Some("bob"), token("alice@example.org", until)).await, Err(AuthError::Failed), "another's name");
    assert_eq!(ask(None, token("nobody@example.org", until)).await, Err(AuthError::Failed));
    assert_eq!(ask(None, token("alice@example.org", until - 7200)).await, Err(AuthError::Failed), "expired");
    assert_eq!(ask(None, token("bob@example.org", until)).await, Err(AuthError::Failed), "the profile has no IMAP");
    // Old tokens shown again and again slow nobody's password down.
    for _ in 0..10 {
        assert_eq!(ask(Some("alice"), "x.y.z".into()).await, Err(AuthError::Failed));
    }
    let began = std::time::Instant::now();
    plain(&world, "alice", PASSWORD).await.unwrap();
    assert!(began.elapsed() < limits::DELAY_FIRST);
}

#[tokio::test]
async fn certificates() {
    let world = world().await;
    let ask = async |user: Option<&str>, names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let ask = Ask::Certificate { user: user.map(str::to_owned) };
        match world.gate.sasl(&session(Actor::Anonymous), ask, &names).await {
            Ok(Answer::Login(login)) => Ok((login.account, login.presence.method)),
            Ok(Answer::Verifiers(_)) => panic!("verifiers"),
            Err(error) => Err(error),
        }
    };
    let alice = Ok((world.alice, Method::Certificate));
    assert_eq!(ask(None, &["alice@example.org"]).await, alice);
    assert_eq!(ask(Some("alice@example.org"), &["nobody@example.org", "alice@example.org"]).await, alice);
    assert_eq!(ask(None, &["someone@elsewhere.example", "Alice@example.org"]).await, alice);
    assert_eq!(ask(Some("bob"), &["alice@example.org"]).await, Err(AuthError::Failed));
    assert_eq!(ask(None, &[]).await, Err(AuthError::Failed));
    assert_eq!(ask(None, &["alice"]).await, Err(AuthError::Failed), "a local part is no address");
}

#[tokio::test]
async fn sessions_of_an_account_are_bounded_and_listed() {
    let world = world().await;
    add_app(&world, world.alice, "alice@example.org", "phone", APP).await;
    world.gate.set_logins(LoginSettings { imap_sessions_max: 2, ..LoginSettings::default() });
    let first = plain(&world, "alice", APP).await.unwrap();
    let _second = plain(&world, "alice", APP).await.unwrap();
    assert_eq!(plain(&world, "alice", APP).await.err(), Some(AuthError::TooMany));
    first.presence.set_selected(Some("INBOX"));
    first.presence.set_info(&Arc::new(SessionInfo { client: Some("Test 1".into()), ..(*first.session).clone() }));
    let listed = world.gate.sessions();
    assert_eq!(listed.len(), 2);
    assert_eq!((listed[0].address.key().as_str(), listed[0].selected.as_deref()), ("alice@example.org", Some("INBOX")));
    assert_eq!(listed[0].info.client.as_deref(), Some("Test 1"));
    drop(first);
    assert_eq!(world.gate.sessions().len(), 1);
    assert!(plain(&world, "alice", APP).await.is_ok());
    let refused = world.events(Action::Login).await;
    assert!(refused.iter().any(|event| event.result.code.as_deref() == Some("too-many")));
}

#[tokio::test]
async fn wrong_app_passwords_are_slowed_and_counted() {
    let world = world().await;
    for _ in 0..=limits::FAILURES_FREE {
        assert_eq!(plain(&world, "alice", &APP.replace('2', "3")).await.err(), Some(AuthError::Failed));
    }
    let began = std::time::Instant::now();
    let _ = scram(&world, "alice", "wrong").await;
    assert!(began.elapsed() >= limits::DELAY_FIRST, "SCRAM waits for what other ways have failed");
}
