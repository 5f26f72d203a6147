use std::{collections::BTreeSet, time::Duration};

use consent_manager::{ConsentWithdrawn, Ledger, Suppression, suppress};
use futures::{FutureExt, future::join_all};
use millstream_queue::{Client, Consumer, Envelope};
use millstream_store::{Data, List, Relay, Store};

use crate::stage::{no, on_both, until, yes};

async fn next(events: &mut Consumer<ConsentWithdrawn>) -> Envelope<ConsentWithdrawn> {
    let next = tokio::time::timeout(Duration::from_secs(30), events.next());
    let delivery = next.await.expect("an event").unwrap();
    let envelope = delivery.envelope.clone();
    delivery.ack().await.unwrap();
    envelope
}

/// Relays until nothing waits.
async fn relay(ledger: &Ledger, client: &Client) {
    let store = ledger.store();
    let stop = async { until("the outbox is empty", async || store.outbox().await.unwrap().waiting == 0).await };
    Relay::new(client.clone(), store.clone()).run_until(stop).await.unwrap();
}

async fn suppressed(ledger: &Ledger) -> Vec<(i64, String)> {
    let rows = ledger.store().list::<Suppression>(List::new()).await.unwrap().rows;
    rows.into_iter().map(|row| (row.seq, row.subject)).collect()
}

on_both! {
    async fn an_event_follows_each_withdrawal_that_was_committed(stage: Stage) {
        let (ledger, client) = (&stage.ledger, &stage.client);
        ledger.grant(yes("ann")).await.unwrap();
        let withdrawn = ledger.withdraw(no("ann")).await.unwrap();
        ledger.withdraw(no("ann")).await.expect_err("refused, and no event of it");
        // The process that took it down crashes here; another one starts.
        let restarted = Ledger::open(Store::connect(&stage.database).await.unwrap()).await.unwrap();
        relay(&restarted, client).await;
        relay(&restarted, client).await;

        let mut events = client.consume("test").await.unwrap();
        let event = next(&mut events).await;
        assert_eq!(event.subject.as_deref(), Some("ann"));
        assert_eq!((event.data.seq, event.data.record, event.data.at), (2, withdrawn.id.0, withdrawn.at));
        assert!(events.next().now_or_never().is_none(), "once");
    }

    async fn an_event_survives_a_redis_that_is_away(stage: Stage) {
        let ledger = &stage.ledger;
        let mut redis = millstream_tests::Redis::start().await.unwrap();
        let client = Client::builder(&redis.url()).response_timeout(Duration::from_secs(1)).await.unwrap();
        redis.kill().await;
        let subjects: BTreeSet<String> = (0..50).map(|number| format!("subject-{number}")).collect();
        for subject in &subjects {
            ledger.grant(yes(subject)).await.unwrap();
            ledger.withdraw(no(subject)).await.unwrap();
        }
        assert_eq!(ledger.store().outbox().await.unwrap().waiting, 50);
        let back = async { redis.restart().await.unwrap() };
        tokio::join!(relay(ledger, &client), back);
        let mut events = client.consume("test").await.unwrap();
        let mut told = BTreeSet::new();
        for _ in &subjects {
            told.insert(next(&mut events).await.data.subject);
        }
        assert_eq!(told, subjects);
        assert!(events.next().now_or_never().is_none(), "each once");
    }

    async fn an_event_that_comes_twice_or_late_changes_nothing(stage: Stage) {
        let (ledger, client) = (&stage.ledger, &stage.client);
        ledger.grant(yes("ann")).await.unwrap();
        ledger.withdraw(no("ann")).await.unwrap();
        relay(ledger, client).await;
        let event = next(&mut client.consume("test").await.unwrap()).await.data;
        for _ in 0..2 {
            suppress(ledger, &event).await.unwrap();
            assert_eq!(suppressed(ledger).await, [(2, "ann".to_owned())]);
        }

        ledger.grant(yes("ann")).await.unwrap();
        assert_eq!(suppressed(ledger).await, [], "lifted with the grant");
        suppress(ledger, &event).await.unwrap();
        assert_eq!(suppressed(ledger).await, [], "the event came again");
    }

    async fn grants_and_late_events_at_once_leave_no_one_suppressed_who_agrees(stage: Stage) {
        let ledger = &stage.ledger;
        let rounds = (0..12).map(|number| {
            let ledger = ledger.clone();
            tokio::spawn(async move {
                let subject = format!("subject-{number}");
                ledger.grant(yes(&subject)).await.unwrap();
                let withdrawn = ledger.withdraw(no(&subject)).await.unwrap();
                let event = ConsentWithdrawn {
                    seq: withdrawn.seq,
                    record: withdrawn.id.0,
                    subject: subject.clone(),
                    purpose: withdrawn.purpose,
                    at: withdrawn.at,
                };
                let (granted, acted) = tokio::join!(ledger.grant(yes(&subject)), suppress(&ledger, &event));
                granted.unwrap();
                acted.unwrap();
            })
        });
        for round in join_all(rounds).await {
            round.unwrap();
        }
        assert_eq!(suppressed(ledger).await, []);
    }
}
