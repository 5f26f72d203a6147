//! Dead letters: jobs that gave up, to be looked at, given another life, or deleted.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use redis::{Script, aio::ConnectionLike};
use uuid::Uuid;

use crate::{
    Client, Entry, Error, Filter, Options, Stored, id,
    keys::{Lane, QueueKeys},
    names, scripts,
    stored::Unpacked,
};

static DELETE: LazyLock<Script> = LazyLock::new(|| scripts::with_jobs(include_str!("lua/delete_dead.lua")));
static REVIVE: LazyLock<Script> = LazyLock::new(|| scripts::with_jobs(include_str!("lua/revive.lua")));

/// Jobs in a page, and in a call of the script.
const PAGE: usize = 500;

/// A job that gave up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeadJob {
    /// Its id.
    pub id: Uuid,
    /// When it died.
    pub died_at: DateTime<Utc>,
    /// The last error.
    pub error: String,
    /// The lane it came from.
    pub lane: Lane,
    /// The job; none where the entry that was found in the lane is no job.
    pub job: Option<Entry>,
    /// The fields as they are, name after value: what there is of an entry that is no job.
    pub fields: Vec<Vec<u8>>,
}

/// The dead letters of a queue; see [`Client::dead_letters`].
#[derive(Clone, Copy, Debug)]
pub struct DeadLetters<'a> {
    client: &'a Client,
    queue: &'a str,
}

impl Client {
    /// The jobs of `queue` that gave up: the newest 10,000, for 90 days.
    pub fn dead_letters<'a>(&'a self, queue: &'a str) -> DeadLetters<'a> {
        DeadLetters { client: self, queue }
    }
}

impl DeadLetters<'_> {
    /// The dead jobs that `filter` means, the newest first, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Unreachable`], [`Error::Redis`].
    pub async fn list(&self, filter: &Filter, limit: usize) -> Result<Vec<DeadJob>, Error> {
        let keys = self.keys()?;
        let mut conn = self.client.connection().await?;
        let mut found = Vec::new();
        let mut start = 0;
        while found.len() < limit {
            let mut range = redis::cmd("ZRANGE");
            range.arg(keys.dead()).arg(start).arg(start + PAGE - 1).arg("REV").arg("WITHSCORES");
            let page: Vec<(String, f64)> = range.query_async(&mut conn).await?;
            if page.is_empty() {
                break;
            }
            start += page.len();
            let jobs = read_jobs(&keys, &mut conn, page).await?;
            found.extend(jobs.into_iter().filter(|dead| dead.is_meant_by(filter)));
        }
        found.truncate(limit);
        Ok(found)
    }

    /// A dead job by its id; none where it isn't among the dead.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Unreachable`], [`Error::Redis`].
    pub async fn get(&self, id: Uuid) -> Result<Option<DeadJob>, Error> {
        let keys = self.keys()?;
        let mut conn = self.client.connection().await?;
        let died: Option<f64> =
            redis::cmd("ZSCORE").arg(keys.dead()).arg(id.to_string()).query_async(&mut conn).await?;
        let Some(died) = died else { return Ok(None) };
        Ok(read_jobs(&keys, &mut conn, vec![(id.to_string(), died)]).await?.pop())
    }

    /// Gives a dead job another life: a new job with all attempts before it, without the old one's expiry, linked to it by
    /// [`Options::of`]. Returns its id; none where the job isn't among the dead, was no job, or its unique key is held by
    /// another one by now.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Unreachable`], [`Error::Redis`].
    pub async fn retry(&self, id: Uuid) -> Result<Option<Uuid>, Error> {
        let Some((new, packed)) = self.get(id).await?.and_then(|dead| dead.revived()) else { return Ok(None) };
        let revived = self.revive(&[(id, packed)]).await?;
        Ok((revived == 1).then_some(new))
    }

    /// Gives another life to all dead jobs that `filter` means; returns how many there were.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Unreachable`], [`Error::Redis`].
    pub async fn retry_all(&self, filter: &Filter) -> Result<u64, Error> {
        let mut revived = 0;
        let dead = self.list(filter, usize::MAX).await?;
        for some in dead.chunks(PAGE) {
            let jobs = some.iter().filter_map(|dead| dead.revived().map(|(_, packed)| (dead.id, packed)));
            revived += self.revive(&jobs.collect::<Vec<_>>()).await?;
        }
        Ok(revived)
    }

    /// Deletes a dead job; whether it was there.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Unreachable`], [`Error::Redis`].
    pub async fn delete(&self, id: Uuid) -> Result<bool, Error> {
        Ok(self.delete_some(&[id]).await? == 1)
    }

    /// Deletes all dead jobs that `filter` means; returns how many there were.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Unreachable`], [`Error::Redis`].
    pub async fn delete_all(&self, filter: &Filter) -> Result<u64, Error> {
        let mut deleted = 0;
        let dead = self.list(filter, usize::MAX).await?;
        for some in dead.chunks(PAGE) {
            deleted += self.delete_some(&some.iter().map(|dead| dead.id).collect::<Vec<_>>()).await?;
        }
        Ok(deleted)
    }

    fn keys(&self) -> Result<QueueKeys, Error> {
        names::check("queue", self.queue)?;
        Ok(self.client.keys(self.queue))
    }

    async fn revive(&self, jobs: &[(Uuid, Vec<u8>)]) -> Result<u64, Error> {
        if jobs.is_empty() {
            return Ok(0);
        }
        let keys = self.keys()?;
        let mut call = REVIVE.key(keys.dead());
        call.key(keys.dead_jobs());
        for lane in Lane::ALL {
            call.key(keys.ready(lane));
        }
        call.arg(keys.prefix());
        for (id, packed) in jobs {
            call.arg(id.to_string()).arg(packed);
        }
        Ok(call.invoke_async(&mut self.client.connection().await?).await?)
    }

    async fn delete_some(&self, ids: &[Uuid]) -> Result<u64, Error> {
        let keys = self.keys()?;
        let mut call = DELETE.key(keys.dead());
        call.key(keys.dead_jobs()).arg(keys.prefix());
        for id in ids {
            call.arg(id.to_string());
        }
        Ok(call.invoke_async(&mut self.client.connection().await?).await?)
    }
}

