//! One run of an import, batch by batch.

use millstream_store::Data;
use tokio::task::spawn_blocking;

use super::{
    App, Import, Place,
    rows::Rows,
    write::{BATCH, write},
};
use crate::CrmError;

/// Reads a file and writes its rows, from where the import stands.
pub struct Run {
    app: App,
    import: Import,
    /// None once the import is over.
    rows: Option<Rows>,
    place: Place,
}

impl Run {
    /// Goes on with an import: from `place`, unless the database knows of less than that, or from the file's beginning.
    pub async fn open(app: App, import: Import, place: Option<Place>) -> Result<Self, CrmError> {
        let start = Place { byte: 0, line: 1, rows: 0 };
        if import.is_over() {
            app.uploads.remove(import.id).await?;
            return Ok(Self { app, import, rows: None, place: start });
        }
        let (path, place) = (app.uploads.path(import.id), place.filter(|place| place.rows <= import.rows));
        let rows = match blocking(move || Rows::open(&path, place)).await {
            Err(CrmError::Invalid(reason)) => {
                let mut run = Self { app, import, rows: None, place: start };
                run.fail(reason).await?;
                return Ok(run);
            }
            opened => opened?,
        };
        let place = rows.place();
        Ok(Self { app, import, rows: Some(rows), place })
    }

    /// The import as it stands.
    pub fn import(&self) -> &Import {
        &self.import
    }

    /// How far the file is read; all rows before it are written.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Writes the next batch; whether there may be more. [`Error::Conflict`](millstream_store::Error::Conflict) where another
    /// run of the same import is ahead of this one.
    pub async fn step(&mut self) -> Result<bool, CrmError> {
        let Some(mut rows) = self.rows.take() else { return Ok(false) };
        let (rows, mut batch) = blocking(move || {
            let batch = rows.next(BATCH)?;
            Ok((rows, batch))
        })
        .await?;
        let is_last = batch.len() < BATCH;
        batch.retain(|row| row.number > self.import.rows);
        self.import = write(&self.app.store, &self.import, batch, is_last).await?;
        self.place = rows.place();
        if is_last {
            self.app.uploads.remove(self.import.id).await?;
            return Ok(false);
        }
        self.rows = Some(rows);
        Ok(true)
    }

    /// Ends the import early; what is written stays.
    pub async fn fail(&mut self, reason: String) -> Result<(), CrmError> {
        let failed = Import { error: Some(reason), ..self.import.clone() };
        self.import = self.app.store.update(&failed.ended("failed")).await?;
        self.rows = None;
        self.app.uploads.remove(self.import.id).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CrmError> + Send + 'static,
) -> Result<T, CrmError> {
    spawn_blocking(work).await.map_err(std::io::Error::other)?
}
