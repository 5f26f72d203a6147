use consent_manager::{Action, ConsentError, Head, Record, Statement, Verdict};
use futures::future::join_all;
use millstream_store::{Data, Id, List};

use crate::stage::{draft, no, on_both, yes};

on_both! {
    async fn the_present_state_is_the_last_record(stage: Stage) {
        let ledger = &stage.ledger;
        let granted = ledger.grant(yes("ann")).await.unwrap();
        assert_eq!((granted.seq, granted.action, granted.version), (1, Action::Granted, 1));
        ledger.grant(yes("bob")).await.unwrap();
        let withdrawn = ledger.withdraw(no("ann")).await.unwrap();
        assert_eq!((withdrawn.version, withdrawn.previous.len()), (1, 64));

        let ann = ledger.consent("ann", "news").await.unwrap();
        assert_eq!((ann.seq, ann.id, ann.action), (3, withdrawn.id, Action::Withdrawn));
        assert_eq!(ledger.consent("bob", "news").await.unwrap().action, Action::Granted);
        let unknown = ledger.consent("eve", "news").await.expect_err("never heard of");
        assert!(matches!(unknown, ConsentError::NotFound(_)), "{unknown}");
        assert_eq!(ledger.record(granted.id).await.unwrap(), granted);
    }

    async fn only_the_words_in_force_can_be_agreed_to(stage: Stage) {
        let ledger = &stage.ledger;
        ledger.grant(yes("ann")).await.unwrap();
        let second = ledger.publish_text("news", 2, draft("We write daily.")).await.unwrap();
        assert_eq!(ledger.publish_text("news", 2, draft("We write daily.")).await.unwrap(), second, "the same again");
        for (version, words) in [(2, "We write hourly."), (4, "We write monthly."), (0, "Never."), (-1, "Never.")] {
            let refused = ledger.publish_text("news", version, draft(words)).await.expect_err("not the next");
            assert!(matches!(refused, ConsentError::NotNext { next: 3, .. }), "{refused}");
        }

        let refused = ledger.grant(yes("bob")).await.expect_err("old words");
        assert!(matches!(refused, ConsentError::Superseded { version: 1, newest: 2, .. }), "{refused}");
        for version in [3, 0, -7, i64::MAX] {
            let refused = ledger.grant(Statement { version: Some(version), ..yes("bob") }).await.expect_err("no such text");
            assert!(matches!(refused, ConsentError::UnknownText { .. }), "{refused}");
        }
        // What was granted stays granted, and is withdrawn as it was granted.
        assert_eq!(ledger.withdraw(no("ann")).await.unwrap().version, 1);
    }

    async fn nothing_is_withdrawn_that_is_not_granted(stage: Stage) {
        let ledger = &stage.ledger;
        for _ in 0..2 {
            let refused = ledger.withdraw(no("ann")).await.expect_err("nothing granted");
            assert!(matches!(refused, ConsentError::NotGranted { .. }), "{refused}");
            if ledger.consent("ann", "news").await.is_err() {
                ledger.grant(yes("ann")).await.unwrap();
                ledger.withdraw(no("ann")).await.unwrap();
            }
        }
    }

    async fn a_statement_with_an_id_counts_once(stage: Stage) {
        let ledger = &stage.ledger;
        let statement = Statement { id: Some(Id::new()), ..yes("ann") };
        let tries = join_all((0..4).map(|_| ledger.grant(statement.clone()))).await;
        let first = tries[0].as_ref().unwrap();
        assert!(tries.iter().all(|again| again.as_ref().unwrap() == first));
        let refused = ledger.grant(Statement { source: "elsewhere".into(), ..statement.clone() }).await.expect_err("other");
        assert!(matches!(refused, ConsentError::IdTaken(_)), "{refused}");
        let refused = ledger.withdraw(Statement { version: None, ..statement }).await.expect_err("other");
        assert!(matches!(refused, ConsentError::IdTaken(_)), "{refused}");
        assert_eq!(ledger.store().count::<Record>(List::new()).await.unwrap(), 1);
    }

    async fn concurrent_appends_keep_the_chain_whole(stage: Stage) {
        let appends = (0..16).map(|number| {
            let ledger = stage.ledger.clone();
            tokio::spawn(async move {
                let subject = format!("subject-{number}");
                for _ in 0..3 {
                    ledger.grant(yes(&subject)).await.unwrap();
                    ledger.withdraw(no(&subject)).await.unwrap();
                }
                // Everyone wants this one; each gets a record of its own.
                ledger.grant(yes("shared")).await.unwrap();
            })
        });
        for appended in join_all(appends).await {
            appended.unwrap();
        }
        let verdict = stage.ledger.verify(None).await.unwrap();
        assert!(matches!(&verdict, Verdict::Whole(Head { length: 112, .. })), "{verdict:?}");
    }
}
