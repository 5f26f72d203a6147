//! The worker's events as metrics: one layer that listens, so that what it costs only those pay who install it.

mod family;
mod fields;

use metrics::{Counter, Gauge, Histogram, Unit};
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    Layer,
    filter::filter_fn,
    layer::{Context, Filter},
    registry::LookupSpan,
};

use family::{Family, Measure};
use fields::Fields;

/// Upper bounds for histograms in seconds, for an exporter that needs them: the metrics that end in `_seconds`.
pub const SECONDS_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0];
/// Upper bounds for histograms of jobs, for an exporter that needs them: `millstream_finish_jobs`.
pub const JOBS_BUCKETS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// A layer that turns the worker's events into metrics of the crate `metrics`, whatever exporter it has. `OBSERVE.md` lists
/// them. Install the exporter's recorder first, and filter other layers one by one: a filter for all would take the events,
/// most of which have the level DEBUG, from this one too.
///
/// ```no_run
/// use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
/// use millstream_worker::{JOBS_BUCKETS, SECONDS_BUCKETS, metrics_layer};
/// use tracing_subscriber::{Layer, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt};
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let prometheus = PrometheusBuilder::new()
///     .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS_BUCKETS)?
///     .set_buckets_for_metric(Matcher::Full("millstream_finish_jobs".into()), JOBS_BUCKETS)?
///     .install_recorder()?;
/// tracing_subscriber::registry()
///     .with(tracing_subscriber::fmt::layer().with_filter(LevelFilter::INFO))
///     .with(metrics_layer())
///     .init();
/// let page = prometheus.render(); // what `/metrics` answers; call `prometheus.run_upkeep()` every few seconds
/// # let _ = page;
/// # Ok(())
/// # }
/// ```
pub fn metrics_layer<S>() -> impl Layer<S> + Send + Sync + 'static
where
    S: Subscriber + for<'a> LookupSpan<'a> + 'static,
{
    describe_metrics();
    // A filter of its own keeps the application's other events and spans as cheap as they were.
    let concerns: Box<dyn Filter<S> + Send + Sync> =
        Box::new(filter_fn(|metadata| !metadata.is_span() && metadata.target().starts_with("millstream::")));
    Measures::new().with_filter(concerns)
}

/// Tells the recorder the metrics' units and meanings, as [`metrics_layer`] does: for a recorder that comes later.
pub fn describe_metrics() {
    for measure in MEASURES {
        measure.describe();
    }
}

macro_rules! measures {
    ($($field:ident: $type:ident $name:literal [$($label:literal),*] $unit:ident $meaning:literal;)*) => {
        struct Measures {
            $($field: Family<$type>,)*
        }

        impl Measures {
            fn new() -> Self {
                Self { $($field: Family::new($name, &[$($label),*]),)* }
            }
        }

        /// All metrics.
        const MEASURES: &[Measure] = &[$(Measure {
            name: $name,
            kind: stringify!($type),
            labels: &[$($label),*],
            unit: Unit::$unit,
            meaning: $meaning,
        }),*];
    };
}

measures! {
    started: Counter "millstream_jobs_started_total" ["queue", "kind"] Count "Runs that started.";
    wait: Histogram "millstream_job_wait_seconds" ["queue", "kind"] Seconds "From a job's arrival in its lane to the start of its run.";
    running: Gauge "millstream_jobs_running" ["queue", "kind"] Count "Runs that have started and not ended.";
    run: Histogram "millstream_job_run_seconds" ["queue", "kind", "how"] Seconds "How long runs took.";
    finished: Counter "millstream_jobs_finished_total" ["queue", "kind", "state"] Count "Runs by what became of the job.";
    malformed: Counter "millstream_jobs_malformed_total" ["queue"] Count "Entries that are no jobs.";
    reads: Counter "millstream_reads_total" ["queue"] Count "Reads that returned.";
    read: Counter "millstream_jobs_read_total" ["queue"] Count "Jobs that reads brought.";
    gone: Counter "millstream_jobs_gone_total" ["queue"] Count "Jobs that were deleted while they were handed out.";
    halted: Gauge "millstream_fetch_halted" ["queue", "why"] Count "1 while fetching pauses, because the queue is `paused`, or the stream of outcomes `full`.";
    finish_jobs: Histogram "millstream_finish_jobs" ["queue"] Count "Jobs per finish.";
    finish: Histogram "millstream_finish_seconds" ["queue"] Seconds "From the sending of a finish to its confirmation, further tries included.";
    promoted: Counter "millstream_jobs_promoted_total" ["queue"] Count "Due jobs that were moved to their lanes.";
    registered: Counter "millstream_registrations_total" ["queue"] Count "Consumers of this process that registered.";
    fenced: Counter "millstream_fenced_total" ["queue"] Count "Consumers of this process that were fenced.";
    fences: Counter "millstream_consumers_fenced_total" ["queue"] Count "Consumers of others that this process fenced.";
    rescued: Counter "millstream_jobs_rescued_total" ["queue"] Count "Jobs of dead consumers that this process put back.";
    errors: Counter "millstream_loop_errors_total" ["loop"] Count "Errors after which a loop tried again.";
}

impl<S: Subscriber> Layer<S> for Measures {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let fields = || Fields::of(event);
        match event.metadata().name() {
            "job.started" => self.job_started(&fields()),
            "job.ended" => self.job_ended(&fields()),
            "job.finished" => self.finished.with(&fields().labels).increment(1),
            "job.malformed" => self.malformed.with(&fields().labels).increment(1),
            "fetch.read" => self.fetch_read(&fields()),
            "fetch.gone" => self.gone.add(&fields()),
            "fetch.started" => self.halt(fields(), None),
            "fetch.paused" => self.halt(fields(), Some("paused")),
            "fetch.full" => self.halt(fields(), Some("full")),
            "finish.confirmed" => self.finish_confirmed(&fields()),
            "promote.moved" => self.promoted.add(&fields()),
            "lease.registered" => self.registered.with(&fields().labels).increment(1),
            "lease.fenced" => self.fenced.with(&fields().labels).increment(1),
            "rescue.fenced" => self.fences.add(&fields()),
            "rescue.requeued" => self.rescued.add(&fields()),
            "retry.failed" | "retry.failed_again" => self.errors.with(&fields().labels).increment(1),
            _ => {}
        }
    }
}

impl Measures {
    fn job_started(&self, fields: &Fields) {
        self.started.with(&fields.labels).increment(1);
        self.wait.with(&fields.labels).record(fields.seconds);
        self.running.with(&fields.labels).increment(1.0);
    }

    fn job_ended(&self, fields: &Fields) {
        self.run.with(&fields.labels).record(fields.seconds);
        self.running.with(&fields.labels.without_word()).decrement(1.0);
    }

    fn fetch_read(&self, fields: &Fields) {
        self.reads.with(&fields.labels).increment(1);
        self.read.add(fields);
    }

    fn finish_confirmed(&self, fields: &Fields) {
        self.finish.with(&fields.labels).record(fields.seconds);
        self.finish_jobs.with(&fields.labels).record(fields.count as f64);
    }

    fn halt(&self, mut fields: Fields, now: Option<&str>) {
        for why in ["paused", "full"] {
            why.clone_into(&mut fields.labels.word);
            self.halted.with(&fields.labels).set(if now == Some(why) { 1.0 } else { 0.0 });
        }
    }
}

#[cfg(test)]
mod tests;
