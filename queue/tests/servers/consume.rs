use std::{collections::HashMap, time::Duration};

use futures::FutureExt;
use millstream_queue::{Client, Consumer, Delivery, Event, Position};
use millstream_tests::Redis;
use redis::Value;

use crate::stage::{Number, Stage, eventually, soon, stage, stage_at};

/// Short, so that tests wait little; long against a slow machine's pauses.
const AGAIN: Duration = Duration::from_millis(600);

async fn next(consumer: &mut Consumer<Number>) -> Delivery<Number> {
    soon("a delivery", consumer.next()).await.expect("a number")
}

async fn publish(client: &Client, numbers: std::ops::Range<u64>) -> Vec<Position> {
    let mut positions = Vec::new();
    for number in numbers {
        positions.push(client.publish(Number(number)).await.expect("published").position);
    }
    positions
}

async fn pending(stage: &Stage, group: &str) -> u64 {
    let summary: Vec<Value> = stage.redis.ask(&["XPENDING", &stage.log::<Number>(), group]).await;
    match summary[0] {
        Value::Int(count) => count.unsigned_abs(),
        ref other => panic!("{other:?}"),
    }
}

async fn members(stage: &Stage, group: &str) -> Vec<HashMap<String, Value>> {
    stage.redis.ask(&["XINFO", "CONSUMERS", &stage.log::<Number>(), group]).await
}

#[tokio::test]
async fn a_group_begins_with_what_is_kept_and_gets_each_event_once() {
    let stage = stage().await;
    publish(&stage.client, 0..50).await;
    let mut billing = stage.client.consume::<Number>("billing").await.unwrap();
    publish(&stage.client, 50..100).await;
    for expected in 0..100 {
        let delivery = next(&mut billing).await;
        assert_eq!(delivery.envelope.data.0, expected);
        delivery.ack().await.unwrap();
    }
    assert_eq!(pending(&stage, "billing").await, 0);
    assert!(billing.next().now_or_never().is_none());
}

#[tokio::test]
async fn a_new_group_begins_where_it_is_told_and_an_existing_one_goes_on() {
    let stage = stage().await;
    let positions = publish(&stage.client, 0..5).await;
    let mut first = stage.client.consume::<Number>("late").from(positions[2]).await.unwrap();
    let delivery = next(&mut first).await;
    assert_eq!(delivery.envelope.data.0, 3);
    delivery.ack().await.unwrap();
    next(&mut first).await.ack().await.unwrap();
    drop(first);
    publish(&stage.client, 5..6).await;
    let mut second = stage.client.consume::<Number>("late").from(Position::START).await.unwrap();
    assert_eq!(next(&mut second).await.envelope.data.0, 5);
}

