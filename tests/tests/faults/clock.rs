//! A server whose wall clock jumps. Needs Linux, see `Redis::set_clock`.

use std::time::Duration;

use millstream_queue::State;
use millstream_tests::Redis;
use tokio::time::{sleep, timeout};

use crate::{
    probe::{self, Act, LEASE, Outcomes, QUEUE, assert_empty, probe},
    stage::{Operator, complains_in_bounds, eventually, says, worker},
};

async fn seconds(operator: &Operator) -> i64 {
    operator.ask::<(i64, i64)>(&["TIME"]).await.0
}

#[tokio::test]
async fn a_clock_that_jumps_forth_and_back_takes_no_running_job_from_its_worker() {
    let redis = Redis::builder().own_clock().start().await.unwrap();
    let client = probe::client(&redis.url()).await;
    let workers = [worker(&redis, &client, &[]).await, worker(&redis, &client, &[]).await];
    let operator = Operator::of(&redis).await;
    let alive = async || -> Vec<String> {
        let mut names: Vec<String> = operator.ask(&["HKEYS", &client.keys(QUEUE).alive()]).await;
        names.retain(|name| !name.ends_with(":fin"));
        names.sort();
        names
    };
    let held = client.push(probe("held", Act::Sleep { ms: 6_000 })).await.unwrap();
    tokio::select! {
        () = says(&workers[0], "started held attempt 1 run 1") => {}
        () = says(&workers[1], "started held attempt 1 run 1") => {}
    }
    eventually("both are alive", async || alive().await.len() == 2).await;
    let before = alive().await;
    let mut outcomes = Outcomes::of(&client);
    let soon = Duration::from_secs(10);

    for (jump, name) in [(120, "ahead"), (-120, "behind"), (0, "back")] {
        let was = seconds(&operator).await;
        redis.set_clock(jump).unwrap();
        assert!((seconds(&operator).await - was).abs() > 60, "the clock did not jump");
        // Whoever blocks in a read gets what is pushed, whatever the clock says of the time that is left.
        let id = client.push(probe(name, Act::Succeed)).await.unwrap();
        let outcome = timeout(soon, outcomes.next()).await.expect("a job runs at once after the jump");
        assert_eq!((outcome.id, outcome.state, outcome.run), (id, State::Completed, 1));
        sleep(3 * LEASE / 2).await; // longer than the lease
        assert_eq!(alive().await, before, "a worker was fenced");
    }

    let outcome = outcomes.next().await;
    assert_eq!((outcome.id, outcome.state, outcome.run, outcome.crash), (held, State::Completed, 1, 0));
    workers.iter().for_each(complains_in_bounds);
    assert_empty(&client).await;
}

#[tokio::test]
async fn delayed_jobs_go_by_the_server_s_clock() {
    let redis = Redis::builder().own_clock().start().await.unwrap();
    let client = probe::client(&redis.url()).await;
    let process = worker(&redis, &client, &[]).await;
    let mut outcomes = Outcomes::of(&client);
    let minute = client.push(probe("minute", Act::Succeed)).after(Duration::from_secs(60)).await.unwrap();
    let hour = client.push(probe("hour", Act::Succeed)).after(Duration::from_secs(3600)).await.unwrap();

    redis.set_clock(120).unwrap();
    assert_eq!(outcomes.next().await.id, minute);

    // Set back, it does not run what is due at a time that comes once more.
    redis.set_clock(0).unwrap();
    client.push(probe("now", Act::Succeed)).await.unwrap();
    assert_eq!(outcomes.next().await.result.as_deref(), Some(&b"\"now\""[..]));
    let operator = Operator::of(&redis).await;
    let waiting: Vec<String> = operator.ask(&["ZRANGE", &client.keys(QUEUE).later(), "0", "-1"]).await;
    assert_eq!(waiting, [hour.to_string()]);
    complains_in_bounds(&process);
}
