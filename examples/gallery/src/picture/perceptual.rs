use image::RgbImage;
use image_hasher::{HashAlg, HasherConfig};

/// The picture's 64 bit gradient hash as 16 hexadecimal digits.
pub(super) fn hash(image: &RgbImage) -> String {
    let hasher = HasherConfig::new().hash_alg(HashAlg::Gradient).hash_size(8, 8).to_hasher();
    hasher.hash_image(image).as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
