//! Shared accounts, lists, and what each has seen: the rules, the views that follow them, and that they come back whole
//! from the log, from a snapshot and after a new start.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use std::sync::Arc;

use pli_store::*;
use pli_types::*;
use world::*;

/// An account that reads and changes another's mail, with rights.
struct Person {
    id: AccountId,
    rights: Rights,
}

impl Person {
    fn permit(&self, open: &Open, action: Action, place: &Mailbox) -> Permit {
        open.mint.permit(Grant {
            action,
            session: Arc::new(SessionInfo { actor: Actor::Account(self.id), ..open.session().clone() }),
            account: Some(place.account),
            mailbox: Some(place.id),
            rights: self.rights,
            rule: "test",
            audited: true,
        })
    }
    fn entries(&self, open: &Open, place: &Mailbox) -> Vec<Entry> {
        let permit = self.permit(open, Action::Select, place);
        let view = open.store.read(&permit).unwrap().view(place.id).unwrap();
        view.snapshot().iter().map(|(_, entry)| entry).collect()
    }
    fn view(&self, open: &Open, place: &Mailbox) -> Arc<View> {
        let permit = self.permit(open, Action::Select, place);
        open.store.read(&permit).unwrap().view(place.id).unwrap()
    }
    fn seen(&self, open: &Open, place: &Mailbox) -> Vec<u32> {
        let seen = |entry: &Entry| entry.flags & SystemFlag::Seen.bit() != 0;
        self.entries(open, place).iter().filter(|entry| seen(entry)).map(|entry| entry.uid.get()).collect()
    }
    fn unseen(&self, open: &Open, place: &Mailbox) -> u32 {
        let permit = self.permit(open, Action::Status, place);
        open.store.read(&permit).unwrap().mailbox(place.id).unwrap().unwrap().unseen
    }
    async fn flag(&self, open: &Open, place: &Mailbox, uids: &[u32], mode: FlagMode, flags: &[SystemFlag]) -> Flagged {
        self.flag_since(open, place, uids, mode, flags, None).await
    }
    async fn flag_since(
        &self,
        open: &Open,
        place: &Mailbox,
        uids: &[u32],
        mode: FlagMode,
        flags: &[SystemFlag],
        since: Option<ModSeq>,
    ) -> Flagged {
        let uids = uids.iter().map(|uid| Uid::new(*uid)).collect();
        let permit = self.permit(open, Action::Store, place);
        let flags = flags.iter().copied().collect();
        open.store.change_flags(permit, place.id, uids, mode, flags, since).await.unwrap().value
    }
}

const ALL: Rights = Rights::ALL;

async fn shared(open: &Open, text: &str, members: Vec<Member>) -> AccountId {
    let new = NewAccount {
        address: address(text),
        display_name: None,
        profile: String::from("staff"),
        password: None,
        quota: None,
        quota_in_force: QuotaLimit::default(),
        language: String::from("fr"),
        mailboxes: Vec::new(),
    };
    open.store.create_shared(open.permit(Action::SharedChange, None), new, members).await.unwrap().value
}

const fn member(subject: Subject, owner: bool) -> Member {
    Member { subject, owner, send_as: false, send_on_behalf: false }
}

async fn set_acl(open: &Open, place: &Mailbox, subject: Subject, change: RightsChange) -> Result<Rights, StoreError> {
    let permit = open.permit(Action::SetAcl, Some(place.account));
    Ok(open.store.set_acl(permit, place.id, subject, change).await?.value)
}

fn rights(text: &str) -> Rights {
    Rights::parse(text).unwrap()
}

/// Two people and a shared account with three messages.
async fn support(open: &Open) -> (Person, Person, Mailbox) {
    let ana = open.account("ana@example.org", QuotaLimit::default()).await;
    let bob = open.account("bob@example.org", QuotaLimit::default()).await;
    let people = [ana, bob].map(|id| member(Subject::Account(id), false)).to_vec();
    let account = shared(open, "support@example.org", people).await;
    for number in 0..3 {
        open.deliver(&[account], &message(&format!("m{number}"), 100)).await.unwrap();
    }
    let inbox = open.mailbox(account, "INBOX");
    (Person { id: ana, rights: ALL }, Person { id: bob, rights: ALL }, inbox)
}

