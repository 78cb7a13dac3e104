//! Mail of others: each action without the right that it needs, shared accounts at login, and what is recorded.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use pli_gate::policy::{self, Others};
use pli_gate::{Refusal, Target};
use pli_store::{AccountChange, Member, NewAccount, QuotaLimit, RightsChange, Subject};
use pli_types::{AccountId, Action, Actor, Address, MailboxId, MailboxName, Rights, Uid, UidValidity};
use support::*;

async fn shared(world: &World, members: &[(AccountId, bool)]) -> (AccountId, MailboxId, UidValidity) {
    let new = NewAccount {
        address: Address::parse("support@example.org").unwrap(),
        display_name: None,
        profile: String::from("staff"),
        password: Some(String::from("never used")),
        quota: None,
        quota_in_force: QuotaLimit::default(),
        language: String::from("fr"),
        mailboxes: Vec::new(),
    };
    let member = |(id, owner): &(AccountId, bool)| Member {
        subject: Subject::Account(*id),
        owner: *owner,
        send_as: false,
        send_on_behalf: false,
    };
    let permit = world.gate.admit(&admin(), Action::SharedChange, &Target::default()).unwrap();
    let members = members.iter().map(member).collect();
    let id = world.gate.store().create_shared(permit, new, members).await.unwrap().value;
    let owner = session(Actor::Account(id));
    let permit = world.gate.admit(&owner, Action::List, &Target::default()).unwrap();
    let inbox = world.gate.store().read(&permit).unwrap().mailbox_by_name(&MailboxName::inbox()).unwrap().unwrap();
    (id, inbox.id, inbox.uid_validity)
}

async fn set(world: &World, place: (AccountId, MailboxId), person: AccountId, rights: Rights) {
    let target = Target { account: Some(place.0), mailbox: Some(place.1), ..Target::default() };
    let owner = session(Actor::Account(place.0));
    let permit = world.gate.admit(&owner, Action::SetAcl, &target).unwrap();
    let change = RightsChange::Set(rights);
    world.gate.store().set_acl(permit, place.1, Subject::Account(person), change).await.unwrap();
}

#[tokio::test]
async fn each_action_needs_its_right_and_no_other() {
    let world = world().await;
    let carl = add(&world.gate, "carl@example.org", "staff").await;
    let (account, mailbox, _) = shared(&world, &[]).await;
    let carls = session(Actor::Account(carl));
    let target = Target { account: Some(account), mailbox: Some(mailbox), ..Target::default() };
    let owners = policy::TABLE.iter().filter(|row| row.who.contains(&policy::Who::Owner));
    let rows: Vec<_> = owners.filter(|row| row.action != Action::Logout && row.action != Action::Submit).collect();
    assert!(rows.len() > 20);
    // Nothing given: there is no such mailbox.
    for row in rows.iter().filter(|row| row.others != Others::Never && !row.who.contains(&policy::Who::Anyone)) {
        assert_eq!(world.gate.admit(&carls, row.action, &target).unwrap_err(), Refusal::Hidden, "{}", row.rule);
    }
    // Every set of rights: the table says yes or no, and a permit carries the rights.
    for bits in 0..1_u16 << 11 {
        let rights = Rights::from_bits(bits);
        if bits.count_ones() > 2 && rights != Rights::ALL {
            continue;
        }
        set(&world, (account, mailbox), carl, rights).await;
        for row in &rows {
            match world.gate.admit(&carls, row.action, &target) {
                Ok(permit) => {
                    assert!(row.others.allows(rights), "{} by {rights}", row.rule);
                    assert_eq!((permit.grant().rights, permit.grant().account), (rights, Some(account)));
                }
                Err(Refusal::NoRight) => {
                    let never = row.others == Others::Never;
                    assert!(
                        never || (!row.others.allows(rights) && rights.has(Rights::LOOKUP)),
                        "{} {rights}",
                        row.rule
                    );
                }
                Err(Refusal::Hidden) => {
                    assert!(!row.others.allows(rights) && !rights.has(Rights::LOOKUP), "{} {rights}", row.rule);
                }
                Err(other) => panic!("{} by {rights}: {other}", row.rule),
            }
        }
    }
    // Of a mailbox that is not named nothing is allowed, nor of an account that is suspended.
    assert!(world.gate.admit(&carls, Action::Select, &on(account)).is_err());
    world.change(account, AccountChange { suspended: Some(true), ..AccountChange::default() }).await;
    assert_eq!(world.gate.admit(&carls, Action::Select, &target).unwrap_err(), Refusal::Suspended);
}

