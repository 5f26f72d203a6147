//! Draws photographs to try the gallery with: `cargo run -p gallery --example photographs -- FOLDER [NUMBER]`.

use std::path::PathBuf;

use anyhow::Context;
use gallery::samples::photograph;

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(args.next().context("usage: photographs FOLDER [NUMBER]")?);
    let number: u32 = args.next().map_or(Ok(24), |number| number.parse())?;
    std::fs::create_dir_all(&folder)?;
    for n in 0..number {
        // Twelve megapixels, held in all eight ways, every third one taller than wide.
        let (width, height) = if n % 3 == 2 { (3000, 4000) } else { (4000, 3000) };
        let jpeg = photograph(n, width, height, (n % 8 + 1) as u16)?;
        std::fs::write(folder.join(format!("meadow-{n:03}.jpg")), jpeg)?;
    }
    Ok(())
}