#[test]
fn each_has_a_seen_of_his_own_and_shares_the_other_flags() {
    both(|world| async move {
        let open = world.create();
        let (ana, bob, inbox) = support(&open).await;
        let (anas, bobs) = (ana.view(&open, &inbox), bob.view(&open, &inbox));
        let (mut anas_news, mut bobs_news) = (anas.subscribe(), bobs.subscribe());
        let before = bobs.snapshot().highest_modseq;

        ana.flag(&open, &inbox, &[1, 3], FlagMode::Add, &[SystemFlag::Seen]).await;
        assert_eq!((ana.seen(&open, &inbox), bob.seen(&open, &inbox)), (vec![1, 3], vec![]));
        assert_eq!((ana.unseen(&open, &inbox), bob.unseen(&open, &inbox)), (1, 3));
        assert!(anas_news.has_changed().unwrap(), "ana's sessions are told");
        assert!(!bobs_news.has_changed().unwrap(), "bob's are not woken");
        assert_eq!(bobs.snapshot().highest_modseq, before, "nor does his HIGHESTMODSEQ move");
        let highest = anas.snapshot().highest_modseq;
        assert!(highest > before);
        assert_eq!(ana.entries(&open, &inbox)[0].modseq, highest);
        anas_news.mark_unchanged();

        bob.flag(&open, &inbox, &[1], FlagMode::Add, &[SystemFlag::Flagged, SystemFlag::Seen]).await;
        assert!(anas_news.has_changed().unwrap() && bobs_news.has_changed().unwrap());
        bobs_news.mark_unchanged();
        let flags = |entry: &Entry| entry.flags;
        let flagged = SystemFlag::Flagged.bit();
        let seen = SystemFlag::Seen.bit();
        assert_eq!(ana.entries(&open, &inbox).iter().map(flags).collect::<Vec<_>>(), [flagged | seen, 0, seen]);
        assert_eq!(bob.entries(&open, &inbox).iter().map(flags).collect::<Vec<_>>(), [flagged | seen, 0, 0]);
        assert!(anas.snapshot().highest_modseq > highest);

        // RFC 7162 §3.1.3 by what each one knows: bob marked UID 1 last, ana does not know a change of UID 3.
        let since = Some(before);
        let flagged = ana.flag_since(&open, &inbox, &[1, 2, 3], FlagMode::Add, &[SystemFlag::Draft], since).await;
        assert_eq!(flagged.modified, [Uid::new(1), Uid::new(3)], "ana's own marks count for her");
        let flagged = bob.flag_since(&open, &inbox, &[3], FlagMode::Add, &[SystemFlag::Draft], since).await;
        assert!(flagged.modified.is_empty(), "for bob UID 3 has not changed");

        // The owner's flag is in the word itself, and nobody else's.
        let word = open.entries(inbox.account, inbox.id)[0].flags;
        assert_eq!(word & seen, 0);
        // Views that are made anew show the same.
        drop((anas, bobs, anas_news, bobs_news));
        let (by_ana, by_bob) = (ana.entries(&open, &inbox), bob.entries(&open, &inbox));
        drop(open);
        let open = world.open();
        assert_eq!((ana.entries(&open, &inbox), bob.entries(&open, &inbox)), (by_ana, by_bob));
        open.check();
    });
}

