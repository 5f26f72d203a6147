//! Files that call themselves photographs.

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};

/// A picture of one column.
pub(crate) fn sliver() -> Vec<u8> {
    png(&RgbImage::from_fn(1, 30_000, |_, y| Rgb([(y % 256) as u8, 90, 160])))
}

/// A PNG of a few bytes that claims 60,000 x 60,000 pixels.
pub(crate) fn bomb() -> Vec<u8> {
    let mut png = png(&RgbImage::new(1, 1));
    // The header chunk: length, "IHDR", width, height, five more bytes, checksum (PNG, 11.2.2).
    png[16..20].copy_from_slice(&60_000u32.to_be_bytes());
    png[20..24].copy_from_slice(&60_000u32.to_be_bytes());
    let checksum = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    png
}

/// The first 60 bytes of a JPEG.
pub(crate) fn sixty_bytes(photograph: &[u8]) -> Vec<u8> {
    photograph[..60].to_vec()
}

fn png(image: &RgbImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).expect("a PNG can be written to memory");
    bytes.into_inner()
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    })
}
