//! What scripts write is what the client reads: the worker's requeue derives ids and packs outcomes in Lua.

use millstream_queue::{Entry, Lane, Outcome, State, derived_id, keys::WORKERS, scripts};
use redis::Value;

use crate::stage::{Stage, stage};

const DEAD: &str = "consumer-that-died";
/// Where the worker can't tell the id's place in a pack by itself: an array of 17 begins with these bytes.
const ARRAY_OF_17: [u8; 3] = [0xdc, 0, 17];

/// Runs the script over all that `DEAD` holds in the normal lane, as after its fence; returns how many it took care of.
async fn requeue(stage: &Stage) -> i64 {
    let keys = stage.client.keys("mail");
    let lane = keys.ready(Lane::Normal);
    let _: () = stage.redis.ask(&["XGROUP", "CREATE", &lane, WORKERS, "0"]).await;
    let _: Value = stage.redis.ask(&["XREADGROUP", "GROUP", WORKERS, DEAD, "STREAMS", &lane, ">"]).await;
    let entries = stage.redis.entries(&lane).await;
    let script = scripts::with_jobs(include_str!("../../../../worker/src/lua/requeue.lua"));
    let mut call = script.key(keys.alive());
    call.key(keys.control()).key(keys.done()).key(keys.dead()).key(keys.dead_jobs()).key(keys.cancel());
    Lane::ALL.iter().for_each(|lane| {
        call.key(keys.ready(*lane));
    });
    call.arg(DEAD).arg(WORKERS).arg(Lane::Normal.index()).arg("crashed").arg(keys.prefix());
    entries.iter().for_each(|(id, _)| {
        call.arg(id);
    });
    call.invoke_async(&mut stage.redis.0.clone()).await.expect("requeued")
}

async fn outcomes(stage: &Stage) -> (Vec<u8>, Vec<Outcome>) {
    let entries: Vec<(String, Vec<Vec<u8>>)> =
        stage.redis.ask(&["XRANGE", &stage.client.keys("mail").done(), "-", "+"]).await;
    let [n, count, b, pack] = &entries[0].1[..] else { panic!("{entries:?}") };
    assert_eq!((n.as_slice(), b.as_slice()), (&b"n"[..], &b"b"[..]));
    let outcomes = Outcome::decode_pack(pack).expect("a pack");
    assert_eq!(count, outcomes.len().to_string().as_bytes());
    (pack.clone(), outcomes)
}

#[tokio::test]
async fn ids_that_a_script_derives_are_the_clients() {
    let stage = stage().await;
    stage.client.record("mail").await.unwrap();
    let lane = stage.client.keys("mail").ready(Lane::Normal);
    let mut ids = Vec::new();
    for position in ["1-0", "1700000000123-4", "281474976710655-18446744073709551615"] {
        let _: String = stage.redis.ask(&["XADD", &lane, position, "kind", "send_welcome", "body", "{}"]).await;
        ids.push(derived_id(&lane, position));
        assert_eq!(requeue_one(&stage, position).await, ids.last().unwrap().to_string());
        let _: i64 = stage.redis.ask(&["DEL", &lane]).await;
    }
}

/// The id that a single entry has after it was requeued.
async fn requeue_one(stage: &Stage, position: &str) -> String {
    // The last position there is leaves no room for the copy: it goes to a lane of its own.
    let copy = if position.starts_with("2814") { Lane::Suspect } else { Lane::Normal };
    let lane = stage.client.keys("mail").ready(Lane::Normal);
    if copy == Lane::Suspect {
        let _: i64 = stage.redis.ask(&["DEL", &lane]).await;
        let words = ["XADD", &lane, position, "kind", "send_welcome", "body", "{}", "crash", "1"];
        let _: String = stage.redis.ask(&words).await;
    }
    assert_eq!(requeue(stage).await, 1);
    let copies = stage.redis.entries(&stage.client.keys("mail").ready(copy)).await;
    copies[0].1.iter().find(|(name, _)| name == "id").expect("an id").1.clone()
}

