use std::time::Duration;

use millstream_queue::{Client, Event, Follower, Live, Position};
use millstream_tests::Redis;
use serde::{Deserialize, Serialize};

use crate::stage::{Number, Stage, eventually, soon, stage, stage_at};

async fn next(live: &mut Follower<Number>) -> Live<Number> {
    soon("an event", live.next()).await.expect("a number")
}

/// The next event's number; a gap where none is expected ends the test.
async fn number(live: &mut Follower<Number>) -> u64 {
    match next(live).await {
        Live::Event(event) => event.data.0,
        gap @ Live::Gap { .. } => panic!("{gap:?}"),
    }
}

async fn numbers(live: &mut Follower<Number>, count: usize) -> Vec<u64> {
    let mut numbers = Vec::with_capacity(count);
    for _ in 0..count {
        numbers.push(number(live).await);
    }
    numbers
}

async fn publish(client: &Client, numbers: std::ops::Range<u64>) -> Vec<Position> {
    let mut positions = Vec::new();
    for number in numbers {
        positions.push(client.publish(Number(number)).await.expect("published").position);
    }
    positions
}

/// Appends events without the client, so that one round trip has many and the stream ids can be chosen.
fn append<'a>(
    pipeline: &'a mut redis::Pipeline,
    log: &str,
    position: &str,
    id: &str,
    data: u64,
) -> &'a mut redis::Pipeline {
    pipeline.cmd("XADD").arg(log).arg(position).arg("specversion").arg("1.0").arg("id").arg(id);
    pipeline.arg("source").arg("test").arg("type").arg("number").arg("data").arg(data).ignore()
}

