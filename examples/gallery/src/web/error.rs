use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use crate::AlbumError;

/// What a caller is told: a status and `{"error": …}`.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    message: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::error!(status = self.status.as_u16(), error = %self.message, "request failed");
        }
        (self.status, Json(serde_json::json!({ "error": self.message }))).into_response()
    }
}

impl From<AlbumError> for ApiError {
    fn from(error: AlbumError) -> Self {
        let status = match &error {
            AlbumError::NoAlbum(_) => StatusCode::NOT_FOUND,
            AlbumError::NotAPhotoName(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            AlbumError::NoFolder { .. } | AlbumError::EmptyFolder(_) => StatusCode::UNPROCESSABLE_ENTITY,
            AlbumError::Unreadable { .. } | AlbumError::Io(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl From<millstream_store::Error> for ApiError {
    fn from(error: millstream_store::Error) -> Self {
        use millstream_store::Error;
        let status = match &error {
            Error::StateConflict { .. } => StatusCode::CONFLICT,
            Error::Cursor { .. } => StatusCode::BAD_REQUEST,
            Error::OutboxFull | Error::Unreachable { .. } | Error::Exhausted { .. } => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<std::io::Error> for ApiError {
    fn from(error: std::io::Error) -> Self {
        AlbumError::from(error).into()
    }
}

impl From<tokio::task::JoinError> for ApiError {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

/// Only UUIDs become parts of paths.
pub(super) fn id(what: &str, text: &str) -> Result<Uuid, ApiError> {
    Uuid::try_parse(text).map_err(|_| ApiError::bad(format!("{text:?} is not the id of {what}: ids are UUIDs")))
}

pub(super) async fn no_such_page(uri: Uri) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, format!("there is nothing at {}", uri.path()))
}

pub(super) async fn wrong_method(uri: Uri) -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} can't be asked that way", uri.path()))
}
