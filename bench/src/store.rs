//! The store beside plain Diesel and bare bb8, on a private Postgres and on a SQLite file. The worse of the two counts.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use diesel::prelude::*;
use diesel_async::{
    AsyncConnection, AsyncPgConnection,
    pooled_connection::{AsyncDieselConnectionManager, bb8::Pool},
};
use millstream_store::{Data, EmbeddedMigration, Error, List, Migrations, Op, SqliteConn, Store, model, query};

use crate::{
    databases::Databases,
    pairs::{Pairs, median},
    report::Figure,
    setting::Setting,
};

diesel::table! {
    bench_rows (id) {
        id -> BigInt,
        rank -> BigInt,
        name -> Text,
    }
}

#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = bench_rows)]
struct Row {
    id: i64,
    rank: i64,
    name: String,
}

model! {
    Row in bench_rows {
        key: id as i64,
        filters: { rank: int },
        sorts: { rank as i64 },
    }
}

const TABLE: EmbeddedMigration = EmbeddedMigration::new(
    "0001",
    "rows",
    "CREATE TABLE bench_rows (id BIGINT NOT NULL PRIMARY KEY, rank BIGINT NOT NULL, name TEXT NOT NULL);
     CREATE INDEX bench_rows_by_rank ON bench_rows (rank, id);",
    "DROP TABLE bench_rows;",
);
const TABLES: Migrations = Migrations::new("bench", &[TABLE], &[TABLE]);

/// Gets and check-outs of one measurement.
const CALLS: u32 = 5_000;
/// Rows of one bulk insert.
const ROWS: i64 = 10_000;
/// How deep the deep page lies, and how often it is read.
const DEPTH: i64 = 1_000_000;
const PAGES: u32 = 200;

/// Microseconds from asking a pool for a connection to its return, with nothing done on it, beside bb8's pool of Diesel's own
/// connections with its defaults.
pub(crate) async fn checkout(setting: &Setting) -> Result<Figure> {
    let databases = Databases::start(TABLES).await?;
    let [postgres, sqlite] = &databases.stores;
    let ours = async |store: &Store| {
        let calls = async || store.read(query!(|_conn: Db| Ok::<(), Error>(()))).await;
        each(CALLS, calls).await
    };
    let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new(databases.postgres.url());
    let pool: Pool<AsyncPgConnection> = bb8::Pool::builder().max_size(8).build(manager).await?;
    let on_postgres = Pairs::measure(
        setting.pairs,
        async || ours(postgres).await,
        async || each(CALLS, async || pool.get().await.map(drop)).await,
    );
    let on_postgres = on_postgres.await?;
    let manager = AsyncDieselConnectionManager::<SqliteConn>::new(databases.file());
    let pool: Pool<SqliteConn> = bb8::Pool::builder().max_size(8).build(manager).await?;
    let on_sqlite = Pairs::measure(
        setting.pairs,
        async || ours(sqlite).await,
        async || each(CALLS, async || pool.get().await.map(drop)).await,
    );
    Ok(Figure::new("pool.checkout", "µs", &highest(on_postgres, on_sqlite.await?)))
}

/// Gets by key, one after the other, per second, beside the same query on one connection that needs no check-out.
pub(crate) async fn get(setting: &Setting) -> Result<Figure> {
    let databases = Databases::start(TABLES).await?;
    for store in &databases.stores {
        store.insert_many((0..1000).map(row).collect()).await?;
    }
    let [postgres, sqlite] = &databases.stores;
    let ours = async |store: &Store| {
        let mut key = 0;
        let get = async || {
            key = (key + 7) % 1000;
            store.get::<Row>(key).await
        };
        each(CALLS, get).await.map(per_second)
    };
    let mut conn = AsyncPgConnection::establish(&databases.postgres.url()).await?;
    let mut pairs = [Pairs::default(), Pairs::default()];
    for _ in 0..setting.pairs {
        pairs[0].ours.push(ours(postgres).await?);
        let start = Instant::now();
        for call in 0..CALLS {
            let one = bench_rows::table.find(i64::from(call % 1000)).select(Row::as_select());
            let _: Row = diesel_async::RunQueryDsl::first(one, &mut conn).await?;
        }
        pairs[0].limits.push(f64::from(CALLS) / start.elapsed().as_secs_f64());
    }
    let mut conn = SqliteConn::establish(&databases.file()).await?;
    for _ in 0..setting.pairs {
        pairs[1].ours.push(ours(sqlite).await?);
        let start = Instant::now();
        for call in 0..CALLS {
            let one = bench_rows::table.find(i64::from(call % 1000)).select(Row::as_select());
            let _: Row = diesel_async::RunQueryDsl::first(one, &mut conn).await?;
        }
        pairs[1].limits.push(f64::from(CALLS) / start.elapsed().as_secs_f64());
    }
    let [on_postgres, on_sqlite] = pairs;
    Ok(Figure::new("crud.get", "gets/s", &lowest(on_postgres, on_sqlite)))
}

