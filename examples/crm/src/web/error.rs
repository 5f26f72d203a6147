use axum::{
    Json,
    extract::rejection::{JsonRejection, QueryRejection},
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
};
use millstream_store::Error;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::CrmError;

/// What a caller is told: a status and `{"error": …}`, beside a conflict the row as it is now.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    message: String,
    current: Option<Box<Value>>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), current: None }
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
        let mut body = json!({ "error": self.message });
        if let Some(current) = self.current {
            body["current"] = *current;
        }
        (self.status, Json(body)).into_response()
    }
}

impl From<CrmError> for ApiError {
    fn from(error: CrmError) -> Self {
        let message = error.to_string();
        let status = match error {
            CrmError::Store(error) => return error.into(),
            CrmError::Stale { current, .. } => {
                return Self { status: StatusCode::CONFLICT, message, current: Some(current) };
            }
            CrmError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            CrmError::Missing { .. } => StatusCode::NOT_FOUND,
            CrmError::Taken(_) => StatusCode::CONFLICT,
            CrmError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            CrmError::CutOff(_) => StatusCode::BAD_REQUEST,
            CrmError::Disk(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, message)
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::List { .. } | Error::Cursor { .. } => StatusCode::BAD_REQUEST,
            Error::NotFound { .. } => StatusCode::NOT_FOUND,
            Error::Conflict { .. } => StatusCode::CONFLICT,
            Error::Unreachable { .. } | Error::Exhausted { .. } => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

pub(super) fn id(text: &str) -> Result<Uuid, ApiError> {
    Uuid::try_parse(text).map_err(|_| ApiError::bad(format!("{text:?} is no id: ids are UUIDs")))
}

pub(super) async fn no_such_page(uri: Uri) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, format!("there is nothing at {}", uri.path()))
}

pub(super) async fn wrong_method(uri: Uri) -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} can't be asked that way", uri.path()))
}