impl DeadJob {
    fn read(id: &str, died_ms: f64, packed: &[u8]) -> Option<Self> {
        let unpacked = Unpacked::read(packed).ok()?;
        Some(Self {
            id: Uuid::try_parse(id).ok()?,
            died_at: DateTime::from_timestamp_millis(died_ms as i64).unwrap_or_default(),
            error: unpacked.error.unwrap_or_default(),
            lane: unpacked.lane,
            job: unpacked.entry.ok(),
            fields: unpacked.fields,
        })
    }

    fn is_meant_by(&self, filter: &Filter) -> bool {
        self.job.as_ref().map_or_else(|| filter.is_all(), |job| filter.matches(job))
    }

    /// The job's next life, packed, with its id.
    fn revived(&self) -> Option<(Uuid, Vec<u8>)> {
        let dead = self.job.as_ref()?;
        let at_any_time = Options { expires_ms: None, deadline_ms: None, ..Options::parse(dead.options.as_deref()) };
        let options = Options { of: Some(self.id), ..at_any_time };
        let job = Entry {
            id: id::fresh(),
            attempt: 1,
            run: 1,
            crash: 0,
            at_ms: Utc::now().timestamp_millis(),
            options: options.to_field(),
            ..dead.clone()
        };
        let lane = if self.lane == Lane::Suspect { Lane::Normal } else { self.lane };
        Some((job.id, Stored { lane, entry: &job, error: None }.pack()))
    }
}

async fn read_jobs(
    keys: &QueueKeys,
    conn: &mut impl ConnectionLike,
    dead: Vec<(String, f64)>,
) -> Result<Vec<DeadJob>, Error> {
    let ids: Vec<&String> = dead.iter().map(|(id, _)| id).collect();
    let packed: Vec<Option<Vec<u8>>> = redis::cmd("HMGET").arg(keys.dead_jobs()).arg(ids).query_async(conn).await?;
    let jobs = dead.iter().zip(packed);
    Ok(jobs.filter_map(|((id, died_ms), packed)| DeadJob::read(id, *died_ms, &packed?)).collect())
}
