//! S3: a folder behind S3's own wire protocol, signatures checked.

use std::path::{Path, PathBuf};

use axum::Router;
use axum::error_handling::HandleError;
use axum::http::StatusCode;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{ACCESS_KEY, SECRET_KEY};

/// Where the buckets are: each is a folder in it.
pub struct Folder {
    path: PathBuf,
    /// Gone with the stack, when nothing is to be kept.
    _temporary: Option<TempDir>,
}

impl Folder {
    pub fn new(data: Option<&Path>) -> Result<Self, String> {
        let told = |error: std::io::Error| error.to_string();
        match data {
            Some(data) => {
                let path = data.join("s3");
                std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                Ok(Self { path, _temporary: None })
            }
            None => {
                let temporary = tempfile::Builder::new().prefix("switchboard-s3-").tempdir().map_err(told)?;
                Ok(Self { path: temporary.path().to_owned(), _temporary: Some(temporary) })
            }
        }
    }
}

pub fn serve(listener: TcpListener, folder: &Folder) -> Result<JoinHandle<()>, String> {
    let files = FileSystem::new(&folder.path).map_err(|error| format!("{error:?}"))?;
    let mut service = S3ServiceBuilder::new(files);
    service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
    let service = HandleError::new(service.build(), |error: s3s::HttpError| async move {
        tracing::error!(?error, "the embedded S3 failed");
        StatusCode::INTERNAL_SERVER_ERROR
    });
    Ok(tokio::spawn(async move {
        // It serves until the stack ends.
        let _ = axum::serve(listener, Router::new().fallback_service(service)).await;
    }))
}
