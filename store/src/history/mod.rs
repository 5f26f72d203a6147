//! The history of jobs: a typed query with filters and keyset pages.

mod conditions;
mod cursor;
mod lead;
mod order;
mod pages;
mod plan;
mod query;
mod record;
mod trigrams;

use std::future::IntoFuture;

use chrono::{DateTime, Utc};
use millstream_queue::{Job, State};
use uuid::Uuid;

pub use self::{
    cursor::Cursor,
    record::{AttemptRecord, JobRecord},
};
use crate::{Error, FieldValue, Store, field, fit, store::BoxFuture};

/// Rows of a page unless the caller says otherwise, and the most there can be.
const LIMIT: (u16, u16) = (50, 1000);

/// A question to the history, built by [`Store::history`]. `.await` answers with a [`Page`]: newest first by the end of
/// the job's decisive run. Several filters must all hold.
///
/// However large the history is, a page looks at some 30,000 jobs at most. Where several filters, or one by the text of errors, let
/// through few of the rows that they have to look at, it ends there: it then has fewer rows than were asked for, perhaps
/// none, and a cursor to [go on from](Page::next).
///
/// A job that has not ended shows its latest run and moves to the front with each; one that has ended stays where it is.
#[derive(Clone, Debug)]
#[must_use = "nothing is asked until awaited"]
pub struct History {
    store: Store,
    filter: Filter,
    after: Option<Cursor>,
    limit: u16,
}

/// One page of an answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page<T> {
    /// The rows, newest first. Fewer than asked for, or none, don't mean that it is the last page.
    pub rows: Vec<T>,
    /// Where the next page begins ([`History::after`]); none on the last one, and on that alone.
    pub next: Option<Cursor>,
}

/// What must hold for a row.
#[derive(Clone, Debug, Default)]
struct Filter {
    id: Option<Uuid>,
    kind: Option<String>,
    queue: Option<String>,
    state: Option<State>,
    worker: Option<String>,
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    error: Option<String>,
    tag: Option<String>,
    revived_from: Option<Uuid>,
    /// Fields of the payload and what they must hold.
    fields: Vec<(String, FieldValue)>,
    /// What the job type declares, where it was named by its type.
    searchable: Option<&'static [&'static str]>,
    /// Partitions that need not be looked at.
    outside: Vec<trigrams::Span>,
}

impl History {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, filter: Filter::default(), after: None, limit: LIMIT.0 }
    }

    pub(crate) fn into_store(self) -> Store {
        self.store
    }

    /// Jobs of the type `J`, whatever queue they ran in.
    pub fn job<J: Job>(self) -> Self {
        let mut narrowed = self.kind(J::KIND);
        narrowed.filter.searchable = Some(J::SEARCHABLE);
        narrowed
    }

    /// The job with this id.
    pub fn id(mut self, id: Uuid) -> Self {
        self.filter.id = Some(id);
        self
    }

    /// Jobs of a type given by its stable name.
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.filter.kind = Some(fit::name(kind.into()));
        self.filter.searchable = None;
        self
    }

    /// Jobs of a queue.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.filter.queue = Some(fit::name(queue.into()));
        self
    }

    /// Jobs in a state.
    pub fn state(mut self, state: State) -> Self {
        self.filter.state = Some(state);
        self
    }

    /// Jobs whose decisive run this worker held.
    pub fn worker(mut self, worker: impl Into<String>) -> Self {
        self.filter.worker = Some(fit::name(worker.into()));
        self
    }

    /// Jobs whose decisive run ended at this time or later.
    pub fn since(mut self, time: DateTime<Utc>) -> Self {
        self.filter.since = Some(fit::time(time));
        self
    }

    /// Jobs whose decisive run ended before this time.
    pub fn until(mut self, time: DateTime<Utc>) -> Self {
        self.filter.until = Some(fit::time(time));
        self
    }

    /// Jobs whose last error contains this text; upper and lower case of ASCII letters are the same.
    pub fn error_contains(mut self, text: impl Into<String>) -> Self {
        self.filter.error = Some(fit::text(text.into()));
        self
    }

    /// Jobs that were pushed with this tag.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.filter.tag = Some(fit::name(tag.into()));
        self
    }

    /// The lives that a dead job was given after its death.
    pub fn revived_from(mut self, dead: Uuid) -> Self {
        self.filter.revived_from = Some(dead);
        self
    }

    /// Jobs whose payload holds this at `field`, one of the paths that the type declares by
    /// [`SEARCHABLE`](millstream_queue::Job::SEARCHABLE). Name the type too, best by [`job`](History::job), which knows
    /// what is declared; with [`kind`](History::kind) a field that isn't finds nothing.
    pub fn field(mut self, field: impl Into<String>, value: impl Into<FieldValue>) -> Self {
        self.filter.fields.push((field.into(), value.into()));
        self
    }

    /// The page after the one that gave this cursor; use it with the same filters.
    pub fn after(mut self, cursor: &Cursor) -> Self {
        self.after = Some(*cursor);
        self
    }

    /// Most rows of the page, 1 to 1000 (other values mean the nearest of these). Default: 50.
    pub fn limit(mut self, rows: u16) -> Self {
        self.limit = rows.clamp(1, LIMIT.1);
        self
    }

    /// How many jobs the filters let through, on all pages. Unlike a page it reads them all, which takes its time where they are
    /// many.
    ///
    /// # Errors
    /// [`Error::Unsearchable`], [`Error::NotMigrated`], [`Error::Unreachable`], [`Error::Query`].
    pub async fn count(self) -> Result<u64, Error> {
        self.filter.check()?;
        query::count(&self.store, self.filter).await
    }

    /// The steps by which the database would find the page, in its own words: for those who ask why one takes long.
    ///
    /// # Errors
    /// [`Error::Unsearchable`], [`Error::NotMigrated`], [`Error::Unreachable`], [`Error::Query`].
    pub async fn plan(self) -> Result<Vec<String>, Error> {
        self.filter.check()?;
        pages::plan(&self.store, &self.filter, self.after, self.limit.into()).await
    }

    /// All recorded runs of the job `id`, first to last; filters play no part.
    ///
    /// # Errors
    /// [`Error::NotMigrated`], [`Error::Unreachable`], [`Error::Query`].
    pub async fn attempts(self, id: Uuid) -> Result<Vec<AttemptRecord>, Error> {
        query::attempts(&self.store, id).await
    }

    async fn page(self) -> Result<Page<JobRecord>, Error> {
        self.filter.check()?;
        pages::find(&self.store, &self.filter, self.after, self.limit.into()).await
    }
}

impl Filter {
    /// Whether it can be asked for.
    fn check(&self) -> Result<(), Error> {
        for (field, value) in &self.fields {
            let reason = if self.kind.is_none() {
                "name the job type too, by `job` or `kind`".to_owned()
            } else if let Some(declared) = self.searchable.filter(|declared| !declared.contains(&&**field)) {
                format!("the job type's SEARCHABLE has only {declared:?}")
            } else if value.to_column().is_none() {
                format!("texts of up to {} bytes without NUL can be found", field::LONGEST)
            } else {
                continue;
            };
            return Err(Error::Unsearchable { field: field.chars().take(64).collect(), reason });
        }
        Ok(())
    }
}

impl IntoFuture for History {
    type Output = Result<Page<JobRecord>, Error>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.page())
    }
}
