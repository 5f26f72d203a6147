//! The pictures of a demo: the user's, or painted ones.

use std::fs;
use std::future::ready;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use gallery::samples::photograph;
use tokio::task::spawn_blocking;

const WIDTH: u32 = 800;
const HEIGHT: u32 = 600;

/// The absolute path of a folder of pictures.
///
/// # Errors
/// When it does not exist, is not a folder, or has no picture directly in it.
pub(crate) fn folder(path: &Path) -> Result<PathBuf> {
    let absolute = fs::canonicalize(path).with_context(|| format!("there is no folder {}", path.display()))?;
    if !absolute.is_dir() {
        bail!("{} is not a folder: name the folder that the pictures are in", path.display());
    }
    let entries = fs::read_dir(&absolute).with_context(|| format!("cannot read {}", path.display()))?;
    if !entries.flatten().any(|entry| is_picture(&entry.path())) {
        bail!("{} has no picture in it (.jpg, .jpeg, .png or .webp)", path.display());
    }
    Ok(absolute)
}

/// Paints `count` pictures into `folder`, on all cores; `painted` hears of each. Dropped, it stops.
pub(crate) async fn paint(folder: &Path, count: u32, painted: impl Fn()) -> Result<()> {
    let cores = thread::available_parallelism().map_or(2, usize::from);
    stream::iter(0..count)
        .map(|number| {
            let path = folder.join(format!("painted-{number:05}.jpg"));
            async move { spawn_blocking(move || write(&path, number)).await? }
        })
        .buffer_unordered(cores)
        .try_for_each(|()| {
            painted();
            ready(Ok(()))
        })
        .await
}

/// As cameras do, some are held upright and some are not.
fn write(path: &Path, number: u32) -> Result<()> {
    let orientation = (number % 8) as u16 + 1;
    let jpeg = photograph(number, WIDTH, HEIGHT, orientation)?;
    fs::write(path, jpeg).with_context(|| format!("cannot write {}", path.display()))
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    path.is_file() && ["jpg", "jpeg", "png", "webp"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{folder, paint};

    #[tokio::test]
    async fn painted_pictures_are_jpegs_that_differ() {
        let dir = tempfile::tempdir().unwrap();
        paint(dir.path(), 3, || ()).await.unwrap();
        let files: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap()).collect();
        assert_eq!(files.len(), 3);
        assert!(files.iter().all(|file| file.starts_with(&[0xff, 0xd8])));
        assert_ne!(files[0], files[1]);
    }

    #[test]
    fn a_folder_without_pictures_and_no_folder_at_all_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let message = |path: &Path| format!("{:#}", folder(path).unwrap_err());
        assert!(message(dir.path()).contains("has no picture in it"));
        assert!(message(&dir.path().join("nowhere")).contains("there is no folder"));
        fs::write(dir.path().join("A.JPEG"), "any case").unwrap();
        assert!(folder(dir.path()).is_ok());
        assert!(message(&dir.path().join("A.JPEG")).contains("is not a folder"));
    }
}
