//! Whether anybody changed the chain.

use std::{collections::HashMap, pin::pin};

use futures::TryStreamExt;
use millstream_store::{Data, Isolation, List, Op};
use serde::Serialize;

use crate::{ConsentError, Head, Ledger, Record, chain, text};

/// What a look at the whole chain found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Every record is as it was appended.
    Whole(Head),
    /// Something was changed.
    Broken {
        /// The place of the first record that isn't right.
        seq: i64,
        /// What isn't.
        reason: String,
    },
}

impl Ledger {
    /// Reads the whole chain, a thousand records at a time, and recomputes every hash. Records that are appended meanwhile
    /// are left to the next look.
    ///
    /// Someone who can rewrite every record and the chain's end leaves a chain that is whole, but another one: `known`, a
    /// head that was kept elsewhere, shows it.
    ///
    /// # Errors
    /// [`ConsentError::Store`].
    pub async fn verify(&self, known: Option<Head>) -> Result<Verdict, ConsentError> {
        let store = self.store();
        let look = store.transaction_at(Isolation::RepeatableRead, async move |tx| {
            let last = tx.list::<Record>(List::new().sort("-seq").limit(1)).await?.rows.pop();
            Ok::<_, ConsentError>((chain::read(&tx).await?, last.map_or(0, |last| last.seq)))
        });
        let (head, last) = look.await?;

        let mut before = Head { length: 0, hash: "0".repeat(64) };
        let mut texts = HashMap::new();
        let list = List::new().filter("seq", Op::Le, head.length).limit(1000);
        let mut records = pin!(store.stream::<Record>(list));
        while let Some(record) = records.try_next().await? {
            let seq = before.length + 1;
            let text = (record.purpose.clone(), record.version);
            if !texts.contains_key(&text) {
                let found = text::find(store, &text.0, text.1).await?;
                texts.insert(text.clone(), found.map(|text| text.digest()));
            }
            let reason = if record.seq != seq {
                "is missing"
            } else if record.previous != before.hash {
                "doesn't continue the record before: one of the two was replaced"
            } else if record.digest() != record.hash {
                "has been changed: its hash is that of other content"
            } else if texts[&text].as_ref() != Some(&record.text_sha256) {
                "was about other words than its text has now"
            } else if known.as_ref().is_some_and(|known| known.length == seq && known.hash != record.hash) {
                "isn't the one that the known head was taken from: it or one before it was replaced"
            } else {
                before = Head { length: seq, hash: record.hash };
                continue;
            };
            return Ok(broken(seq, reason));
        }

        let expected = known.map_or(0, |known| known.length).max(head.length);
        Ok(if before.length < expected {
            broken(before.length + 1, "is missing")
        } else if before.hash != head.hash {
            broken(head.length, "isn't the one that the chain's end names")
        } else if last > head.length {
            broken(head.length + 1, "was written past the chain's end")
        } else {
            Verdict::Whole(head)
        })
    }
}

fn broken(seq: i64, what: &str) -> Verdict {
    Verdict::Broken { seq, reason: format!("record {seq} {what}") }
}
