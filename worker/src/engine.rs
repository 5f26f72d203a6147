//! What makes a queue's jobs run in this process. Per queue: a fetch loop that reads, tasks that execute, a finisher that
//! tells Redis, a promoter for delayed jobs and a rescuer for the jobs of the dead. Per process: one thread that beats.

mod batch;
mod beat;
mod cancel;
mod decide;
mod epoch;
mod execute;
mod fetch;
mod fetch_loop;
mod finish;
mod hand_back;
mod hands;
mod lanes;
mod lease;
mod observer;
mod promote;
mod queue;
mod rescue;
pub(crate) mod scripts;
mod solitude;
mod times;

use std::sync::{Arc, atomic::AtomicBool};

use millstream_queue::Client;

use crate::{Route, handler::Handlers, settings::Settings, shutdown::Shutdown};
pub(crate) use beat::Beats;
pub(crate) use hands::Hands;
pub(crate) use lease::Lease;
pub(crate) use queue::Queue;
pub(crate) use solitude::Solitude;
pub(crate) use times::Longest;

/// What all queues of a worker process share.
pub(crate) struct Process<S> {
    pub(crate) client: Client,
    pub(crate) app: Arc<S>,
    pub(crate) handlers: Handlers<S>,
    /// The layers around the handlers.
    pub(crate) layered: Route<S>,
    pub(crate) settings: Settings,
    pub(crate) shutdown: Shutdown,
    pub(crate) beats: Beats,
    /// A job that killed workers before runs alone.
    pub(crate) solitude: Arc<Solitude>,
    /// Handlers were still running when the grace period ended; what they block on may never return.
    pub(crate) was_cut_off: AtomicBool,
}
