//! The jobs of a lane, read in pages.

use millstream_queue::{Client, Entry, Lane};
use redis::Value;

use crate::Error;

/// Entries of one answer: a payload may be large.
const PAGE: usize = 50;

/// The jobs in the lane since a time in Unix milliseconds, those in hand too, each with the stream id of its entry.
pub(super) struct Jobs {
    pub(super) found: Vec<(String, Entry)>,
    /// Whether these are all.
    pub(super) are_all: bool,
}

pub(super) async fn since(client: &Client, queue: &str, lane: Lane, ms: i64, most: usize) -> Result<Jobs, Error> {
    let key = client.keys(queue).ready(lane);
    let mut jobs = Jobs { found: Vec::new(), are_all: false };
    let (mut start, mut read) = (ms.max(0).to_string(), 0);
    while read < most {
        let page = range(client, &key, &start, "+", PAGE).await?;
        jobs.are_all = page.len() < PAGE;
        read += page.len();
        if let Some((last, _)) = page.last() {
            start = format!("({last}");
        }
        for (id, fields) in page {
            // What is no job is for the workers to set aside.
            if let Ok(entry) = Entry::decode(&key, &id, fields) {
                jobs.found.push((id, entry));
            }
        }
        if jobs.are_all {
            break;
        }
    }
    Ok(jobs)
}

/// The id of a stream's first entry; none where it has none.
pub(super) async fn first(client: &Client, key: &str) -> Result<Option<(u64, u64)>, Error> {
    let first = range(client, key, "-", "+", 1).await?.pop();
    Ok(first.and_then(|(id, _)| {
        let (time, sequence) = id.split_once('-')?;
        Some((time.parse().ok()?, sequence.parse().ok()?))
    }))
}

/// Whether the entry is still there.
pub(super) async fn has(client: &Client, queue: &str, lane: Lane, id: &str) -> Result<bool, Error> {
    Ok(!range(client, &client.keys(queue).ready(lane), id, id, 1).await?.is_empty())
}

type Entries = Vec<(String, Vec<Value>)>;

async fn range(client: &Client, key: &str, start: &str, end: &str, count: usize) -> Result<Entries, Error> {
    let mut conn = client.connection().await?;
    let mut range = redis::cmd("XRANGE");
    range.arg(key).arg(start).arg(end).arg("COUNT").arg(count);
    let entries: Result<Entries, redis::RedisError> = range.query_async(&mut conn).await;
    Ok(entries.map_err(millstream_queue::Error::from)?)
}
