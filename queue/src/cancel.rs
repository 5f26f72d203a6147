//! Calling jobs off: those that wait end at once, those that run are told.

use std::{future::IntoFuture, sync::LazyLock};

use redis::{Script, Value, aio::ConnectionLike};
use uuid::Uuid;

use crate::{
    Client, Entry, Error, Filter,
    client::BoxFuture,
    keys::{Lane, QueueKeys, WORKERS},
    names, scripts,
    stored::Unpacked,
};

static CANCEL: LazyLock<Script> = LazyLock::new(|| scripts::with_jobs(include_str!("lua/cancel.lua")));

/// Entries in a page of a lane or of `later`, and jobs in a call of the script.
const PAGE: usize = 500;
/// A job is looked for among the entries of its lane within so many ms of the time in its id, at most a page of each lane.
const NEAR_MS: u64 = 2_000;

/// What became of requests to cancel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cancelled {
    /// Jobs that waited: they are gone, recorded as cancelled.
    pub ended: u64,
    /// Jobs that were handed out, or were not found where they might wait. They are dropped when a worker meets them; those
    /// that run get a cancellation token at once. One that is over already stays as it ended.
    pub requested: u64,
}

impl Client {
    /// Cancels a job by its id: `.await` does it. A job that waits is gone at once, one that runs is told
    /// (`Context::cancelled` in its handler) and recorded as cancelled; one that completes first stays completed.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Unreachable`], [`Error::Redis`].
    pub fn cancel<'a>(&'a self, queue: &'a str, id: Uuid) -> Cancel<'a> {
        Cancel { client: self, queue, id }
    }

    /// Cancels all jobs of a queue, or those that a filter means: `.await` does it. Jobs that are pushed meanwhile may or may
    /// not be among them. Reads the queue page by page: with a million waiting jobs this takes a while.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Unreachable`], [`Error::Redis`].
    pub fn cancel_all<'a>(&'a self, queue: &'a str) -> CancelAll<'a> {
        CancelAll { client: self, queue, filter: Filter::all() }
    }
}

/// A job to cancel; see [`Client::cancel`].
#[must_use = "nothing is cancelled until awaited"]
pub struct Cancel<'a> {
    client: &'a Client,
    queue: &'a str,
    id: Uuid,
}

/// Jobs to cancel; see [`Client::cancel_all`].
#[must_use = "nothing is cancelled until awaited"]
pub struct CancelAll<'a> {
    client: &'a Client,
    queue: &'a str,
    filter: Filter,
}

impl CancelAll<'_> {
    /// Only the jobs that `filter` means.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }
}

impl<'a> IntoFuture for Cancel<'a> {
    type Output = Result<Cancelled, Error>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let mut place = Place::unknown(self.id);
            let canceller = Canceller::new(self.client, self.queue)?;
            let mut conn = self.client.connection().await?;
            for lane in Lane::ALL {
                if let Some(entry_id) = canceller.find_near(&mut conn, lane, self.id).await? {
                    place = Place { id: self.id, found: Some((lane, entry_id)) };
                    break; // a job is in one place
                }
            }
            canceller.cancel(&mut conn, &[place]).await
        })
    }
}

impl<'a> IntoFuture for CancelAll<'a> {
    type Output = Result<Cancelled, Error>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let canceller = Canceller::new(self.client, self.queue)?;
            let mut conn = self.client.connection().await?;
            let mut sum = Cancelled::default();
            // What a worker moves from a lane to `later` behind the first look is marked by then and dropped on the way; what
            // becomes due between the first two looks is found by the third, which begins where the first one ended.
            let mut behind = ["-"; 4].map(str::to_owned);
            for lane in Lane::ALL {
                sum += canceller
                    .cancel_lane(&mut conn, lane, &self.filter, &mut behind[usize::from(lane.index())])
                    .await?;
            }
            sum += canceller.cancel_later(&mut conn, &self.filter).await?;
            for lane in Lane::ALL {
                sum += canceller
                    .cancel_lane(&mut conn, lane, &self.filter, &mut behind[usize::from(lane.index())])
                    .await?;
            }
            Ok(sum)
        })
    }
}

impl std::ops::AddAssign for Cancelled {
    fn add_assign(&mut self, other: Self) {
        self.ended += other.ended;
        self.requested += other.requested;
    }
}

/// A job and the entry that holds it, where that was found.
struct Place {
    id: Uuid,
    found: Option<(Lane, String)>,
}

impl Place {
    fn unknown(id: Uuid) -> Self {
        Self { id, found: None }
    }
}

type Entries = Vec<(String, Vec<Value>)>;

