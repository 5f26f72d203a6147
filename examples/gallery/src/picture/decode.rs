use std::error::Error as _;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader};

use super::PictureError;

/// What a photo may cost. Checked against what the file claims before a pixel of it is unpacked.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of the file. Default 100 MB.
    pub bytes: u64,
    /// Width times height. Default 120 million, twice what the largest phone cameras save.
    pub pixels: u64,
    /// Bytes of the decoded picture. Default 512 MiB: 120 megapixels of RGBA, 64 of 16 bit RGBA.
    pub memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 100_000_000, pixels: 120_000_000, memory: 512 << 20 }
    }
}

/// What a file claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Pixels from left to right, as stored (before the orientation is applied).
    pub width: u32,
    /// Pixels from top to bottom, as stored.
    pub height: u32,
    /// Bytes that decoding takes: the file and the picture.
    pub memory: u64,
}

/// Reads the header of the file at `path` and refuses what [`develop`](super::develop) would refuse before unpacking it.
pub fn measure(path: &Path, limits: &Limits) -> Result<Measured, PictureError> {
    let bytes = path.metadata()?.len();
    let decoder = open(path, bytes, limits)?;
    let (width, height) = decoder.dimensions();
    Ok(Measured { width, height, memory: decoder.total_bytes() + bytes })
}

pub(super) struct Decoded {
    pub(super) image: DynamicImage,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) orientation: Orientation,
    /// Whether the orientation exchanges width and height.
    pub(super) sideways: bool,
    pub(super) exif: Option<Vec<u8>>,
    pub(super) icc: Option<Vec<u8>>,
}

pub(super) fn decode(path: &Path, limits: &Limits) -> Result<Decoded, PictureError> {
    let mut decoder = open(path, path.metadata()?.len(), limits)?;
    let (width, height) = decoder.dimensions();
    // Broken metadata must not cost a good picture.
    let exif = decoder.exif_metadata().ok().flatten();
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let icc = decoder.icc_profile().ok().flatten();
    let sideways = matches!(
        orientation,
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
    );
    let image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    Ok(Decoded { image, width, height, orientation, sideways, exif, icc })
}

fn open(path: &Path, bytes: u64, limits: &Limits) -> Result<impl ImageDecoder + use<>, PictureError> {
    if bytes > limits.bytes {
        return Err(PictureError::TooManyBytes { bytes, limit: limits.bytes });
    }
    let mut reader = ImageReader::new(BufReader::new(File::open(path)?)).with_guessed_format()?;
    if !matches!(reader.format(), Some(ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP)) {
        return Err(PictureError::NotAPicture);
    }
    // The decoder's own limit is for what it allocates beside the picture (ancillary chunks, frames); the
    // picture itself is checked below, where the message can name its size.
    let mut own = image::Limits::default();
    own.max_alloc = Some(limits.memory);
    reader.limits(own);
    let decoder = reader.into_decoder().map_err(damaged)?;

    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(PictureError::Damaged("it has no pixels".to_owned()));
    }
    if u64::from(width) * u64::from(height) > limits.pixels {
        return Err(PictureError::TooManyPixels { width, height, limit: limits.pixels });
    }
    let needed = decoder.total_bytes();
    if needed > limits.memory {
        return Err(PictureError::TooMuchMemory { needed, limit: limits.memory });
    }
    Ok(decoder)
}

fn damaged(error: ImageError) -> PictureError {
    match error {
        // The end of the file came too early: that is the file, not the disk.
        ImageError::IoError(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => error.into(),
        error => {
            // The decoder's own words, without the crate's frame around them.
            let words = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            PictureError::Damaged(words.trim().to_owned())
        }
    }
}