#[test]
fn marks_go_with_messages() {
    both(|world| async move {
        let open = world.create();
        let (ana, bob, inbox) = support(&open).await;
        ana.flag(&open, &inbox, &[1, 2, 3], FlagMode::Add, &[SystemFlag::Seen]).await;
        bob.flag(&open, &inbox, &[2], FlagMode::Add, &[SystemFlag::Seen]).await;
        let create = open.permit(Action::Create, Some(inbox.account));
        let done = open.store.create_mailbox(create, name("Done"), None).await.unwrap().value;
        // A copy, and a move: seen by whoever had seen the message.
        let keys = open.keys(inbox.account);
        let into = |person: &Person| person.permit(&open, Action::CopyInto, &done);
        let copy = ana.permit(&open, Action::Copy, &inbox);
        open.store.copy_across(copy, &keys, vec![Uid::new(1), Uid::new(2)], into(&ana)).await.unwrap();
        let moving = bob.permit(&open, Action::Move, &inbox);
        open.store.copy_across(moving, &keys, vec![Uid::new(2), Uid::new(3)], into(&bob)).await.unwrap();
        assert_eq!((ana.seen(&open, &done), bob.seen(&open, &done)), (vec![1, 2, 3, 4], vec![2, 3]));
        assert_eq!((ana.seen(&open, &inbox), bob.seen(&open, &inbox)), (vec![1], vec![]));
        assert_eq!((ana.unseen(&open, &done), bob.unseen(&open, &done), bob.unseen(&open, &inbox)), (0, 2, 1));
        open.check();
        // Expunged messages take their marks with them.
        ana.flag(&open, &done, &[1, 2], FlagMode::Add, &[SystemFlag::Deleted]).await;
        open.expunge(inbox.account, done.id).await;
        assert_eq!((ana.seen(&open, &done), bob.seen(&open, &done)), (vec![3, 4], vec![3]));
        open.check();
        // A deleted mailbox, and an account that is removed.
        open.store.delete_mailbox(open.permit(Action::Delete, Some(inbox.account)), done.id).await.unwrap();
        open.store.remove_account(open.permit(Action::AccountRemove, None), ana.id).await.unwrap();
        open.check();
        let sharing = open.store.sharing().unwrap();
        assert_eq!(sharing.members(inbox.account).unwrap().len(), 1);
        assert!(sharing.rights(ana.id, inbox.account, inbox.id).is_empty());
    });
}

#[tokio::test]
async fn rights_say_which_flags_change() {
    let world = World::sim(3, keystore());
    let open = world.create();
    let (ana, _, inbox) = support(&open).await;
    let with = |text: &str| Person { id: ana.id, rights: rights(text) };
    let all = [SystemFlag::Seen, SystemFlag::Flagged, SystemFlag::Deleted];
    let word = |person: &Person, at: usize| person.entries(&open, &inbox)[at].flags;
    let bits = |flags: &[SystemFlag]| flags.iter().map(|flag| flag.bit()).sum::<u64>();
    for (text, flags) in [("lr", vec![]), ("lrs", vec![all[0]]), ("lrw", vec![all[1]]), ("lrt", vec![all[2]])] {
        let person = with(text);
        person.flag(&open, &inbox, &[1], FlagMode::Add, &all).await;
        assert_eq!(word(&person, 0), bits(&flags), "{text}");
        // Replacing leaves alone what may not be changed.
        ana.flag(&open, &inbox, &[2], FlagMode::Replace, &all).await;
        person.flag(&open, &inbox, &[2], FlagMode::Replace, &[]).await;
        assert_eq!(word(&person, 1), bits(&all) & !bits(&flags), "{text}");
        ana.flag(&open, &inbox, &[1, 2], FlagMode::Replace, &[]).await;
    }
    // A new message, and a copy into another account: what the target's rights allow (RFC 4314 §4).
    let own = Person { id: ana.id, rights: ALL };
    let prepared = || AppendMessage {
        prepared: open.store.prepare(message("x", 10)).unwrap(),
        flags: FlagSet { system: bits(&all), keywords: vec![Keyword::new("work").unwrap()] },
        internal_date: None,
    };
    let permit = with("lris").permit(&open, Action::Append, &inbox);
    open.store.append(permit, None, inbox.id, vec![prepared()]).await.unwrap();
    assert_eq!(word(&own, 3), SystemFlag::Seen.bit());
    assert_eq!(open.entries(inbox.account, inbox.id)[3].flags, 0);
    let mine = open.mailbox(ana.id, "INBOX");
    let permit = own.permit(&open, Action::Append, &mine);
    open.store.append(permit, &open.keys(ana.id), mine.id, vec![prepared()]).await.unwrap();
    let copy = own.permit(&open, Action::Copy, &mine);
    let into = with("it").permit(&open, Action::CopyInto, &inbox);
    open.store.copy_across(copy, &open.keys(ana.id), vec![Uid::new(1)], into).await.unwrap();
    assert_eq!(word(&own, 4), SystemFlag::Deleted.bit());
    open.check();
}

