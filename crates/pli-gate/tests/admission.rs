//! The gate over a real store: who may do what, quota, rate, login, and what is recorded of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use pli_audit::Status;
use pli_crypto::SecretString;
use pli_gate::{AuthError, Refusal, Target, limits, policy};
use pli_store::{AccountChange, QuotaLimit};
use pli_types::{Action, Actor, ByteCount, SessionInfo};
use support::{PASSWORD, World, admin, on, session, world};

/// The actions that an actor is admitted to, on his own account.
fn admitted(world: &World, actor: Actor) -> Vec<Action> {
    let session = session(actor);
    let target = Target { account: Some(world.alice), ..Target::default() };
    Action::ALL.iter().copied().filter(|action| world.gate.admit(&session, *action, &target).is_ok()).collect()
}

const ADMINISTRATION: [Action; 25] = [
    Action::GetQuota,
    Action::QueueRead,
    Action::QueueChange,
    Action::TraceRead,
    Action::AccountCreate,
    Action::AccountRead,
    Action::AccountChange,
    Action::PasswordChange,
    Action::AppPasswordChange,
    Action::SessionList,
    Action::SessionEnd,
    Action::AccountRemove,
    Action::SharedChange,
    Action::GroupChange,
    Action::SetServerMetadata,
    Action::AliasChange,
    Action::DomainChange,
    Action::SetQuota,
    Action::AuditRead,
    Action::Inspect,
    Action::Rewind,
    Action::Verify,
    Action::KeyRotate,
    Action::Compact,
    Action::Repair,
];

#[tokio::test]
async fn each_action_is_refused_without_the_right() {
    let world = world().await;
    let open = [Action::Login, Action::Deliver];
    assert_eq!(admitted(&world, Actor::Anonymous), open);

    let mut expected: Vec<Action> = open.into_iter().chain(ADMINISTRATION).chain([Action::Operate]).collect();
    expected.sort_unstable();
    assert_eq!(
        admitted(&world, Actor::Admin(0)),
        expected,
        "an administrator reads nobody's mail, but by the row that says so"
    );

    let system = [
        Action::Login,
        Action::Logout,
        Action::Deliver,
        Action::Relay,
        Action::QueueAttempt,
        Action::QueueRead,
        Action::QueueChange,
        Action::TraceSweep,
        Action::SetQuota,
        Action::QuotaWarning,
        Action::Verify,
        Action::Repair,
        Action::KeyRotate,
        Action::Compact,
        Action::Operate,
    ];
    assert_eq!(admitted(&world, Actor::System), system);

    let owner = admitted(&world, Actor::Account(world.alice));
    for action in Action::ALL {
        let only_others = (ADMINISTRATION.contains(action)
            && ![Action::GetQuota, Action::AccountRead, Action::PasswordChange, Action::AppPasswordChange]
                .contains(action))
            || [Action::QueueAttempt, Action::TraceSweep, Action::QuotaWarning, Action::Operate].contains(action);
        assert_eq!(owner.contains(action), !only_others, "{}", action.name());
    }
    assert_eq!(
        world.gate.admit(&session(Actor::Anonymous), Action::Select, &Target::default()).unwrap_err(),
        Refusal::NotAuthenticated
    );
    assert_eq!(world.gate.admit(&admin(), Action::FetchContent, &on(world.alice)).unwrap_err(), Refusal::NoRight);
}

#[tokio::test]
async fn the_permit_says_what_the_table_says() {
    let world = world().await;
    let alice = session(Actor::Account(world.alice));
    for row in policy::TABLE.iter().filter(|row| row.who.contains(&policy::Who::Owner)) {
        let Ok(permit) = world.gate.admit(&alice, row.action, &Target::default()) else {
            panic!("{} is refused to the owner", row.rule);
        };
        let grant = permit.grant();
        assert_eq!((grant.action, grant.rule), (row.action, row.rule));
        assert_eq!(grant.account, Some(world.alice), "{}: the session's own account", row.rule);
        assert_eq!(grant.audited, row.audit == policy::AuditLevel::Event, "{}", row.rule);
    }
}

