//! Makes rows of packs, while the writer is busy with others.

use millstream_queue::{Client, Outcome};
use tokio::{sync::mpsc, task::spawn_blocking};

use super::{
    reader::Batch,
    rejected::Rejected,
    rows::{self, Row},
    searchable::Declared,
    trouble::Trouble,
};
use crate::conn::joined;

/// A batch and what is to be written of it.
pub(super) struct Decoded {
    pub(super) batch: Batch,
    /// The rows of all packs, their heads chosen.
    pub(super) rows: Vec<Row>,
    /// The packs that can't be read.
    pub(super) unreadable: Vec<Rejected>,
}

/// Decodes until the reader ends the line, or the writer is gone. May be aborted anywhere, as the writer may.
pub(super) async fn decode(
    client: Client,
    declared: Declared,
    mut line: mpsc::Receiver<Batch>,
    decoded: mpsc::Sender<Decoded>,
) {
    let mut redis = Trouble::new("reading which fields are searchable");
    while let Some(batch) = line.recv().await {
        let mut batch = joined(spawn_blocking(|| Decoded::new(batch))).await;
        // Sets the same fields however often it is tried.
        while let Err(error) = declared.fill(&client, &mut batch.rows).await {
            tokio::time::sleep(redis.failed(&error)).await;
        }
        redis.worked();
        if decoded.send(batch).await.is_err() {
            return;
        }
    }
}

impl Decoded {
    fn new(batch: Batch) -> Self {
        let (mut rows, mut unreadable) = (Vec::new(), Vec::new());
        for pack in &batch.packs {
            // An entry that is gone was recorded by someone else.
            let Some(bytes) = &pack.bytes else { continue };
            match Outcome::decode_pack(bytes) {
                Ok(outcomes) => {
                    rows.extend(outcomes.into_iter().map(|outcome| Row::new(&pack.queue, &pack.entry, outcome)));
                }
                Err(error) => unreadable.push(Rejected::pack(pack, error.to_string())),
            }
        }
        rows::choose_heads(&mut rows);
        Self { batch, rows, unreadable }
    }
}
