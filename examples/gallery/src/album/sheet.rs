use std::fs;
use std::path::PathBuf;

use uuid::Uuid;

use super::{AlbumError, Albums, atomic};

impl Albums {
    /// Where the contact sheet of `photos` photos is, once it is drawn.
    pub fn sheet(&self, album: Uuid, photos: u64) -> PathBuf {
        self.folder(album).join(format!("sheet-{photos}.jpg"))
    }

    /// Stores the contact sheet of `photos` photos and removes those of fewer.
    ///
    /// Each number has a file of its own, so that a sheet which is drawn late can't replace a newer one.
    pub fn write_sheet(&self, album: Uuid, photos: u64, jpeg: &[u8]) -> Result<(), AlbumError> {
        atomic::write(&self.sheet(album, photos), jpeg)?;
        for older in self.sheets(album)?.into_iter().filter(|&older| older < photos) {
            atomic::remove(&self.sheet(album, older))?;
        }
        Ok(())
    }

    /// The number of photos of the newest contact sheet.
    pub fn newest_sheet(&self, album: Uuid) -> Result<Option<u64>, AlbumError> {
        Ok(self.sheets(album)?.into_iter().max())
    }

    fn sheets(&self, album: Uuid) -> Result<Vec<u64>, AlbumError> {
        let mut sheets = Vec::new();
        for entry in fs::read_dir(self.folder(album))? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("sheet-")?.strip_suffix(".jpg"));
            sheets.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        Ok(sheets)
    }
}
