//! WIRE.md is the contract: its vectors against the code, its commands on a real server.

mod document;
mod scripts;

use millstream_queue::{
    Client, Entry, Event, Heard, Job, Lane, Live, Options, Outcome, Position, Progress, State, Stored, Unique,
    derived_id, keys,
};
use millstream_tests::Redis;
use redis::Value;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::stage::{Raw, soon, stage};
use document::{Vector, commands, text, vectors};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct SendWelcome {
    user: i64,
}
impl Job for SendWelcome {
    const KIND: &'static str = "send_welcome";
    const QUEUE: &'static str = "mail";
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct OrderPaid {
    order: i64,
}
impl Event for OrderPaid {
    const NAME: &'static str = "order_paid";
    const VERSION: u32 = 2;
}

/// A client in the documents' own namespace, on a server that nobody else uses.
async fn own_server() -> (Redis, Client, Raw) {
    let redis = Redis::start().await.expect("a server");
    let client = Client::connect(&redis.url()).await.expect("a client");
    let raw = Raw::connect(&redis.url()).await;
    (redis, client, raw)
}

fn lane(vector: &Vector) -> Lane {
    Lane::from_index(vector.number("lane").expect("a lane")).expect("a lane's number")
}

/// The entry that a vector's fields spell.
fn entry(vector: &Vector) -> Entry {
    let fields = vector.pairs().filter(|(name, _)| !["lane", "hex", "error"].contains(name));
    let values = fields.flat_map(|(name, value)| [name, value]).map(|text| Value::BulkString(text.into()));
    Entry::decode("no lane", "0-0", values.collect()).expect("a job")
}

fn outcome(vector: &Vector) -> Outcome {
    let bytes = |name| vector.get(name).map(|value| value.as_bytes().to_vec());
    let required = |name| vector.get(name).unwrap_or_else(|| panic!("{name} in {vector:?}"));
    Outcome {
        id: required("id").parse().expect("a UUID"),
        kind: required("kind").to_owned(),
        lane: lane(vector),
        version: vector.number("version").expect("a version"),
        run: vector.number("run").expect("a run"),
        attempt: vector.number("attempt").expect("an attempt"),
        crash: vector.number("crash").expect("crashes"),
        state: required("state").parse().expect("a state"),
        enqueued_ms: vector.number("enqueued").expect("a time"),
        started_us: vector.number("started"),
        finished_us: vector.number("ended").expect("a time"),
        worker: required("worker").to_owned(),
        error: vector.get("error").map(str::to_owned),
        payload: bytes("payload"),
        content_type: vector.get("content-type").map(str::to_owned),
        result: bytes("result"),
        next_ms: vector.number("next"),
        tags: vector.get("tags").map(|json| serde_json::from_str(json).expect("tags")).unwrap_or_default(),
        traceparent: vector.get("traceparent").map(str::to_owned),
        log: vector.get("log").map(str::to_owned),
        progress: vector.get("progress").map(|json| Progress::parse(json).expect("progress")),
        of: vector.get("of").map(|id| id.parse().expect("a UUID")),
        ready_ms: vector.number("ready"),
    }
}

#[test]
fn the_documented_keys_are_the_ones_in_use() {
    let mail = keys::QueueKeys::new("ms", "mail");
    let mut used = vec![
        mail.later(),
        mail.later_jobs(),
        mail.dead(),
        mail.dead_jobs(),
        mail.done(),
        mail.alive(),
        mail.control(),
        mail.signal(),
        mail.outbox(),
        mail.job(Uuid::nil()).replace(&Uuid::nil().to_string(), "<id>"),
        mail.seen(7).replace('7', "<bucket>"),
        keys::event_log("ms", "order_paid"),
        keys::event_outbox("ms", "order_paid"),
        keys::event_channel("ms", "order_paid"),
        keys::queues("ms"),
        keys::topics("ms"),
    ];
    used.extend(Lane::ALL.map(|lane| mail.ready(lane)));
    for key in used {
        assert!(text().contains(&format!("`{key}`")), "{key} is not documented");
    }
}

#[test]
fn an_entry_is_read_and_written_as_documented() {
    let vector = &vectors("entry")[0];
    let entry = entry(vector);
    assert_eq!((entry.kind.as_str(), entry.attempt, entry.run, entry.crash), ("send_welcome", 3, 5, 1));
    let mut written = Vec::new();
    entry.each_field(true, |name, value| written.push((name, String::from_utf8_lossy(value).into_owned())));
    let written: Vec<_> = written.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(written, vector.pairs().collect::<Vec<_>>());
}

#[test]
fn options_are_read_and_written_as_documented() {
    for vector in vectors("options") {
        let field = vector.get("opt").expect("a line");
        assert_eq!(Options::parse(Some(field)).to_field().as_deref(), Some(field));
        let members: serde_json::Map<String, serde_json::Value> = serde_json::from_str(field).unwrap();
        for member in members.keys() {
            assert!(text().contains(&format!("| `{member}` |")), "{member} is not documented");
        }
    }
}

#[tokio::test]
async fn a_unique_key_is_as_documented() {
    const BY: Unique = Unique::until_finished().by(&["user", "address.city"]);
    for vector in vectors("unique-key") {
        let unique = if vector.get("by").is_some() { BY } else { Unique::until_finished() };
        let body = serde_json::from_str(vector.get("body").unwrap()).unwrap();
        let stage = stage().await;
        stage.client.push(AnyWelcome(body)).unique(unique).await.unwrap();
        let key = stage.client.keys("mail").unique(vector.get("key").unwrap());
        let holder: Option<String> = stage.redis.ask(&["GET", &key]).await;
        let all: Vec<String> = stage.redis.ask(&["KEYS", &stage.client.keys("mail").unique("*")]).await;
        let id = &stage.redis.entries(&stage.client.keys("mail").ready(Lane::Normal)).await[0].0;
        assert!(holder.is_some_and(|holder| holder.ends_with(&format!(" finished 1 {id}"))), "the keys are {all:?}");
    }
}

#[derive(Serialize, Deserialize)]
struct AnyWelcome(serde_json::Value);
impl Job for AnyWelcome {
    const KIND: &'static str = "send_welcome";
    const QUEUE: &'static str = "mail";
}

#[test]
fn progress_is_read_and_written_as_documented() {
    let vector = &vectors("progress")[0];
    let json = vector.get("progress").expect("a line");
    let progress = Progress::parse(json).expect("progress");
    assert_eq!(progress, Progress::new(3, 10, "resizing"));
    assert_eq!(progress.to_json(), json);
    assert_eq!(Progress::parse(r#"{"done":1,"total":2,"note":null,"eta":5}"#), Some(Progress::new(1, 2, "")));
}

#[test]
fn derived_ids_are_as_documented() {
    let vectors = vectors("derived-id");
    assert_eq!(vectors.len(), 2);
    for vector in vectors {
        let get = |name| vector.get(name).expect("a line");
        assert_eq!(derived_id(get("lane"), get("stream-id")).to_string(), get("id"));
    }
}

#[tokio::test]
async fn an_id_chosen_by_its_caller_is_as_documented() {
    let (_redis, client, raw) = own_server().await;
    let vector = &vectors("keyed-id")[0];
    let get = |name| vector.get(name).expect("a line");
    assert_eq!((get("namespace"), get("queue")), (client.namespace(), SendWelcome::QUEUE));
    let id = client.push(SendWelcome { user: 7 }).id(get("key")).await.unwrap();
    assert_eq!(id.to_string(), get("id"));
    // And it is remembered where the document says.
    let bucket = chrono::Utc::now().timestamp_millis() / (24 * 60 * 60 * 1000);
    let mut seen = Vec::new();
    for bucket in [bucket - 1, bucket] {
        seen.extend(raw.ask::<Vec<String>>(&["SMEMBERS", &client.keys("mail").seen(bucket)]).await);
    }
    assert_eq!(seen, [id.to_string()]);
}

#[test]
fn packed_jobs_are_as_documented() {
    let vectors = vectors("packed");
    assert_eq!(vectors.len(), 2);
    for vector in vectors {
        let stored = Stored { lane: lane(&vector), entry: &entry(&vector), error: vector.get("error") };
        assert_eq!(document::hex(&stored.pack()), vector.get("hex").expect("bytes"), "{vector:?}");
    }
}

#[test]
fn outcomes_are_as_documented() {
    let vectors = vectors("outcome");
    assert_eq!(vectors.len(), 4);
    let (mut all, mut pack) = (Vec::new(), Vec::new());
    for vector in vectors {
        let (outcome, mut packed) = (outcome(&vector), Vec::new());
        outcome.pack_into(&mut packed);
        assert_eq!(document::hex(&packed), vector.get("hex").expect("bytes"), "{vector:?}");
        pack.extend(packed);
        all.push(outcome);
    }
    assert_eq!(Outcome::decode_pack(&pack).unwrap(), all);
}

#[test]
fn states_have_the_documented_numbers() {
    for state in State::ALL {
        let end = if state.is_terminal() {
            "terminal"
        } else if state == State::Failed {
            "another attempt is due"
        } else {
            "no attempt burned"
        };
        let row = format!("| {} | {state} | {end} |", state as u8);
        assert!(text().contains(&row), "{row} is not documented");
    }
}

#[test]
fn an_outcome_of_a_script_is_read_as_documented() {
    let vector = &vectors("outcome-of-a-script")[0];
    let pack = document::bytes(vector.get("hex").expect("bytes"));
    assert_eq!(Outcome::decode_pack(&pack).unwrap(), [outcome(vector)]);
}

#[tokio::test]
async fn a_published_event_is_as_documented() {
    let stage = stage().await;
    let vector = &vectors("event")[0];
    let log = keys::event_log(stage.client.namespace(), OrderPaid::NAME);
    let mut words = vec!["XADD", &log, "*"];
    words.extend(vector.pairs().flat_map(|(name, value)| [name, value]));
    let _: String = stage.redis.ask(&words).await;
    let mut live = stage.client.follow::<OrderPaid>().since(Position::START).await.unwrap();
    let Live::Event(event) = soon("the event", live.next()).await.unwrap() else { panic!("an event") };
    assert_eq!((event.data, event.version), (OrderPaid { order: 7 }, 2));
    assert_eq!(event.id, vector.get("id").unwrap());
    assert_eq!(event.subject.as_deref(), vector.get("subject"));
    assert_eq!(event.time, vector.get("time").unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap());

    // What the client writes differs in id and time alone.
    stage.client.publish(OrderPaid { order: 7 }).subject("customer 7").await.unwrap();
    let mut ours = stage.redis.entries(&log).await.remove(1).1;
    for (name, value) in &mut ours {
        match name.as_str() {
            "id" => {
                assert_eq!(std::mem::replace(value, event.id.clone()).parse::<Uuid>().unwrap().get_version_num(), 7)
            }
            "time" => {
                assert_eq!(value.len(), vector.get("time").unwrap().len());
                *value = vector.get("time").unwrap().to_owned();
            }
            _ => {}
        }
    }
    let ours: Vec<_> = ours.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(ours, vector.pairs().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_broadcast_is_as_documented() {
    let stage = stage().await;
    let document = vectors("broadcast")[0].get("document").unwrap().to_owned();
    let channel = keys::event_channel(stage.client.namespace(), OrderPaid::NAME);
    let mut listener = stage.client.listen::<OrderPaid>().await.unwrap();
    let as_text = document.replace(r#""dataversion":2"#, r#""dataversion":"2""#);
    assert_ne!(as_text, document);
    // As the official Python SDK (cloudevents 2.2.0) writes it.
    let sdk = concat!(
        r#"{"specversion": "1.0", "id": "0190a5d3-7e1c-7abc-8def-0123456789ab", "source": "py", "type": "order_paid", "#,
        r#""subject": "customer 7", "time": "2026-11-23T23:51:01.688390+00:00", "data": {"order": 7}, "dataversion": "2"}"#,
    );
    for sent in [&document, &as_text, sdk] {
        let _: i64 = stage.redis.ask(&["PUBLISH", &channel, sent]).await;
        let Heard::Event(event) = soon("the broadcast", listener.next()).await.unwrap() else { panic!("an event") };
        assert_eq!((event.data, event.version, event.position), (OrderPaid { order: 7 }, 2, None));
        assert_eq!(
            (event.id.as_str(), event.subject.as_deref()),
            ("0190a5d3-7e1c-7abc-8def-0123456789ab", Some("customer 7"))
        );
    }

    // What the client tells differs in id and time alone.
    let mut ears =
        redis::Client::open(millstream_tests::shared_redis().await.unwrap()).unwrap().get_async_pubsub().await.unwrap();
    ears.subscribe(&channel).await.unwrap();
    stage.client.broadcast(OrderPaid { order: 7 }).subject("customer 7").await.unwrap();
    let message = soon("the message", futures::StreamExt::next(&mut ears.on_message())).await.unwrap();
    let ours: serde_json::Value = serde_json::from_slice(message.get_payload_bytes()).unwrap();
    let theirs: serde_json::Value = serde_json::from_str(&document).unwrap();
    let mut expected = document.clone();
    for member in ["id", "time"] {
        expected = expected.replace(theirs[member].as_str().unwrap(), ours[member].as_str().unwrap());
    }
    assert_eq!(message.get_payload::<String>().unwrap(), expected);
}

#[tokio::test]
async fn the_documented_commands_enqueue_and_publish() {
    let (_redis, client, raw) = own_server().await;
    let mut signals = client.signals("mail").await.unwrap();
    let commands = commands();
    assert_eq!(commands.len(), 4);
    for command in commands {
        let _: Value = raw.ask(&command).await;
    }
    soon("the signal", signals.next()).await;

    let ready = raw.entries(&client.keys("mail").ready(Lane::Normal)).await;
    let fields = [("kind", "send_welcome"), ("body", r#"{"user":7}"#)].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(ready[0].1, fields);

    let later: Vec<(String, i64)> = raw.ask(&["ZRANGE", &client.keys("mail").later(), "0", "-1", "WITHSCORES"]).await;
    let (id, due) = &later[0];
    assert_eq!(*due, 1_900_000_000_000);
    let packed: Vec<u8> = raw.ask(&["HGET", &client.keys("mail").later_jobs(), id]).await;
    let job = Entry::new("send_welcome", r#"{"user":7}"#, id.parse().unwrap(), 1_700_000_000_000);
    assert_eq!(packed, Stored { lane: Lane::Normal, entry: &job, error: None }.pack());

    let mut live = client.follow::<OrderPaid>().since(Position::START).await.unwrap();
    let Live::Event(event) = soon("the event", live.next()).await.unwrap() else { panic!("an event") };
    assert_eq!((event.id.as_str(), event.source.as_str(), event.data), ("1", "shop", OrderPaid { order: 7 }));
}
