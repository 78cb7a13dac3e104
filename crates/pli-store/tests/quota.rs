//! Thresholds of the quota: one event for each crossing, in the commit that crosses it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use pli_store::*;
use pli_types::{Action, SystemFlag, Uid};
use world::*;

/// What was told so far, in order.
fn told(open: &Open) -> Vec<String> {
    let events = open.store.audit_events(&open.permit(Action::AuditRead, None), 0, 1000).unwrap();
    events
        .into_iter()
        .filter(|(_, event)| event.operation == Action::QuotaWarning)
        .map(|(_, event)| serde_json::to_value(&event).unwrap().pointer("/counts").unwrap().to_string())
        .collect()
}

#[test]
fn each_crossing_is_told_once() {
    both(|world| async move {
        let open = world.create();
        let limit = QuotaLimit { bytes: None, messages: Some(10) };
        let ana = open.account("ana@example.org", limit).await;
        let inbox = open.mailbox(ana, "INBOX").id;
        let percent = |percent: u8| format!("{{\"percent-of-messages\":{percent}}}");
        let raw = message("x", 200);
        let mut uids: Vec<Uid> = Vec::new();
        for number in 1..=10 {
            uids.push(open.deliver(&[ana], &raw).await.unwrap().value.local[0].2);
            let expected: Vec<String> =
                [80, 90, 100].into_iter().filter(|p| number * 10 >= u32::from(*p)).map(percent).collect();
            assert_eq!(told(&open), expected, "after {number} messages");
        }
        assert!(matches!(open.deliver(&[ana], &raw).await, Err(StoreError::OverQuota { .. })));
        assert_eq!(told(&open).len(), 3, "a refusal crosses nothing");
        // Down to 70 % and up again: told again, also after a new start.
        open.flag(ana, inbox, &uids[..3], SystemFlag::Deleted).await;
        open.expunge(ana, inbox).await;
        open.store.close();
        drop(open);
        let open = world.open();
        open.deliver(&[ana], &raw).await.unwrap();
        assert_eq!(told(&open)[3..], [percent(80)]);
        // A smaller limit crosses too.
        let change = AccountChange {
            quota_in_force: Some(QuotaLimit { bytes: None, messages: Some(8) }),
            ..AccountChange::default()
        };
        open.store.change_account(open.permit(Action::SetQuota, Some(ana)), ana, change).await.unwrap();
        assert_eq!(told(&open)[4..], [percent(100)]);
        open.check();
    });
}
