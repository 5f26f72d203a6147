use std::time::{Duration, Instant};

use millstream_queue::{Client, Error, Lane, Live};
use millstream_tests::{Proxy, Redis, free_port};

use crate::stage::{Number, Raw, builder, eventually, soon, stage_at};

/// Within this time a start that can't work has to say so.
const AT_ONCE: Duration = Duration::from_secs(3);

async fn refused(url: &str) -> Error {
    let started = Instant::now();
    let error = Client::connect(url).await.expect_err("a server that can't be used");
    assert!(started.elapsed() < AT_ONCE, "{error} took {:?}", started.elapsed());
    error
}

#[tokio::test]
async fn a_server_that_is_down_is_named_at_once() {
    let port = free_port().unwrap();
    let started = Instant::now();
    let error = refused(&format!("redis://127.0.0.1:{port}")).await;
    assert!(matches!(error, Error::Unreachable { .. }));
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}: ")), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(1), "the refusal itself is heard, not a time-out");
}

#[tokio::test]
async fn everyone_who_waits_hears_why_there_is_no_connection() {
    let mut redis = Redis::start().await.unwrap();
    let client = Client::connect(&redis.url()).await.unwrap();
    redis.kill().await;
    let pushes = (0..20).map(|number| client.push(Number(number)).into_future());
    for pushed in futures::future::join_all(pushes).await {
        assert!(pushed.is_err());
    }
    let pushes = (0..20).map(|number| client.push(Number(number)).into_future());
    for pushed in futures::future::join_all(pushes).await {
        let error = pushed.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains("refused"), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_and_not_shown() {
    let redis = Redis::builder().args(["--requirepass", "right-secret"]).start().await.unwrap();
    for credentials in [":wrong-secret@", "ann:wrong-secret@", ""] {
        let error = refused(&format!("redis://{credentials}127.0.0.1:{}", redis.port())).await;
        let told = format!("{error} {error:?}");
        assert!(matches!(error, Error::Unreachable { .. }), "{told}");
        assert!(told.to_lowercase().contains("auth") || told.contains("WRONGPASS"), "{told}");
        assert!(!told.contains("secret"), "{told}");
    }
    let client = Client::connect(&format!("redis://:right-secret@127.0.0.1:{}", redis.port())).await.unwrap();
    assert!(!format!("{client:?}").contains("secret"));
    assert!(!format!("{:?}", Client::builder("redis://:right-secret@127.0.0.1")).contains("secret"));
}

#[tokio::test]
async fn a_wrong_database_is_told() {
    let redis = Redis::start().await.unwrap();
    let error = refused(&format!("{}/99", redis.url())).await;
    assert!(error.to_string().contains("database") || error.to_string().contains("DB index"), "{error}");
}

#[tokio::test]
async fn an_unreadable_url_is_refused_without_showing_its_password() {
    for url in ["redis://:secret@host:notaport", "http://:secret@host", "secret", "", "redis://:secret@host/x"] {
        let error = refused(url).await;
        assert!(matches!(error, Error::Url { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
}

#[tokio::test]
async fn servers_that_evict_are_refused_by_the_name_of_their_policy() {
    let redis = Redis::start().await.unwrap();
    let raw = Raw::connect(&redis.url()).await;
    for policy in ["allkeys-lru", "volatile-lru", "volatile-ttl", "allkeys-random"] {
        let _: () = raw.ask(&["CONFIG", "SET", "maxmemory-policy", policy]).await;
        let error = refused(&redis.url()).await;
        assert!(matches!(error, Error::Evicts { .. }));
        assert!(error.to_string().contains(policy) && error.to_string().contains("noeviction"), "{error}");
    }
    let _: () = raw.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    Client::connect(&redis.url()).await.unwrap();
}

#[tokio::test]
async fn a_client_comes_back_by_itself_after_a_restart_and_nothing_acknowledged_is_lost() {
    let mut redis = Redis::builder().aof(true).args(["--appendfsync", "always"]).start().await.unwrap();
    let client = Client::connect(&redis.url()).await.unwrap();
    client.push(Number(0)).id("first").await.unwrap();
    redis.restart().await.unwrap();
    let pushed_again = || async { client.push(Number(1)).id("second").await.is_ok() };
    eventually("a push after the restart", pushed_again).await;
    client.push(Number(0)).id("first").await.unwrap();
    let raw = Raw::connect(&redis.url()).await;
    assert_eq!(raw.length("ms:{numbers}:ready:normal").await, 2);
}

#[tokio::test]
async fn a_client_comes_back_by_itself_when_its_connections_are_killed() {
    let redis = Redis::start().await.unwrap();
    let stage = stage_at(&redis.url()).await;
    for number in 0..20 {
        let _: i64 = stage.redis.ask(&["CLIENT", "KILL", "TYPE", "normal"]).await;
        // The first may meet the dead connection; the second must not.
        let key = number.to_string();
        if let Err(error) = stage.client.push(Number(number)).id(&key).await {
            assert!(error.is_indeterminate(), "{error}");
            stage.client.push(Number(number)).id(&key).await.unwrap();
        }
    }
    assert_eq!(stage.redis.length(&stage.lane(Lane::Normal)).await, 20);
}

#[tokio::test]
async fn a_paused_server_is_a_bounded_time_out_and_then_forgotten() {
    let redis = Redis::start().await.unwrap();
    let client = builder(&redis.url()).response_timeout(Duration::from_millis(500)).await.unwrap();
    client.push(Number(0)).await.unwrap();
    redis.stop();
    for number in 1..4 {
        let started = Instant::now();
        let error = client.push(Number(number)).await.unwrap_err();
        assert!(started.elapsed() < AT_ONCE, "{error} took {:?}", started.elapsed());
        assert!(error.is_indeterminate() || matches!(error, Error::Unreachable { .. }), "{error}");
    }
    redis.cont();
    let pushed = || async { client.push(Number(9)).await.is_ok() };
    eventually("a push after the pause", pushed).await;
}

#[tokio::test]
async fn a_reset_connection_is_replaced() {
    let redis = Redis::start().await.unwrap();
    let proxy = Proxy::to(redis.port()).await.unwrap();
    let stage = stage_at(&proxy.redis_url()).await;
    for number in 0..5 {
        stage.client.push(Number(number)).await.unwrap();
        proxy.reset();
        let pushed = || async { stage.client.push(Number(number)).await.is_ok() };
        eventually("a push after the reset", pushed).await;
    }
}

#[tokio::test]
async fn after_a_failover_the_new_primary_is_found() {
    let (old, new) = (Redis::start().await.unwrap(), Redis::start().await.unwrap());
    let proxy = Proxy::to(old.port()).await.unwrap();
    let client = builder(&proxy.redis_url()).await.unwrap();
    client.push(Number(1)).await.unwrap();

    proxy.lead_to(new.port());
    let raw = Raw::connect(&old.url()).await;
    let _: () = raw.ask(&["REPLICAOF", "127.0.0.1", &new.port().to_string()]).await;

    let error = client.push(Number(2)).await.unwrap_err();
    assert!(error.to_string().to_lowercase().contains("read"), "{error}");
    client.push(Number(2)).await.unwrap();
    let lane = client.keys("numbers").ready(Lane::Normal);
    assert_eq!(Raw::connect(&new.url()).await.length(&lane).await, 1);
}

#[tokio::test]
async fn a_url_that_asks_for_the_other_protocol_works_too() {
    let redis = Redis::start().await.unwrap();
    let client = builder(&format!("{}/?protocol=resp3", redis.url())).await.unwrap();
    let mut live = client.follow::<Number>().await.unwrap();
    let mut group = client.consume::<Number>("group").redeliver_after(Duration::from_secs(3600)).await.unwrap();
    for number in 0..3 {
        client.publish(Number(number)).await.unwrap();
        let Ok(Live::Event(event)) = soon("the event", live.next()).await else { panic!("an event") };
        assert_eq!(event.data, Number(number));
        assert_eq!(soon("the delivery", group.next()).await.unwrap().envelope.data, Number(number));
    }
}
