use color_thief::{ColorFormat, get_palette};
use image::RgbImage;

const COLOURS: u8 = 5;

/// Up to five colours that stand for the picture, as `#rrggbb`.
pub(super) fn of(image: &RgbImage) -> Vec<String> {
    // color-thief leaves out near-white pixels, counts a picture of nothing else as an error, and can't
    // split a single colour: both are answered by the mean, which is then exact.
    let coloured = image.pixels().filter(|p| p.0.iter().any(|&c| c <= 250)).count();
    let mut colours = match coloured {
        0 => Vec::new(),
        _ => get_palette(image.as_raw(), ColorFormat::Rgb, 1, COLOURS).unwrap_or_default(),
    };
    colours.truncate(COLOURS.into());
    let mut palette: Vec<String> = Vec::new();
    for colour in colours {
        let hex = format!("#{:02x}{:02x}{:02x}", colour.r, colour.g, colour.b);
        if !palette.contains(&hex) {
            palette.push(hex);
        }
    }
    if palette.is_empty() {
        palette.push(mean(image));
    }
    palette
}

fn mean(image: &RgbImage) -> String {
    let count = u64::from(image.width()) * u64::from(image.height());
    let mut sum = [0u64; 3];
    for pixel in image.pixels() {
        for (sum, &channel) in sum.iter_mut().zip(&pixel.0) {
            *sum += u64::from(channel);
        }
    }
    let [r, g, b] = sum.map(|sum| sum / count.max(1));
    format!("#{r:02x}{g:02x}{b:02x}")
}
