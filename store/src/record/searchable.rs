//! Which fields of which kinds are searchable, as workers declared them in Redis.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use millstream_queue::{Client, Error, Searchable};

use super::rows::Row;
use crate::field;

/// What is known, by queue; the reader refreshes it, the writer asks it.
#[derive(Clone, Default)]
pub(super) struct Declared {
    queues: Arc<Mutex<HashMap<Arc<str>, Searchable>>>,
}

impl Declared {
    /// Reads anew what is declared for a queue.
    pub(super) async fn refresh(&self, client: &Client, queue: &Arc<str>) -> Result<(), Error> {
        let searchable = client.searchable(queue).await?;
        self.queues().insert(queue.clone(), searchable);
        Ok(())
    }

    /// Notes the searchable fields of the heads among the rows. Kinds that are not known here are asked for once: a
    /// worker declares them before it runs the first.
    pub(super) async fn fill(&self, client: &Client, rows: &mut [Row]) -> Result<(), Error> {
        let mut unknown: HashMap<Arc<str>, HashSet<String>> = HashMap::new();
        for row in rows.iter().filter(|row| row.head && row.payload.json.is_some()) {
            if !self.queues().get(&row.queue).is_some_and(|kinds| kinds.contains_key(&row.kind)) {
                unknown.entry(row.queue.clone()).or_default().insert(row.kind.clone());
            }
        }
        for (queue, kinds) in unknown {
            self.refresh(client, &queue).await?;
            // Those that are still unknown have none, until the next refresh.
            let mut queues = self.queues();
            let known = queues.entry(queue).or_default();
            for kind in kinds {
                known.entry(kind).or_default();
            }
        }
        let queues = self.queues();
        for row in rows.iter_mut().filter(|row| row.head) {
            let paths = queues.get(&row.queue).and_then(|kinds| kinds.get(&row.kind)).filter(|paths| !paths.is_empty());
            if let (Some(paths), Some(payload)) = (paths, &row.payload.json) {
                row.fields = field::found_in(payload, paths);
            }
        }
        Ok(())
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<Arc<str>, Searchable>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
