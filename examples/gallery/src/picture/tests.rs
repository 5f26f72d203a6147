use std::fs;
use std::io::Cursor;
use std::path::PathBuf;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage, RgbaImage};
use tempfile::TempDir;

use super::*;
use crate::samples::{SUN, photograph};

struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join("original");
        fs::write(&path, bytes).unwrap();
        path
    }

    fn develop(&self, bytes: &[u8]) -> Result<(Thumbnails, Facts), PictureError> {
        develop(&self.put(bytes), &Limits::default())
    }

    fn error(&self, bytes: &[u8]) -> String {
        let error = self.develop(bytes).err().expect("the file should be refused");
        assert!(error.is_final(), "{error}");
        error.to_string()
    }
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A PNG header that claims `width` x `height` pixels, and a few bytes of data.
fn bomb(width: u32, height: u32) -> Vec<u8> {
    let mut png = encoded(RgbImage::new(1, 1), ImageFormat::Png);
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let crc = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    png
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

fn is_sun(pixel: &Rgb<u8>) -> bool {
    pixel.0[0] > 235 && pixel.0[1] > 215 && pixel.0[2] > 130
}

#[test]
fn all_eight_orientations_come_out_upright_in_all_sizes() {
    let desk = Desk::new();
    for orientation in 1..=8 {
        let (thumbnails, facts) = desk.develop(&photograph(3, 2000, 1000, orientation).unwrap()).unwrap();
        assert_eq!((facts.width, facts.height), (2000, 1000), "orientation {orientation}");
        for size in Size::ALL {
            let image = thumbnails.image(size);
            assert_eq!(image.dimensions(), (size.pixels(), size.pixels() / 2), "orientation {orientation}");
            let at =
                |u: f32, v: f32| image.get_pixel((u * image.width() as f32) as u32, (v * image.height() as f32) as u32);
            assert!(is_sun(at(SUN.0, SUN.1)), "orientation {orientation}: no sun in the upper left");
            assert!(!is_sun(at(1.0 - SUN.0, SUN.1)), "orientation {orientation}: mirrored");
            assert!(!is_sun(at(SUN.0, 1.0 - SUN.1)), "orientation {orientation}: upside down");
        }
    }
}

#[test]
fn exif_tells_date_camera_and_exposure() {
    let (_, facts) = Desk::new().develop(&photograph(0, 300, 200, 6).unwrap()).unwrap();
    assert_eq!(facts.exif.taken.as_deref(), Some("2024-01-01T06:00:00"));
    assert_eq!(facts.exif.camera.as_deref(), Some("Millstream Meadow One"));
    assert_eq!(facts.exif.exposure.as_deref(), Some("1/125 s · f/2.8 · ISO 100 · 35 mm"));
}

#[test]
fn a_broken_exif_block_costs_nothing_but_itself() {
    let mut jpeg = photograph(0, 300, 200, 6).unwrap();
    let exif = jpeg.windows(4).position(|bytes| bytes == b"Exif").unwrap();
    jpeg[exif + 10..exif + 60].fill(0xff);
    let (_, facts) = Desk::new().develop(&jpeg).unwrap();
    assert_eq!(facts.exif, Exif::default());
    assert_eq!((facts.width, facts.height), (200, 300), "stored as it was, without the orientation");
}

#[test]
fn the_three_formats_are_told_by_content() {
    let desk = Desk::new();
    let picture = RgbImage::from_pixel(640, 480, Rgb([200, 30, 60]));
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
        let (_, facts) = desk.develop(&encoded(picture.clone(), format)).unwrap();
        assert_eq!((facts.width, facts.height), (640, 480));
    }
    assert!(desk.error(b"GIF89a and so on").contains("no JPEG, PNG or WebP"));
    assert!(desk.error(b"").contains("no JPEG, PNG or WebP"));
}

#[test]
fn a_sliver_of_one_pixel_is_a_picture() {
    let desk = Desk::new();
    for format in [ImageFormat::Jpeg, ImageFormat::Png] {
        for (width, height) in [(1, 30_000), (30_000, 1), (1, 1)] {
            let sliver = RgbImage::from_pixel(width, height, Rgb([9, 99, 199]));
            let (thumbnails, facts) = desk.develop(&encoded(sliver, format)).unwrap();
            assert_eq!((facts.width, facts.height), (width, height));
            assert!(Size::ALL.iter().all(|&size| !thumbnails.jpeg(size).unwrap().is_empty()));
        }
    }
}