async fn send(stage: &Stage, pipeline: &redis::Pipeline) {
    pipeline.exec_async(&mut stage.redis.0.clone()).await.expect("applied");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_joins_in_mid_stream_misses_nothing_from_then_on() {
    let stage = stage().await;
    for round in 0..5 {
        let client = stage.client.clone();
        let publisher = tokio::spawn(async move { publish(&client, 0..500).await });
        let mut live = stage.client.follow::<Number>().await.unwrap();
        let positions = publisher.await.unwrap();
        publish(&stage.client, 500..501).await;
        let first = number(&mut live).await;
        for expected in first + 1..=500 {
            assert_eq!(number(&mut live).await, expected, "round {round}");
        }
        assert!(first == 500 || live.position() > positions[usize::try_from(first).unwrap()]);
    }
}

#[tokio::test]
async fn a_follower_begins_behind_a_position() {
    let stage = stage().await;
    let positions = publish(&stage.client, 0..10).await;
    let mut live = stage.client.follow::<Number>().since(positions[4]).await.unwrap();
    assert_eq!(numbers(&mut live, 5).await, [5, 6, 7, 8, 9]);
    assert_eq!(live.position(), positions[9]);
    publish(&stage.client, 10..11).await;
    assert_eq!(number(&mut live).await, 10);
    let mut all = stage.client.follow::<Number>().since(Position::START).await.unwrap();
    assert_eq!(numbers(&mut all, 11).await, (0..11).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_event_arrives_with_its_attributes() {
    let stage = stage().await;
    let mut live = stage.client.follow::<Number>().await.unwrap();
    let published = stage.client.publish(Number(7)).subject("room 1").await.unwrap();
    let Live::Event(event) = next(&mut live).await else { panic!("an event") };
    assert_eq!((event.id, event.position), (published.id.to_string(), Some(published.position)));
    assert_eq!((event.subject.as_deref(), event.source.as_str(), event.version), (Some("room 1"), "millstream", 1));
    assert!((chrono::Utc::now() - event.time).num_seconds().abs() < 60);
}

#[tokio::test]
async fn giving_up_on_next_loses_nothing() {
    let stage = stage().await;
    let mut live = stage.client.follow::<Number>().await.unwrap();
    let client = stage.client.clone();
    let publisher = tokio::spawn(async move { publish(&client, 0..2000).await });
    let mut expected = 0;
    while expected < 2000 {
        tokio::select! {
            biased;
            () = tokio::time::sleep(Duration::from_micros(50)) => {}
            event = live.next() => {
                let Live::Event(event) = event.unwrap() else { panic!("a gap") };
                assert_eq!(event.data.0, expected);
                expected += 1;
            }
        }
    }
    publisher.await.unwrap();
}

#[tokio::test]
async fn a_restart_of_the_server_leaves_no_hole() {
    let mut redis = Redis::builder().aof(true).args(["--appendfsync", "always"]).start().await.unwrap();
    let stage = stage_at(&redis.url()).await;
    let mut live = stage.client.follow::<Number>().await.unwrap();
    publish(&stage.client, 0..100).await;
    assert_eq!(numbers(&mut live, 50).await, (0..50).collect::<Vec<_>>());
    redis.restart().await.unwrap();
    eventually("a connection after the restart", || async { stage.client.server_facts().await.is_ok() }).await;
    publish(&stage.client, 100..200).await;
    assert_eq!(numbers(&mut live, 150).await, (50..200).collect::<Vec<_>>());
    publish(&stage.client, 200..201).await;
    assert_eq!(number(&mut live).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_connections_leave_no_hole_and_no_duplicate() {
    let redis = Redis::start().await.unwrap();
    let stage = stage_at(&redis.url()).await;
    let log = stage.log::<Number>();
    let mut live = stage.client.follow::<Number>().await.unwrap();
    let follower = tokio::spawn(async move { numbers(&mut live, 10_000).await });
    for hundred in 0..100 {
        let mut pipeline = redis::pipe();
        for number in hundred * 100..(hundred + 1) * 100 {
            append(&mut pipeline, &log, "*", &number.to_string(), number);
        }
        send(&stage, &pipeline).await;
        let _: i64 = stage.redis.ask(&["CLIENT", "KILL", "TYPE", "normal"]).await;
        // Now and then the follower is given the time to come back, so that it is hit in every state.
        if hundred % 10 == 0 {
            eventually("the reader's return", || async { stage.redis.connections("normal", "xread").await > 0 }).await;
        }
    }
    assert_eq!(follower.await.unwrap(), (0..10_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_slow_follower_is_caught_up_from_the_stream() {
    let stage = stage().await;
    let mut slow = stage.client.follow::<Number>().await.unwrap();
    let mut quick = stage.client.follow::<Number>().await.unwrap();
    publish(&stage.client, 0..3000).await;
    assert_eq!(numbers(&mut quick, 3000).await, (0..3000).collect::<Vec<_>>());
    assert_eq!(numbers(&mut slow, 3000).await, (0..3000).collect::<Vec<_>>());
}

#[tokio::test]
async fn retention_that_passes_a_slow_follower_is_a_gap() {
    let stage = stage().await;
    let mut live = stage.client.follow::<Number>().await.unwrap();
    let positions = publish(&stage.client, 0..3000).await;
    assert_eq!(numbers(&mut live, 10).await, (0..10).collect::<Vec<_>>());
    let _: i64 = stage.redis.ask(&["XTRIM", &stage.log::<Number>(), "MAXLEN", "100"]).await;
    publish(&stage.client, 3000..3001).await;
    let mut passed_on = 9;
    let gap = loop {
        match next(&mut live).await {
            Live::Event(event) => {
                passed_on += 1;
                assert_eq!(event.data.0, passed_on, "what was passed on already comes first");
            }
            gap => break gap,
        }
    };
    let last = positions[usize::try_from(passed_on).unwrap()];
    assert_eq!(gap, Live::Gap { from: last, to: positions[2900] });
    assert_eq!(numbers(&mut live, 101).await, (2900..3001).collect::<Vec<_>>());
}

#[tokio::test]
async fn retention_between_two_pages_is_a_gap() {
    let stage = stage().await;
    let positions = publish(&stage.client, 0..2000).await;
    let mut live = stage.client.follow::<Number>().since(Position::START).await.unwrap();
    assert_eq!(number(&mut live).await, 0);
    let _: i64 = stage.redis.ask(&["XTRIM", &stage.log::<Number>(), "MAXLEN", "500"]).await;
    let mut last = 0;
    let gap = loop {
        match next(&mut live).await {
            Live::Event(event) => last = event.data.0,
            gap => break gap,
        }
    };
    assert!(last < 1000, "one page was read before: {last}");
    assert_eq!(gap, Live::Gap { from: positions[usize::try_from(last).unwrap()], to: positions[1500] });
    assert_eq!(numbers(&mut live, 500).await, (1500..2000).collect::<Vec<_>>());
}

#[tokio::test]
async fn retention_at_the_heels_of_the_reader_is_a_gap() {
    let stage = stage().await;
    let log = stage.log::<Number>();
    let mut live = stage.client.follow::<Number>().await.unwrap();
    for (begins, first_left) in [(1, 9), (101, 109)] {
        // The reader sees the stream only after the whole transaction: first of an empty topic, then of one it knows.
        let mut burst = redis::pipe();
        burst.atomic();
        for number in begins..begins + 10 {
            append(&mut burst, &log, &format!("{number}-1"), &number.to_string(), number);
        }
        burst.cmd("XTRIM").arg(&log).arg("MAXLEN").arg(2).ignore();
        send(&stage, &burst).await;
        let Live::Gap { to, .. } = next(&mut live).await else { panic!("a gap") };
        assert_eq!(to.to_string(), format!("{first_left}-1"));
        assert_eq!(numbers(&mut live, 2).await, [first_left, first_left + 1]);
    }
}

#[tokio::test]
async fn a_follower_that_begins_behind_what_retention_took_is_told() {
    let stage = stage().await;
    let log = stage.log::<Number>();
    let positions = publish(&stage.client, 0..10).await;
    let _: i64 = stage.redis.ask(&["XTRIM", &log, "MAXLEN", "3"]).await;
    let mut live = stage.client.follow::<Number>().since(positions[2]).await.unwrap();
    assert_eq!(next(&mut live).await, Live::Gap { from: positions[2], to: positions[7] });
    assert_eq!(numbers(&mut live, 3).await, [7, 8, 9]);

    let _: i64 = stage.redis.ask(&["XTRIM", &log, "MAXLEN", "0"]).await;
    let mut late = stage.client.follow::<Number>().since(positions[8]).await.unwrap();
    assert_eq!(next(&mut late).await, Live::Gap { from: positions[8], to: positions[9] });
    publish(&stage.client, 10..11).await;
    assert_eq!((number(&mut late).await, number(&mut live).await), (10, 10));
}

#[tokio::test]
async fn retention_of_what_was_read_is_no_gap() {
    let redis = Redis::start().await.unwrap();
    let stage = stage_at(&redis.url()).await;
    let mut live = stage.client.follow::<Number>().await.unwrap();
    publish(&stage.client, 0..5).await;
    assert_eq!(numbers(&mut live, 5).await, [0, 1, 2, 3, 4]);
    let _: i64 = stage.redis.ask(&["XTRIM", &stage.log::<Number>(), "MAXLEN", "0"]).await;
    let _: i64 = stage.redis.ask(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    // The follower finds its way back while nothing is there.
    let _ = tokio::time::timeout(Duration::from_millis(500), live.next()).await;
    eventually("the reader's return", || async { stage.redis.connections("normal", "xread").await > 0 }).await;
    eventually("a connection", || async { stage.client.server_facts().await.is_ok() }).await;
    publish(&stage.client, 5..6).await;
    assert_eq!(number(&mut live).await, 5);
}

#[tokio::test]
async fn a_stream_replaced_by_a_failover_is_a_gap_and_then_the_new_events() {
    let redis = Redis::start().await.unwrap();
    let stage = stage_at(&redis.url()).await;
    let log = stage.log::<Number>();
    let mut live = stage.client.follow::<Number>().await.unwrap();
    let mut first = redis::pipe();
    for number in 1..=5 {
        append(&mut first, &log, &format!("{number}-0"), &format!("old {number}"), number);
    }
    send(&stage, &first).await;
    assert_eq!(numbers(&mut live, 5).await, [1, 2, 3, 4, 5]);

    // The new primary had only three of them, and gave the ids of the others to other events.
    let mut failover = redis::pipe();
    failover.atomic().cmd("DEL").arg(&log).ignore();
    for number in 1..=3 {
        append(&mut failover, &log, &format!("{number}-0"), &format!("old {number}"), number);
    }
    for number in 4..=7 {
        append(&mut failover, &log, &format!("{number}-0"), &format!("new {number}"), 10 * number);
    }
    failover.cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").ignore();
    send(&stage, &failover).await;
    let gap = Live::Gap { from: "3-0".parse().unwrap(), to: "5-0".parse().unwrap() };
    assert_eq!(next(&mut live).await, gap);
    assert_eq!(numbers(&mut live, 4).await, [40, 50, 60, 70]);

    // And one that had none.
    let mut failover = redis::pipe();
    failover.atomic().cmd("DEL").arg(&log).ignore();
    append(&mut failover, &log, "1-0", "newer 1", 100);
    append(&mut failover, &log, "7-0", "newer 7", 700);
    failover.cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").ignore();
    send(&stage, &failover).await;
    assert_eq!(next(&mut live).await, Live::Gap { from: Position::START, to: "7-0".parse().unwrap() });
    assert_eq!(numbers(&mut live, 2).await, [100, 700]);
}

#[tokio::test]
async fn an_event_of_another_shape_is_an_error_and_the_next_one_comes() {
    let stage = stage().await;
    let mut live = stage.client.follow::<Number>().await.unwrap();
    let log = stage.log::<Number>();
    let brackets = "[".repeat(100_000);
    for data in [r#"{"not":"a number"}"#, &brackets, "\u{0}", "1e400"] {
        let _: String = stage.redis.ask(&["XADD", &log, "*", "data", data]).await;
        let error = soon("an error", live.next()).await.unwrap_err();
        assert!(error.to_string().contains("can't be read as number"), "{error}");
    }
    let _: String = stage.redis.ask(&["XADD", &log, "*", "data", "7"]).await;
    let Live::Event(event) = next(&mut live).await else { panic!("an event") };
    assert_eq!((event.data.0, event.id), (7, event.position.unwrap().to_string()));
}

macro_rules! topics {
    ($($topic:ident $name:literal)*) => {$(
        #[derive(Debug, Serialize, Deserialize)]
        struct $topic(u64);
        impl Event for $topic {
            const NAME: &'static str = $name;
        }
    )*};
}
topics!(Alpha "alpha" Beta "beta" Gamma "gamma");

#[tokio::test]
async fn all_followers_of_a_process_share_one_connection_and_it_ends_with_the_last() {
    let redis = Redis::start().await.unwrap();
    let stage = stage_at(&redis.url()).await;
    let client = &stage.client;
    let mut followers = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..10 {
        followers.0.push(client.follow::<Alpha>().await.unwrap());
        followers.1.push(client.follow::<Beta>().await.unwrap());
        followers.2.push(client.follow::<Gamma>().await.unwrap());
    }
    client.publish(Alpha(1)).await.unwrap();
    client.publish(Beta(2)).await.unwrap();
    client.publish(Gamma(3)).await.unwrap();
    for ((alpha, beta), gamma) in followers.0.iter_mut().zip(&mut followers.1).zip(&mut followers.2) {
        assert!(matches!(soon("alpha", alpha.next()).await, Ok(Live::Event(event)) if event.data.0 == 1));
        assert!(matches!(soon("beta", beta.next()).await, Ok(Live::Event(event)) if event.data.0 == 2));
        assert!(matches!(soon("gamma", gamma.next()).await, Ok(Live::Event(event)) if event.data.0 == 3));
    }
    eventually("the read", || async { stage.redis.connections("normal", "xread").await == 1 }).await;
    let all = stage.redis.connections("normal", "").await;
    assert!(all <= 4, "two of the pool, the reader and this test's own, not {all}");
    drop(followers);
    let readers = || async {
        stage.redis.connections("normal", "xread").await + stage.redis.connections("normal", "xrange").await
    };
    eventually("the reader's end", || async {
        stage.redis.connections("normal", "").await < all || readers().await == 0
    })
    .await;

    let mut again = client.follow::<Alpha>().await.unwrap();
    client.publish(Alpha(4)).await.unwrap();
    assert!(matches!(soon("alpha", again.next()).await, Ok(Live::Event(event)) if event.data.0 == 4));
}
