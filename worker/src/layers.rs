//! The layers around every handler: a span, events that tell of the run, the time-out, and a net for panics.
//!
//! They stand outside of the layers of [`Worker::layer`](crate::Worker::layer), in this order:
//! [`Trace`] → [`Events`] → [`Timeout`] → [`CatchPanic`] → the application's → the handler. So what the application's
//! layers log is inside the job's span, and they too are cut off in time and can't take the worker down.
//!
//! A layer that counts failures sees neither time-outs nor panics from inside. Put another of these between it and the
//! handler, and it does:
//!
//! ```no_run
//! # use millstream_worker::{Worker, layers};
//! # fn example<L>(worker: Worker<()>, count_failures: L) -> Worker<()>
//! # where
//! #     L: tower_layer::Layer<millstream_worker::Route<()>, Service = millstream_worker::Route<()>>,
//! # {
//! worker.layer(layers::CatchPanic).layer(layers::Timeout).layer(count_failures) // the last one is outermost
//! # }
//! ```

mod catch_panic;
mod events;
mod timeout;
mod trace;

pub use catch_panic::{CatchPanic, Catching, CatchingFuture};
pub use events::{Events, Telling, TellingFuture};
pub use timeout::{Limited, LimitedFuture, Timeout};
pub use trace::{Trace, Traced, TracedFuture};

use tower_layer::Layer;

/// What stands around all other layers of a worker.
pub(crate) fn outermost<Svc>(inner: Svc) -> Traced<Telling<Limited<Catching<Svc>>>> {
    Trace.layer(Events.layer(Timeout.layer(CatchPanic.layer(inner))))
}
