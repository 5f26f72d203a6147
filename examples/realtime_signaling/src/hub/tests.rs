use super::*;
use crate::outbox::{Inbox, outbox};

struct Peer {
    id: ClientId,
    inbox: Inbox,
}

impl Peer {
    fn new(hub: &Hub) -> Self {
        let (outbox, inbox) = outbox();
        Self { id: hub.connect(outbox), inbox }
    }

    fn heard(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.inbox.messages.try_recv().ok()).map(|text| text.to_string()).collect()
    }

    fn farewell(&self) -> Option<String> {
        self.inbox.closing.peek().map(|farewell| farewell.reason)
    }
}

fn name(text: &str) -> Name {
    Name::try_from(text.to_owned()).unwrap()
}

fn join(hub: &Hub, peer: &Peer, called: &str) -> Member {
    let member = hub.join(peer.id, name("r"), name(called)).unwrap();
    hub.joined("r", &member.peer, member.session);
    member
}

#[test]
fn of_two_stays_under_one_name_the_later_in_the_stream_counts() {
    let hub = Hub::default();
    let (mut first, mut second) = (Peer::new(&hub), Peer::new(&hub));
    let early = hub.join(first.id, name("r"), name("ann")).unwrap();
    let late = hub.join(second.id, name("r"), name("ann")).unwrap();
    // Both have a seat before either join comes back.
    hub.joined("r", &early.peer, early.session);
    assert_eq!((first.farewell(), second.farewell()), (None, None));
    hub.joined("r", &late.peer, late.session);
    assert_eq!(first.farewell().as_deref(), Some("replaced: ann joined room r again"));
    assert_eq!(hub.disconnect(first.id), None, "the end of the replaced stay is not announced");
    assert_eq!((first.heard().len(), second.heard().len()), (1, 1), "each heard of its own join");
}

#[test]
fn a_late_leave_of_a_replaced_stay_is_no_news() {
    let hub = Hub::default();
    let mut bob = Peer::new(&hub);
    join(&hub, &bob, "bob");
    let (old, new) = (Uuid::new_v4(), Uuid::new_v4());
    hub.joined("r", &name("ann"), old);
    hub.joined("r", &name("ann"), new);
    bob.heard();
    hub.left("r", &name("ann"), old);
    assert!(bob.heard().is_empty());
    hub.left("r", &name("ann"), new);
    assert_eq!(bob.heard(), [r#"{"type":"left","room":"r","peer":"ann"}"#]);
}

#[test]
fn a_newcomer_is_shown_only_peers_that_were_there() {
    let hub = Hub::default();
    let (ann, bob) = (Peer::new(&hub), Peer::new(&hub));
    join(&hub, &ann, "ann");
    let member = hub.join(bob.id, name("r"), name("bob")).unwrap();
    assert_eq!(hub.joined("r", &member.peer, member.session), [name("ann")]);
    assert_eq!(hub.joined("elsewhere", &name("eve"), Uuid::new_v4()), []);
}

#[test]
fn a_broadcast_that_overtakes_the_join_is_heard_behind_it() {
    let hub = Hub::default();
    let mut bob = Peer::new(&hub);
    let member = hub.join(bob.id, name("r"), name("bob")).unwrap();
    hub.broadcast("r", Some(&name("bob")), &Reply::Presence { peer: &name("ann") });
    hub.broadcast("r", Some(&name("eve")), &Reply::Presence { peer: &name("ann") });
    hub.joined("r", &name("eve"), Uuid::new_v4()); // before bob in the room's order
    hub.joined("r", &member.peer, member.session);
    let joined = r#"{"type":"joined","room":"r","peer":"bob"}"#;
    assert_eq!(bob.heard(), [joined, r#"{"type":"presence","peer":"ann"}"#]);
}

#[test]
fn an_event_reaches_a_subscriber_once_and_after_its_confirmation() {
    let hub = Hub::default();
    let (mut both, mut other) = (Peer::new(&hub), Peer::new(&hub));
    hub.subscribe(both.id, Topic::PhotoReady, None).unwrap();
    hub.subscribe(both.id, Topic::PhotoReady, Some("a".into())).unwrap();
    hub.subscribe(other.id, Topic::PhotoReady, Some("b".into())).unwrap();
    let data = serde_json::json!({});
    let reply = Reply::Event { topic: Topic::PhotoReady, id: "1", subject: Some("a"), data: &data };
    hub.to_subscribers(Topic::PhotoReady, Some("a"), &reply);
    let heard = both.heard();
    assert_eq!(heard.len(), 3);
    assert!(heard[0].starts_with(r#"{"type":"subscribed","topic":"photo_ready""#));
    assert_eq!(heard[2], r#"{"type":"event","topic":"photo_ready","id":"1","subject":"a","data":{}}"#);
    assert_eq!(other.heard().len(), 1, "another subject");
}

#[test]
fn nothing_is_kept_of_a_client_that_is_gone() {
    let hub = Hub::default();
    let ann = Peer::new(&hub);
    let member = join(&hub, &ann, "ann");
    hub.subscribe(ann.id, Topic::JobProgress, Some("a".into())).unwrap();
    assert_eq!(hub.disconnect(ann.id), Some(member));
    let state = hub.lock();
    assert!(state.clients.is_empty() && state.rooms.is_empty() && state.subscribers.is_empty());
}

#[test]
fn subscriptions_of_one_client_are_bounded() {
    let hub = Hub::default();
    let ann = Peer::new(&hub);
    for n in 0..SUBSCRIPTIONS {
        hub.subscribe(ann.id, Topic::JobProgress, Some(n.to_string())).unwrap();
    }
    assert!(hub.subscribe(ann.id, Topic::JobProgress, None).unwrap_err().contains("more than 64"));
    hub.subscribe(ann.id, Topic::JobProgress, Some("0".into())).unwrap();
}