struct Canceller {
    keys: QueueKeys,
}

impl Canceller {
    fn new(client: &Client, queue: &str) -> Result<Self, Error> {
        names::check("queue", queue)?;
        Ok(Self { keys: client.keys(queue) })
    }

    async fn cancel(&self, conn: &mut impl ConnectionLike, jobs: &[Place]) -> Result<Cancelled, Error> {
        if jobs.is_empty() {
            return Ok(Cancelled::default());
        }
        let mut call = CANCEL.key(self.keys.cancel());
        call.key(self.keys.control()).key(self.keys.done()).key(self.keys.later()).key(self.keys.later_jobs());
        for lane in Lane::ALL {
            call.key(self.keys.ready(lane));
        }
        call.arg(self.keys.prefix()).arg(self.keys.signal()).arg(WORKERS);
        for job in jobs {
            call.arg(job.id.to_string());
            match &job.found {
                Some((lane, entry_id)) => call.arg(lane.index()).arg(entry_id),
                None => call.arg("").arg(""),
            };
        }
        let (ended, requested) = call.invoke_async(conn).await?;
        Ok(Cancelled { ended, requested })
    }

    /// The entry of a job whose id tells when it was pushed, if it is where such a job would be.
    async fn find_near(&self, conn: &mut impl ConnectionLike, lane: Lane, id: Uuid) -> Result<Option<String>, Error> {
        let Some((seconds, nanos)) = id.get_timestamp().map(|time| time.to_unix()) else { return Ok(None) };
        let pushed_ms = seconds * 1000 + u64::from(nanos) / 1_000_000;
        let (from, to) = match lane {
            // What is suspect was put there long after it was pushed, and is never much.
            Lane::Suspect => ("-".to_owned(), "+".to_owned()),
            _ => (pushed_ms.saturating_sub(NEAR_MS).to_string(), (pushed_ms + NEAR_MS).to_string()),
        };
        let lane_key = self.keys.ready(lane);
        let entries: Entries =
            redis::cmd("XRANGE").arg(&lane_key).arg(from).arg(to).arg("COUNT").arg(PAGE).query_async(conn).await?;
        let is_it = |(entry_id, fields): (String, _)| {
            let job = Entry::decode(&lane_key, &entry_id, fields).ok()?;
            (job.id == id).then_some(entry_id)
        };
        Ok(entries.into_iter().find_map(is_it))
    }

    /// Cancels what a lane holds from `from` to its present end; then `from` is where the next look begins.
    async fn cancel_lane(
        &self,
        conn: &mut impl ConnectionLike,
        lane: Lane,
        filter: &Filter,
        from: &mut String,
    ) -> Result<Cancelled, Error> {
        let lane_key = self.keys.ready(lane);
        let last: Entries =
            redis::cmd("XREVRANGE").arg(&lane_key).arg("+").arg("-").arg("COUNT").arg(1).query_async(conn).await?;
        let mut sum = Cancelled::default();
        let Some((end, _)) = last.into_iter().next() else { return Ok(sum) };
        loop {
            let mut range = redis::cmd("XRANGE");
            range.arg(&lane_key).arg(&*from).arg(&end).arg("COUNT").arg(PAGE);
            let page: Entries = range.query_async(conn).await?;
            let Some((last, _)) = page.last() else { return Ok(sum) };
            *from = format!("({last}");
            let meant = page.into_iter().filter_map(|(entry_id, fields)| {
                let job = Entry::decode(&lane_key, &entry_id, fields).ok()?;
                filter.matches(&job).then_some(Place { id: job.id, found: Some((lane, entry_id)) })
            });
            sum += self.cancel(conn, &meant.collect::<Vec<_>>()).await?;
        }
    }

    async fn cancel_later(&self, conn: &mut impl ConnectionLike, filter: &Filter) -> Result<Cancelled, Error> {
        let mut sum = Cancelled::default();
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("HSCAN");
            scan.arg(self.keys.later_jobs()).arg(cursor).arg("COUNT").arg(PAGE);
            let (next, jobs): (u64, Vec<(String, Vec<u8>)>) = scan.query_async(conn).await?;
            let meant = jobs.into_iter().filter_map(|(id, packed)| {
                let job = Unpacked::read(&packed).ok()?.entry.ok()?;
                filter.matches(&job).then(|| Uuid::try_parse(&id).ok().map(Place::unknown)).flatten()
            });
            for some in meant.collect::<Vec<_>>().chunks(PAGE) {
                sum += self.cancel(conn, some).await?;
            }
            if next == 0 {
                return Ok(sum);
            }
            cursor = next;
        }
    }
}
