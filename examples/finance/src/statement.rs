//! Monthly statements: a job, idempotent per account and month.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use diesel::{dsl::sql, prelude::*, sql_types::BigInt};
use diesel_async::RunQueryDsl;
use futures::TryStreamExt;
use millstream_queue::{Client, Job};
use millstream_store::{Data, Id, List, Op, Store, Time, model, query};
use millstream_worker::{self as worker, Context, Failure};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Account, LedgerError, Month,
    schema::{lines, statements},
};

/// Transfers that were under way at the end of a month have committed by then.
const SETTLED: TimeDelta = TimeDelta::minutes(1);

/// What happened on an account in a month. Its transfers are the account's lines of that time, which never change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Queryable, Selectable, Insertable, AsChangeset)]
pub struct Statement {
    pub id: Id,
    pub account: Id,
    /// Such as `2026-10`, in UTC.
    pub month: String,
    /// The balance before its first moment.
    pub opening: i64,
    pub received: i64,
    pub spent: i64,
    /// The balance after its last moment.
    pub closing: i64,
    /// How many there were.
    pub transfers: i64,
    pub created_at: Time,
}

model! {
    Statement in statements {
        key: id as Id,
        created: created_at,
        filters: { account: id, month: text },
        sorts: { month as String },
    }
}

/// Makes the statement of an account's month.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MakeStatement {
    pub account: Uuid,
    pub month: Month,
}

impl Job for MakeStatement {
    const KIND: &'static str = "make_statement";
    const QUEUE: &'static str = "statements";
    const KEEP_RESULT: Option<Duration> = Some(Duration::from_secs(3600));
}

/// What handlers work with.
#[derive(Clone, Debug)]
pub struct App {
    pub store: Store,
}

/// The job's handler; its result is the statement.
pub async fn make_statement(job: MakeStatement, cx: Context<App>) -> worker::Result<Statement> {
    let left = job.month.end() + SETTLED - Utc::now();
    if left > TimeDelta::zero() {
        return Err(Failure::snooze(left.to_std().unwrap_or_default(), format!("{} is not over", job.month)));
    }
    match close(&cx.app.store, job.account, job.month).await {
        Err(LedgerError::Missing { .. }) => Err(Failure::cancel(format!("there is no account {}", job.account))),
        done => Ok(done?),
    }
}

/// Asks for a statement; asked twice it is one job.
pub async fn ask_for(client: &Client, account: Uuid, month: Month) -> Result<Uuid, millstream_queue::Error> {
    client.push(MakeStatement { account, month }).id(format!("{account}:{month}")).await
}

/// Asks for the month's statements of all accounts. How many.
pub async fn ask_for_all(client: &Client, store: &Store, month: Month) -> Result<u64, LedgerError> {
    let mut accounts = std::pin::pin!(store.stream::<Account>(List::new().limit(1000)));
    let mut asked = 0;
    while let Some(account) = accounts.try_next().await? {
        ask_for(client, account.id.0, month).await.map_err(millstream_store::Error::from)?;
        asked += 1;
    }
    Ok(asked)
}

/// The statement of a month that is over: the one there is, or a new one.
pub async fn close(store: &Store, account: Uuid, month: Month) -> Result<Statement, LedgerError> {
    let account = Id(account);
    store
        .transaction(async move |tx| {
            let same = List::new().filter("account", Op::Eq, account).filter("month", Op::Eq, month);
            if let Some(statement) = tx.list::<Statement>(same).await?.rows.pop() {
                return Ok(statement);
            }
            if tx.get::<Account>(account).await?.is_none() {
                return Err(LedgerError::Missing { what: "account", id: account.to_string() });
            }
            let (start, end) = (Time(month.start()), Time(month.end()));
            let sums = query!(|conn: Db| {
                // Postgres sums into a numeric.
                let sum = || sql::<BigInt>("CAST(COALESCE(SUM(amount), 0) AS BIGINT)");
                let lines = || lines::table.filter(lines::account.eq(account)).into_boxed::<Db>();
                let within = || lines().filter(lines::created_at.ge(start)).filter(lines::created_at.lt(end));
                let opening: i64 = lines().filter(lines::created_at.lt(start)).select(sum()).get_result(conn).await?;
                let received: i64 = within().filter(lines::amount.gt(0)).select(sum()).get_result(conn).await?;
                let spent: i64 = within().filter(lines::amount.lt(0)).select(sum()).get_result(conn).await?;
                let transfers: i64 = within().count().get_result(conn).await?;
                Ok::<_, millstream_store::Error>((opening, received, -spent, transfers))
            });
            let (opening, received, spent, transfers) = tx.read(sums).await?;
            let statement = Statement {
                id: Id::new(),
                account,
                month: month.to_string(),
                opening,
                received,
                spent,
                closing: opening + received - spent,
                transfers,
                created_at: Time::default(),
            };
            Ok(tx.insert(&statement).await?)
        })
        .await
}
