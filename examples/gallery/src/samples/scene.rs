use image::imageops::FilterType;
use image::{DynamicImage, Rgb, RgbImage};

pub(super) const SUN: (f32, f32) = (0.22, 0.2);

/// Drawn this much smaller and scaled up, so that 12 megapixels take a tenth of a second.
const SCALE: u32 = 8;

/// A landscape in which up and left can be told: sky, sun on the left, hills, meadow.
pub(super) fn draw(number: u32, width: u32, height: u32) -> DynamicImage {
    let (w, h) = ((width / SCALE).max(1), (height / SCALE).max(1));
    let mood = Mood::new(number);
    let small = RgbImage::from_fn(w, h, |x, y| {
        Rgb(mood.colour((x as f32 + 0.5) / w as f32, (y as f32 + 0.5) / h as f32, w as f32 / h as f32))
    });
    DynamicImage::from(small).resize_exact(width, height, FilterType::Triangle)
}

struct Mood {
    sky: [[f32; 3]; 2],
    hills: [f32; 3],
    meadow: [f32; 3],
    phase: f32,
}

impl Mood {
    fn new(number: u32) -> Self {
        const SKIES: [[[f32; 3]; 2]; 5] = [
            [[38.0, 92.0, 190.0], [168.0, 208.0, 240.0]],
            [[52.0, 40.0, 120.0], [214.0, 130.0, 150.0]],
            [[20.0, 60.0, 120.0], [120.0, 190.0, 200.0]],
            [[80.0, 110.0, 160.0], [205.0, 200.0, 215.0]],
            [[16.0, 24.0, 84.0], [110.0, 96.0, 180.0]],
        ];
        const HILLS: [[f32; 3]; 4] =
            [[70.0, 96.0, 92.0], [92.0, 74.0, 110.0], [54.0, 84.0, 110.0], [120.0, 86.0, 66.0]];
        const MEADOWS: [[f32; 3]; 3] = [[58.0, 128.0, 44.0], [104.0, 142.0, 40.0], [36.0, 104.0, 66.0]];
        let at = |length: usize, step: u32| (number * step) as usize % length;
        Self {
            sky: SKIES[at(SKIES.len(), 1)],
            hills: HILLS[at(HILLS.len(), 1)],
            meadow: MEADOWS[at(MEADOWS.len(), 1)],
            phase: number as f32 * 1.7,
        }
    }

    /// `u` from the left and `v` from the top, both 0 to 1; `aspect` is width to height.
    fn colour(&self, u: f32, v: f32, aspect: f32) -> [u8; 3] {
        let ridge = 0.56 + 0.06 * (u * 5.0 + self.phase).sin() + 0.03 * (u * 13.0 + self.phase * 2.0).sin();
        let meadow = 0.74 + 0.03 * (u * 4.0 - self.phase).sin();
        let (du, dv) = ((u - SUN.0) * aspect.max(1.0), (v - SUN.1) / aspect.min(1.0));
        let sun = (du * du + dv * dv).sqrt();
        let colour = if v > meadow {
            mix(self.meadow, [20.0, 48.0, 18.0], (v - meadow) * 1.6)
        } else if v > ridge {
            mix(self.hills, self.meadow, (v - ridge) * 1.2)
        } else if sun < 0.08 {
            [255.0, 238.0, 170.0]
        } else {
            let sky = mix(self.sky[0], self.sky[1], v / ridge);
            mix(sky, [255.0, 226.0, 170.0], 0.35 * (1.0 - (sun - 0.08) * 5.0).clamp(0.0, 1.0))
        };
        colour.map(|channel| channel.clamp(0.0, 255.0) as u8)
    }
}

fn mix(from: [f32; 3], to: [f32; 3], part: f32) -> [f32; 3] {
    let part = part.clamp(0.0, 1.0);
    [0, 1, 2].map(|channel| from[channel] + (to[channel] - from[channel]) * part)
}
