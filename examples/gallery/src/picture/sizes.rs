use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::metadata::Orientation;
use image::{DynamicImage, ImageEncoder, RgbImage};

use super::PictureError;

const QUALITY: u8 = 84;

/// The three sizes that are made of each photo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// At most 320 pixels on the longer side: for grids and contact sheets.
    Small,
    /// At most 800: for grids on fine screens.
    Medium,
    /// At most 1600: to look at.
    Large,
}

impl Size {
    /// All sizes, the smallest first.
    pub const ALL: [Self; 3] = [Self::Small, Self::Medium, Self::Large];

    /// The longer side, in pixels, of a photo that is larger than that.
    pub const fn pixels(self) -> u32 {
        match self {
            Self::Small => 320,
            Self::Medium => 800,
            Self::Large => 1600,
        }
    }

    /// The name in file names and addresses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }

    /// The size of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.as_str() == name)
    }
}

/// A photo in three sizes, upright, on white where it was transparent.
pub struct Thumbnails {
    /// In the order of [`Size::ALL`].
    images: [RgbImage; 3],
    icc: Option<Vec<u8>>,
}

impl Thumbnails {
    pub(super) fn new(image: DynamicImage, orientation: Orientation, icc: Option<Vec<u8>>) -> Self {
        let mut large = shrink(image, Size::Large.pixels());
        large.apply_orientation(orientation);
        let large = on_white(large);
        let medium = fit(&large, Size::Medium.pixels());
        let small = fit(&medium, Size::Small.pixels());
        Self { images: [small, medium, large], icc: icc.filter(|icc| describes_rgb(icc)) }
    }

    /// The pixels of one size.
    pub fn image(&self, size: Size) -> &RgbImage {
        &self.images[size as usize]
    }

    /// One size as a JPEG file, in the colour space of the original.
    pub fn jpeg(&self, size: Size) -> Result<Vec<u8>, PictureError> {
        encode(self.image(size), self.icc.as_ref())
    }
}

pub(super) fn encode(image: &RgbImage, icc: Option<&Vec<u8>>) -> Result<Vec<u8>, PictureError> {
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
    if let Some(icc) = icc {
        // Only fails for formats that have no profiles.
        let _ = encoder.set_icc_profile(icc.clone());
    }
    encoder
        .write_image(image.as_raw(), image.width(), image.height(), image::ExtendedColorType::Rgb8)
        .map_err(|error| PictureError::Damaged(error.to_string()))?;
    Ok(bytes.into_inner())
}

/// Averages over whole blocks: one pass over the camera's pixels, while a filter would take three.
fn shrink(image: DynamicImage, side: u32) -> DynamicImage {
    if image.width().max(image.height()) <= side { image } else { image.thumbnail(side, side) }
}

/// Scales down to `side` on the longer side; never up.
pub(super) fn fit(image: &RgbImage, side: u32) -> RgbImage {
    let (width, height) = image.dimensions();
    let longer = width.max(height);
    if longer <= side {
        return image.clone();
    }
    let scaled =
        |length: u32| ((u64::from(length) * u64::from(side) + u64::from(longer) / 2) / u64::from(longer)).max(1);
    imageops::resize(image, scaled(width) as u32, scaled(height) as u32, FilterType::CatmullRom)
}

/// JPEG has no transparency; left alone, clear pixels would come out black.
fn on_white(image: DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let mut white = image::RgbaImage::from_pixel(image.width(), image.height(), image::Rgba([255; 4]));
    imageops::overlay(&mut white, &image.into_rgba8(), 0, 0);
    DynamicImage::from(white).into_rgb8()
}

/// A profile for CMYK or grey would spoil what is RGB by now. Its header names its colour space (ICC.1, 7.2.6).
fn describes_rgb(icc: &[u8]) -> bool {
    icc.get(16..20) == Some(b"RGB ")
}
