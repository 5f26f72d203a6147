//! Pages in bounded work. Rows are met step by step along the index that gets furthest back with a step. After two, a text
//! that few rows have is looked up by its trigrams: on SQLite in all rows, on Postgres in one partition after the other. These
//! rows are merged with the steps, which then pass their partitions by. What isn't full after the last step ends early.

use super::{
    Cursor, Filter, JobRecord, Page, lead,
    lead::Lead,
    query::{self, Keys, Question},
    record::JobRow,
    trigrams::{self, Key},
};
use crate::{
    Error, Store,
    sql_types::{Id, Time},
};

/// How many rows the steps of a page meet at most. The first is short, for most pages are full after it.
const STEPS: [i64; 5] = [500, 4500, 5000, 5000, 5000];
/// The steps before a text is looked up by its trigrams, which costs more.
const BEFORE_TRIGRAMS: usize = 2;
/// Rows that are looked up by their keys in one statement, at most.
const AT_ONCE: usize = 500;

/// The rows after `after`, `limit` at most.
pub(super) async fn find(
    store: &Store,
    filter: &Filter,
    after: Option<Cursor>,
    limit: usize,
) -> Result<Page<JobRecord>, Error> {
    let search = Search::run(store, filter, after, limit + 1).await?;
    let (mut rows, mut next) = (search.rows, search.stopped_at);
    if rows.len() > limit {
        rows.truncate(limit);
        next = rows.last().map(JobRow::place);
    }
    let rows = rows.into_iter().map(JobRecord::try_from).collect::<Result<_, _>>()?;
    Ok(Page { rows, next })
}

/// The plans of the statements that find such a page, in their order.
pub(super) async fn plan(
    store: &Store,
    filter: &Filter,
    after: Option<Cursor>,
    limit: usize,
) -> Result<Vec<String>, Error> {
    let mut steps = Vec::new();
    for question in Search::run(store, filter, after, limit + 1).await?.asked {
        steps.extend(query::explain(store, question).await?);
    }
    Ok(steps)
}

struct Search<'s> {
    store: &'s Store,
    filter: Filter,
    /// How many rows are wanted.
    limit: usize,
    rows: Vec<JobRow>,
    asked: Vec<Question>,
    /// Up to where everything was found, where that isn't the end.
    stopped_at: Option<Cursor>,
}

impl<'s> Search<'s> {
    async fn run(store: &'s Store, filter: &Filter, after: Option<Cursor>, limit: usize) -> Result<Self, Error> {
        let (rows, asked) = (Vec::new(), Vec::new());
        let mut search = Self { store, filter: filter.clone(), limit, rows, asked, stopped_at: None };
        match search.filter.exact_lead() {
            Some(lead) => search.rows = search.ask(lead, after, None).await?,
            None => search.walk(after).await?,
        }
        Ok(search)
    }

    async fn walk(&mut self, mut after: Option<Cursor>) -> Result<(), Error> {
        // Of rows that were found by their text, those not met yet, the newest last.
        let mut few: Vec<Key> = Vec::new();
        let (mut next, mut end) = (0, STEPS.len());
        while next < end {
            let (lead, last) = lead::furthest(self.store, &self.filter, after, STEPS[next]).await?;
            next += 1;
            let walked = self.ask(lead, after, last).await?;
            let listed = self.take(&mut few, last).await?;
            self.rows.extend(walked);
            self.rows.extend(listed);
            self.rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.place()));
            self.stopped_at = last;
            let (Some(last), true) = (last, self.rows.len() < self.limit) else { return Ok(()) };
            after = Some(last);
            if let (BEFORE_TRIGRAMS, Some(text)) = (next, &self.filter.error) {
                let found = trigrams::few(self.store, text, last).await?;
                few = found.keys;
                few.retain(|key| key.place < last && self.filter.is_in_time(key.place.finished_at));
                few.sort_unstable_by_key(|key| key.place);
                if !found.spans.is_empty() {
                    // To leave partitions out, rows are read where an index was enough: one step more costs as much as two.
                    self.filter.outside = found.spans;
                    end = next + 1;
                }
                if found.is_all {
                    let listed = self.take(&mut few, None).await?;
                    self.rows.extend(listed);
                    self.stopped_at = None;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Rows between two places.
    async fn ask(&mut self, lead: Lead, after: Option<Cursor>, last: Option<Cursor>) -> Result<Vec<JobRow>, Error> {
        let limit = (self.limit - self.rows.len()) as i64;
        let question = Question { filter: self.filter.clone(), lead, after, last, limit, keys: Keys::default() };
        self.asked.push(question.clone());
        query::load(self.store, question).await
    }

    /// The newest of the listed rows up to `last`, as many as are wanted. What was recorded anew since it was listed is no
    /// longer where it was.
    async fn take(&mut self, few: &mut Vec<Key>, last: Option<Cursor>) -> Result<Vec<JobRow>, Error> {
        let mut rows = Vec::new();
        while self.rows.len() + rows.len() < self.limit {
            let first = few.len() - few.len().min(AT_ONCE);
            let mut keys = few.split_off(first);
            let apart = keys.partition_point(|key| last.is_some_and(|last| key.place < last));
            few.extend(keys.drain(..apart));
            if keys.is_empty() {
                break;
            }
            let found = self.look_up(&keys).await?;
            rows.extend(
                found.into_iter().filter(|row| keys.binary_search_by_key(&row.place(), |key| key.place).is_ok()),
            );
        }
        rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.place()));
        rows.truncate(self.limit - self.rows.len());
        Ok(rows)
    }

    async fn look_up(&mut self, keys: &[Key]) -> Result<Vec<JobRow>, Error> {
        let ids = keys.iter().map(|key| Id(key.place.id)).collect();
        let enqueued = |key: &Key| Time(key.enqueued_at);
        let (first, last) = (keys.iter().map(enqueued).min(), keys.iter().map(enqueued).max());
        let keys = Keys { ids, enqueued: first.zip(last) };
        let filter = Filter { outside: Vec::new(), ..self.filter.clone() };
        let limit = AT_ONCE as i64;
        let question = Question { filter, lead: Lead::Keys, after: None, last: None, limit, keys };
        self.asked.push(question.clone());
        query::load(self.store, question).await
    }
}

impl Filter {
    fn is_in_time(&self, time: chrono::DateTime<chrono::Utc>) -> bool {
        self.since.is_none_or(|since| since <= time) && self.until.is_none_or(|until| time < until)
    }
}
