//! S3: a folder behind S3's own wire protocol. Signatures are verified, an upload has to be as it was signed, and the
//! function hears of new objects.

mod front;
mod objects;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::error_handling::HandleError;
use axum::http::StatusCode;
use axum::middleware;
use s3s::auth::SimpleAuth;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::calls::AwsCalls;
use super::clock::Clock;
use super::faults::Faults;
use super::guard::{self, Guard};
use super::keys::Keys;
use super::runtime::Pool;
use front::Front;
pub use front::PAGE_HEADERS;
pub use objects::Objects;

/// How often the rules of the bucket's lifecycle are applied.
const LIFECYCLE_EVERY: Duration = Duration::from_secs(10 * 60);

/// Where the buckets are: each is a folder in it.
pub struct Folder {
    path: PathBuf,
    /// Gone with the stack, when nothing is to be kept.
    _temporary: Option<TempDir>,
}

impl Folder {
    /// The bucket in `data`, or in a temporary folder.
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

/// What the bucket for uploads is set up with.
pub struct Setup {
    pub bucket: String,
    /// Objects end when they are so old.
    pub lifetime: Duration,
    /// Pages that may ask; `*` for all.
    pub cors_origins: Vec<String>,
    pub keys: Arc<Keys>,
    pub guard: Guard,
    pub faults: Faults,
}

/// Serves until the stack ends.
pub fn serve(
    listener: TcpListener,
    folder: &Folder,
    setup: Setup,
    clock: Clock,
    calls: AwsCalls,
    pool: Arc<Pool>,
) -> Result<(Objects, Vec<JoinHandle<()>>), String> {
    let bucket = folder.path.join(&setup.bucket);
    std::fs::create_dir_all(&bucket).map_err(|error| format!("{}: {error}", bucket.display()))?;
    let files = FileSystem::new(&folder.path).map_err(|error| format!("{error:?}"))?;
    let objects = Objects::new(files, &folder.path, &setup, clock.clone(), pool);

    let mut service = S3ServiceBuilder::new(objects.clone());
    let Keys { function, operator } = &*setup.keys;
    let mut known = SimpleAuth::new();
    for key in [function, operator] {
        known.register(key.id.clone(), key.secret.as_str().into());
    }
    service.set_auth(known);
    // Which clock counts, the machine's or the stack's, is known in front of this.
    let mut config = S3Config::default();
    config.presigned_url_max_skew_time_secs = u32::MAX;
    service.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    let service = HandleError::new(service.build(), |error: s3s::HttpError| async move {
        tracing::error!(?error, "the embedded S3 failed");
        StatusCode::INTERNAL_SERVER_ERROR
    });
    let front = Front { clock, faults: setup.faults, calls, keys: setup.keys, origins: setup.cors_origins };
    let router = Router::new()
        .fallback_service(service)
        .layer(middleware::from_fn_with_state(Arc::new(front), front::pass))
        .layer(middleware::from_fn_with_state(setup.guard, guard::check));
    let serving = tokio::spawn(async move {
        // It serves until the stack ends.
        let _ = axum::serve(listener, router).await;
    });
    let ending = tokio::spawn({
        let objects = objects.clone();
        async move {
            loop {
                tokio::time::sleep(LIFECYCLE_EVERY).await;
                objects.end_old_ones().await;
            }
        }
    });
    Ok((objects, vec![serving, ending]))
}