#[test]
fn a_decompression_bomb_is_refused_by_its_header() {
    let desk = Desk::new();
    assert_eq!(
        desk.error(&bomb(60_000, 60_000)),
        "too large: 60000 x 60000 pixels are 3600 megapixels; at most 120 are accepted"
    );
    assert!(measure(&desk.put(&bomb(60_000, 60_000)), &Limits::default()).is_err());
}

#[test]
fn sixty_bytes_of_jpeg_are_damaged() {
    let desk = Desk::new();
    let jpeg = photograph(1, 300, 200, 1).unwrap();
    assert!(desk.error(&jpeg[..60]).starts_with("the file is damaged: "));
    assert!(desk.error(&[b'x'; 60]).starts_with("not a picture"));
    let png = encoded(RgbImage::new(50, 50), ImageFormat::Png);
    assert!(desk.error(&png[..60]).starts_with("the file is damaged: "));
}

#[test]
fn no_cut_or_flipped_byte_makes_the_decoders_panic() {
    let desk = Desk::new();
    let whole = [
        photograph(2, 64, 48, 3).unwrap(),
        encoded(RgbaImage::new(20, 10), ImageFormat::Png),
        encoded(RgbImage::new(20, 10), ImageFormat::WebP),
    ];
    for file in &whole {
        for at in (0..file.len()).step_by(file.len() / 60 + 1) {
            let _ = desk.develop(&file[..at]);
            let mut flipped = file.clone();
            flipped[at] ^= 0xff;
            let _ = desk.develop(&flipped);
        }
    }
}

#[test]
fn a_file_over_the_limit_is_not_opened() {
    let limits = Limits { bytes: 10, ..Limits::default() };
    let path = Desk::new();
    let error = measure(&path.put(&[0; 11]), &limits).unwrap_err();
    assert_eq!(error.to_string(), "the file has 11 bytes; at most 10 are accepted");
}

#[test]
fn what_was_transparent_is_white() {
    let clear = RgbaImage::from_pixel(30, 30, image::Rgba([0, 0, 0, 0]));
    let (thumbnails, facts) = Desk::new().develop(&encoded(clear, ImageFormat::Png)).unwrap();
    assert_eq!(thumbnails.image(Size::Small).get_pixel(5, 5).0, [255; 3]);
    assert_eq!(facts.palette, ["#ffffff"]);
}

#[test]
fn the_palette_names_the_colours_of_a_flag() {
    let flag = RgbImage::from_fn(90, 60, |x, _| Rgb([[0, 85, 164], [255, 255, 255], [239, 65, 53]][x as usize / 30]));
    let (_, facts) = Desk::new().develop(&encoded(flag, ImageFormat::Png)).unwrap();
    let near = |wanted: [u8; 3]| {
        facts.palette.iter().any(|hex| {
            let channel = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            [1, 3, 5].map(channel).iter().zip(wanted).all(|(&a, b)| a.abs_diff(b) < 12)
        })
    };
    assert!(near([0, 85, 164]) && near([239, 65, 53]), "{:?}", facts.palette);
    let single = RgbImage::from_pixel(9, 9, Rgb([10, 200, 30]));
    let (_, facts) = Desk::new().develop(&encoded(single, ImageFormat::Png)).unwrap();
    assert!(!facts.palette.is_empty());
}

#[test]
fn pictures_that_look_alike_have_hashes_that_are_near() {
    let desk = Desk::new();
    let hash = |bytes: &[u8]| {
        let (_, facts) = desk.develop(bytes).unwrap();
        assert_eq!(facts.hash.len(), 16);
        u64::from_str_radix(&facts.hash, 16).unwrap()
    };
    let far = |a: u64, b: u64| (a ^ b).count_ones();
    let large = hash(&photograph(4, 1600, 1200, 1).unwrap());
    let turned = hash(&photograph(4, 800, 600, 6).unwrap());
    let other = hash(&photograph(7, 800, 600, 1).unwrap());
    assert!(far(large, turned) <= 6, "{} bits", far(large, turned));
    assert!(far(large, other) > 6, "{} bits", far(large, other));
}

#[test]
fn a_contact_sheet_holds_every_photo() {
    let photos: Vec<Vec<u8>> = (0..7u8)
        .map(|n| encoded(RgbImage::from_pixel(320, 200, Rgb([n * 30, 255 - n * 30, 128])), ImageFormat::Jpeg))
        .collect();
    let sheet = image::load_from_memory(&draw_sheet(photos.into_iter()).unwrap()).unwrap();
    assert_eq!(sheet.width(), 4 * 272 + 12);
    assert_eq!(sheet.height(), 2 * 272 + 12);
}