#[tokio::test]
async fn two_members_share_the_events_of_their_group_and_groups_do_not() {
    let stage = stage().await;
    let mut one = stage.client.consume::<Number>("shared").await.unwrap();
    let mut two = stage.client.consume::<Number>("shared").await.unwrap();
    let mut other = stage.client.consume::<Number>("other").await.unwrap();
    publish(&stage.client, 0..200).await;
    let (mut seen, mut shares) = (Vec::new(), [0, 0]);
    while seen.len() < 200 {
        let (delivery, member) = tokio::select! {
            delivery = next(&mut one) => (delivery, 0),
            delivery = next(&mut two) => (delivery, 1),
        };
        seen.push(delivery.envelope.data.0);
        shares[member] += 1;
        delivery.ack().await.unwrap();
    }
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..200), "each event went to one of them");
    assert!(shares[0] > 0 && shares[1] > 0, "{shares:?}");
    for expected in 0..200 {
        let delivery = next(&mut other).await;
        assert_eq!(delivery.envelope.data.0, expected);
        delivery.ack().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_not_acknowledged_is_delivered_again() {
    let stage = stage().await;
    let mut group = stage.client.consume::<Number>("again").redeliver_after(AGAIN).await.unwrap();
    publish(&stage.client, 7..8).await;
    let first = next(&mut group).await.envelope;
    let second = next(&mut group).await;
    assert_eq!(second.envelope, first);
    second.ack().await.unwrap();
    assert_eq!(pending(&stage, "again").await, 0);
}

#[tokio::test]
async fn what_a_dead_process_held_goes_to_another_member() {
    let stage = stage().await;
    publish(&stage.client, 0..3).await;
    // What XREADGROUP of a process leaves behind that died right after it.
    let log = stage.log::<Number>();
    let _: () = stage.redis.ask(&["XGROUP", "CREATE", &log, "crew", "0"]).await;
    let _: Value = stage.redis.ask(&["XREADGROUP", "GROUP", "crew", "dead", "STREAMS", &log, ">"]).await;
    let mut survivor = stage.client.consume::<Number>("crew").redeliver_after(AGAIN).await.unwrap();
    for expected in 0..3 {
        let delivery = next(&mut survivor).await;
        assert_eq!(delivery.envelope.data.0, expected);
        delivery.ack().await.unwrap();
    }
}

#[tokio::test]
async fn a_member_that_works_for_long_keeps_its_event() {
    let stage = stage().await;
    let mut one = stage.client.consume::<Number>("slow").redeliver_after(AGAIN).await.unwrap();
    publish(&stage.client, 7..8).await;
    let held = next(&mut one).await;
    let mut two = stage.client.consume::<Number>("slow").redeliver_after(AGAIN).await.unwrap();
    let stolen = tokio::time::timeout(AGAIN * 5, two.next()).await;
    assert!(stolen.is_err(), "another member got what is worked on");
    held.ack().await.unwrap();
    assert_eq!(pending(&stage, "slow").await, 0);
}

#[tokio::test]
async fn a_member_that_works_on_all_it_can_hold_keeps_them_all() {
    let stage = stage().await;
    publish(&stage.client, 0..100).await;
    let mut one = stage.client.consume::<Number>("full").redeliver_after(AGAIN).await.unwrap();
    let held = next(&mut one).await;
    tokio::time::sleep(AGAIN * 4).await; // its read-ahead is full all the while
    let line: Vec<(String, String, u64, u64)> =
        stage.redis.ask(&["XPENDING", &stage.log::<Number>(), "full", "-", "+", "100"]).await;
    assert!(line.len() > 1);
    assert!(line.iter().all(|(_, _, idle, count)| u128::from(*idle) < AGAIN.as_millis() && *count == 1), "{line:?}");
    drop(held);
}

#[tokio::test]
async fn a_delivery_outlives_its_consumer() {
    let stage = stage().await;
    let mut one = stage.client.consume::<Number>("left").redeliver_after(AGAIN).await.unwrap();
    publish(&stage.client, 0..2).await;
    let held = next(&mut one).await;
    drop(one);
    let mut two = stage.client.consume::<Number>("left").redeliver_after(AGAIN).await.unwrap();
    let other = next(&mut two).await;
    assert_eq!((held.envelope.data.0, other.envelope.data.0), (0, 1), "only what nobody works on moves");
    other.ack().await.unwrap();
    assert!(tokio::time::timeout(AGAIN * 3, two.next()).await.is_err());
    held.ack().await.unwrap();
    assert_eq!(pending(&stage, "left").await, 0);
    eventually("the first one's leave", || async { members(&stage, "left").await.len() == 1 }).await;
}

#[tokio::test]
async fn members_that_leave_are_gone_from_the_group() {
    let stage = stage().await;
    for _ in 0..3 {
        let mut member = stage.client.consume::<Number>("come_and_go").await.unwrap();
        publish(&stage.client, 0..1).await;
        next(&mut member).await.ack().await.unwrap();
        drop(member);
        eventually("its leave", || async { members(&stage, "come_and_go").await.is_empty() }).await;
    }
}

#[tokio::test]
async fn what_a_leaving_member_had_read_ahead_goes_to_the_others_before_its_time() {
    let stage = stage().await;
    let long = Duration::from_secs(9); // the others look every third of it
    publish(&stage.client, 0..20).await;
    let mut one = stage.client.consume::<Number>("ahead").redeliver_after(long).await.unwrap();
    next(&mut one).await.ack().await.unwrap();
    let started = std::time::Instant::now();
    drop(one);
    let mut two = stage.client.consume::<Number>("ahead").redeliver_after(long).await.unwrap();
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 19 {
        let delivery = next(&mut two).await;
        seen.insert(delivery.envelope.data.0);
        delivery.ack().await.unwrap();
    }
    assert!(seen.into_iter().eq(1..20));
    assert!(started.elapsed() < long, "{:?}", started.elapsed());
}

#[tokio::test]
async fn the_fifth_failed_delivery_ends_in_the_dead_letter_topic_with_all_its_data() {
    let stage = stage().await;
    let again = Duration::from_millis(100);
    let mut group = stage.client.consume::<Number>("picky").redeliver_after(again).await.unwrap();
    let published = stage.client.publish(Number(7)).subject("room 1").await.unwrap();
    for _ in 0..5 {
        assert_eq!(next(&mut group).await.envelope.data.0, 7);
    }
    let dead_log = millstream_queue::keys::event_log(stage.client.namespace(), "number.dead");
    eventually("the dead letter", || async { stage.redis.length(&dead_log).await == 1 }).await;
    eventually("the acknowledgement", || async { pending(&stage, "picky").await == 0 }).await;
    let mut expected = stage.redis.entries(&stage.log::<Number>()).await.remove(0);
    assert_eq!(expected.0, published.position.to_string());
    expected.1.push(("deadgroup".into(), "picky".into()));
    expected.1.push(("deaddeliveries".into(), "5".into()));
    assert_eq!(stage.redis.entries(&dead_log).await[0].1, expected.1, "every field, in order");
    assert!(tokio::time::timeout(again * 3, group.next()).await.is_err(), "it is not delivered a sixth time");
}

#[tokio::test]
async fn an_event_of_another_shape_is_an_error_and_then_a_dead_letter() {
    let stage = stage().await;
    let mut group = stage.client.consume::<Number>("typed").redeliver_after(Duration::from_millis(50)).await.unwrap();
    let _: String = stage.redis.ask(&["XADD", &stage.log::<Number>(), "*", "data", "{}"]).await;
    for _ in 0..5 {
        assert!(soon("an error", group.next()).await.is_err());
    }
    publish(&stage.client, 8..9).await;
    assert_eq!(next(&mut group).await.envelope.data.0, 8);
    let dead_log = millstream_queue::keys::event_log(stage.client.namespace(), &format!("{}.dead", Number::NAME));
    eventually("the dead letter", || async { stage.redis.length(&dead_log).await == 1 }).await;
}

#[tokio::test]
async fn a_topic_deleted_under_its_group_makes_no_hot_loop_and_goes_on() {
    let redis = Redis::start().await.unwrap();
    let stage = stage_at(&redis.url()).await;
    let mut group = stage.client.consume::<Number>("calm").await.unwrap();
    publish(&stage.client, 0..1).await;
    next(&mut group).await.ack().await.unwrap();
    let commands = || async {
        let info: String = stage.redis.ask(&["INFO", "stats"]).await;
        let line = info.lines().find_map(|line| line.strip_prefix("total_commands_processed:")).expect("a count");
        line.trim().parse::<u64>().expect("a number")
    };
    let before = commands().await;
    for flush in [false, true] {
        let _: Value = match flush {
            false => stage.redis.ask(&["DEL", &stage.log::<Number>()]).await,
            true => stage.redis.ask(&["FLUSHALL"]).await,
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), group.next()).await;
    }
    let spent = commands().await - before;
    assert!(spent < 100, "{spent} commands in two idle seconds");
    publish(&stage.client, 1..2).await;
    let delivery = next(&mut group).await;
    assert_eq!(delivery.envelope.data.0, 1);
    delivery.ack().await.unwrap();
}

