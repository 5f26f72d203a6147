//! Waiting for what a job returns.

mod ends;

use std::{any::type_name, future::IntoFuture, marker::PhantomData, pin::pin, time::Duration};

use serde::de::DeserializeOwned;
use uuid::Uuid;

pub(crate) use ends::Ends;

use crate::{Client, Error, Retry, State, client::BoxFuture, names};

impl Client {
    /// Waits for the end of the job `id` of `queue`, which was pushed with [`keep_result`](crate::Push::keep_result) (or
    /// whose type has [`KEEP_RESULT`](crate::Job::KEEP_RESULT)), and gives back what its handler returned: `()` where
    /// that is nothing.
    ///
    /// It waits for at most a minute unless [`within`](JobResult::within) says otherwise, without asking again and again:
    /// whoever ends the job tells the waiters.
    ///
    /// # Errors
    /// [`Error::NotCompleted`] with the state and the error of a job that ended otherwise, [`Error::NoResult`] when the time is
    /// over, [`Error::Decode`] for a result that is no `R`, [`Error::Name`]; [`Error::Unreachable`] and [`Error::Redis`]
    /// where the first look fails (a server that is away later on is waited for).
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use millstream_queue::{Client, Job};
    /// # async fn example(client: Client, resize: impl Job) -> Result<(), millstream_queue::Error> {
    /// let id = client.push(resize).keep_result(Duration::from_secs(3600)).await?;
    /// let width: u32 = client.result("photos", id).within(Duration::from_secs(5)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn result<R: DeserializeOwned>(&self, queue: impl Into<String>, id: Uuid) -> JobResult<'_, R> {
        let patience = Duration::from_secs(60);
        JobResult { client: self, queue: queue.into(), id, patience, returned: PhantomData }
    }
}

/// The result of a job that may still run; `.await` waits for it.
#[must_use = "nothing is waited for until awaited"]
pub struct JobResult<'a, R> {
    client: &'a Client,
    queue: String,
    id: Uuid,
    patience: Duration,
    returned: PhantomData<fn() -> R>,
}

/// How a job has ended, as its hash says.
type Ended = (Option<String>, Option<Vec<u8>>, Option<String>);

impl<R: DeserializeOwned> JobResult<'_, R> {
    /// How long to wait. Default: one minute. At least one look is taken.
    pub fn within(mut self, timeout: Duration) -> Self {
        self.patience = timeout;
        self
    }

    async fn wait(self) -> Result<R, Error> {
        names::check("queue", &self.queue)?;
        if let Some(ended) = self.look().await? {
            return ended;
        }
        match tokio::time::timeout(self.patience, self.wait_for_signal()).await {
            Ok(ended) => ended,
            Err(_) => self.look().await?.unwrap_or(Err(Error::NoResult { id: self.id, waited: self.patience })),
        }
    }

    async fn wait_for_signal(&self) -> Result<R, Error> {
        let told = Ends::join(self.client, &self.queue, self.id).await;
        let mut retry = Retry::new("await a result");
        loop {
            // Before the look: what is told before stands in the hash, what is told after it is heard.
            let mut heard = pin!(told.notified());
            heard.as_mut().enable();
            match self.look().await {
                Ok(Some(ended)) => return ended,
                Ok(None) => {
                    retry.worked();
                    heard.await;
                }
                Err(error) => retry.failed(&error).await,
            }
        }
    }

    /// The job's end, if it has ended.
    async fn look(&self) -> Result<Option<Result<R, Error>>, Error> {
        let mut conn = self.client.connection().await?;
        let mut fields = redis::cmd("HMGET");
        fields.arg(self.client.keys(&self.queue).job(self.id)).arg(&["state", "result", "error"]);
        let (state, result, error): Ended = fields.query_async(&mut conn).await?;
        let Some(state) = state.and_then(|name| name.parse().ok()) else { return Ok(None) };
        Ok(Some(match state {
            State::Completed => self.decode(result.as_deref().unwrap_or(b"null")),
            _ => Err(Error::NotCompleted { id: self.id, state, error: error.unwrap_or_default() }),
        }))
    }

    fn decode(&self, json: &[u8]) -> Result<R, Error> {
        serde_json::from_slice(json).map_err(|error| Error::Decode {
            what: format!("the result of job {}", self.id),
            name: type_name::<R>(),
            reason: error.to_string(),
        })
    }
}

impl<'a, R: DeserializeOwned + Send + 'a> IntoFuture for JobResult<'a, R> {
    type Output = Result<R, Error>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.wait())
    }
}