#[tokio::test]
async fn others_mail_suspension_and_profiles() {
    let world = world().await;
    let alice = session(Actor::Account(world.alice));
    let bob = session(Actor::Account(world.bob));
    assert_eq!(world.gate.admit(&alice, Action::Select, &on(world.bob)).unwrap_err(), Refusal::NoRight);
    assert_eq!(world.gate.admit(&bob, Action::Select, &Target::default()).unwrap_err(), Refusal::NoRight);
    assert_eq!(world.gate.admit(&bob, Action::Submit, &Target::default()).unwrap_err(), Refusal::NoRight);
    assert_eq!(world.gate.admit(&bob, Action::Relay, &Target::default()).unwrap_err(), Refusal::NoRight);
    assert!(world.gate.admit(&alice, Action::Deliver, &on(world.bob)).is_ok(), "mail to others is no right on them");

    world.change(world.alice, AccountChange { suspended: Some(true), ..AccountChange::default() }).await;
    assert_eq!(world.gate.admit(&alice, Action::Select, &Target::default()).unwrap_err(), Refusal::Suspended);
    assert_eq!(world.gate.admit(&alice, Action::Submit, &Target::default()).unwrap_err(), Refusal::Suspended);
    let anybody = session(Actor::Anonymous);
    assert!(world.gate.admit(&anybody, Action::Deliver, &on(world.alice)).is_ok(), "mail is still received");

    world
        .change(
            world.alice,
            AccountChange { suspended: Some(false), profile: Some("gone".into()), ..AccountChange::default() },
        )
        .await;
    assert_eq!(world.gate.admit(&alice, Action::Select, &Target::default()).unwrap_err(), Refusal::NoRight);
    let permit = world.gate.admit(&admin(), Action::AccountRemove, &on(world.alice)).unwrap();
    world.gate.store().remove_account(permit, world.alice).await.unwrap();
    assert_eq!(world.gate.admit(&alice, Action::Select, &Target::default()).unwrap_err(), Refusal::NoRight);
    assert_eq!(world.gate.admit(&anybody, Action::Deliver, &on(world.alice)).unwrap_err(), Refusal::NoRight);
}

#[tokio::test]
async fn quota_is_refused_before_the_bytes_come() {
    let world = world().await;
    let anybody = session(Actor::Anonymous);
    let adds = |bytes| Target { adds: ByteCount::new(bytes), ..on(world.alice) };
    let deliver = |bytes| world.gate.admit(&anybody, Action::Deliver, &adds(bytes));
    assert!(deliver(0).is_ok() && deliver(1_000).is_ok());
    assert_eq!(deliver(1_001).unwrap_err(), Refusal::OverQuota { never: true });

    let alice = session(Actor::Account(world.alice));
    let permit = deliver(900).unwrap();
    let raw = bytes::Bytes::from("Subject: x\r\n\r\n".to_owned() + &"a".repeat(886));
    let delivery = pli_store::Delivery {
        prepared: world.gate.store().prepare(raw).unwrap(),
        reverse_path: None,
        local: vec![pli_store::LocalRecipient {
            permit: deliver(900).unwrap(),
            account: world.alice,
            mailbox: None,
            flags: pli_types::FlagSet::default(),
        }],
        remote: Vec::new(),
        smtputf8: false,
        eight_bit: false,
        ends: Vec::new(),
    };
    world.gate.store().deliver(permit, delivery).await.unwrap();
    assert!(deliver(100).is_ok());
    assert_eq!(deliver(101).unwrap_err(), Refusal::OverQuota { never: false });
    let append = world.gate.admit(&alice, Action::Append, &Target { adds: ByteCount::new(101), ..Target::default() });
    assert_eq!(append.unwrap_err(), Refusal::OverQuota { never: false });
    assert!(world.gate.admit(&alice, Action::Expunge, &Target::default()).is_ok(), "room can always be made");

    let limit = |bytes, messages| QuotaLimit { bytes: Some(ByteCount::new(bytes)), messages };
    let set = |limit| AccountChange { quota_in_force: Some(limit), ..AccountChange::default() };
    world.change(world.alice, set(limit(900, None))).await;
    assert_eq!(deliver(0).unwrap_err(), Refusal::OverQuota { never: false }, "a full mailbox takes no unknown size");
    world.change(world.alice, set(limit(9_000, Some(1)))).await;
    assert_eq!(deliver(1).unwrap_err(), Refusal::OverQuota { never: false }, "the number of messages counts too");
    world.change(world.alice, set(QuotaLimit::default())).await;
    assert!(deliver(u64::MAX).is_ok(), "no limit");
}

#[tokio::test]
async fn submissions_are_counted_by_the_hour() {
    let world = world().await;
    let alice = session(Actor::Account(world.alice));
    let submit = || world.gate.admit(&alice, Action::Submit, &Target::default());
    assert!(submit().is_ok() && submit().is_ok());
    assert_eq!(submit().unwrap_err(), Refusal::RateLimited);
    world.pass(Duration::from_secs(30 * 60));
    assert!(submit().is_ok());
    assert_eq!(submit().unwrap_err(), Refusal::RateLimited);
}