#[tokio::test]
async fn a_group_goes_on_after_a_restart_of_the_server() {
    let mut redis = Redis::builder().aof(true).args(["--appendfsync", "always"]).start().await.unwrap();
    let stage = stage_at(&redis.url()).await;
    let mut group = stage.client.consume::<Number>("steady").redeliver_after(AGAIN).await.unwrap();
    publish(&stage.client, 0..10).await;
    next(&mut group).await.ack().await.unwrap();
    redis.restart().await.unwrap();
    eventually("a connection", || async { stage.client.server_facts().await.is_ok() }).await;
    publish(&stage.client, 10..20).await;
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 19 {
        let delivery = next(&mut group).await;
        seen.insert(delivery.envelope.data.0);
        delivery.ack().await.unwrap();
    }
    assert!(seen.into_iter().eq(1..20));
}

#[tokio::test]
async fn giving_up_on_next_loses_no_event() {
    let stage = stage().await;
    let mut group = stage.client.consume::<Number>("hasty").await.unwrap();
    let client = stage.client.clone();
    let publisher = tokio::spawn(async move { publish(&client, 0..500).await });
    let mut expected = 0;
    while expected < 500 {
        tokio::select! {
            biased;
            () = tokio::time::sleep(Duration::from_micros(50)) => {}
            delivery = group.next() => {
                let delivery = delivery.unwrap();
                assert_eq!(delivery.envelope.data.0, expected);
                delivery.ack().await.unwrap();
                expected += 1;
            }
        }
    }
    publisher.await.unwrap();
}
