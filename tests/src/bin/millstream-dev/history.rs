//! What SQL knows of an album's jobs.

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use millstream_store::Store;
use serde::Deserialize;

/// Rows per page.
const PAGE: u16 = 1000;

/// A job that has ended.
pub(crate) struct Row {
    /// The photo it was about; none for the contact sheet.
    pub(crate) photo: Option<String>,
    pub(crate) enqueued_at: DateTime<Utc>,
    pub(crate) finished_at: DateTime<Utc>,
}

/// The part of a payload that says what a job is about.
#[derive(Deserialize)]
struct About {
    album: String,
    photo: Option<String>,
}

/// The ended jobs of an album, which began after `since`. Other runs may write to the same database.
pub(crate) async fn of_album(store: &Store, since: DateTime<Utc>, album: &str) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut cursor = None;
    loop {
        let mut query = store.history().since(since).limit(PAGE);
        if let Some(cursor) = &cursor {
            query = query.after(cursor);
        }
        let page = query.await.context("cannot read the history")?;
        for record in page.rows.iter().filter(|record| record.state.is_terminal()) {
            // Jobs of other applications have other payloads.
            let about = record.payload_bytes().and_then(|payload| serde_json::from_slice::<About>(payload).ok());
            let Some(about) = about.filter(|about| about.album == album) else { continue };
            let (enqueued_at, finished_at) = (record.enqueued_at, record.finished_at);
            rows.push(Row { photo: about.photo, enqueued_at, finished_at });
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(rows);
        }
    }
}
