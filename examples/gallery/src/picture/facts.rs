use serde::{Deserialize, Serialize};

use super::Exif;

/// What is known about a picture, apart from its pixels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Pixels from left to right, upright.
    pub width: u32,
    /// Pixels from top to bottom, upright.
    pub height: u32,
    /// What the camera wrote.
    pub exif: Exif,
    /// Up to five colours that stand for the picture, the most telling first, as `#rrggbb`.
    pub palette: Vec<String>,
    /// Perceptual hash, 64 bits as 16 hexadecimal digits: pictures that look alike differ in few bits.
    pub hash: String,
}