#[tokio::test]
async fn outcomes_that_a_script_packs_are_the_clients_but_for_the_form_of_the_id() {
    let stage = stage().await;
    stage.client.record("mail").await.unwrap();
    let lane = stage.client.keys("mail").ready(Lane::Normal);
    let _: String = stage.redis.ask(&["XADD", &lane, "1700000000123-4", "kind", "send_welcome", "body", "{}"]).await;
    assert_eq!(requeue(&stage).await, 1);
    let (pack, outcomes) = outcomes(&stage).await;
    let [outcome] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!(outcome.id, derived_id(&lane, "1700000000123-4"));
    assert_eq!((outcome.state, outcome.run, outcome.attempt, outcome.crash), (State::Crashed, 1, 1, 1));
    assert_eq!((outcome.enqueued_ms, outcome.started_us, outcome.worker.as_str()), (1_700_000_000_123, None, DEAD));

    let mut ours = Vec::new();
    outcome.pack_into(&mut ours);
    let text = outcome.id.to_string();
    let id_as_text = [&ARRAY_OF_17[..], &[0xd9, 36], text.as_bytes()].concat();
    let id_as_bytes = [&ARRAY_OF_17[..], &[0xb0], outcome.id.as_bytes()].concat();
    assert_eq!(pack.strip_prefix(&id_as_text[..]), ours.strip_prefix(&id_as_bytes[..]));
    assert!(pack.starts_with(&id_as_text));

    let again = stage.redis.entries(&lane).await.remove(0);
    let fields = again.1.into_iter().flat_map(|(name, value)| [name, value]);
    let entry = Entry::decode(&lane, &again.0, fields.map(|text| Value::BulkString(text.into())).collect()).unwrap();
    assert_eq!((entry.id, entry.run, entry.crash, entry.attempt), (outcome.id, 2, 1, 1));
    assert_eq!(entry.at_ms, outcome.enqueued_ms);
}

#[tokio::test]
async fn outcomes_that_a_script_packs_have_the_jobs_tags_and_trace() {
    let stage = stage().await;
    stage.client.record("mail").await.unwrap();
    let lane = stage.client.keys("mail").ready(Lane::Normal);
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let entries: [&[&str]; 5] = [
        &["opt", r#"{"attempts":3,"tags":["a","é\"\u0007"]}"#, "tp", trace],
        &["opt", r#"{"tags":["alone"]}"#],
        &["tp", trace],
        &["opt", r#"{"tags":[]}"#],
        &["opt", r#"{"tags":{"no":"list"}}"#],
    ];
    for more in entries {
        let words: Vec<&str> = ["XADD", &lane, "*", "kind", "x", "body", "{}"].iter().chain(more).copied().collect();
        let _: String = stage.redis.ask(&words).await;
    }
    assert_eq!(requeue(&stage).await, 5);
    let (_, outcomes) = outcomes(&stage).await;
    let told: Vec<_> =
        outcomes.iter().map(|outcome| (outcome.tags.join(","), outcome.traceparent.as_deref())).collect();
    let told: Vec<_> = told.iter().map(|(tags, trace)| (tags.as_str(), *trace)).collect();
    assert_eq!(told, [("a,é\"\u{7}", Some(trace)), ("alone", None), ("", Some(trace)), ("", None), ("", None)]);
    assert!(outcomes.iter().all(|outcome| outcome.state == State::Crashed && outcome.log.is_none()));
}

#[tokio::test]
async fn what_the_client_cannot_read_spoils_no_pack_of_a_script() {
    let stage = stage().await;
    stage.client.record("mail").await.unwrap();
    let keys = stage.client.keys("mail");
    let lane = keys.ready(Lane::Normal);
    let garbage: [&[&str]; 8] = [
        &["kind", "x"],
        &["kind", "x", "body", "1", "v", "abc"],
        &["kind", "x", "body", "1", "n", "1.5"],
        &["kind", "x", "body", "1", "run", "-1"],
        &["kind", "x", "body", "1", "crash", "99999999999"],
        &["kind", "x", "body", "1", "at", "today"],
        &["kind", "x", "body", "1", "id", "7"],
        &["kind", "x", "body", "1", "id", "zz90a5d3-7e1c-7abc-8def-0123456789ab"],
    ];
    for fields in garbage {
        let words: Vec<&str> = ["XADD", &lane, "*"].into_iter().chain(fields.iter().copied()).collect();
        let _: String = stage.redis.ask(&words).await;
    }
    let good = "0190a5d3-7e1c-7abc-8def-0123456789ab";
    let _: String = stage.redis.ask(&["XADD", &lane, "*", "kind", "x", "body", "1", "id", good, "n", "3"]).await;
    assert_eq!(requeue(&stage).await, 9);
    let (_, outcomes) = outcomes(&stage).await;
    assert_eq!(outcomes.len(), 1);
    assert_eq!((outcomes[0].id.to_string().as_str(), outcomes[0].attempt), (good, 3));
    let dead: usize = stage.redis.ask(&["HLEN", &keys.dead_jobs()]).await;
    assert_eq!(dead, garbage.len(), "each with its raw fields");
}
