//! The pools' metrics in Prometheus' text format.

use super::{Metrics, PoolMetrics};
use crate::{
    Histogram,
    prometheus::{Page, label},
};

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
    let mut page = Page::default();
    let labels = |pool: &PoolMetrics| format!("{},{}", label("database", &metrics.database), label("pool", pool.pool));
    for (name, kind, help, value) in NUMBERS {
        let name = format!("millstream_pool_{name}");
        page.head(&name, kind, help);
        for pool in &metrics.pools {
            page.value(&name, &labels(pool), value(pool));
        }
    }
    for (name, help, times) in TIMES {
        let name = format!("millstream_pool_{name}");
        page.head(&name, "histogram", help);
        for pool in &metrics.pools {
            page.histogram(&name, &labels(pool), times(pool));
        }
    }
    page.into_text()
}
