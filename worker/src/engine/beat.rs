//! The beat: a thread of its own with a connection of its own, so that no handler that blocks the runtime, and no queue of
//! commands, keeps a living process from beating.

use std::{
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use millstream_queue::Retry;
use redis::{Connection, RedisError};

use super::{hands::Hands, lease::Lease, scripts};
use crate::{clock::since_boot, events, health::Pulse, settings::Settings};

/// The process's beats. The thread ends when this is dropped.
#[derive(Clone)]
pub(crate) struct Beats {
    shared: Arc<Shared>,
}

struct Shared {
    beaters: Mutex<Vec<Beater>>,
    /// Counts the runtime's signs of life.
    runtime: AtomicU64,
}

struct Beater {
    lease: Arc<Lease>,
    hands: Arc<Hands>,
    /// Whether the last look found more entries pending than in hand.
    has_excess: bool,
}

/// What a beat answers: alive, pending, consumers that aren't alive, fenced, suspects, and the counters of the living.
type Answer = (bool, usize, usize, usize, usize, Vec<(String, String)>);

impl Beats {
    /// Starts the thread.
    pub(crate) fn start(client: redis::Client, settings: Settings, pulse: Arc<Pulse>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { beaters: Mutex::default(), runtime: AtomicU64::new(0) });
        let thread = Thread {
            shared: Arc::downgrade(&shared),
            client,
            settings,
            pulse,
            connection: None,
            retry: Retry::new("beat"),
            runtime_seen: (0, Instant::now()),
            is_hung: false,
        };
        std::thread::Builder::new().name("millstream-beat".into()).spawn(move || thread.run())?;
        Ok(Self { shared })
    }

    /// Beats for a lease until [`stop`](Beats::stop) or its end.
    pub(super) fn keep(&self, lease: Arc<Lease>, hands: Arc<Hands>) {
        self.shared.beaters().push(Beater { lease, hands, has_excess: false });
    }

    pub(super) fn stop(&self, lease: &Arc<Lease>) {
        self.shared.beaters().retain(|beater| !Arc::ptr_eq(&beater.lease, lease));
    }

    /// A sign of life of the runtime. Without one for five minutes the process stops beating, and loses its jobs.
    pub(super) fn runtime_is_alive(&self) {
        self.shared.runtime.fetch_add(1, Ordering::Relaxed);
    }
}

impl Shared {
    fn beaters(&self) -> std::sync::MutexGuard<'_, Vec<Beater>> {
        self.beaters.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn check_ages(&self) {
        for beater in self.beaters().iter() {
            beater.lease.check_age();
        }
    }
}

struct Thread {
    shared: Weak<Shared>,
    client: redis::Client,
    settings: Settings,
    pulse: Arc<Pulse>,
    connection: Option<Connection>,
    /// Reports only: the beat keeps its own time.
    retry: Retry,
    runtime_seen: (u64, Instant),
    /// The runtime stood still at the last look, which was told of.
    is_hung: bool,
}

impl Thread {
    fn run(mut self) {
        while let Some(shared) = self.shared.upgrade() {
            let round = Instant::now();
            self.pulse.begin_round();
            if self.runtime_moves(&shared) {
                self.beat_all(&shared);
            }
            shared.check_ages(); // also where nothing was beaten
            drop(shared);
            std::thread::sleep(self.settings.beat_interval().saturating_sub(round.elapsed()));
        }
    }

    fn runtime_moves(&mut self, shared: &Shared) -> bool {
        let count = shared.runtime.load(Ordering::Relaxed);
        if count != self.runtime_seen.0 {
            self.runtime_seen = (count, Instant::now());
        }
        let is_hung = self.runtime_seen.1.elapsed() > self.settings.hang && !shared.beaters().is_empty();
        if is_hung && !self.is_hung {
            let still_ms = self.runtime_seen.1.elapsed().as_millis();
            events::lease_runtime_still(u64::try_from(still_ms).unwrap_or(u64::MAX));
        }
        self.is_hung = is_hung;
        !is_hung
    }

    fn beat_all(&mut self, shared: &Shared) {
        let leases: Vec<Arc<Lease>> = shared.beaters().iter().map(|beater| beater.lease.clone()).collect();
        for lease in leases {
            let beaten = self.beat(&lease);
            // Each beat may take as long as a connection has patience, and meanwhile the other leases age as well.
            shared.check_ages();
            match beaten {
                Ok(answer) => self.take_in(shared, &lease, answer),
                Err(error) => {
                    self.connection = None;
                    self.pulse.note(true);
                    self.retry.report(&error);
                    return;
                }
            }
        }
        self.pulse.note(false);
        self.retry.worked();
    }

    fn beat(&mut self, lease: &Lease) -> Result<Answer, RedisError> {
        let connection = self.connection()?;
        let (sent, sent_since_boot) = (Instant::now(), since_boot());
        let stood_still = lease.observer.lock().map(|observer| observer.stood_still(sent)).unwrap_or_default();
        let mut answer: Answer = scripts::beat(lease.keys(), lease.consumer(), &stood_still).invoke(connection)?;
        if answer.0 {
            lease.confirm(sent_since_boot);
            answer.5.retain(|(consumer, _)| consumer != lease.consumer());
            if let Ok(mut observer) = lease.observer.lock() {
                observer.look(sent, Instant::now(), std::mem::take(&mut answer.5));
            }
        }
        Ok(answer)
    }

    fn take_in(&self, shared: &Shared, lease: &Arc<Lease>, answer: Answer) {
        let (is_alive, pending, orphans, fenced, suspects, _) = answer;
        if !is_alive {
            lease.end();
            shared.beaters().retain(|beater| !Arc::ptr_eq(&beater.lease, lease));
            return;
        }
        if fenced > 0 {
            events::rescue_fenced(lease.queue(), fenced);
        }
        lease.set_suspects(suspects > 0);
        if orphans > 0 || fenced > 0 {
            lease.report_orphans();
        }
        let mut beaters = shared.beaters();
        let Some(beater) = beaters.iter_mut().find(|beater| Arc::ptr_eq(&beater.lease, lease)) else { return };
        let has_excess = pending > beater.hands.count();
        if std::mem::replace(&mut beater.has_excess, has_excess) && has_excess {
            lease.ask_for_reread();
        }
    }

    fn connection(&mut self) -> Result<&mut Connection, RedisError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let patience = self.settings.beat_patience();
                let connection = self.client.get_connection_with_timeout(patience)?;
                connection.set_read_timeout(Some(patience))?;
                connection.set_write_timeout(Some(patience))?;
                connection
            }
        };
        Ok(self.connection.insert(connection))
    }
}
