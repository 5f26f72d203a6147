//! Checks of the queues in the namespace: are there workers, is there a recorder, does it keep up?

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use millstream_queue::{
    keys::{self, Lane, QueueKeys, RECORDER, WORKERS},
    names,
};
use redis::{RedisError, aio::MultiplexedConnection, cmd, streams::StreamInfoConsumersReply};

use super::report::Report;

/// Outcomes that `done` holds before the queue's policy acts; half of it is unhealthy.
const BOUND: i64 = 1_000_000;
/// A recorder that has read within this time lives.
const RECORDER_SILENCE: Duration = Duration::from_secs(15);
/// A living worker beats more often than this.
const BEAT: Duration = Duration::from_secs(4);
/// How often to look for a beat.
const LOOK: Duration = Duration::from_millis(200);

/// Rounds of SCAN, a thousand keys each, in which unregistered queues are looked for.
const SCANS: usize = 200;

/// What the doctor looks at in one queue.
struct Facts {
    name: String,
    waiting: u64,
    later: u64,
    paused: bool,
    recorded: bool,
    outcomes: i64,
    recorders: usize,
    /// Whether a worker's beat moved.
    alive: bool,
}

/// Checks all queues.
pub(super) async fn check(report: &mut Report, conn: &mut MultiplexedConnection, namespace: &str) {
    match look(conn, namespace).await {
        Ok(queues) if queues.is_empty() => {
            report.skip("queues", format!("none in the namespace {namespace} yet"));
        }
        Ok(queues) => {
            for queue in &queues {
                workers(report, queue);
                recorder(report, queue);
            }
        }
        Err(error) => report.fail("queues", error, "see the checks above"),
    }
}

fn workers(report: &mut Report, queue: &Facts) {
    let what = format!("queue {}", queue.name);
    let found = format!("{} waiting, {} later", queue.waiting, queue.later);
    match queue {
        Facts { paused: true, .. } => report.warn(&what, format!("{found}, paused"), "resume it when its jobs may run"),
        Facts { alive: false, waiting: 1.., .. } => {
            report.fail(&what, format!("{found}, but no living worker"), "start a worker that handles this queue");
        }
        Facts { alive: false, later: 1.., .. } => {
            report.warn(&what, format!("{found}, no living worker"), "start a worker before they are due");
        }
        Facts { alive: true, .. } => report.ok(&what, format!("{found}, workers live")),
        _ => report.ok(&what, format!("{found}, no living worker")),
    }
}

fn recorder(report: &mut Report, queue: &Facts) {
    let what = format!("history {}", queue.name);
    let found = format!("{} outcomes wait for SQL, {} recorders", queue.outcomes, queue.recorders);
    let start = "run a Recorder on this queue, and see that its database is reachable";
    if !queue.recorded {
        let remedy = "run a Recorder where history is wanted, registered before the first push";
        return report.warn(&what, "no recorder has registered: what ends is not kept", remedy);
    }
    match (queue.outcomes, queue.recorders) {
        (outcomes, _) if outcomes >= BOUND / 2 => {
            report.fail(&what, format!("{found}, half of the bound of {BOUND} is reached"), start);
        }
        (1.., 0) => report.fail(&what, format!("{found}: nobody takes them"), start),
        (_, 0) => report.warn(&what, found, start),
        _ => report.ok(&what, found),
    }
}

async fn look(conn: &mut MultiplexedConnection, namespace: &str) -> Result<Vec<Facts>, RedisError> {
    let mut names: BTreeSet<String> = cmd("SMEMBERS").arg(keys::queues(namespace)).query_async(conn).await?;
    names.extend(unregistered(conn, namespace).await?);
    let mut queues = Vec::with_capacity(names.len());
    for name in names {
        queues.push(facts(conn, &QueueKeys::new(namespace, &name), name).await?);
    }
    watch(conn, namespace, &mut queues).await?;
    Ok(queues)
}

