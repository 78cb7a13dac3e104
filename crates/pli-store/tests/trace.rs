//! The trace of mail, news of the queue and frozen domains: written with what they tell of, found again, removed in time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

mod world;

use pli_store::{QueueChange, QueueOutcome, TraceEvent, TraceQuery, TraceRecipient};
use pli_types::{Action, QueueId};
use world::*;

fn query(text: &str) -> TraceQuery {
    TraceQuery { text: Some(text.to_owned()), limit: 100, ..TraceQuery::default() }
}

#[test]
fn a_message_is_found_by_id_address_and_queue_number_and_survives_a_restart() {
    both(|world| async move {
        let ids: Vec<QueueId>;
        {
            let open = world.create();
            ids = open
                .deliver_all(&[], &["a@remote.test", "b@remote.test"], &message("x", 500))
                .await
                .unwrap()
                .value
                .queued;
            // Deliveries without an event of their own leave none; what becomes of their rows is told all the same.
            let event = TraceEvent {
                what: String::from("refused"),
                message_id: String::from("Some.Id@Elsewhere.test"),
                from: String::from("Eve@elsewhere.test"),
                to: vec![TraceRecipient { address: String::from("a@remote.test"), ..TraceRecipient::default() }],
                reply: String::from("550 5.7.1 no"),
                ..TraceEvent::default()
            };
            open.store.trace(event);
            let change = QueueChange::Deferred { error: String::from("mx: 450 later"), next_attempt: START.plus_ms(9) };
            open.store.queue_change(open.permit(Action::QueueAttempt, None), ids[0], change).await.unwrap();
            let outcome = QueueOutcome::Delivered(String::from("250 2.0.0 taken"));
            open.store.queue_end(open.permit(Action::QueueAttempt, None), ids[1], outcome).await.unwrap();
            open.check();
        }
        let open = world.open();
        let read = open.permit(Action::TraceRead, None);
        for text in ["some.id@elsewhere.test", "EVE@elsewhere.test"] {
            let found = open.store.trace_find(&read, &query(text)).unwrap();
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(found[0].reply, "550 5.7.1 no");
        }
        // Not a part of an address.
        assert!(open.store.trace_find(&read, &query("ve@elsewhere.test")).unwrap().is_empty());
        let mut by_address = open.store.trace_find(&read, &query("a@remote.test")).unwrap();
        by_address.sort_by(|a, b| a.what.cmp(&b.what));
        assert_eq!(by_address.iter().map(|e| e.what.as_str()).collect::<Vec<_>>(), ["attempt", "refused"]);
        assert_eq!(by_address[0].reply, "mx: 450 later");
        let by_queue = TraceQuery { queue: Some(ids[1]), limit: 10, ..TraceQuery::default() };
        let found = open.store.trace_find(&read, &by_queue).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].rule.as_str(), found[0].attempt), ("delivered", 1));
        // Only with the permit for it.
        assert!(open.store.trace_find(&open.permit(Action::QueueRead, None), &query("x")).is_err());
        // By age and by number.
        let sweep = |before, keep| open.store.trace_sweep(open.permit(Action::TraceSweep, None), before, keep);
        assert_eq!(sweep(START, 2).await.unwrap(), 1);
        assert_eq!(sweep(START.plus_ms(1_000_000), 100).await.unwrap(), 2);
        assert!(open.store.trace_find(&read, &query("a@remote.test")).unwrap().is_empty());
        open.check();
    });
}

#[test]
fn the_event_of_a_delivery_says_where_each_copy_went() {
    both(|world| async move {
        let open = world.create();
        let delivered = open.deliver_all(&[], &["a@remote.test"], &message("x", 500)).await.unwrap().value.queued;
        let outcome = QueueOutcome::Stays(QueueChange::Delayed { error: String::from("late"), next_attempt: START });
        let trace = TraceEvent {
            what: String::from("accepted"),
            message_id: String::from("m@x.test"),
            to: vec![TraceRecipient { address: String::from("c@remote.test"), ..TraceRecipient::default() }],
            ..TraceEvent::default()
        };
        let delivery = pli_store::Delivery {
            prepared: open.store.prepare(message("y", 100)).unwrap(),
            reverse_path: None,
            local: Vec::new(),
            remote: vec![pli_store::RemoteRecipient {
                permit: open.permit(Action::Relay, None),
                forward_path: address("c@remote.test"),
                parameters: Vec::new(),
            }],
            smtputf8: false,
            eight_bit: false,
            ends: vec![(open.permit(Action::QueueAttempt, None), delivered[0], outcome)],
        };
        let permit = open.permit(Action::Deliver, None);
        let new = open.store.deliver_traced(permit, delivery, Some(trace)).await.unwrap().value.queued[0];
        // The row that is late stays, and knows that its sender was told.
        let read = open.permit(Action::QueueRead, None);
        let row = open.store.queue_row(&read, delivered[0]).unwrap().unwrap();
        assert!(row.told_delay && row.attempts == 1 && row.last_attempt.is_some());
        let found = open.store.trace_find(&open.permit(Action::TraceRead, None), &query("M@x.test")).unwrap();
        assert_eq!(found[0].to[0].queue, Some(new));
        open.check();
    });
}

#[test]
fn news_name_what_changed_and_frozen_domains_are_kept() {
    both(|world| async move {
        {
            let open = world.create();
            assert!(open.store.queue_news().all, "at first everything is to be read");
            let ids = open.deliver_all(&[], &["a@remote.test"], &message("x", 500)).await.unwrap().value.queued;
            let news = open.store.queue_news();
            assert!(!news.all);
            assert_eq!(news.ids, ids);
            open.store.queue_end(open.permit(Action::QueueChange, None), ids[0], QueueOutcome::Dropped).await.unwrap();
            assert_eq!(open.store.queue_news().ids, ids);
            let freeze = |reason: Option<&str>| {
                let permit = open.permit(Action::QueueChange, None);
                open.store.queue_freeze(permit, String::from("slow.test"), reason.map(str::to_owned))
            };
            assert!(freeze(None).await.is_err(), "it is not frozen");
            freeze(Some("asked to wait")).await.unwrap();
            assert!(open.store.queue_news().all);
            open.check();
        }
        let open = world.open();
        let read = open.permit(Action::QueueRead, None);
        let frozen = open.store.queue_frozen(&read).unwrap();
        assert_eq!((frozen[0].domain.as_str(), frozen[0].reason.as_str()), ("slow.test", "asked to wait"));
        let permit = open.permit(Action::QueueChange, None);
        open.store.queue_freeze(permit, String::from("slow.test"), None).await.unwrap();
        assert!(open.store.queue_frozen(&read).unwrap().is_empty());
        open.check();
    });
}
