//! The job that imports a file.

use std::time::Duration;

use futures::Stream;
use millstream_queue::{Client, Job};
use millstream_store::{Data, Id, List, Store};
use millstream_worker::{self as worker, Context, Failure};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Import, Place, Run, Uploads};
use crate::{CrmError, check};

/// Imports an uploaded file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImportContacts {
    pub import: Uuid,
}

impl Job for ImportContacts {
    const KIND: &'static str = "import_contacts";
    const QUEUE: &'static str = "imports";
    const KEEP_RESULT: Option<Duration> = Some(Duration::from_secs(3600));
}

/// What handlers work with.
#[derive(Clone, Debug)]
pub struct App {
    pub store: Store,
    pub uploads: Uploads,
}

/// The job's handler; its result is the import's report.
pub async fn import_contacts(job: ImportContacts, cx: Context<App>) -> worker::Result<Import> {
    let Some(import) = cx.app.store.get::<Import>(Id(job.import)).await? else {
        return Err(Failure::cancel(format!("there is no import {}", job.import)));
    };
    let mut run = Run::open(App::clone(&cx.app), import, cx.restore::<Place>().await?).await?;
    while run.step().await? {
        let (place, import) = (run.place(), run.import());
        cx.checkpoint(&place).await?;
        let note = format!("{} rows, {} of them bad", import.rows, import.bad);
        cx.progress(place.byte, import.bytes.unsigned_abs(), note).await?;
        if cx.is_cancelled() {
            run.fail("it was cancelled".into()).await?;
        }
    }
    Ok(run.import().clone())
}

/// Takes in a file and asks for its import.
pub async fn begin<B: AsRef<[u8]>, E: ToString>(
    store: &Store,
    client: &Client,
    uploads: &Uploads,
    file: &str,
    chunks: impl Stream<Item = Result<B, E>>,
) -> Result<Import, CrmError> {
    let file = check::text("file's name", file, 200).map_err(CrmError::Invalid)?;
    let id = Id::new();
    let bytes = uploads.keep(id, chunks).await?.cast_signed();
    let import = Import { id, file, bytes, state: "waiting".into(), ..Import::default() };
    let inserted = if bytes == 0 {
        Err(CrmError::Invalid("the file is empty".into()))
    } else {
        store.insert(&import).await.map_err(CrmError::from)
    };
    if inserted.is_err() {
        uploads.remove(id).await?;
    }
    let import = inserted?;
    if let Err(error) = ask_for(client, &import).await {
        tracing::warn!(%error, import = %id, "can't push the import's job now; it will be asked for again");
    }
    Ok(import)
}

/// Pushes the import's job and returns its id; asked twice it is one job.
pub async fn ask_for(client: &Client, import: &Import) -> Result<Uuid, millstream_queue::Error> {
    client.push(ImportContacts { import: import.id.0 }).id(import.id.to_string()).await
}

/// Asks for all imports that are not over, which finds those whose first push failed. How many.
pub async fn ask_for_unfinished(client: &Client, store: &Store) -> Result<usize, millstream_store::Error> {
    let unfinished = List::new().any_of("state", ["waiting", "running"]).limit(1000);
    let unfinished = store.list::<Import>(unfinished).await?.rows;
    for import in &unfinished {
        ask_for(client, import).await?;
    }
    Ok(unfinished.len())
}
