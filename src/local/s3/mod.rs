//! The embedded S3: a folder behind S3's protocol. It verifies signatures, enforces the signed conditions of uploads,
//! and sends the function an event for each new object, at least once.

mod cors;
mod errors;
mod events;
mod lifecycle;
mod middleware;
mod objects;
mod pending_events;
mod presigned;
mod signatures;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::error_handling::HandleError;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use s3s::S3Result;
use s3s::auth::{S3Auth, SecretKey};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::calls::AwsCalls;
use super::clock::Clock;
use super::faults::Faults;
use super::guard::{self, Guard};
use super::keys::Keys;
use super::lambda::Pool;
use cors::Cors;
pub use cors::S3_CORS_HEADERS;
pub use lifecycle::Lifecycle;
use middleware::Middleware;
use objects::Objects;
use pending_events::PendingEvents;
use signatures::SignatureChecks;

/// What S3 keeps: its buckets, and the events that the function has not handled yet.
pub struct Folder {
    /// Each bucket is a folder in it.
    buckets: PathBuf,
    events: PathBuf,
    /// Deleted when dropped.
    _temporary: Option<TempDir>,
}

impl Folder {
    /// Folders in `data`, or in a temporary folder.
    ///
    /// # Errors
    /// The folder cannot be created.
    pub fn new(data: Option<&Path>) -> Result<Self, String> {
        let temporary = match data {
            Some(_) => None,
            None => {
                let temporary = tempfile::Builder::new().prefix("switchboard-s3-").tempdir();
                Some(temporary.map_err(|error| error.to_string())?)
            }
        };
        let parent = data.or(temporary.as_ref().map(TempDir::path)).unwrap_or(Path::new("."));
        let (buckets, events) = (parent.join("s3"), parent.join("s3-events"));
        std::fs::create_dir_all(&buckets).map_err(|error| format!("{}: {error}", buckets.display()))?;
        Ok(Self { buckets, events, _temporary: temporary })
    }
}

/// The settings of the bucket for uploads.
pub struct Setup {
    pub bucket: String,
    /// The age at which objects expire.
    pub lifetime: Duration,
    /// Allowed origins of web pages; `*` for all.
    pub cors_origins: Vec<String>,
    pub keys: Arc<Keys>,
    pub guard: Guard,
    pub faults: Faults,
}

/// Serves on `listener` until the tasks are aborted.
///
/// # Errors
/// The bucket's folder cannot be created or used.
pub fn serve(
    listener: TcpListener,
    folder: &Folder,
    setup: Setup,
    clock: Clock,
    calls: AwsCalls,
    pool: Arc<Pool>,
) -> Result<(Lifecycle, Vec<JoinHandle<()>>), String> {
    let bucket = folder.buckets.join(&setup.bucket);
    std::fs::create_dir_all(&bucket).map_err(|error| format!("{}: {error}", bucket.display()))?;
    let files = FileSystem::new(&folder.buckets).map_err(|error| format!("{error:?}"))?;
    let failed = |error| format!("{}: {error}", folder.events.display());
    let pending = PendingEvents::open(&folder.events).map_err(failed)?;
    let left = pending.all().map_err(failed)?;
    let objects = Objects::new((files, &folder.buckets), pending, &setup, clock.clone(), pool);
    let lifecycle =
        Lifecycle { objects: objects.clone(), folder: bucket, lifetime: setup.lifetime, clock: clock.clone() };
    let redelivery = tokio::spawn(objects.clone().send_again(left));

    let service = HandleError::new(service(objects, Arc::clone(&setup.keys)), |error: s3s::HttpError| async move {
        tracing::error!(?error, "the embedded S3 failed");
        StatusCode::INTERNAL_SERVER_ERROR
    });
    let middleware = Middleware {
        signatures: SignatureChecks { clock, keys: setup.keys },
        cors: Cors { origins: setup.cors_origins },
        faults: setup.faults,
        calls,
    };
    let router = Router::new()
        .fallback_service(service)
        .layer(from_fn_with_state(Arc::new(middleware), middleware::check))
        .layer(from_fn_with_state(setup.guard, guard::check));
    let server = tokio::spawn(async move {
        // Runs until the stack stops.
        let _ = axum::serve(listener, router).await;
    });
    let tasks = vec![server, redelivery, tokio::spawn(lifecycle.clone().run())];
    Ok((lifecycle, tasks))
}

/// The access keys. Those of function processes come while the stack runs.
struct Auth(Arc<Keys>);

#[async_trait::async_trait]
impl S3Auth for Auth {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match self.0.find(access_key) {
            Some(key) => Ok(key.secret.as_str().into()),
            None => Err(s3s::s3_error!(NotSignedUp, "the access key is unknown")),
        }
    }
}

/// The S3 protocol, with signature verification.
fn service(objects: Objects, keys: Arc<Keys>) -> S3Service {
    let mut service = S3ServiceBuilder::new(objects);
    service.set_auth(Auth(keys));
    // The middleware checks the time: only it knows whether the machine's clock or the stack's applies.
    let mut config = S3Config::default();
    config.presigned_url_max_skew_time_secs = u32::MAX;
    service.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    service.build()
}