#[test]
fn a_copy_across_accounts_is_paid_and_opened_by_the_other_account() {
    both(|world| async move {
        let open = world.create();
        let limit = QuotaLimit { bytes: Some(ByteCount::new(1000)), messages: None };
        let (ana, _, inbox) = support(&open).await;
        let carl = open.account("carl@example.org", limit).await;
        let to = open.mailbox(carl, "INBOX");
        let person = Person { id: carl, rights: ALL };
        let uids = |uids: &[u32]| uids.iter().map(|uid| Uid::new(*uid)).collect::<Vec<_>>();
        let keys = open.keys(inbox.account);
        let before = open.store.quota(inbox.account).unwrap();
        let copy = person.permit(&open, Action::Copy, &inbox);
        let into = person.permit(&open, Action::CopyInto, &to);
        let copied = open.store.copy_across(copy, &keys, uids(&[1, 2]), into).await.unwrap().value;
        assert_eq!(copied.uids, [(Uid::new(1), Uid::new(1)), (Uid::new(2), Uid::new(2))]);
        let entry = open.entries(carl, to.id)[0];
        let source = open.entries(inbox.account, inbox.id)[0];
        assert_eq!(open.body(carl, entry).unwrap(), open.body(inbox.account, source).unwrap());
        assert_eq!(open.store.quota(inbox.account).unwrap(), before);
        let used = open.store.quota(carl).unwrap().bytes_used.get();
        assert!(used > 200, "{used}");
        // No room: nothing is copied, nothing is moved.
        for _ in 0..3 {
            open.deliver(&[inbox.account], &message("big", 500)).await.unwrap();
        }
        let moving = person.permit(&open, Action::Move, &inbox);
        let into = person.permit(&open, Action::CopyInto, &to);
        let refused = open.store.copy_across(moving, &keys, uids(&[3, 4, 5, 6]), into).await;
        assert!(matches!(refused, Err(StoreError::OverQuota { .. })), "{refused:?}");
        assert_eq!(open.entries(inbox.account, inbox.id).len(), 6);
        // A move gives the room back there.
        let moving = person.permit(&open, Action::Move, &inbox);
        let into = person.permit(&open, Action::CopyInto, &to);
        let moved = open.store.copy_across(moving, &keys, uids(&[1, 3, 99]), into).await.unwrap().value;
        assert_eq!(moved.uids.len(), 2);
        assert_eq!(open.entries(inbox.account, inbox.id).len(), 4);
        // Without leave for both ends nothing goes, and of another's mail only the permit's mailbox is opened.
        let copy = person.permit(&open, Action::Copy, &inbox);
        let wrong = person.permit(&open, Action::Append, &to);
        assert!(matches!(open.store.copy_across(copy, &keys, uids(&[1]), wrong).await, Err(StoreError::WrongPermit)));
        let permit = ana.permit(&open, Action::Select, &to);
        assert!(matches!(open.store.read(&permit).unwrap().view(inbox.id), Err(StoreError::WrongPermit)));
        open.check();
        drop(open);
        world.open().check();
    });
}