/// Rows per second of one `insert_many` of 10,000, beside Diesel's own batch insert of the same.
pub(crate) async fn insert_many(setting: &Setting) -> Result<Figure> {
    let databases = Databases::start(TABLES).await?;
    let [postgres, sqlite] = &databases.stores;
    let ours = async |store: &Store| {
        empty(store).await?;
        let rows = (0..ROWS).map(row).collect();
        let start = Instant::now();
        store.insert_many::<Row>(rows).await?;
        Ok(ROWS as f64 / start.elapsed().as_secs_f64())
    };
    let conn = tokio::sync::Mutex::new(AsyncPgConnection::establish(&databases.postgres.url()).await?);
    let on_postgres = Pairs::measure(
        setting.pairs,
        async || ours(postgres).await,
        async || {
            empty(postgres).await?;
            let rows: Vec<Row> = (0..ROWS).map(row).collect();
            let start = Instant::now();
            let insert = diesel::insert_into(bench_rows::table).values(rows);
            diesel_async::RunQueryDsl::execute(insert, &mut *conn.lock().await).await?;
            Ok(ROWS as f64 / start.elapsed().as_secs_f64())
        },
    );
    let on_postgres = on_postgres.await?;
    let conn = tokio::sync::Mutex::new(SqliteConn::establish(&databases.file()).await?);
    let on_sqlite = Pairs::measure(
        setting.pairs,
        async || ours(sqlite).await,
        async || {
            empty(sqlite).await?;
            let rows: Vec<Row> = (0..ROWS).map(row).collect();
            let start = Instant::now();
            let insert = conn.lock().await.spawn_blocking(|conn| {
                let insert = diesel::insert_into(bench_rows::table).values(rows);
                conn.immediate_transaction(|conn| diesel::RunQueryDsl::execute(insert, conn))
            });
            insert.await?;
            Ok(ROWS as f64 / start.elapsed().as_secs_f64())
        },
    );
    Ok(Figure::new("crud.insert_many", "rows/s", &lowest(on_postgres, on_sqlite.await?)))
}

/// Microseconds of a page by cursor behind a million rows, beside the first page.
pub(crate) async fn page(setting: &Setting) -> Result<Figure> {
    let databases = Databases::start(TABLES).await?;
    let mut pairs = Vec::new();
    for store in &databases.stores {
        fill(store).await?;
        let sorted = List::new().sort("rank");
        let last = store.list::<Row>(sorted.clone().filter("rank", Op::Ge, DEPTH).limit(1)).await?;
        let deep = sorted.clone().after(last.next.context("there are rows behind")?);
        let of = async |list: &List| each(PAGES, async || store.list::<Row>(list.clone()).await).await;
        pairs.push(Pairs::measure(setting.pairs, async || of(&deep).await, async || of(&sorted).await).await?);
    }
    let on_sqlite = pairs.pop().context("two databases")?;
    let on_postgres = pairs.pop().context("two databases")?;
    Ok(Figure::new("crud.page", "µs", &highest(on_postgres, on_sqlite)))
}

fn row(id: i64) -> Row {
    Row { id, rank: id, name: format!("the row with the number {id}") }
}

async fn empty(store: &Store) -> Result<(), Error> {
    let delete = query!(|conn: Db| diesel_async::RunQueryDsl::execute(diesel::delete(bench_rows::table), conn).await);
    store.write(delete).await.map(drop)
}

/// A million rows and some more.
async fn fill(store: &Store) -> Result<()> {
    let rows = DEPTH + 1000;
    if store.name().starts_with("postgres") {
        let fill = format!("INSERT INTO bench_rows SELECT n, n, 'row' FROM generate_series(0, {rows}) AS n; ANALYZE");
        store.raw_postgres().await?.batch_execute(&fill).await?;
    } else {
        let fill = format!(
            "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {rows})
             INSERT INTO bench_rows SELECT n, n, 'row' FROM numbers; ANALYZE"
        );
        store.raw_sqlite(move |conn| conn.execute_batch(&fill)).await?;
    }
    Ok(())
}

/// The mean of `count` calls in microseconds, after a tenth of them for warming up.
pub(crate) async fn each<T, E>(count: u32, mut call: impl AsyncFnMut() -> Result<T, E>) -> Result<f64>
where
    E: std::error::Error + Send + Sync + 'static,
{
    for _ in 0..count / 10 {
        call().await?;
    }
    let start = Instant::now();
    for _ in 0..count {
        call().await?;
    }
    Ok(micros(start.elapsed()) / f64::from(count))
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

pub(crate) fn per_second(micros: f64) -> f64 {
    1e6 / micros
}

/// Where ours stands worse to its limit, for figures that should be high.
pub(crate) fn lowest(one: Pairs, other: Pairs) -> Pairs {
    if median(&one.ratios()) <= median(&other.ratios()) { one } else { other }
}

/// The same for figures that should be low.
fn highest(one: Pairs, other: Pairs) -> Pairs {
    if median(&one.ratios()) >= median(&other.ratios()) { one } else { other }
}
