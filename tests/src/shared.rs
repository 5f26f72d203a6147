//! Servers that all tests of a run share.

use std::env;

use anyhow::Result;
use tokio::sync::OnceCell;

use crate::postgres::Postgres;
use crate::redis::Redis;

/// The URL of a Redis for tests that keep to a [`namespace`](crate::namespace): the one that `./dev test` started and
/// named in `MILLSTREAM_TEST_REDIS`, else a private one for this process.
///
/// A test that stops, fills or reconfigures its server starts its own with [`Redis::start`].
///
/// # Errors
/// When a private server is needed and does not come up.
pub async fn shared_redis() -> Result<String> {
    static OWN: OnceCell<Redis> = OnceCell::const_new();
    match env::var("MILLSTREAM_TEST_REDIS") {
        Ok(url) if !url.is_empty() => Ok(url),
        _ => Ok(OWN.get_or_try_init(Redis::start).await?.url()), // its guard ends it with this process
    }
}

/// The URL of a Postgres for tests that make their own database with [`fresh_database`](crate::fresh_database): the
/// one that `./dev test` started and named in `MILLSTREAM_TEST_POSTGRES`, else a private one for this process.
///
/// # Errors
/// When a private server is needed and does not come up.
pub async fn shared_postgres() -> Result<String> {
    static OWN: OnceCell<Postgres> = OnceCell::const_new();
    match env::var("MILLSTREAM_TEST_POSTGRES") {
        Ok(url) if !url.is_empty() => Ok(url),
        _ => Ok(OWN.get_or_try_init(Postgres::start).await?.url()),
    }
}
