//! Checks of the Redis server.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use millstream_queue::ServerFacts;
use redis::{AsyncConnectionConfig, RedisError, aio::MultiplexedConnection};

use super::report::Report;

/// How long a connection or an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// PINGs of which the median counts.
const PINGS: usize = 9;
/// A difference between clocks from which log lines and due times look wrong to people.
const CLOCK: Duration = Duration::from_secs(1);

/// Checks the server and returns a connection to it, none where it can't be used.
pub(super) async fn check(report: &mut Report, url: &str) -> Option<MultiplexedConnection> {
    let mut conn = match connect(url).await {
        Ok(conn) => conn,
        Err(error) => {
            report.fail("redis", cause(&error), remedy(&error));
            return None;
        }
    };
    if !latency(report, &mut conn).await {
        return None;
    }
    match ServerFacts::ask(&mut conn).await {
        Ok(facts) => judge(report, &facts),
        Err(error) => report.fail("info", error, "let this user run INFO: ACL SETUSER <user> +info"),
    }
    clock(report, &mut conn).await;
    Some(conn)
}

async fn connect(url: &str) -> Result<MultiplexedConnection, RedisError> {
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
    redis::Client::open(url)?.get_multiplexed_async_connection_with_config(&config).await
}

/// The server's own words, without redis-rs's label before them.
fn cause(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ if error.is_timeout() => "no answer within 2 s".to_owned(),
        _ => error.to_string(),
    }
}

fn remedy(error: &RedisError) -> &'static str {
    match error.code() {
        Some("WRONGPASS" | "NOAUTH") => "give the right user and password: redis://user:password@host:port",
        Some("NOPERM") => "let this user connect: ACL SETUSER <user> +@connection",
        Some("MISCONF") => "free the server's disk or its permissions; its log names the error",
        Some("LOADING") => "wait until the server has loaded its data",
        _ if error.kind() == redis::ErrorKind::InvalidClientConfig => {
            "the URL should look like redis://user:password@host:6379/0"
        }
        _ if error.kind() == redis::ErrorKind::AuthenticationFailed => {
            "give the right user and password: redis://user:password@host:port"
        }
        _ => "start Redis, or give its address with --redis-url or REDIS_URL",
    }
}

/// Whether the server answers.
async fn latency(report: &mut Report, conn: &mut MultiplexedConnection) -> bool {
    let mut times = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        let sent = Instant::now();
        if let Err(error) = redis::cmd("PING").query_async::<String>(conn).await {
            report.fail("redis", cause(&error), remedy(&error));
            return false;
        }
        times.push(sent.elapsed());
    }
    times.sort_unstable();
    let median = times[PINGS / 2];
    let found = format!("reachable, PING takes {:.2} ms", median.as_secs_f64() * 1000.0);
    if median < Duration::from_millis(20) {
        report.ok("redis", found);
    } else {
        report.warn("redis", found, "keep Redis and its workers in one data centre");
    }
    true
}

fn judge(report: &mut Report, facts: &ServerFacts) {
    if facts.major() >= 7 {
        report.ok("version", &facts.version);
    } else {
        report.fail("version", &facts.version, "upgrade to Redis 7.0 or newer, or to any Valkey");
    }
    if facts.evicts() {
        let found = format!("maxmemory-policy {} deletes jobs or locks when memory is short", facts.eviction);
        report.fail("eviction", found, "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf");
    } else {
        report.ok("eviction", format!("maxmemory-policy {}", facts.eviction));
    }
    persistence(report, facts);
    memory(report, facts);
}

fn persistence(report: &mut Report, facts: &ServerFacts) {
    if !facts.persists {
        let found = "the last write to disk failed, and Redis refuses writes while it can't persist";
        report.fail(
            "persistence",
            found,
            "free the disk or its permissions; INFO persistence and the log name the error",
        );
    } else if facts.append_only {
        report.ok("persistence", "append-only file; a crash takes at most the last fsync's interval");
    } else {
        let found = "no append-only file: a crash of Redis loses the jobs acknowledged since its last snapshot";
        report.warn("persistence", found, "CONFIG SET appendonly yes, and the same in redis.conf");
    }
}

fn memory(report: &mut Report, facts: &ServerFacts) {
    const MIB: u64 = 1024 * 1024;
    let used = facts.memory_used / MIB;
    if facts.memory_limit == 0 {
        return report.ok("memory", format!("{used} MiB used, no maxmemory: the machine is the limit"));
    }
    let percent = facts.memory_used.saturating_mul(100) / facts.memory_limit;
    let found = format!("{used} of {} MiB used ({percent} %)", facts.memory_limit / MIB);
    let remedy = "raise maxmemory or let the workers catch up: at the limit pushes are refused";
    match percent {
        0..75 => report.ok("memory", found),
        75..95 => report.warn("memory", found, remedy),
        _ => report.fail("memory", found, remedy),
    }
}

async fn clock(report: &mut Report, conn: &mut MultiplexedConnection) {
    let before = Utc::now();
    let asked: Result<(i64, u32), RedisError> = redis::cmd("TIME").query_async(conn).await;
    let here = before + (Utc::now() - before) / 2;
    let Ok((seconds, micros)) = asked else {
        return report.fail("clock", "TIME is refused", "let this user run TIME: ACL SETUSER <user> +time");
    };
    let there = DateTime::from_timestamp(seconds, micros.saturating_mul(1000)).unwrap_or(here);
    let apart = (there - here).abs().to_std().unwrap_or_default();
    let found = format!("Redis and this machine are {:.3} s apart", apart.as_secs_f64());
    if apart < CLOCK {
        report.ok("clock", found);
    } else {
        report.warn("clock", found, "run NTP on both; jobs stay right (Redis's clock decides), times shown look wrong");
    }
}
