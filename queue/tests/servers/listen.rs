use std::time::Duration;

use millstream_queue::{Event, Heard, Listener};
use millstream_tests::{Proxy, Redis};
use serde::{Deserialize, Serialize};

use crate::stage::{Number, builder, eventually, soon, stage, stage_at};

async fn next(listener: &mut Listener<Number>) -> Heard<Number> {
    soon("a broadcast", listener.next()).await.expect("a number")
}

#[tokio::test]
async fn a_listener_hears_what_is_told_after_it_joined() {
    let stage = stage().await;
    stage.client.broadcast(Number(1)).await.unwrap();
    let mut listener = stage.client.listen::<Number>().await.unwrap();
    stage.client.broadcast(Number(2)).subject("room 1").await.unwrap();
    stage.client.broadcast(Number(3)).subject("").await.unwrap();
    let Heard::Event(event) = next(&mut listener).await else { panic!("an event") };
    assert_eq!((event.data.0, event.subject.as_deref(), event.position), (2, Some("room 1"), None));
    let Heard::Event(event) = next(&mut listener).await else { panic!("an event") };
    assert_eq!((event.data.0, event.subject), (3, None));
}

#[tokio::test]
async fn a_killed_subscription_comes_back_and_says_so() {
    let redis = Redis::start().await.unwrap();
    let stage = stage_at(&redis.url()).await;
    let mut listener = stage.client.listen::<Number>().await.unwrap();
    for number in 0..5 {
        let _: i64 = stage.redis.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        assert_eq!(next(&mut listener).await, Heard::Missed);
        stage.client.broadcast(Number(number)).await.unwrap();
        assert!(matches!(next(&mut listener).await, Heard::Event(event) if event.data.0 == number));
    }
}

#[tokio::test]
async fn a_restart_of_the_server_is_told() {
    let mut redis = Redis::start().await.unwrap();
    let stage = stage_at(&redis.url()).await;
    let mut listener = stage.client.listen::<Number>().await.unwrap();
    redis.restart().await.unwrap();
    assert_eq!(next(&mut listener).await, Heard::Missed);
    eventually("a connection", || async { stage.client.server_facts().await.is_ok() }).await;
    stage.client.broadcast(Number(7)).await.unwrap();
    assert!(matches!(next(&mut listener).await, Heard::Event(event) if event.data.0 == 7));
}

#[tokio::test]
async fn a_path_that_died_silently_is_noticed_and_told() {
    let redis = Redis::start().await.unwrap();
    let proxy = Proxy::to(redis.port()).await.unwrap();
    let client = builder(&proxy.redis_url()).response_timeout(Duration::from_millis(300)).await.unwrap();
    let mut listener = client.listen::<Number>().await.unwrap();
    proxy.strand();
    assert_eq!(next(&mut listener).await, Heard::Missed);
    eventually("a broadcast", || async { client.broadcast(Number(7)).await.is_ok() }).await;
    assert!(matches!(next(&mut listener).await, Heard::Event(event) if event.data.0 == 7));
}

#[tokio::test]
async fn a_listener_that_does_not_read_loses_the_oldest_and_is_told() {
    let stage = stage().await;
    let mut slow = stage.client.listen::<Number>().await.unwrap();
    let mut quick = stage.client.listen::<Number>().await.unwrap();
    let client = stage.client.clone();
    let teller = tokio::spawn(async move {
        for number in 0..20_000 {
            client.broadcast(Number(number)).await.unwrap();
        }
    });
    let mut last = None;
    while last != Some(19_999) {
        if let Heard::Event(event) = next(&mut quick).await {
            last = Some(event.data.0);
        }
    }
    teller.await.unwrap();
    assert_eq!(next(&mut slow).await, Heard::Missed);
    let Heard::Event(first) = next(&mut slow).await else { panic!("an event") };
    assert!(first.data.0 >= 20_000 - 1024, "{} is older than what is kept", first.data.0);
    for number in first.data.0 + 1..20_000 {
        assert!(matches!(next(&mut slow).await, Heard::Event(event) if event.data.0 == number));
    }
}

#[tokio::test]
async fn large_broadcasts_that_nobody_reads_take_bounded_memory() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Blob(String);
    impl Event for Blob {
        const NAME: &'static str = "blob";
    }
    let stage = stage().await;
    let mut slow = stage.client.listen::<Blob>().await.unwrap();
    let mut end = stage.client.listen::<Number>().await.unwrap();
    for _ in 0..200 {
        stage.client.broadcast(Blob("x".repeat(500_000))).await.unwrap();
    }
    stage.client.broadcast(Number(1)).await.unwrap();
    next(&mut end).await;
    assert!(matches!(soon("a broadcast", slow.next()).await, Ok(Heard::Missed)));
    let mut kept = 0;
    while let Ok(Ok(Heard::Event(event))) = tokio::time::timeout(Duration::from_millis(200), slow.next()).await {
        assert_eq!(event.data.0.len(), 500_000);
        kept += 1;
    }
    assert!((1..=8).contains(&kept), "{kept} of 100 MB are kept, 4 MB may be");
}

#[tokio::test]
async fn listeners_share_one_subscription_and_it_ends_with_the_last() {
    let redis = Redis::start().await.unwrap();
    let stage = stage_at(&redis.url()).await;
    let mut listeners = Vec::new();
    for _ in 0..10 {
        listeners.push(stage.client.listen::<Number>().await.unwrap());
    }
    let signals = stage.client.signals("mail").await.unwrap();
    assert_eq!(stage.redis.connections("pubsub", "").await, 1);
    let channels = || async { stage.redis.ask::<Vec<String>>(&["PUBSUB", "CHANNELS"]).await.len() };
    assert_eq!(channels().await, 2);
    drop(listeners);
    eventually("one channel less", || async { channels().await == 1 }).await;
    drop(signals);
    eventually("the end", || async { stage.redis.connections("pubsub", "").await == 0 }).await;

    let mut again = stage.client.listen::<Number>().await.unwrap();
    stage.client.broadcast(Number(4)).await.unwrap();
    assert!(matches!(next(&mut again).await, Heard::Event(event) if event.data.0 == 4));
}

#[tokio::test]
async fn a_broadcast_of_another_shape_is_an_error_and_the_next_one_comes() {
    let stage = stage().await;
    let mut listener = stage.client.listen::<Number>().await.unwrap();
    let channel = millstream_queue::keys::event_channel(stage.client.namespace(), Number::NAME);
    for garbage in
        ["", "{", r#"{"specversion":"1.0"}"#, r#"{"specversion":"1.0","id":"1","source":"x","type":"number"}"#]
    {
        let _: i64 = stage.redis.ask(&["PUBLISH", &channel, garbage]).await;
        assert!(soon("an error", listener.next()).await.is_err(), "{garbage}");
    }
    stage.client.broadcast(Number(4)).await.unwrap();
    assert!(matches!(next(&mut listener).await, Heard::Event(event) if event.data.0 == 4));
}
