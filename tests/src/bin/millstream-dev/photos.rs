//! The pictures of a demo: the user's, or painted ones.

use std::fs::{self, File};
use std::future::ready;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};
use tokio::task::spawn_blocking;

const WIDTH: u32 = 800;
const HEIGHT: u32 = 600;
const QUALITY: u8 = 85;

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

fn write(path: &Path, number: u32) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    JpegEncoder::new_with_quality(BufWriter::new(file), QUALITY).encode_image(&picture(number))?;
    Ok(())
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    path.is_file() && ["jpg", "jpeg", "png", "webp"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// A sky of two colours with a few discs in it and some grain; another one for each number, the same each time.
fn picture(number: u32) -> RgbImage {
    let mut dice = Dice(u64::from(number) + 1);
    let (top, bottom) = (dice.colour(), dice.colour());
    let discs: Vec<Disc> = (0..3 + dice.below(5)).map(|_| Disc::thrown(&mut dice)).collect();
    RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        let disc = discs.iter().rev().find(|disc| disc.covers(x, y));
        let base = disc.map_or_else(|| mix(top, bottom, y), |disc| disc.colour);
        let grain = (dice.next() & 7) as u8;
        Rgb(base.map(|channel| channel.saturating_add(grain)))
    })
}

/// The colour at height `y` between the two.
fn mix(top: [u8; 3], bottom: [u8; 3], y: u32) -> [u8; 3] {
    let at = |i: usize| (u32::from(top[i]) * (HEIGHT - y) + u32::from(bottom[i]) * y) / HEIGHT;
    [at(0) as u8, at(1) as u8, at(2) as u8]
}

struct Disc {
    x: u32,
    y: u32,
    radius: u32,
    colour: [u8; 3],
}

impl Disc {
    fn thrown(dice: &mut Dice) -> Self {
        Self { x: dice.below(WIDTH), y: dice.below(HEIGHT), radius: 20 + dice.below(150), colour: dice.colour() }
    }

    fn covers(&self, x: u32, y: u32) -> bool {
        self.x.abs_diff(x).pow(2) + self.y.abs_diff(y).pow(2) <= self.radius.pow(2)
    }
}

/// Numbers that only have to look random (SplitMix64, Steele, Lea and Flood 2014).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u32) -> u32 {
        (self.next() % u64::from(limit)) as u32
    }

    fn colour(&mut self) -> [u8; 3] {
        let [r, g, b, ..] = self.next().to_le_bytes();
        [r, g, b]
    }
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
