//! One consumer's term: what everything that works under one lease shares.

use std::sync::{Arc, Mutex, PoisonError};

use millstream_queue::Error;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{Process, batch::Finished, hands::Hands, lease::Lease, queue::Queue};
use crate::{events, health::Doing};

pub(super) struct Epoch<S> {
    pub(super) process: Arc<Process<S>>,
    pub(super) queue: Arc<Queue>,
    pub(super) lease: Arc<Lease>,
    pub(super) hands: Arc<Hands>,
    pub(super) servers: Arc<Servers>,
    pub(super) outcomes: mpsc::Sender<Finished>,
    /// Why nothing may be fetched, as the promoter last read the settings: also because it has not read them yet.
    pub(super) halted: watch::Sender<Option<Doing>>,
    /// The grace period is over: running handlers are cut off.
    pub(super) cut_off: CancellationToken,
}

/// The servers met so far, by run id: entries read from one must not be finished lightly on another.
#[derive(Debug, Default)]
pub(super) struct Servers {
    run_ids: Mutex<Vec<String>>,
}

impl Servers {
    /// The number of a server.
    pub(super) fn number(&self, run_id: &str) -> u32 {
        let mut run_ids = self.run_ids.lock().unwrap_or_else(PoisonError::into_inner);
        let known = run_ids.iter().position(|known| known == run_id);
        let index = known.unwrap_or_else(|| {
            run_ids.push(run_id.to_owned());
            run_ids.len() - 1
        });
        u32::try_from(index).unwrap_or(u32::MAX)
    }
}

impl<S> Epoch<S> {
    /// Whether the loops of this term should end.
    pub(super) fn is_over(&self) -> bool {
        self.lease.is_fenced() || self.process.shutdown.is_stopping()
    }

    /// Halts fetching, or lets it go on.
    pub(super) fn halt(&self, why: Option<Doing>) {
        let has_changed = self.halted.send_if_modified(|now| std::mem::replace(now, why) != why);
        match why {
            _ if !has_changed => {}
            Some(Doing::Full) => events::fetch_full(self.lease.queue()),
            Some(_) => events::fetch_paused(self.lease.queue()),
            None => events::fetch_started(self.lease.queue()),
        }
    }

    /// Makes the lanes' groups again, after someone deleted them.
    pub(super) async fn regroup(&self) -> Result<(), Error> {
        let mut conn = self.process.client.connection().await?;
        let _: () = super::scripts::regroup(self.lease.keys()).invoke_async(&mut conn).await?;
        Ok(())
    }
}
