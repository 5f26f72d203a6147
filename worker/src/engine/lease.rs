//! The lease of one consumer: kept by the beat thread, asked by everyone who works under it.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use millstream_queue::{Client, keys::QueueKeys};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::observer::Observer;
use crate::{clock::since_boot, events, settings::Settings};

/// A consumer of one queue under a fresh name, and whether others may think it dead.
pub(crate) struct Lease {
    queue: String,
    keys: QueueKeys,
    consumer: String,
    settings: Settings,
    /// When the last confirmed beat was sent, in milliseconds since boot.
    confirmed_ms: AtomicU64,
    lost: CancellationToken,
    fenced: CancellationToken,
    /// The end was told of.
    has_ended: AtomicBool,
    /// A beat was confirmed, or the lease ended.
    beaten: Notify,
    /// Someone died, or left entries behind.
    orphans: Notify,
    /// Entries are pending that nobody here has in hand: a reply was lost.
    reread: AtomicBool,
    /// The suspect lane has an entry that was not handed out yet.
    suspects: AtomicBool,
    pub(super) observer: Mutex<Observer>,
}

impl Lease {
    pub(super) fn new(client: &Client, queue: &str, settings: Settings) -> Self {
        Self {
            queue: queue.to_owned(),
            keys: client.keys(queue),
            consumer: Uuid::new_v4().simple().to_string(),
            settings,
            confirmed_ms: AtomicU64::new(millis(since_boot())),
            lost: CancellationToken::new(),
            fenced: CancellationToken::new(),
            has_ended: AtomicBool::new(false),
            beaten: Notify::new(),
            orphans: Notify::new(),
            reread: AtomicBool::new(false),
            suspects: AtomicBool::new(false),
            observer: Mutex::new(Observer::new(settings)),
        }
    }

    pub(crate) fn queue(&self) -> &str {
        &self.queue
    }

    pub(crate) fn keys(&self) -> &QueueKeys {
        &self.keys
    }

    pub(crate) fn consumer(&self) -> &str {
        &self.consumer
    }

    /// Notes a beat that was sent at `sent`, since boot, and confirmed.
    pub(super) fn confirm(&self, sent: Duration) {
        self.confirmed_ms.store(millis(sent), Ordering::Release);
        self.beaten.notify_waiters();
    }

    /// Notes that the server no longer knows this consumer.
    pub(super) fn end(&self) {
        if !self.has_ended.swap(true, Ordering::AcqRel) {
            events::lease_fenced(&self.queue, &self.consumer);
        }
        self.lost.cancel();
        self.fenced.cancel();
        self.beaten.notify_waiters();
    }

    /// Tells handlers, once the last confirmed beat is so old that others may soon take over.
    pub(super) fn check_age(&self) {
        if self.age() >= self.settings.lost_after() {
            self.lost.cancel();
        }
    }

    /// How long ago the last confirmed beat was sent.
    pub(crate) fn age(&self) -> Duration {
        since_boot().saturating_sub(Duration::from_millis(self.confirmed_ms.load(Ordering::Acquire)))
    }

    pub(crate) fn is_fenced(&self) -> bool {
        self.fenced.is_cancelled()
    }

    /// Whether new work may start.
    pub(super) fn is_fresh(&self) -> bool {
        !self.is_fenced() && self.age() < self.settings.freshness()
    }

    /// Waits until new work may start, or the lease has ended.
    pub(super) async fn fresh_or_fenced(&self) {
        loop {
            let beaten = self.beaten.notified();
            if self.is_fresh() || self.is_fenced() {
                return;
            }
            beaten.await;
        }
    }

    /// Resolves when the lease may be lost.
    pub(crate) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Resolves when the consumer was fenced.
    pub(super) async fn fenced(&self) {
        self.fenced.cancelled().await;
    }

    pub(super) fn report_orphans(&self) {
        self.orphans.notify_one();
    }

    pub(super) async fn orphans(&self) {
        self.orphans.notified().await;
    }

    /// Notes whether a suspect waits: as a beat has found, or until the next beat as a read has left it.
    pub(super) fn set_suspects(&self, any: bool) {
        self.suspects.store(any, Ordering::Relaxed);
        if !any {
            self.beaten.notify_waiters();
        }
    }

    pub(super) fn has_suspects(&self) -> bool {
        self.suspects.load(Ordering::Relaxed)
    }

    /// Resolves when a beat finds no suspect that waits.
    pub(super) async fn no_suspects(&self) {
        loop {
            let beaten = self.beaten.notified();
            if !self.has_suspects() {
                return;
            }
            beaten.await;
        }
    }

    pub(super) fn ask_for_reread(&self) {
        self.reread.store(true, Ordering::Release);
    }

    pub(super) fn must_reread(&self) -> bool {
        self.reread.load(Ordering::Acquire)
    }

    pub(super) fn take_reread(&self) -> bool {
        self.must_reread() && self.reread.swap(false, Ordering::AcqRel)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
