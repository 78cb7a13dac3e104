//! Access control and annotations.

use pli_types::Rights;

use super::*;

fn rights(text: &str) -> Rights {
    Rights::parse(text).unwrap()
}

#[test]
fn access_control() {
    let set = |change| CommandBody::SetAcl { mailbox: name("INBOX/Drafts"), identifier: "Chris".into(), change };
    assert_eq!(body("SETACL INBOX/Drafts Chris +cda"), set(AclChange::Add(rights("kxtea"))));
    assert_eq!(body("SETACL INBOX/Drafts Chris -w"), set(AclChange::Remove(rights("w"))));
    assert_eq!(body("setacl inbox/Drafts Chris lrs"), set(AclChange::Set(rights("lrs"))));
    assert_eq!(body("SETACL INBOX/Drafts Chris \"\""), set(AclChange::Set(Rights::NONE)));
    assert_eq!(
        body("DELETEACL a group:it"),
        CommandBody::DeleteAcl { mailbox: name("a"), identifier: "group:it".into() }
    );
    assert_eq!(body("GETACL INBOX"), CommandBody::GetAcl(name("INBOX")));
    assert_eq!(
        body("LISTRIGHTS a anyone"),
        CommandBody::ListRights { mailbox: name("a"), identifier: "anyone".into() }
    );
    assert_eq!(body("MYRIGHTS INBOX"), CommandBody::MyRights(name("INBOX")));
    // RFC 4314 §3.1: its examples.
    bad("SETACL INBOX/Drafts John lrQswicda");
    bad("SETACL INBOX/Drafts John lrqswicda");
    bad("SETACL a \"\" lr");
    bad("SETACL a b");
    bad("MYRIGHTS");
}

#[test]
fn annotations() {
    let get = |mailbox: Option<&str>, entries: &[&str]| Metadata {
        mailbox: mailbox.map(name),
        entries: entries.iter().map(|entry| (*entry).to_owned()).collect(),
        ..Metadata::default()
    };
    let asked = |line: &str| match body(line) {
        CommandBody::GetMetadata(asked) => asked,
        other => panic!("{other:?}"),
    };
    assert_eq!(asked("GETMETADATA \"\" /shared/comment"), get(None, &["/shared/comment"]));
    let both = get(Some("INBOX"), &["/shared/comment", "/private/comment"]);
    assert_eq!(asked("GETMETADATA \"INBOX\" (/shared/Comment /PRIVATE/comment)"), both);
    let sized = Metadata { max_size: Some(1024), depth: Depth::One, ..both };
    assert_eq!(asked("GETMETADATA (MAXSIZE 1024 DEPTH 1) INBOX (/shared/comment /private/comment)"), sized);
    assert_eq!(asked("GETMETADATA INBOX (MAXSIZE 1024 DEPTH 1) (/shared/comment /private/comment)"), sized);
    assert_eq!(
        body("SETMETADATA INBOX (/private/comment {3}\r\na\nb /shared/comment NIL)"),
        CommandBody::SetMetadata {
            mailbox: Some(name("INBOX")),
            entries: vec![("/private/comment".into(), Some(b"a\nb".to_vec())), ("/shared/comment".into(), None),],
        }
    );
    for entry in ["/other/comment", "comment", "/shared//a", "/shared/a/", "/shared/*", "/shared/\u{e9}"] {
        bad(&format!("GETMETADATA INBOX \"{entry}\""));
    }
    bad(&format!("GETMETADATA INBOX /shared{}", "/a".repeat(17)));
    bad(&format!("GETMETADATA INBOX /shared/{}", "a".repeat(256)));
    bad("SETMETADATA INBOX ()");
    bad("GETMETADATA (DEPTH 2) INBOX /shared/comment");
    match body("LIST \"\" % RETURN (MYRIGHTS METADATA (/shared/comment))") {
        CommandBody::List(list) => {
            assert!(list.returns.my_rights && list.returns.metadata == ["/shared/comment"]);
        }
        other => panic!("{other:?}"),
    }
}
