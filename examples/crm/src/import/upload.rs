//! The folder in which files wait for their import.

use std::{
    fs,
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};

use futures::{Stream, TryStreamExt};
use millstream_store::Id;
use tempfile::NamedTempFile;
use tokio::{io::AsyncWriteExt, time::timeout};

use crate::CrmError;

/// How long an upload may pause.
const SILENCE: Duration = Duration::from_secs(20);

/// A folder that all processes which import share.
#[derive(Clone, Debug)]
pub struct Uploads {
    folder: PathBuf,
    /// Most bytes of a file.
    limit: u64,
}

impl Uploads {
    /// Makes the folder where it is missing.
    pub fn new(folder: &Path, limit: u64) -> Result<Self, CrmError> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.canonicalize()?, limit })
    }

    /// Where the file of an import is.
    pub fn path(&self, import: Id) -> PathBuf {
        self.folder.join(format!("{import}.csv"))
    }

    /// Writes a file to disk as it comes; how many bytes it has. It appears whole or not at all.
    pub async fn keep<B: AsRef<[u8]>, E: ToString>(
        &self,
        import: Id,
        chunks: impl Stream<Item = Result<B, E>>,
    ) -> Result<u64, CrmError> {
        let whole = NamedTempFile::new_in(&self.folder)?; // it goes with this future
        let mut file = tokio::fs::File::from_std(whole.reopen()?);
        let (mut chunks, mut bytes) = (pin!(chunks), 0);
        while let Some(chunk) = next(&mut chunks).await? {
            bytes += chunk.as_ref().len() as u64;
            if bytes > self.limit {
                return Err(CrmError::TooLarge { limit: self.limit });
            }
            file.write_all(chunk.as_ref()).await?;
        }
        file.sync_all().await?;
        whole.persist(self.path(import)).map_err(|error| error.error)?;
        tokio::fs::File::open(&self.folder).await?.sync_all().await?;
        Ok(bytes)
    }

    /// Removes the file of an import, if it is there.
    pub async fn remove(&self, import: Id) -> Result<(), CrmError> {
        match tokio::fs::remove_file(self.path(import)).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

async fn next<B, E: ToString>(chunks: &mut (impl Stream<Item = Result<B, E>> + Unpin)) -> Result<Option<B>, CrmError> {
    let silent = || CrmError::CutOff(format!("nothing came for {} s", SILENCE.as_secs()));
    let chunk = timeout(SILENCE, chunks.try_next()).await.map_err(|_| silent())?;
    chunk.map_err(|error| CrmError::CutOff(error.to_string()))
}
