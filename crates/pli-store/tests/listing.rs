//! Many messages at once: the same answers as one by one, in the order asked, whatever is missing or damaged.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use pli_store::*;
use pli_types::{Action, EmailId};
use world::*;

#[test]
fn a_list_says_what_single_reads_say() {
    both(|world| async move {
        let open = world.create();
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        let bob = open.account("bob@example.org", QuotaLimit::default()).await;
        // More than one reader takes alone; others' bodies lie between.
        for n in 0..150 {
            open.deliver(&[ana], &message(&format!("number {n}"), 300 + n)).await.unwrap();
            if n % 3 == 0 {
                open.deliver(&[bob], &message("other", 300)).await.unwrap();
            }
        }
        // A header block that is kept and a long field: a summary too large for lists.
        let long = format!("To: {}\r\nSubject: long\r\n\r\ntext\r\n", vec!["somebody@example.org"; 900].join(",\r\n "));
        open.deliver(&[ana], &bytes::Bytes::from(long)).await.unwrap();
        let inbox = open.mailbox(ana, "INBOX");
        let keys = open.keys(ana);
        let permit = open.permit(Action::FetchMetadata, Some(ana));
        let reader = open.store.read(&permit).unwrap();
        let mut emails: Vec<EmailId> = open.entries(ana, inbox.id).iter().map(|entry| entry.email).collect();
        assert_eq!(emails.len(), 151);
        // Any order, twice the same, and one that is not there.
        emails.reverse();
        emails.swap(3, 90);
        emails.push(emails[7]);
        emails.insert(40, EmailId::new(77_777));
        for chunk in [1, 2, 50, emails.len()] {
            for asked in emails.chunks(chunk) {
                let listed = reader.list(asked, Some(&keys)).unwrap();
                assert_eq!(listed.len(), asked.len());
                for (email, listed) in asked.iter().zip(listed) {
                    if email.get() == 77_777 {
                        assert!(matches!(listed, Err(StoreError::NoMessage)));
                        continue;
                    }
                    let (listed, row) = (listed.unwrap(), reader.message(*email).unwrap());
                    assert_eq!((listed.size, listed.received), (row.size, row.received));
                    let alone = reader.summary(&keys, *email).unwrap();
                    if alone.envelope().subject() == Some(b"long") {
                        assert!(listed.summary().unwrap().is_none());
                    } else {
                        assert_eq!(listed.summary().unwrap(), Some(alone));
                    }
                }
            }
        }
        let rows = reader.list(&emails, None).unwrap();
        assert!(rows.iter().flatten().all(|listed| listed.summary().unwrap().is_none()));
        assert_eq!(rows.iter().filter(|listed| listed.is_err()).count(), 1);
        // Sizes need no more leave than the row; summaries do.
        let permit = open.permit(Action::Select, Some(ana));
        let reader = open.store.read(&permit).unwrap();
        assert!(reader.list(&emails, None).is_ok());
        assert!(matches!(reader.list(&emails, Some(&keys)), Err(StoreError::WrongPermit)));
        open.check();
    });
}
