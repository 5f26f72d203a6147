use consent_manager::{Head, Record, Verdict};
use millstream_store::{Data, List};

use crate::stage::{Stage, no, on_both, yes};

/// Five records of two subjects.
async fn five(stage: &Stage) -> Head {
    for (subject, agrees) in [("ann", true), ("bob", true), ("ann", false), ("ann", true), ("bob", false)] {
        let appended =
            if agrees { stage.ledger.grant(yes(subject)).await } else { stage.ledger.withdraw(no(subject)).await };
        appended.unwrap();
    }
    match stage.ledger.verify(None).await.unwrap() {
        Verdict::Whole(head) => head,
        broken => panic!("{broken:?}"),
    }
}

async fn first_broken(stage: &Stage, known: Option<Head>) -> (i64, String) {
    match stage.ledger.verify(known).await.unwrap() {
        Verdict::Broken { seq, reason } => (seq, reason),
        whole => panic!("{whole:?}"),
    }
}

/// Hashes the chain anew from record `seq` on, as a forger would who has this program.
async fn rehash(stage: &Stage, seq: i64) {
    let mut records = stage.ledger.store().list::<Record>(List::new()).await.unwrap().rows;
    // The hashes are unique: out of the way first.
    stage.sql("UPDATE records SET hash = hash || 'x', previous = previous || 'x'").await.unwrap();
    let mut previous = "0".repeat(64);
    for record in &mut records {
        if record.seq >= seq {
            record.previous = previous;
            record.hash = record.digest();
        }
        let Record { seq, previous: before, hash, .. } = &record;
        stage
            .sql(&format!("UPDATE records SET previous = '{before}', hash = '{hash}' WHERE seq = {seq}"))
            .await
            .unwrap();
        previous = record.hash.clone();
    }
    stage.sql(&format!("UPDATE chain SET hash = '{previous}'")).await.unwrap();
}

on_both! {
    async fn the_database_itself_refuses_to_change_what_is_recorded(stage: Stage) {
        let head = five(&stage).await;
        let mut tries = vec![
            "UPDATE records SET subject = 'eve' WHERE seq = 2",
            "UPDATE records SET at = at",
            "DELETE FROM records WHERE seq = 5",
            "DELETE FROM records",
            "UPDATE texts SET body = 'We sell your address.'",
            "DELETE FROM texts",
            "INSERT INTO records SELECT * FROM records WHERE seq = 2
                 ON CONFLICT (seq) DO UPDATE SET subject = 'eve'",
        ];
        if stage.is_postgres() {
            tries.extend(["TRUNCATE records CASCADE", "TRUNCATE texts CASCADE"]);
        } else {
            tries.pop(); // SQLite's parser wants a WHERE that is true before its upsert
            tries.extend([
                "INSERT INTO records SELECT * FROM records WHERE seq = 2 ON CONFLICT (seq) DO UPDATE SET subject = 'eve'",
                "REPLACE INTO records SELECT seq, id, 'eve', purpose, version, text_sha256, action, method, actor, source, at,
                     previous, hash FROM records WHERE seq = 2",
                "REPLACE INTO texts SELECT id, purpose, version, title, 'We sell your address.', sha256, created_at FROM texts",
                "UPDATE OR REPLACE records SET seq = 1 WHERE seq = 2",
            ]);
        }
        for statement in tries {
            let refused = stage.sql(statement).await.expect_err(statement).to_string();
            assert!(refused.contains("append-only"), "{statement}: {refused}");
        }
        assert_eq!(stage.ledger.verify(None).await.unwrap(), Verdict::Whole(head));
    }

    async fn a_changed_record_is_named(stage: Stage) {
        five(&stage).await;
        for (column, value) in [
            ("subject", "'eve'"),
            ("actor", "'eve'"),
            ("method", "'phone'"),
            ("source", "'elsewhere'"),
            ("action", "'withdrawn'"),
            ("at", "'2020-01-01T00:00:00.000000Z'"),
            ("id", if stage.is_postgres() { "'0198c0de-0000-7000-8000-000000000000'" } else { "x'0198c0de000070008000000000000000'" }),
        ] {
            stage.tamper("CREATE TABLE kept AS SELECT * FROM records WHERE seq = 2").await;
            stage.sql(&format!("UPDATE records SET {column} = {value} WHERE seq = 2")).await.unwrap();
            let (seq, reason) = first_broken(&stage, None).await;
            assert_eq!(seq, 2, "{column}: {reason}");
            let back = format!("UPDATE records SET {column} = (SELECT {column} FROM kept) WHERE seq = 2; DROP TABLE kept");
            stage.sql(&back).await.unwrap();
        }
        assert!(matches!(stage.ledger.verify(None).await.unwrap(), Verdict::Whole(_)));
    }

    async fn a_missing_record_is_named_wherever_it_was(stage: Stage) {
        let head = five(&stage).await;
        stage.tamper("DELETE FROM records WHERE seq = 5").await;
        assert_eq!(first_broken(&stage, None).await.0, 5, "the end names one more");
        stage.sql("DELETE FROM records WHERE seq = 2").await.unwrap();
        assert_eq!(first_broken(&stage, None).await.0, 2);
        // Nor does it help to set back the chain's end, where a head was kept elsewhere.
        stage.sql("DELETE FROM records; UPDATE chain SET length = 0").await.unwrap();
        let zeros = "0".repeat(64);
        stage.sql(&format!("UPDATE chain SET hash = '{zeros}'")).await.unwrap();
        assert_eq!(stage.ledger.verify(None).await.unwrap(), Verdict::Whole(Head { length: 0, hash: zeros }));
        assert_eq!(first_broken(&stage, Some(head)).await.0, 1);
    }

    async fn a_record_past_the_end_is_named(stage: Stage) {
        five(&stage).await;
        let id = if stage.is_postgres() { "gen_random_uuid()" } else { "randomblob(16)" };
        let forged = format!(
            "INSERT INTO records SELECT 6, {id}, 'eve', purpose, version, text_sha256, 'granted', method, actor, source, at,
                 hash, 'forged' FROM records WHERE seq = 5"
        );
        stage.sql(&forged).await.unwrap();
        assert_eq!(first_broken(&stage, None).await.0, 6);
    }

    async fn changed_words_are_named_by_the_first_record_about_them(stage: Stage) {
        five(&stage).await;
        stage.tamper("UPDATE texts SET body = 'We sell your address.'").await;
        let (seq, reason) = first_broken(&stage, None).await;
        assert!(seq == 1 && reason.contains("other words"), "{seq}: {reason}");
    }

    async fn a_chain_that_was_forged_whole_does_not_continue_a_head_that_was_kept(stage: Stage) {
        let kept = five(&stage).await;
        stage.ledger.grant(yes("bob")).await.unwrap();
        assert!(matches!(stage.ledger.verify(Some(kept.clone())).await.unwrap(), Verdict::Whole(Head { length: 6, .. })));

        stage.tamper("UPDATE records SET actor = 'eve' WHERE seq = 2").await;
        rehash(&stage, 2).await;
        assert!(matches!(stage.ledger.verify(None).await.unwrap(), Verdict::Whole(_)), "it looks whole");
        let (seq, reason) = first_broken(&stage, Some(kept)).await;
        assert!(seq == 5 && reason.contains("known head"), "{seq}: {reason}");
    }
}
