use axum::{
    Json,
    extract::{
        FromRequest, FromRequestParts,
        rejection::{JsonRejection, PathRejection},
    },
    http::{StatusCode, Uri, request::Parts},
    response::{IntoResponse, Response},
};
use millstream_store::{Error as StoreError, Id};
use uuid::Uuid;

use crate::Error;

/// What a caller is told: a status and `{"error": …}`.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    message: String,
}

impl ApiError {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(serde_json::json!({ "error": self.message }))).into_response()
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::NoSuch { .. } | Error::Store(StoreError::NotFound { .. }) => StatusCode::NOT_FOUND,
            Error::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Error::Taken(_) | Error::Busy(_) | Error::Store(StoreError::Conflict { .. }) => StatusCode::CONFLICT,
            Error::Store(StoreError::List { .. } | StoreError::Cursor { .. }) => StatusCode::BAD_REQUEST,
            Error::Store(StoreError::Unreachable { .. } | StoreError::Exhausted { .. }) | Error::Queue(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Error::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if !status.is_server_error() {
            return Self::new(status, error.to_string());
        }
        // What the servers say of themselves is nothing for a caller.
        tracing::error!(status = status.as_u16(), %error, "request failed");
        let message =
            if status == StatusCode::SERVICE_UNAVAILABLE { "not now: try again" } else { "something failed here" };
        Self::new(status, message)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Error::from(error).into()
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

/// A body, whose refusal is JSON too.
#[derive(FromRequest)]
#[from_request(via(Json), rejection(ApiError))]
pub(super) struct Body<T>(pub(super) T);

/// The id in a path.
pub(super) struct PathId(pub(super) Id);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let text = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        let text = text.map_err(|error: PathRejection| ApiError::new(StatusCode::BAD_REQUEST, error.body_text()))?;
        let id = Uuid::try_parse(&text).map(|id| Self(Id(id)));
        id.map_err(|_| ApiError::new(StatusCode::BAD_REQUEST, format!("{:?} is no id: ids are UUIDs", text.0)))
    }
}

pub(super) async fn no_such_page(uri: Uri) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, format!("there is nothing at {}", uri.path()))
}

pub(super) async fn wrong_method(uri: Uri) -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} can't be asked that way", uri.path()))
}