/// Queues that jobs were pushed to: only workers and recorders register one, and a misspelt name has neither. Looks through
/// the first keys of a large server only.
async fn unregistered(conn: &mut MultiplexedConnection, namespace: &str) -> Result<BTreeSet<String>, RedisError> {
    let mut names = BTreeSet::new();
    let mut cursor = 0_u64;
    for _ in 0..SCANS {
        let mut scan = cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("{namespace}:{{*}}:ready:*")).arg("COUNT").arg(1000);
        let (next, streams): (u64, Vec<String>) = scan.query_async(conn).await?;
        names.extend(streams.iter().filter_map(|stream| queue_of(stream)).map(str::to_owned));
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    Ok(names)
}

/// The name inside the braces, where it is a queue's.
fn queue_of(stream: &str) -> Option<&str> {
    let (name, _) = stream.split_once('{')?.1.split_once('}')?;
    names::check("queue", name).is_ok().then_some(name)
}

async fn facts(conn: &mut MultiplexedConnection, keys: &QueueKeys, name: String) -> Result<Facts, RedisError> {
    let mut waiting = 0_u64;
    for lane in Lane::ALL {
        let length: u64 = cmd("XLEN").arg(keys.ready(lane)).query_async(conn).await?;
        waiting += length.saturating_sub(pending(conn, &keys.ready(lane)).await);
    }
    let later: u64 = cmd("ZCARD").arg(keys.later()).query_async(conn).await?;
    let (paused, record, outcomes): (Option<String>, Option<String>, Option<i64>) =
        cmd("HMGET").arg(keys.control()).arg(&["paused", "record", "done:outcomes"]).query_async(conn).await?;
    let recorders = living_recorders(conn, &keys.done()).await;
    Ok(Facts {
        name,
        waiting,
        later,
        paused: paused.is_some(),
        recorded: record.is_some(),
        outcomes: outcomes.unwrap_or(0),
        recorders,
        alive: false,
    })
}

/// Jobs in the hands of workers; none where the stream or its group is not there yet.
async fn pending(conn: &mut MultiplexedConnection, stream: &str) -> u64 {
    let summary: Result<(u64, redis::Value, redis::Value, redis::Value), RedisError> =
        cmd("XPENDING").arg(stream).arg(WORKERS).query_async(conn).await;
    summary.map_or(0, |(count, ..)| count)
}

async fn living_recorders(conn: &mut MultiplexedConnection, done: &str) -> usize {
    let group: Result<StreamInfoConsumersReply, RedisError> =
        cmd("XINFO").arg("CONSUMERS").arg(done).arg(RECORDER).query_async(conn).await;
    let lives = |idle: usize| idle as u128 <= RECORDER_SILENCE.as_millis();
    group.map_or(0, |group| group.consumers.iter().filter(|consumer| lives(consumer.idle)).count())
}

/// Waits for a beat to move in every queue that has consumers: an entry that stands still may be a dead worker's that nobody
/// was left to fence.
async fn watch(conn: &mut MultiplexedConnection, namespace: &str, queues: &mut [Facts]) -> Result<(), RedisError> {
    let mut first = HashMap::new();
    for queue in queues.iter() {
        first.insert(queue.name.clone(), beats(conn, namespace, &queue.name).await?);
    }
    for _ in 0..BEAT.as_millis() / LOOK.as_millis() {
        let mut undecided = false;
        for queue in queues.iter_mut().filter(|queue| !queue.alive && !first[&queue.name].is_empty()) {
            queue.alive = beats(conn, namespace, &queue.name).await? != first[&queue.name];
            undecided |= !queue.alive;
        }
        if !undecided {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

async fn beats(
    conn: &mut MultiplexedConnection,
    namespace: &str,
    queue: &str,
) -> Result<HashMap<String, String>, RedisError> {
    let alive = QueueKeys::new(namespace, queue).alive();
    let mut beats: HashMap<String, String> = cmd("HGETALL").arg(alive).query_async(conn).await?;
    beats.retain(|consumer, _| !consumer.ends_with(":fin"));
    Ok(beats)
}
