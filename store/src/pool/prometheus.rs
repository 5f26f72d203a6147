//! Metrics in Prometheus' text format, version 0.0.4.

use std::fmt::Write;

use super::{Metrics, PoolMetrics};
use crate::Histogram;

type Value = fn(&PoolMetrics) -> u64;
type Times = fn(&PoolMetrics) -> &Histogram;

const NUMBERS: [(&str, &str, &str, Value); 10] = [
    ("max_connections", "gauge", "Most connections the pool may have.", |pool| pool.max_size.into()),
    ("connections", "gauge", "Connections the pool has.", |pool| pool.size.into()),
    ("connections_idle", "gauge", "Connections that nobody uses.", |pool| pool.idle.into()),
    ("connections_in_use", "gauge", "Connections that callers hold.", |pool| pool.in_use.into()),
    ("waiting", "gauge", "Callers that wait for a connection.", |pool| pool.waiting),
    ("connections_created_total", "counter", "Connections ever made.", |pool| pool.created),
    ("connections_closed_total", "counter", "Connections ever closed.", |pool| pool.closed),
    ("connections_broken_total", "counter", "Connections closed because they were broken.", |pool| pool.broken),
    ("timeouts_total", "counter", "Callers that got no connection in time.", |pool| pool.timed_out),
    ("leaks_total", "counter", "Connections reported as held for too long.", |pool| pool.leaked),
];

const TIMES: [(&str, &str, Times); 2] = [
    ("wait_seconds", "From asking for a connection to having it.", |pool| &pool.wait_time),
    ("use_seconds", "From having a connection to its return.", |pool| &pool.use_time),
];

pub(super) fn text(metrics: &Metrics) -> String {
    let mut text = String::new();
    // Writing to a String doesn't fail.
    let _ = write(metrics, &mut text);
    text
}

fn write(metrics: &Metrics, text: &mut String) -> std::fmt::Result {
    let database = escape(&metrics.database);
    for (name, kind, help, value) in NUMBERS {
        head(text, name, kind, help)?;
        for pool in &metrics.pools {
            let labels = labels(&database, pool);
            writeln!(text, "millstream_pool_{name}{{{labels}}} {}", value(pool))?;
        }
    }
    for (name, help, times) in TIMES {
        head(text, name, "histogram", help)?;
        for pool in &metrics.pools {
            let (labels, histogram) = (labels(&database, pool), times(pool));
            for (bound, count) in &histogram.buckets {
                let bound = bound.as_secs_f64();
                writeln!(text, "millstream_pool_{name}_bucket{{{labels},le=\"{bound}\"}} {count}")?;
            }
            writeln!(text, "millstream_pool_{name}_bucket{{{labels},le=\"+Inf\"}} {}", histogram.count)?;
            writeln!(text, "millstream_pool_{name}_sum{{{labels}}} {}", histogram.sum.as_secs_f64())?;
            writeln!(text, "millstream_pool_{name}_count{{{labels}}} {}", histogram.count)?;
        }
    }
    Ok(())
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) -> std::fmt::Result {
    writeln!(text, "# HELP millstream_pool_{name} {help}\n# TYPE millstream_pool_{name} {kind}")
}

fn labels(database: &str, pool: &PoolMetrics) -> String {
    format!("database=\"{database}\",pool=\"{}\"", pool.pool)
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
