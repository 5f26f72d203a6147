//! The index along which rows are met, and how far a bounded walk along it gets.

use diesel::{
    dsl::{exists, sql},
    prelude::*,
    sql_types::Bool,
};
use diesel_async::RunQueryDsl;
use millstream_queue::State;

use super::{
    Cursor, Filter,
    conditions::{bound, equal, lower, narrowed, placed, timed, unindexed},
    order::{InOrder, in_order},
    query::{HELD, MARKED},
};
use crate::{
    Error, Store,
    data::pattern,
    schema::{millstream_job_fields as fields, millstream_job_tags as tags, millstream_jobs as jobs},
    sql_types::{Id, Time},
};

/// What leads to the rows: the index that has those with one of the conditions in the page's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lead {
    /// Whatever the database finds best, for rows that are few, and where there is one condition at most.
    Any,
    /// The keys of rows that were found before.
    Keys,
    /// All rows with an error, whatever its text.
    Error,
    State,
    Worker,
    Kind,
    Queue,
    Tag,
    /// The last of the fields, with the kind.
    Field,
}

impl Filter {
    /// What can lead, from what tends to have few rows to what tends to have many.
    pub(super) fn leads(&self) -> Vec<Lead> {
        [
            (Lead::Field, !self.fields.is_empty()),
            (Lead::Tag, self.tag.is_some()),
            (Lead::Worker, self.worker.is_some()),
            (Lead::Error, self.error.is_some()),
            (Lead::State, self.state.is_some()),
            (Lead::Kind, self.kind.is_some()),
            (Lead::Queue, self.queue.is_some()),
        ]
        .into_iter()
        .filter_map(|(lead, can)| can.then_some(lead))
        .collect()
    }

    /// What leads to nothing but rows that the filter lets through, so that the size of the page bounds what is read.
    pub(super) fn exact_lead(&self) -> Option<Lead> {
        match self.leads()[..] {
            _ if self.id.is_some() || self.revived_from.is_some() => Some(Lead::Any),
            _ if self.error.is_some() || self.fields.len() > 1 => None,
            [] | [Lead::Worker | Lead::State | Lead::Kind | Lead::Queue] => Some(Lead::Any),
            [Lead::Field, Lead::Kind] => Some(Lead::Field),
            [Lead::Tag] => Some(Lead::Tag),
            _ => None,
        }
    }

    /// The conditions of [`Lead::Field`]: kind, field and value.
    pub(super) fn led_by_field(&self) -> (String, String, String) {
        let kind = self.kind.clone().unwrap_or_default();
        let last = self.fields.last().map(|(field, value)| (field.clone(), value.to_column().unwrap_or_default()));
        let (field, value) = last.unwrap_or_default();
        (kind, field, value)
    }

    /// Only what `lead` itself has.
    fn of_lead(&self, lead: Lead) -> Self {
        let Self { since, until, outside, .. } = self.clone();
        let mut own = Self { since, until, outside, ..Self::default() };
        match lead {
            Lead::State => own.state = self.state,
            Lead::Worker => own.worker.clone_from(&self.worker),
            Lead::Kind => own.kind.clone_from(&self.kind),
            Lead::Queue => own.queue.clone_from(&self.queue),
            Lead::Any | Lead::Keys | Lead::Error | Lead::Tag | Lead::Field => {}
        }
        own
    }
}

/// The lead whose next `step` rows after `after` reach furthest back, and the last of them; none where they are all that is left.
/// Looks at nothing but indexes, so it costs little beside a step.
pub(super) async fn furthest(
    store: &Store,
    filter: &Filter,
    after: Option<Cursor>,
    step: i64,
) -> Result<(Lead, Option<Cursor>), Error> {
    let (leads, filter, none) = (filter.leads(), filter.clone(), None::<Cursor>);
    let lasts: Vec<(Lead, Option<(Time, Id)>)> = with_conn!(store, read conn: Db => in_order!(true, Db, conn => {
        let mut lasts = Vec::with_capacity(leads.len());
        for lead in leads {
            let own = filter.of_lead(lead);
            let last: Option<(Time, Id)> = match lead {
                Lead::Tag => {
                    let tag = filter.tag.clone().unwrap_or_default();
                    let led = tags::table.filter(tags::tag.eq(tag)).select((tags::finished_at, tags::job_id));
                    let led = timed!(led.into_boxed::<Db>(), own, tags::finished_at);
                    let led = placed!(led, after, none, tags::finished_at, tags::job_id);
                    led.offset(step - 1).limit(1).first(conn).await.optional()?
                }
                Lead::Field => {
                    let (kind, field, value) = filter.led_by_field();
                    let led = fields::table
                        .filter(fields::kind.eq(kind))
                        .filter(fields::field.eq(field))
                        .filter(fields::value.eq(value))
                        .select((fields::finished_at, fields::job_id));
                    let led = timed!(led.into_boxed::<Db>(), own, fields::finished_at);
                    let led = placed!(led, after, none, fields::finished_at, fields::job_id);
                    led.offset(step - 1).limit(1).first(conn).await.optional()?
                }
                lead => {
                    let led = jobs::table.select((jobs::finished_at, jobs::id)).into_boxed::<Db>();
                    let led = narrowed!(led, own, lead, jobs::finished_at);
                    let led = placed!(led, after, none, jobs::finished_at, jobs::id);
                    led.offset(step - 1).limit(1).first(conn).await.optional()?
                }
            };
            lasts.push((lead, last));
            if last.is_none() {
                break;
            }
        }
        QueryResult::Ok(lasts)
    }))?;
    // One that has no last row, since it has fewer, is the last that was asked.
    let reached = lasts.into_iter().min_by_key(|(_, last)| last.map(|(time, id)| (time, id)));
    let (lead, last) = reached.unwrap_or((Lead::Any, None));
    Ok((lead, last.map(|(Time(finished_at), Id(id))| Cursor { finished_at, id })))
}