#[test]
fn lists_groups_and_members() {
    both(|world| async move {
        let open = world.create();
        let (ana, bob, inbox) = support(&open).await;
        let carl = open.account("carl@example.org", QuotaLimit::default()).await;
        let of = |open: &Open, person: AccountId, place: &Mailbox| {
            open.store.sharing().unwrap().rights(person, place.account, place.id).to_string()
        };
        let change = || open.permit(Action::SharedChange, None);
        assert_eq!(of(&open, ana.id, &inbox), "lrswipkte");
        assert_eq!(of(&open, carl, &inbox), "");
        // By a group; a group that goes takes with it what it was given.
        let group = |members: &[AccountId]| Group { name: String::from("it"), members: members.to_vec() };
        let groups = || open.permit(Action::GroupChange, None);
        open.store.set_group(groups(), group(&[carl, carl])).await.unwrap();
        let it = Subject::Group(String::from("it"));
        assert_eq!(set_acl(&open, &inbox, it.clone(), RightsChange::Set(rights("lr"))).await.unwrap(), rights("lr"));
        assert_eq!(of(&open, carl, &inbox), "lr");
        set_acl(&open, &inbox, Subject::Anyone, RightsChange::Add(rights("ip"))).await.unwrap();
        assert_eq!(of(&open, carl, &inbox), "lrip", "what his identifiers have together");
        open.store.set_group(groups(), group(&[bob.id])).await.unwrap();
        assert_eq!(of(&open, carl, &inbox), "ip");
        // A member's entry goes before what members have; taking it away gives that back.
        let anas = Subject::Account(ana.id);
        set_acl(&open, &inbox, anas.clone(), RightsChange::Remove(rights("swipkte"))).await.unwrap();
        assert_eq!(of(&open, ana.id, &inbox), "lrip", "and anyone's");
        set_acl(&open, &inbox, anas.clone(), RightsChange::Set(Rights::NONE)).await.unwrap();
        assert_eq!(of(&open, ana.id, &inbox), "ip");
        set_acl(&open, &inbox, anas.clone(), RightsChange::Delete).await.unwrap();
        assert_eq!(of(&open, ana.id, &inbox), "lrswipkte");
        // Nobody locks an owner out, and no account the one whose mail it is.
        open.store.set_member(change(), inbox.account, member(anas.clone(), true)).await.unwrap();
        assert_eq!(of(&open, ana.id, &inbox), "lrswipkxtea");
        for change in [RightsChange::Set(Rights::NONE), RightsChange::Delete] {
            assert!(matches!(set_acl(&open, &inbox, anas.clone(), change).await, Err(StoreError::Impossible(_))));
        }
        let carls = open.mailbox(carl, "INBOX");
        let refused = set_acl(&open, &carls, Subject::Account(carl), RightsChange::Delete).await;
        assert!(matches!(refused, Err(StoreError::Impossible(_))));
        // A mailbox below has its parent's list; who is nobody gets nothing.
        let archive = open.mailbox(carl, "Archive");
        set_acl(&open, &archive, Subject::Account(bob.id), RightsChange::Set(rights("lrk"))).await.unwrap();
        let create = open.permit(Action::Create, Some(carl));
        let below = open.store.create_mailbox(create, name("Archive/2027/01"), None).await.unwrap().value;
        assert_eq!(of(&open, bob.id, &below), "lrk");
        let nobody = Subject::Account(AccountId::new(999));
        assert!(matches!(
            set_acl(&open, &archive, nobody, RightsChange::Set(ALL)).await,
            Err(StoreError::NoAccount(_))
        ));
        open.store.remove_group(groups(), String::from("it")).await.unwrap();
        open.store.set_group(groups(), group(&[carl])).await.unwrap();
        assert_eq!(of(&open, carl, &inbox), "ip", "another group of the same name has nothing");
        open.store.remove_member(change(), inbox.account, Subject::Account(bob.id)).await.unwrap();
        assert_eq!(of(&open, bob.id, &inbox), "ip");
        // No password, no member of what is not shared.
        let set = AccountChange { password: Some(Some(String::from("x"))), ..AccountChange::default() };
        let permit = open.permit(Action::PasswordChange, None);
        assert!(matches!(open.store.change_account(permit, inbox.account, set).await, Err(StoreError::Impossible(_))));
        let refused = open.store.set_member(change(), carl, member(anas, false)).await;
        assert!(matches!(refused, Err(StoreError::Impossible(_))));
        drop(open);
        let open = world.open();
        assert_eq!((of(&open, carl, &inbox), of(&open, ana.id, &inbox)), ("ip".into(), "lrswipkxtea".into()));
        open.check();
    });
}

