use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use millstream_store::Error as StoreError;

use crate::ConsentError;

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
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(serde_json::json!({ "error": self.message }))).into_response()
    }
}

impl From<ConsentError> for ApiError {
    fn from(error: ConsentError) -> Self {
        let status = match &error {
            ConsentError::Invalid { .. } | ConsentError::UnknownText { .. } | ConsentError::TooMany { .. } => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            ConsentError::Superseded { .. }
            | ConsentError::NotGranted { .. }
            | ConsentError::IdTaken(_)
            | ConsentError::NotNext { .. } => StatusCode::CONFLICT,
            ConsentError::NotFound(_) => StatusCode::NOT_FOUND,
            ConsentError::Store(StoreError::List { .. } | StoreError::Cursor { .. }) => StatusCode::BAD_REQUEST,
            ConsentError::Store(StoreError::Unreachable { .. } | StoreError::Exhausted { .. })
            | ConsentError::Queue(millstream_queue::Error::Unreachable { .. }) => StatusCode::SERVICE_UNAVAILABLE,
            ConsentError::Store(_) | ConsentError::Queue(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status.is_server_error() {
            tracing::error!(status = status.as_u16(), %error, "request failed");
        }
        Self::new(status, error.to_string())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        ConsentError::from(error).into()
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

pub(super) async fn no_such_page(uri: Uri) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, format!("there is nothing at {}", uri.path()))
}

pub(super) async fn wrong_method(uri: Uri) -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} can't be asked that way", uri.path()))
}
