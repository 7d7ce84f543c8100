//! S3: a folder behind S3's own wire protocol. Signatures are checked, what was signed is held to, and a new object is
//! told of to the function.

mod objects;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::error_handling::HandleError;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use s3s::auth::SimpleAuth;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tempfile::TempDir;
use time::PrimitiveDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::calls::AwsCalls;
use super::clock::Clock;
use super::faults::Faults;
use super::keys::Keys;
use super::runtime::Pool;
use crate::domain::Timestamp;
pub use objects::Objects;

/// `20261121T113307Z`, as signatures have it.
const SIGNED_AT: &[BorrowedFormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");
/// How often the rules of the bucket's lifecycle are applied.
const LIFECYCLE_EVERY: Duration = Duration::from_secs(10 * 60);

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

/// What the bucket for uploads is set up with.
pub struct Setup {
    pub bucket: String,
    /// Objects end when they are so old.
    pub lifetime: Duration,
    /// Pages that may ask; `*` for all.
    pub cors_origins: Vec<String>,
    pub keys: Arc<Keys>,
    pub faults: Faults,
}

/// What stands before the protocol itself.
struct Front {
    clock: Clock,
    faults: Faults,
    calls: AwsCalls,
    origins: Vec<String>,
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
    let objects = Objects::new(files, bucket, &setup, clock.clone(), pool);

    let mut service = S3ServiceBuilder::new(objects.clone());
    let Keys { function, operator } = &*setup.keys;
    let mut known = SimpleAuth::new();
    for key in [function, operator] {
        known.register(key.id.clone(), key.secret.as_str().into());
    }
    service.set_auth(known);
    // The clock that counts here is the stack's, and is asked in front of this.
    let mut config = S3Config::default();
    config.presigned_url_max_skew_time_secs = u32::MAX;
    service.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    let service = HandleError::new(service.build(), |error: s3s::HttpError| async move {
        tracing::error!(?error, "the embedded S3 failed");
        StatusCode::INTERNAL_SERVER_ERROR
    });
    let front = Arc::new(Front { clock, faults: setup.faults, calls, origins: setup.cors_origins });
    let router = Router::new().fallback_service(service).layer(middleware::from_fn_with_state(front, pass));
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

async fn pass(State(front): State<Arc<Front>>, request: Request, next: Next) -> Response {
    let origin = front.allowed_origin(request.headers());
    if request.method() == Method::OPTIONS {
        return preflight(origin, request.headers());
    }
    front.faults.linger(|plan| plan.file_latency).await;
    let operation = front.calls.record_s3(request.method(), request.uri(), request.headers());
    let presigned = Presigned::of(request.uri());
    let mut response = if presigned.is_over(front.clock.now()) {
        refused("AccessDenied", "Request has expired")
    } else if presigned.leaves_out_any(request.headers()) {
        refused("AccessDenied", "There were headers present in the request which were not signed")
    } else {
        next.run(request).await
    };
    if operation.as_deref() == Some("HeadObject") && response.status() == StatusCode::NOT_FOUND {
        front.calls.record_s3_absence();
    }
    if let Some(origin) = origin {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        response.headers_mut().insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("ETag"));
        response.headers_mut().append(header::VARY, HeaderValue::from_static("Origin"));
    }
    response
}

impl Front {
    fn allowed_origin(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let origin = request.get(header::ORIGIN)?;
        let allowed = |known: &String| known == "*" || known.as_bytes() == origin.as_bytes();
        self.origins.iter().any(allowed).then(|| origin.clone())
    }
}

/// S3's answer to a page that asks whether it may.
fn preflight(origin: Option<HeaderValue>, request: &HeaderMap) -> Response {
    let Some(origin) = origin else {
        return refused("AccessForbidden", "CORSResponse: This CORS request is not allowed.");
    };
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, PUT, HEAD"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("300"));
    if let Some(asked) = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    response
}

fn refused(code: &str, message: &str) -> Response {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    (StatusCode::FORBIDDEN, [(header::CONTENT_TYPE, "application/xml")], body).into_response()
}

/// What a presigned address says of itself.
#[derive(Default)]
struct Presigned {
    signed_at: Option<PrimitiveDateTime>,
    lifetime_secs: Option<i64>,
    signed_headers: Option<String>,
}

impl Presigned {
    fn of(uri: &Uri) -> Self {
        let mut presigned = Self::default();
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            match &*name {
                "X-Amz-Date" => presigned.signed_at = PrimitiveDateTime::parse(&value, SIGNED_AT).ok(),
                "X-Amz-Expires" => presigned.lifetime_secs = value.parse().ok(),
                "X-Amz-SignedHeaders" => presigned.signed_headers = Some(value.into_owned()),
                _ => {}
            }
        }
        presigned
    }

    fn is_over(&self, now: Timestamp) -> bool {
        self.signed_at.zip(self.lifetime_secs).is_some_and(|(signed_at, lifetime)| {
            now.as_secs() > signed_at.assume_utc().unix_timestamp().saturating_add(lifetime)
        })
    }

    /// Whether there are headers for S3 that are not signed.
    fn leaves_out_any(&self, headers: &HeaderMap) -> bool {
        let Some(signed) = &self.signed_headers else { return false };
        headers.keys().any(|name| name.as_str().starts_with("x-amz-") && !signed.split(';').any(|known| known == name))
    }
}