#[tokio::test]
async fn refusals_are_recorded_and_a_flood_is_counted() {
    let world = world().await;
    let alice = session(Actor::Account(world.alice));
    for _ in 0..500 {
        world.gate.admit(&alice, Action::Select, &on(world.bob)).unwrap_err();
    }
    world.pass(Duration::from_secs(1));
    world.gate.admit(&alice, Action::Select, &on(world.bob)).unwrap_err();
    let events = world.events(Action::Select).await;
    assert_eq!(events.len(), limits::REFUSALS_BURST as usize + 1);
    let last = events.last().unwrap();
    assert_eq!((last.result.status, last.result.code.as_deref()), (Status::Refused, Some("no-right")));
    assert_eq!(last.object.account, Some(world.bob));
    assert_eq!(last.counts.get("refusals-not-recorded"), Some(&400));
}

#[tokio::test]
async fn login() {
    let world = world().await;
    let before = session(Actor::Anonymous);
    let password = SecretString::from(PASSWORD);
    for name in ["alice@example.org", "ALICE@EXAMPLE.ORG", "alice"] {
        let login = world.gate.authenticate(&before, name, &password).await.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((login.account, login.session.actor), (world.alice, Actor::Account(world.alice)));
        assert_eq!(login.address.to_string(), "alice@example.org");
    }
    for (name, password) in [
        ("alice@example.org", "wrong"),
        ("nobody@example.org", PASSWORD),
        ("alice@else.test", PASSWORD),
        ("", ""),
        ("bob", PASSWORD),
    ] {
        let failed = world.gate.authenticate(&before, name, &password.into()).await;
        assert_eq!(failed.err(), Some(AuthError::Failed), "{name}");
    }
    world.change(world.alice, AccountChange { suspended: Some(true), ..AccountChange::default() }).await;
    let suspended = world.gate.authenticate(&before, "alice", &password).await;
    assert_eq!(suspended.err(), Some(AuthError::Suspended));

    let events = world.events(Action::Login).await;
    let of = |status| events.iter().filter(|e| e.result.status == status).count();
    assert_eq!((of(Status::Done), of(Status::Refused)), (3, 6));
    let done = events.iter().find(|e| e.result.status == Status::Done).unwrap();
    assert_eq!(done.actor, Actor::Account(world.alice));
    assert_eq!(done.origin.as_ref().unwrap().port, 4711);
    let door = events.iter().find(|e| e.object.account == Some(world.bob)).unwrap();
    assert!(door.result.reason.as_deref().unwrap().contains("profile"), "the log says why, the peer is not told");
}

/// Real time stands still but for what tasks wait for; argon2 runs on its own threads.
#[tokio::test(start_paused = true)]
async fn guessers_wait_and_the_owner_does_not() {
    let world = world().await;
    let from = |ip: &str| {
        Arc::new(SessionInfo {
            peer: Some(format!("{ip}:1").parse().unwrap()),
            ..SessionInfo::clone(&session(Actor::Anonymous))
        })
    };
    let (owner, guesser) = (from("192.0.2.1"), from("203.0.113.9"));
    world.gate.authenticate(&owner, "alice", &PASSWORD.into()).await.unwrap();
    for _ in 0..8 {
        let failed = world.gate.authenticate(&guesser, "alice", &"wrong".into()).await;
        assert_eq!(failed.err(), Some(AuthError::Failed));
    }
    let start = tokio::time::Instant::now();
    let failed = world.gate.authenticate(&guesser, "alice", &"wrong".into()).await;
    assert_eq!(failed.err(), Some(AuthError::Failed));
    assert!(start.elapsed() >= limits::DELAY_FIRST * 16, "{:?}", start.elapsed());

    let many = (0..limits::DELAYED_PER_ACCOUNT_MAX + 1).map(|_| {
        let (gate, guesser) = (Arc::clone(&world.gate), Arc::clone(&guesser));
        tokio::spawn(async move { gate.authenticate(&guesser, "alice", &"wrong".into()).await.err() })
    });
    let mut slowed = 0;
    for task in many.collect::<Vec<_>>() {
        slowed += usize::from(task.await.unwrap() == Some(AuthError::Slowed));
    }
    assert_eq!(slowed, 1, "few wait at once, the rest is sent away");

    let start = tokio::time::Instant::now();
    world.gate.authenticate(&owner, "alice", &PASSWORD.into()).await.unwrap();
    assert!(start.elapsed() < limits::DELAY_FIRST, "whoever logged in from here before is not slowed by others");
}
