//! Who waits for the ends of jobs: one task per queue hears the signals for all of a process, so that an end wakes those
//! who wait for it and nobody else.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::{Client, Signal};

/// How often those who have gone are forgotten, and a queue for which nobody waits any more is let go.
const PULSE: Duration = Duration::from_secs(10);

/// The queues that are listened to.
#[derive(Default)]
pub(crate) struct Ends {
    queues: Mutex<HashMap<String, Listening>>,
}

/// One of them, as long as its task runs.
struct Listening {
    waiting: HashMap<Uuid, Weak<Notify>>,
    /// The server has confirmed the subscription: what is told from then on arrives.
    confirmed: watch::Sender<bool>,
}

impl Ends {
    /// What is notified when the job `id` of `queue` has ended, or may have; returns when no end can be missed any more.
    pub(super) async fn join(client: &Client, queue: &str, id: Uuid) -> Arc<Notify> {
        let (told, mut confirmed) = {
            let mut queues = client.ends().queues();
            let listening = queues.entry(queue.to_owned()).or_insert_with(|| {
                tokio::spawn(listen(client.clone(), queue.to_owned()));
                Listening { waiting: HashMap::new(), confirmed: watch::Sender::new(false) }
            });
            let known = listening.waiting.get(&id).and_then(Weak::upgrade);
            let told = known.unwrap_or_default();
            listening.waiting.insert(id, Arc::downgrade(&told));
            (told, listening.confirmed.subscribe())
        };
        // The task lives as long as anyone waits, as this one does.
        let _ = confirmed.wait_for(|is_confirmed| *is_confirmed).await;
        told
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<String, Listening>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those who wait for the job, or all.
    fn tell(&self, queue: &str, id: Option<Uuid>) {
        let queues = self.queues();
        let Some(listening) = queues.get(queue) else { return };
        match id {
            Some(id) => {
                listening.waiting.get(&id).and_then(Weak::upgrade).iter().for_each(|told| told.notify_waiters())
            }
            None => listening.waiting.values().filter_map(Weak::upgrade).for_each(|told| told.notify_waiters()),
        }
    }

    fn confirm(&self, queue: &str) {
        if let Some(listening) = self.queues().get(queue) {
            listening.confirmed.send_replace(true);
        }
    }

    /// Forgets who has gone; false, and the queue with them, where nobody is left.
    fn anyone_left(&self, queue: &str) -> bool {
        let mut queues = self.queues();
        let Some(listening) = queues.get_mut(queue) else { return false };
        listening.waiting.retain(|_, told| told.strong_count() > 0);
        let anyone = !listening.waiting.is_empty();
        if !anyone {
            queues.remove(queue);
        }
        anyone
    }
}

/// Hears the signals of a queue until nobody waits for any.
async fn listen(client: Client, queue: String) {
    let Ok(mut signals) = client.signals(&queue).await else { return }; // its name was checked before
    client.ends().confirm(&queue);
    let mut pulse = tokio::time::interval(PULSE);
    pulse.reset();
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Missed => client.ends().tell(&queue, None),
                Signal::Message(message) => {
                    let id = message.strip_prefix(b"done ").and_then(|id| Uuid::try_parse_ascii(id).ok());
                    if id.is_some() {
                        client.ends().tell(&queue, id);
                    }
                }
            },
            _ = pulse.tick() => {
                if !client.ends().anyone_left(&queue) {
                    return;
                }
            }
        }
    }
}
