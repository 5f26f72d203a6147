use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::{AlbumError, Albums, Photo, atomic, ids};

/// A photo on its way in. It isn't part of the album, and is removed when dropped, until it is
/// [added](Albums::add).
#[derive(Debug)]
pub struct Staged {
    photo: Photo,
    album: Uuid,
    folder: PathBuf,
    added: bool,
}

impl Staged {
    /// Where the original's bytes belong.
    pub fn original(&self) -> PathBuf {
        self.folder.join("original")
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.added {
            // What stays behind is swept at the next start.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

impl Albums {
    /// Makes room for a photo whose file is called `name`; any folders in it are dropped.
    pub fn stage(&self, album: Uuid, name: &str) -> Result<Staged, AlbumError> {
        self.album(album)?;
        let name = file_name(name);
        if !is_photo_name(&name) {
            return Err(AlbumError::NotAPhotoName(name));
        }
        let photo = Photo { id: Uuid::now_v7(), name };
        let folder = self.folder(album).join("incoming").join(photo.id.to_string());
        fs::create_dir_all(&folder)?;
        Ok(Staged { photo, album, folder, added: false })
    }

    /// Makes staged photos part of the album, each marked as not pushed yet.
    ///
    /// Their originals are on disk when this returns: only then may a job be written for them.
    pub fn add(&self, staged: Vec<Staged>) -> Result<Vec<Photo>, AlbumError> {
        let mut photos = Vec::with_capacity(staged.len());
        for mut staged in staged {
            File::open(staged.original())?.sync_all()?;
            atomic::write_json(&staged.folder.join("photo.json"), &staged.photo)?;
            // The mark first: a photo without a job must never be without a mark.
            fs::write(self.unpushed(staged.album, staged.photo.id), [])?;
            fs::rename(&staged.folder, self.photo_folder(staged.album, staged.photo.id))?;
            staged.added = true;
            photos.push(staged.photo.clone());
        }
        Ok(photos)
    }

    /// Stages every photo of a folder, in the order of their names; not those of folders in it. Links the
    /// originals where the file system can, and copies them where it can't.
    pub fn stage_folder(&self, album: Uuid, folder: &Path) -> Result<Vec<Staged>, AlbumError> {
        let unreadable = |cause| AlbumError::NoFolder { path: folder.to_owned(), cause };
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.is_file() && is_photo_name(&path.to_string_lossy()) {
                files.push(path);
            }
        }
        if files.is_empty() {
            return Err(AlbumError::EmptyFolder(folder.to_owned()));
        }
        files.sort();
        files
            .iter()
            .map(|file| {
                let staged = self.stage(album, &file.to_string_lossy())?;
                link_or_copy(file, &staged.original()).map_err(unreadable)?;
                Ok(staged)
            })
            .collect()
    }

    /// Takes photos out of the album again; of use only while no one has been told of them.
    pub fn withdraw(&self, album: Uuid, photos: &[Uuid]) -> Result<(), AlbumError> {
        for &photo in photos {
            fs::remove_dir_all(self.photo_folder(album, photo))?;
            atomic::remove(&self.unpushed(album, photo))?;
        }
        Ok(())
    }

    /// Notes that the rows and jobs of these photos are written.
    pub fn pushed(&self, album: Uuid, photos: &[Uuid]) -> Result<(), AlbumError> {
        for &photo in photos {
            atomic::remove(&self.unpushed(album, photo))?;
        }
        Ok(())
    }

    /// Photos that a crash may have left without a job, after removing what a crash left half-way in.
    ///
    /// Only for a gallery that is starting: it takes every photo on its way in for forgotten.
    pub fn forgotten(&self, album: Uuid) -> Result<Vec<Uuid>, AlbumError> {
        for id in ids(&self.folder(album).join("incoming"))? {
            fs::remove_dir_all(self.folder(album).join("incoming").join(id.to_string()))?;
        }
        let mut forgotten = Vec::new();
        for id in ids(&self.folder(album).join("unpushed"))? {
            match self.photo(album, id)? {
                Some(_) => forgotten.push(id),
                None => atomic::remove(&self.unpushed(album, id))?,
            }
        }
        Ok(forgotten)
    }

    fn unpushed(&self, album: Uuid, photo: Uuid) -> PathBuf {
        self.folder(album).join("unpushed").join(photo.to_string())
    }
}

fn file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| !c.is_control()).collect();
    // The end stays, because the extension is there.
    let skipped = clean.chars().count().saturating_sub(200);
    clean.chars().skip(skipped).collect()
}

fn is_photo_name(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    matches!(extension.as_deref(), Some("jpg" | "jpeg" | "png" | "webp"))
}

fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    // The file, not a symbolic link to it, which would break or change under us.
    let from = fs::canonicalize(from)?;
    if fs::hard_link(&from, to).is_err() {
        fs::copy(&from, to)?;
    }
    Ok(())
}