#[tokio::test]
async fn annotations_are_private_or_for_all_and_bounded() {
    let world = World::sim(5, keystore());
    let open = world.create();
    let (ana, bob, inbox) = support(&open).await;
    let set = async |person: &Person, private: bool, entry: (&str, Option<&[u8]>)| {
        let action = if private { Action::SetPrivate } else { Action::SetMetadata };
        let change = vec![(entry.0.to_owned(), entry.1.map(<[u8]>::to_vec))];
        open.store.set_annotations(vec![(person.permit(&open, action, &inbox), private, change)]).await.map(drop)
    };
    let get = |person: &Person, private| {
        open.store.annotations(&person.permit(&open, Action::GetMetadata, &inbox), private).unwrap()
    };
    set(&ana, true, ("/comment", Some(b"mine"))).await.unwrap();
    set(&ana, false, ("/comment", Some(b"ours"))).await.unwrap();
    assert_eq!(get(&bob, true), []);
    assert_eq!(get(&bob, false), [("/comment".to_owned(), b"ours".to_vec())]);
    assert_eq!(get(&ana, true), [("/comment".to_owned(), b"mine".to_vec())]);
    set(&ana, true, ("/comment", None)).await.unwrap();
    assert_eq!(get(&ana, true), []);
    let long = vec![b'x'; 4097];
    assert!(matches!(set(&ana, false, ("/comment", Some(&long))).await, Err(StoreError::Limit(_))));
    for number in 1..32 {
        set(&ana, false, (&format!("/vendor/{number}"), Some(b"v"))).await.unwrap();
    }
    assert!(matches!(set(&ana, false, ("/vendor/99", Some(b"v"))).await, Err(StoreError::Limit(_))));
    // The server's are an administrator's to set, whatever a permit calls itself.
    let permit = open.permit(Action::SetMetadata, None);
    let refused = open.store.set_annotations(vec![(permit, false, vec![("/admin".to_owned(), None)])]).await;
    assert!(matches!(refused, Err(StoreError::WrongPermit)));
    open.check();
}

/// What sharing comes to for these people, as one text.
fn told(open: &Open, people: &[&Person], place: &Mailbox) -> String {
    let sharing = open.store.sharing().unwrap();
    let mut all = format!("{:?} {:?}\n", sharing.list(place.account, place.id), sharing.groups().collect::<Vec<_>>());
    for person in people {
        let permit = person.permit(open, Action::GetMetadata, place);
        let notes = [true, false].map(|private| open.store.annotations(&permit, private).unwrap());
        all += &format!("{} {notes:?}\n", sharing.rights(person.id, place.account, place.id));
        all += &format!("{:?} {}\n", person.entries(open, place), person.unseen(open, place));
    }
    all
}

/// Each of the rows comes back from a snapshot round and what follows it, without the index that there was.
#[test]
fn an_index_made_again_from_a_snapshot_has_it_all() {
    both(|world| async move {
        let mut open = world.create();
        let (ana, bob, inbox) = support(&open).await;
        let groups = Group { name: String::from("it"), members: vec![bob.id] };
        open.store.set_group(open.permit(Action::GroupChange, None), groups).await.unwrap();
        for turn in 0..2_u32 {
            let it = Subject::Group(String::from("it"));
            set_acl(&open, &inbox, it, RightsChange::Set(rights(["lr", "lrx"][turn as usize]))).await.unwrap();
            ana.flag(&open, &inbox, &[1 + turn], FlagMode::Add, &[SystemFlag::Seen]).await;
            bob.flag(&open, &inbox, &[3], FlagMode::Add, &[SystemFlag::Flagged, SystemFlag::Seen]).await;
            let note = |private| {
                let action = if private { Action::SetPrivate } else { Action::SetMetadata };
                let change = vec![(String::from("/comment"), Some(format!("{private} {turn}").into_bytes()))];
                open.store.set_annotations(vec![(ana.permit(&open, action, &inbox), private, change)])
            };
            note(true).await.unwrap();
            open.store.snapshot(open.permit(Action::Verify, None)).await.unwrap();
            // After the round.
            note(false).await.unwrap();
            bob.flag(&open, &inbox, &[1], FlagMode::Add, &[SystemFlag::Seen]).await;
            let before = told(&open, &[&ana, &bob], &inbox);
            open.store.close();
            drop(open);
            let index = world.dir.join("index");
            if index.exists() {
                std::fs::remove_dir_all(index).unwrap();
            }
            open = world.open();
            assert_eq!(told(&open, &[&ana, &bob], &inbox), before, "turn {turn}");
            open.check();
        }
    });
}
