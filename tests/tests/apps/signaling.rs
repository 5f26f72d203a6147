//! Two processes of the signalling service, and clients of both.

use anyhow::{Context, Result};
use gallery::{JobProgress, PhotoReady};
use millstream_tests::Redis;
use serde_json::json;
use tokio::net::{TcpSocket, TcpStream};
use uuid::Uuid;

use crate::programs::{SOON, Site};
use crate::socket::Socket;

#[tokio::test]
async fn peers_of_one_room_reach_each_other_across_processes() -> Result<()> {
    let site = Site::new().await?;
    let (_one, here) = site.signaling().await?;
    let (_two, there) = site.signaling().await?;
    let mut ann = Socket::join(&here, "kitchen", "ann").await?;
    let mut bob = Socket::join(&there, "kitchen", "bob").await?;
    ann.expect(json!({"type": "joined", "room": "kitchen", "peer": "bob"})).await?;
    bob.expect(json!({"type": "presence", "peer": "ann"})).await?; // who was there before
    let mut eve = Socket::join(&there, "cellar", "eve").await?;

    ann.say(json!({"type": "offer", "to": "bob", "sdp": "v=0 offer"})).await?;
    bob.expect(json!({"type": "offer", "from": "ann", "sdp": "v=0 offer"})).await?;
    bob.say(json!({"type": "answer", "to": "ann", "sdp": "v=0 answer"})).await?;
    ann.expect(json!({"type": "answer", "from": "bob", "sdp": "v=0 answer"})).await?;
    let candidate = json!({"candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host", "sdpMid": "0"});
    ann.say(json!({"type": "ice", "to": "bob", "candidate": candidate})).await?;
    bob.expect(json!({"type": "ice", "from": "ann", "candidate": candidate})).await?;
    bob.say(json!({"type": "ping"})).await?;
    bob.expect(json!({"type": "pong"})).await?;
    ann.expect(json!({"type": "presence", "peer": "bob"})).await?;

    drop(ann); // no leave, no farewell
    bob.expect(json!({"type": "presence", "peer": "bob"})).await?;
    bob.expect(json!({"type": "left", "room": "kitchen", "peer": "ann"})).await?;
    bob.say(json!({"type": "leave"})).await?;
    bob.expect(json!({"type": "left", "room": "kitchen", "peer": "bob"})).await?;
    eve.say(json!({"type": "ping"})).await?;
    eve.expect(json!({"type": "pong"})).await?; // the first that eve hears: other rooms are other rooms
    Ok(())
}

#[tokio::test]
async fn a_peer_that_joins_elsewhere_replaces_its_earlier_self() -> Result<()> {
    let site = Site::new().await?;
    let (_one, here) = site.signaling().await?;
    let (_two, there) = site.signaling().await?;
    let mut bob = Socket::join(&here, "r", "bob").await?;
    let mut old = Socket::join(&here, "r", "ann").await?;
    let mut new = Socket::join(&there, "r", "ann").await?;
    assert_eq!(old.farewell().await?.reason.as_str(), "replaced: ann joined room r again");
    new.say(json!({"type": "offer", "to": "bob", "sdp": "from the new one"})).await?;
    for _ in ["the old one", "the new one"] {
        bob.expect(json!({"type": "joined", "room": "r", "peer": "ann"})).await?;
    }
    // Had the old one left, that would come first.
    bob.expect(json!({"type": "offer", "from": "ann", "sdp": "from the new one"})).await
}

fn photo_ready(album: Uuid, name: &str) -> PhotoReady {
    PhotoReady {
        album,
        photo: Uuid::now_v7(),
        name: name.to_owned(),
        ok: false,
        error: Some("damaged".into()),
        facts: None,
    }
}

#[tokio::test]
async fn events_of_the_gallery_are_relayed_from_the_moment_of_the_confirmation() -> Result<()> {
    let site = Site::new().await?;
    let (_one, here) = site.signaling().await?;
    let (_two, there) = site.signaling().await?;
    let client = site.client().await?;
    let (mine, other) = (Uuid::now_v7(), Uuid::now_v7());
    let subject = mine.to_string();
    let mut some = Socket::connect(&here).await?;
    some.subscribe("photo_ready", Some(&subject)).await?;
    let mut all = Socket::connect(&there).await?;
    all.subscribe("photo_ready", None).await?;
    all.subscribe("job_progress", None).await?;

    client.publish(photo_ready(other, "elsewhere.jpg")).subject(other).await?;
    let event = photo_ready(mine, "<img src=x onerror=alert(1)>.jpg");
    let published = client.publish(event.clone()).subject(mine).await?;
    let relayed = json!({
        "type": "event", "topic": "photo_ready", "id": published.id, "subject": mine,
        "data": {"album": mine, "photo": event.photo, "name": event.name, "ok": false, "error": "damaged"},
    });
    some.expect(relayed.clone()).await?;
    assert_eq!(all.hear().await?["data"]["name"], "elsewhere.jpg");
    all.expect(relayed).await?;

    let progress = JobProgress { album: mine, done: 1, failed: 1, total: 1, contact_sheet: false };
    client.publish(progress).subject(mine).await?;
    let heard = all.hear().await?;
    assert_eq!((&heard["topic"], &heard["data"]["done"]), (&json!("job_progress"), &json!(1)));
    Ok(())
}

