//! One album of the gallery, through its HTTP interface.

use std::path::Path;

use anyhow::Result;
use serde::Deserialize;
use serde_json::json;

use crate::http;

/// An album and the gallery (`127.0.0.1:<port>`) it is in.
pub(crate) struct Album {
    gallery: String,
    pub(crate) id: String,
}

/// A photo of an album.
#[derive(Deserialize)]
pub(crate) struct Photo {
    pub(crate) id: String,
    pub(crate) name: String,
}

/// How far an album is.
#[derive(Deserialize)]
pub(crate) struct State {
    pub(crate) ready: usize,
    pub(crate) failed: usize,
    contact_sheet: Option<String>,
}

impl State {
    /// Photos that are done, for better or worse.
    pub(crate) fn done(&self) -> usize {
        self.ready + self.failed
    }

    /// Whether all `photos` are done, and the contact sheet where there is a picture to put on it.
    pub(crate) fn is_finished(&self, photos: usize) -> bool {
        self.done() >= photos && (self.contact_sheet.is_some() || self.ready == 0)
    }
}

impl Album {
    /// A new album.
    pub(crate) async fn create(gallery: &str, title: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Created {
            id: String,
        }
        let Created { id } = http::post(gallery, "/api/albums", &json!({ "title": title })).await?;
        Ok(Self { gallery: gallery.to_owned(), id })
    }

    /// Takes the pictures of a folder in; each becomes a job.
    pub(crate) async fn import(&self, folder: &Path) -> Result<Vec<Photo>> {
        #[derive(Deserialize)]
        struct Imported {
            photos: Vec<Photo>,
        }
        let path = format!("/api/albums/{}/import", self.id);
        let Imported { photos } = http::post(&self.gallery, &path, &json!({ "folder": folder })).await?;
        Ok(photos)
    }

    pub(crate) async fn state(&self) -> Result<State> {
        http::get(&self.gallery, &format!("/api/albums/{}", self.id)).await
    }

    /// Where a person looks at it.
    pub(crate) fn page(&self) -> String {
        format!("http://{}/albums/{}", self.gallery, self.id)
    }
}