#[tokio::test]
async fn nobody_logs_in_to_a_shared_account() {
    let world = world().await;
    let (account, ..) = shared(&world, &[(world.alice, true)]).await;
    let anybody = session(Actor::Anonymous);
    for password in ["", "never used", PASSWORD] {
        let login = world.gate.authenticate(&anybody, "support@example.org", &password.into()).await;
        assert!(login.is_err(), "{password}");
    }
    assert_eq!(world.gate.store().account(account).unwrap().unwrap().password, None);
}

#[tokio::test]
async fn opening_and_reading_leave_their_records() {
    let world = world().await;
    let (account, mailbox, validity) = shared(&world, &[(world.alice, false)]).await;
    let alice = session(Actor::Account(world.alice));
    let which = (mailbox, validity);
    world.gate.open_shared(&alice, account, which).await.unwrap();
    let opened = world.events(Action::OpenShared).await;
    assert_eq!(opened.len(), 1);
    assert_eq!((opened[0].actor, opened[0].on_behalf_of), (Actor::Account(world.alice), Some(account)));
    assert_eq!((opened[0].object.account, opened[0].object.mailbox), (Some(account), Some(mailbox)));
    assert_eq!(opened[0].class, pli_audit::Class::Key);
    // One a message, with its number.
    world.gate.record_reads(&alice, account, which, &[Uid::new(3), Uid::new(8)]).await.unwrap();
    let reads = world.events(Action::FetchContent).await;
    let uids: Vec<_> = reads.iter().map(|event| (event.object.uid, event.on_behalf_of)).collect();
    assert_eq!(uids, [(Some(Uid::new(3)), Some(account)), (Some(Uid::new(8)), Some(account))]);
    // Without the right neither happens.
    set(&world, (account, mailbox), world.alice, Rights::LOOKUP).await;
    assert_eq!(world.gate.open_shared(&alice, account, which).await.err(), Some(Refusal::NoRight));
    assert!(world.gate.record_reads(&alice, account, which, &[Uid::new(3)]).await.is_err());
}

#[tokio::test]
async fn names_lead_only_to_what_was_given() {
    let world = world().await;
    let (account, mailbox, _) = shared(&world, &[(world.alice, false)]).await;
    let (alice, bob) = (session(Actor::Account(world.alice)), session(Actor::Account(world.bob)));
    let name = |text: &str| MailboxName::new(text).unwrap();
    let found = world.gate.other(&alice, &name("Shared/SUPPORT@example.org/inbox")).unwrap().unwrap();
    assert_eq!((found.mailbox.id, found.mailbox.account), (mailbox, account));
    for text in [
        "Other Users/support@example.org/INBOX",
        "Shared/alice@example.org/INBOX",
        "Other Users/alice@example.org/INBOX",
        "Shared/support@example.org",
        "Shared/support@example.org/Nowhere",
        "Shared/nobody@example.org/INBOX",
        "Shared/INBOX",
        "Shared",
        "INBOX",
    ] {
        assert!(world.gate.other(&alice, &name(text)).unwrap().is_none(), "{text}");
    }
    assert!(world.gate.other(&bob, &name("Shared/support@example.org/INBOX")).unwrap().is_none());
    assert_eq!(world.gate.others(&alice).unwrap().len(), 1);
    assert!(world.gate.others(&bob).unwrap().is_empty());
    assert!(world.gate.quota_of(&alice, account).is_ok());
    assert_eq!(world.gate.quota_of(&bob, account), Err(Refusal::Hidden));
    // A list that takes a member's right away leaves nothing to be seen.
    set(&world, (account, mailbox), world.alice, Rights::NONE).await;
    assert!(world.gate.other(&alice, &name("Shared/support@example.org/INBOX")).unwrap().is_none());
    assert!(world.gate.others(&alice).unwrap().is_empty());
}
