//! What a login writes, and the numbers of app passwords, over every index.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use pli_audit::Event;
use pli_crypto::{ScramKeys, ScramVerifier};
use pli_store::*;
use pli_types::{AccountId, Action};
use world::*;

fn entry(text: &str) -> Option<String> {
    Some(format!("$argon2id${text}"))
}

async fn change(open: &Open, account: AccountId, change: AccountChange) {
    let permit = open.permit(Action::AccountChange, Some(account));
    open.store.change_account(permit, account, change).await.unwrap();
}

#[test]
fn the_commit_of_a_login_looks_once_more() {
    both(|world| async move {
        let open = world.create();
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        let login = async |entry: Option<String>| {
            let event = Event::new("site", open.session(), Action::Login, START);
            let trace = LoginTrace { entry, ..LoginTrace::default() };
            open.store.record_login(open.permit(Action::Login, Some(ana)), event, trace).await.is_ok()
        };
        let set = |text: &str| AccountChange { password: Some(entry(text)), ..AccountChange::default() };
        change(&open, ana, set("one")).await;
        assert!(login(entry("one")).await && login(None).await);
        // A verifier put beside the same hash meanwhile is no new password.
        let verifier = ScramVerifier::derive(&"x".into(), &[1; 16]).unwrap();
        change(&open, ana, AccountChange { password: Some(Some(verifier.beside("$argon2id$one"))), ..set("") }).await;
        assert!(login(entry("one")).await);
        change(&open, ana, set("two")).await;
        assert!(!login(entry("one")).await, "changed since it was looked at");
        assert!(login(entry("two")).await);
        change(&open, ana, AccountChange { password: Some(None), ..AccountChange::default() }).await;
        assert!(!login(entry("two")).await, "taken away");
        change(&open, ana, AccountChange { suspended: Some(true), ..set("three") }).await;
        assert!(!login(entry("three")).await && !login(None).await, "suspended");
        open.check();
    });
}

#[test]
fn numbers_of_app_passwords_are_not_given_again() {
    both(|world| async move {
        let (ana, bob);
        {
            let open = world.create();
            ana = open.account("ana@example.org", QuotaLimit::default()).await;
            bob = open.account("bob@example.org", QuotaLimit::default()).await;
            assert_eq!((add(&open, ana, "a").await, add(&open, ana, "b").await, add(&open, ana, "c").await), (1, 2, 3));
            for id in [3, 1] {
                let permit = open.permit(Action::AppPasswordChange, Some(ana));
                open.store.remove_app_password(permit, ana, id).await.unwrap();
            }
            assert_eq!((add(&open, ana, "d").await, add(&open, bob, "a").await), (4, 1));
            let permit = open.permit(Action::AppPasswordChange, Some(ana));
            open.store.remove_app_password(permit, ana, 4).await.unwrap();
            open.check();
        }
        let open = world.open();
        assert_eq!(add(&open, ana, "e").await, 5, "after a start as well");
        open.check();
        let permit = open.permit(Action::AccountRemove, Some(ana));
        open.store.remove_account(permit, ana).await.unwrap();
        open.check();
    });
}

async fn add(open: &Open, account: AccountId, label: &str) -> u32 {
    let permit = open.permit(Action::AppPasswordChange, Some(account));
    let scram = ScramKeys::from_bytes(&[7; 64]);
    let new = NewAppPassword { label: label.to_owned(), hash: [7; 32], scram, iterations: 4096 };
    open.store.add_app_password(permit, account, new).await.unwrap().value
}
