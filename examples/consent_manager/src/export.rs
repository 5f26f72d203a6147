//! All that is recorded of one subject, as one document made by a job.

use std::{collections::BTreeSet, time::Duration};

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use futures::{StreamExt, TryStreamExt};
use millstream_queue::{Client, Error, History, Job};
use millstream_store::{Data, Id, Isolation, List, Op, Time, model, query};
use millstream_worker::{self as worker, Context, Failure};
use serde::{Deserialize, Serialize};

use crate::{
    Consent, ConsentError, Head, Ledger, Record, Text, chain, record::sha256, schema::exports,
    statement::check_subject, text,
};

/// Most records in a document.
const MOST: u64 = 10_000;
/// How long a document is kept.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// An export that was asked for, under the id of its job.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = exports, treat_none_as_null = true)]
pub struct Export {
    /// Its id, and that of the job that makes it.
    pub id: Id,
    /// About whom.
    pub subject: String,
    /// When it was asked for.
    pub created_at: Time,
    /// The document, once it is made.
    pub document: Option<String>,
}

model! { Export in exports { key: id as Id, created: created_at } }

/// Makes the document of an [`Export`].
#[derive(Debug, Serialize, Deserialize)]
pub struct ExportSubject {
    /// About whom.
    pub subject: String,
}

impl Job for ExportSubject {
    const KIND: &'static str = "export_subject";
    const QUEUE: &'static str = "consents";
    const ATTEMPTS: u32 = 8;
    const KEEP_RESULT: Option<Duration> = Some(KEPT);
    const HISTORY: History = History::Facts;
}

/// What the job [`ExportSubject`] returns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    /// The document's length in bytes.
    pub bytes: usize,
    /// Its SHA-256, in hex.
    pub sha256: String,
}

#[derive(Serialize)]
struct Document<'a> {
    subject: &'a str,
    exported_at: Time,
    /// The chain's end when the document was made: what these records are a part of.
    chain: Head,
    consents: Vec<Consent>,
    texts: Vec<Text>,
    records: Vec<Record>,
}

impl Ledger {
    /// Asks for an export of everything about `subject`. The job is pushed if and only if the row of the export is there.
    ///
    /// # Errors
    /// [`ConsentError::NotFound`] for a subject without records, [`ConsentError::TooMany`] for one with more than 10,000,
    /// [`ConsentError::Invalid`], [`ConsentError::Store`].
    pub async fn ask_for_export(&self, subject: &str) -> Result<Export, ConsentError> {
        check_subject(subject)?;
        let subject = subject.to_owned();
        let asking = self.store().transaction_at(Isolation::ReadCommitted, async move |tx| {
            check_size(&tx, &subject).await?;
            let job = tx.push(ExportSubject { subject: subject.clone() }).await?;
            let (id, subject) = (Id(job), subject.clone());
            Ok(tx.insert(&Export { id, subject, created_at: Time::default(), document: None }).await?)
        });
        asking.await
    }

    /// The document of an export; none where it isn't made within `patience`.
    ///
    /// # Errors
    /// [`ConsentError::NotFound`], also for one older than a day; [`ConsentError::Store`]; [`ConsentError::Queue`] where the
    /// job failed for good, or Redis is away.
    pub async fn export(&self, client: &Client, id: Id, patience: Duration) -> Result<Option<String>, ConsentError> {
        let find = async || {
            let found: Option<Export> = self.store().get(id).await?;
            found.ok_or_else(|| ConsentError::NotFound(format!("export {id}")))
        };
        if let Some(document) = find().await?.document {
            return Ok(Some(document));
        }
        match client.result::<Exported>(ExportSubject::QUEUE, id.0).within(patience).await {
            Ok(_) => Ok(find().await?.document),
            Err(Error::NoResult { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

async fn check_size(data: &impl Data, subject: &str) -> Result<(), ConsentError> {
    match data.count::<Record>(List::new().filter("subject", Op::Eq, subject)).await? {
        0 => Err(ConsentError::NotFound(format!("record of {subject:?}"))),
        1..=MOST => Ok(()),
        records => Err(ConsentError::TooMany { subject: subject.to_owned(), records, most: MOST }),
    }
}

/// The handler of [`ExportSubject`].
///
/// # Errors
/// Those of the database, which are tried again; an export that was erased meanwhile is cancelled, one that is too large dead.
pub async fn export_subject(job: ExportSubject, cx: Context<Ledger>) -> worker::Result<Exported> {
    let store = cx.app.store();
    let Some(export) = store.get::<Export>(Id(cx.id())).await? else {
        return Err(Failure::cancel("the export was erased"));
    };
    let document = match export.document.clone() {
        Some(document) => document,
        None => match cx.app.document(&job.subject).await {
            Ok(document) => document,
            Err(error @ ConsentError::TooMany { .. }) => return Err(Failure::dead(error)),
            Err(error) => return Err(error.into()),
        },
    };
    let exported = Exported { bytes: document.len(), sha256: sha256(&document) };
    store.update(&Export { document: Some(document), ..export }).await?;
    Ok(exported)
}

impl Ledger {
    /// The document as of one moment.
    async fn document(&self, subject: &str) -> Result<String, ConsentError> {
        let subject = subject.to_owned();
        let reading = self.store().transaction_at(Isolation::RepeatableRead, async move |tx| {
            let chain = chain::read(&tx).await?;
            let list = List::new().filter("subject", Op::Eq, &subject).limit(1000);
            check_size(&tx, &subject).await?;
            let records: Vec<Record> = tx.stream(list.clone()).boxed().try_collect().await?;
            let consents: Vec<Consent> = tx.stream(list).boxed().try_collect().await?;
            let named: BTreeSet<_> = records.iter().map(|record| (&record.purpose, record.version)).collect();
            let mut texts = Vec::new();
            for (purpose, version) in named {
                texts.extend(text::find(&tx, purpose, version).await?);
            }
            let document = Document { subject: &subject, exported_at: Time::now(), chain, consents, texts, records };
            Ok(serde_json::to_string(&document).expect("plain data without maps"))
        });
        reading.await
    }
}

/// Erases exports older than a day, a hundred at most, and returns how many.
///
/// # Errors
/// [`ConsentError::Store`].
pub async fn erase_old_exports(ledger: &Ledger, now: Time) -> Result<usize, ConsentError> {
    let oldest = Time(now.0 - TimeDelta::from_std(KEPT).expect("a day"));
    let store = ledger.store();
    let old: Vec<Id> = store
        .read(query!(|conn: Db| {
            let old = exports::table.filter(exports::created_at.lt(oldest));
            old.select(exports::id).limit(100).load(conn).await
        }))
        .await?;
    if old.is_empty() {
        return Ok(0);
    }
    Ok(store
        .write(query!(|conn: Db| diesel::delete(exports::table.filter(exports::id.eq_any(old))).execute(conn).await))
        .await?)
}
