//! Names that would break keys, wherever a name is given.

use std::time::Duration;

use millstream_queue::{Client, Error, Event, Job, Overflow};
use millstream_tests::Redis;
use serde::{Deserialize, Serialize};

use crate::stage::{Number, Raw};

const LONG: &str = "\
    xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
    xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

#[derive(Serialize, Deserialize)]
struct Named<const N: usize>;

/// A job type and an event type under each of the names, and what the client says to them.
macro_rules! refused {
    ($($index:literal = $name:expr),* $(,)?) => {
        const NAMES: &[&str] = &[$($name),*];

        $(
            impl Event for Named<$index> {
                const NAME: &'static str = $name;
            }
        )*

        /// Everything that takes a name from a type.
        async fn refusals_of_types(client: &Client) -> Vec<(&'static str, &'static str, Error)> {
            let mut all = Vec::new();
            $({
                #[derive(Serialize, Deserialize)]
                struct Queue;
                impl Job for Queue {
                    const KIND: &'static str = "fine";
                    const QUEUE: &'static str = $name;
                }
                #[derive(Serialize, Deserialize)]
                struct Kind;
                impl Job for Kind {
                    const KIND: &'static str = $name;
                }
                all.push(("queue", $name, client.push(Queue).await.expect_err($name)));
                all.push(("queue", $name, client.push(Queue).id("k").after(Duration::from_secs(1)).await.expect_err($name)));
                all.push(("queue", $name, client.push_all([Queue]).await.expect_err($name)));
                all.push(("kind", $name, client.push(Kind).await.expect_err($name)));
                all.push(("kind", $name, client.push_all([Kind]).await.expect_err($name)));
                all.push(("topic", $name, client.publish(Named::<$index>).await.expect_err($name)));
                all.push(("topic", $name, client.broadcast(Named::<$index>).await.expect_err($name)));
                all.push(("topic", $name, client.follow::<Named<$index>>().await.err().expect($name)));
                all.push(("topic", $name, client.listen::<Named<$index>>().await.err().expect($name)));
                all.push(("topic", $name, client.consume::<Named<$index>>("group").await.err().expect($name)));
            })*
            all
        }
    };
}

refused! {
    0 = "",
    1 = LONG,
    2 = "mail}",
    3 = "{mail",
    4 = "{mail}",
    5 = "mail:ready",
    6 = "cron:",
    7 = "mail#3",
    8 = "a b",
    9 = "a\r\nb",
    10 = "a\0b",
    11 = "\u{1b}[31mred",
    12 = "../../etc/passwd",
    13 = "<img src=x onerror=alert(1)>",
    14 = "\u{202e}liam",
    15 = "m\u{430}il", // a Cyrillic letter that looks like a Latin one
    16 = "caf\u{e9}",
    17 = "\u{200b}mail",
    18 = "*",
    19 = "mail?",
}

#[tokio::test]
async fn names_that_would_break_keys_are_refused_everywhere_shown_safely_and_nothing_is_stored() {
    let redis = Redis::start().await.unwrap();
    let client = Client::connect(&redis.url()).await.unwrap();
    let mut refusals = refusals_of_types(&client).await;
    for name in NAMES {
        refusals.push(("namespace", name, Client::builder(&redis.url()).namespace(*name).await.unwrap_err()));
        refusals.push(("queue", name, client.record(name).await.unwrap_err()));
        refusals.push(("queue", name, client.limit_unrecorded(name, 1, Overflow::Drop).await.unwrap_err()));
        refusals.push(("queue", name, client.signals(name).await.err().unwrap()));
        refusals.push(("group", name, client.consume::<Number>(*name).await.err().unwrap()));
    }
    for (what, name, error) in refusals {
        let text = error.to_string();
        assert!(matches!(&error, Error::Name { what: named, .. } if *named == what), "{what} {name:?}: {text}");
        assert!(text.starts_with(&format!("{what} {name:?} is refused: a name ")), "{text}");
        // What a terminal would obey, or show in another order, is escaped.
        assert!(!text.contains(|c: char| c.is_control() || matches!(c, '\u{202e}' | '\u{200b}')), "{text:?}");
    }
    let keys: Vec<String> = Raw::connect(&redis.url()).await.ask(&["KEYS", "*"]).await;
    assert_eq!(keys, Vec::<String>::new());
}

#[tokio::test]
async fn names_at_their_ends_work() {
    let redis = Redis::start().await.unwrap();
    let longest = &LONG[1..];
    let client = Client::builder(&redis.url()).namespace(longest).await.unwrap();
    for name in ["a", "-", "...", "event", "A-Z_0.9", longest] {
        client.record(name).await.unwrap();
    }
    assert_eq!(client.queues().await.unwrap().len(), 6);
}