#[tokio::test]
async fn what_a_client_says_wrongly_is_named_and_costs_it_nothing_else() -> Result<()> {
    let site = Site::new().await?;
    let (_process, url) = site.signaling().await?;
    let mut client = Socket::connect(&url).await?;
    let too_long = format!(r#"{{"type":"offer","to":"bob","sdp":"{}"}}"#, "x".repeat(70_000));
    let cases = [
        ("hello", "expected value at line 1"),
        ("[]", "the message can't be understood"),
        (r#"{"type":"offre"}"#, "unknown variant `offre`"),
        (r#"{"type":"offer","to":"bob"}"#, "missing field `sdp`"),
        (r#"{"type":"join","room":"","peer":"ann"}"#, "1 to 64 characters"),
        (r#"{"type":"subscribe","topic":"mail"}"#, "expected `photo_ready` or `job_progress`"),
        (r#"{"type":"offer","to":"bob","sdp":""}"#, "not in a room"),
        (r#"{"type":"leave"}"#, "not in a room"),
        (&too_long, "at most 65536 are accepted"),
    ];
    for (text, words) in cases {
        client.say_text(text).await?;
        let reply = client.hear().await?;
        let message = reply["message"].as_str().with_context(|| format!("no message: {reply}"))?;
        assert!(reply["type"] == "error" && message.contains(words), "{text:.60}: {message}");
    }
    client.say(json!({"type": "join", "room": "r", "peer": "ann"})).await?;
    client.expect(json!({"type": "joined", "room": "r", "peer": "ann"})).await?;
    client.say(json!({"type": "join", "room": "s", "peer": "ann"})).await?;
    assert!(client.hear().await?["message"].as_str().is_some_and(|message| message.contains("already in room \"r\"")));
    Ok(())
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_with_a_reason_and_slows_nobody_down() -> Result<()> {
    let site = Site::new().await?;
    let (_process, url) = site.signaling().await?;
    let mut slow = Socket::over(small_window(&url).await?, &url).await?;
    slow.subscribe("photo_ready", None).await?;
    let mut quick = Socket::connect(&url).await?;
    quick.subscribe("photo_ready", None).await?;

    let client = site.client().await?;
    let album = Uuid::now_v7();
    let name = "n".repeat(100_000);
    for _ in 0..400 {
        client.publish(photo_ready(album, &name)).subject(album).await?;
        quick.hear().await?;
    }
    let farewell = slow.farewell().await?;
    assert_eq!((u16::from(farewell.code), farewell.reason.as_str()), (1013, "too slow: 256 messages are waiting"));
    Ok(())
}

/// A connection on which little can be on its way.
async fn small_window(url: &str) -> Result<TcpStream> {
    let address = url.trim_start_matches("ws://").trim_end_matches("/ws").parse()?;
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    Ok(socket.connect(address).await?)
}

#[tokio::test]
async fn a_server_that_is_asked_to_stop_says_farewell_and_tells_the_rooms() -> Result<()> {
    let site = Site::new().await?;
    let (mut one, here) = site.signaling().await?;
    let (_two, there) = site.signaling().await?;
    let mut ann = Socket::join(&here, "r", "ann").await?;
    let mut bob = Socket::join(&there, "r", "bob").await?;
    bob.expect(json!({"type": "presence", "peer": "ann"})).await?;
    one.term();
    let farewell = ann.farewell().await?;
    assert_eq!(u16::from(farewell.code), 1001);
    drop(ann);
    bob.expect(json!({"type": "left", "room": "r", "peer": "ann"})).await?;
    let status = one.shut_down(SOON).await;
    assert!(status.success(), "{status}: {}", one.tail());
    Ok(())
}

#[tokio::test]
async fn a_subscription_survives_a_crash_of_redis() -> Result<()> {
    let mut redis = Redis::builder().aof(true).args(["--appendfsync", "always"]).start().await?;
    let site = Site::on(redis.url());
    let (_process, url) = site.signaling().await?;
    let mut socket = Socket::connect(&url).await?;
    socket.subscribe("photo_ready", None).await?;
    let client = site.client().await?;
    let album = Uuid::now_v7();
    client.publish(photo_ready(album, "before")).subject(album).await?;
    assert_eq!(socket.hear().await?["data"]["name"], "before");
    redis.kill().await;
    redis.restart().await?;
    let client = site.client().await?;
    client.publish(photo_ready(album, "after")).subject(album).await?;
    assert_eq!(socket.hear().await?["data"]["name"], "after");
    Ok(())
}
