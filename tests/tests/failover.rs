//! A promoted replica that lacks the last writes gives their stream ids to other jobs.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod probe;

use millstream_queue::{Client, Lane, keys::WORKERS};
use millstream_tests::{Proxy, Redis};
use probe::{Act, Outcomes, Probe, QUEUE, Running, Said, assert_empty, probe};
use redis::cmd;

/// A server that has, in the place of the client's, one entry with this stream id, which is pending for the consumer.
async fn promote(new: &Redis, client: &Client, entry: &str, consumer: &str, job: &Probe, id: Option<&str>) -> Client {
    let keys = client.keys(QUEUE);
    let lane = keys.ready(Lane::Normal);
    let promoted = Client::builder(&new.url()).namespace(client.namespace()).await.unwrap();
    promoted.record(QUEUE).await.unwrap();
    let mut conn = promoted.connection().await.unwrap();
    let body = serde_json::to_string(job).unwrap();
    let mut add = cmd("XADD");
    add.arg(&lane).arg(entry).arg("kind").arg("probe").arg("body").arg(body);
    if let Some(id) = id {
        add.arg("id").arg(id);
    }
    add.exec_async(&mut conn).await.unwrap();
    for lane in Lane::ALL {
        let mut create = cmd("XGROUP");
        create.arg("CREATE").arg(keys.ready(lane)).arg(WORKERS).arg("0").arg("MKSTREAM");
        create.exec_async(&mut conn).await.unwrap();
    }
    cmd("HSET").arg(keys.alive()).arg(consumer).arg(1).exec_async(&mut conn).await.unwrap();
    let mut deliver = cmd("XREADGROUP");
    deliver.arg("GROUP").arg(WORKERS).arg(consumer).arg("STREAMS").arg(&lane).arg(">");
    deliver.exec_async(&mut conn).await.unwrap();
    promoted
}

/// The id of the only entry of the lane, and the consumer that lives.
async fn held(client: &Client) -> (String, String) {
    let (keys, mut conn) = (client.keys(QUEUE), client.connection().await.unwrap());
    let lane = keys.ready(Lane::Normal);
    let mut entries: Vec<(String, Vec<String>)> =
        cmd("XRANGE").arg(&lane).arg("-").arg("+").query_async(&mut conn).await.unwrap();
    let consumers: Vec<String> = cmd("HKEYS").arg(keys.alive()).query_async(&mut conn).await.unwrap();
    let consumer = consumers.into_iter().find(|name| !name.ends_with(":fin")).unwrap();
    (entries.remove(0).0, consumer)
}

/// A worker that reaches the server through a proxy, a client that reaches it without, and what the worker says.
async fn worker_behind_a_proxy(server: &Redis) -> (Proxy, Client, Running, Said) {
    let proxy = Proxy::to(server.port()).await.unwrap();
    let client = probe::client(&server.url()).await;
    let through_proxy = Client::builder(&proxy.redis_url()).namespace(client.namespace()).await.unwrap();
    let (worker, said) = probe::worker(&through_proxy);
    (proxy, client, Running::start(worker), said)
}

/// While a job runs, its server is replaced by one where its stream id is another job's, which is pending for the same
/// worker. The job that is no more ends; the other must not end with it.
async fn a_stranger_in_the_place_of_a_running_job_lives(stranger_id: Option<&str>) {
    let (old, new) = (Redis::start().await.unwrap(), Redis::start().await.unwrap());
    let (proxy, client, worker, mut said) = worker_behind_a_proxy(&old).await;
    client.push(probe("old", Act::Sleep { ms: 1500 })).await.unwrap();
    said.wait_for("started old attempt 1 run 1").await;

    let (entry, consumer) = held(&client).await;
    let stranger = probe("stranger", Act::Sleep { ms: 3000 });
    let promoted = promote(&new, &client, &entry, &consumer, &stranger, stranger_id).await;
    proxy.lead_to(new.port());
    proxy.reset();

    said.wait_for("ended old").await;
    let mut outcomes = Outcomes::of(&promoted);
    assert_eq!(outcomes.next().await.result.as_deref(), Some(&br#""stranger""#[..]));
    worker.stop().await;
    assert_empty(&promoted).await;
}

#[tokio::test]
async fn a_finish_after_a_failover_removes_no_job_that_has_the_same_stream_id() {
    a_stranger_in_the_place_of_a_running_job_lives(Some("01980000-0000-7000-8000-000000000001")).await;
}

#[tokio::test]
async fn nor_one_that_was_pushed_without_an_id() {
    a_stranger_in_the_place_of_a_running_job_lives(None).await;
}

#[tokio::test]
async fn a_job_that_the_promoted_replica_has_too_ends_there_once_and_is_in_its_books() {
    let (old, new) = (Redis::start().await.unwrap(), Redis::start().await.unwrap());
    let (proxy, client, worker, mut said) = worker_behind_a_proxy(&old).await;
    let job = probe("both", Act::Sleep { ms: 1500 });
    let id = client.push(job.clone()).await.unwrap();
    said.wait_for("started both attempt 1 run 1").await;
    let (entry, consumer) = held(&client).await;
    let promoted = promote(&new, &client, &entry, &consumer, &job, Some(&id.to_string())).await;
    proxy.lead_to(new.port());
    proxy.reset();
    let outcome = Outcomes::of(&promoted).next().await;
    assert_eq!((outcome.id, outcome.result.as_deref()), (id, Some(&br#""both""#[..])));
    worker.stop().await;
    assert_empty(&promoted).await;
    assert!(said.heard_so_far().iter().all(|line| !line.starts_with("started")), "it is not started again");
}
