//! What stands before the S3 protocol: the checks of a signed request that the protocol's implementation leaves out,
//! CORS, and whole error answers.
//!
//! Sources: S3 API reference, "Authenticating Requests (AWS Signature Version 4)", "Error responses"; S3 user guide,
//! "Using cross-origin resource sharing (CORS)".

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, PrimitiveDateTime};
use uuid::Uuid;

use crate::domain::Timestamp;
use crate::local::REGION;
use crate::local::calls::AwsCalls;
use crate::local::clock::Clock;
use crate::local::faults::Faults;
use crate::local::keys::Keys;
use crate::local::sigv4::{self, ALGORITHM, SIGNED_AT};

/// Allowed clock skew of signatures.
const MAX_SKEW: Duration = Duration::from_secs(15 * 60);
/// A presigned URL holds for a week at most.
const MAX_LIFETIME_SECS: i64 = 604_800;
/// What a page may do at a presigned URL.
const PAGE_METHODS: [&str; 3] = ["GET", "PUT", "HEAD"];
/// What a page may send there besides the simple headers, as a deployment's bucket has it.
pub const PAGE_HEADERS: [&str; 3] = ["content-type", "if-none-match", "x-amz-checksum-sha256"];
/// More than any error says.
const ERROR_BYTES: usize = 64 * 1024;

/// What S3 checks before the emulator sees a request.
pub struct Front {
    pub clock: Clock,
    pub faults: Faults,
    pub calls: AwsCalls,
    pub keys: Arc<Keys>,
    /// Pages that may use presigned URLs; `*` for all.
    pub origins: Vec<String>,
}

/// Lets a request pass, or refuses it as S3 does.
pub async fn pass(State(front): State<Arc<Front>>, request: Request, next: Next) -> Response {
    if request.method() == Method::OPTIONS {
        return front.preflight(request.headers()).into_response();
    }
    let origin = front.allowed_origin(request.headers());
    front.faults.linger(|plan| plan.file_latency).await;
    let operation = front.calls.record_s3(request.method(), request.uri(), request.headers());
    let mut response = match front.check(request.uri(), request.headers()) {
        Ok(()) => whole(next.run(request).await).await,
        Err(refusal) => refusal.into_response(),
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

    /// S3's answer to a page that asks whether it may.
    fn preflight(&self, request: &HeaderMap) -> Result<Response, Refusal> {
        if !request.contains_key(header::ORIGIN) {
            let message = "Insufficient information. Origin request header needed.";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "BadRequest", message));
        }
        let method = request.get(header::ACCESS_CONTROL_REQUEST_METHOD).map(HeaderValue::as_bytes).unwrap_or_default();
        let is_allowed = PAGE_METHODS.iter().any(|allowed| allowed.as_bytes() == method);
        let asked = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        let names =
            String::from_utf8_lossy(asked.as_ref().map(HeaderValue::as_bytes).unwrap_or_default()).to_lowercase();
        let mut names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
        let is_allowed = is_allowed && names.all(|name| PAGE_HEADERS.contains(&name));
        let Some(origin) = self.allowed_origin(request).filter(|_| is_allowed) else {
            let message = "CORSResponse: This CORS request is not allowed. This is usually because the evalution of \
                Origin, \
                           request method / Access-Control-Request-Method or Access-Control-Request-Headers are not \
                           whitelisted by the resource's CORS spec.";
            return Err(Refusal::new(StatusCode::FORBIDDEN, "AccessForbidden", message));
        };
        let mut response = StatusCode::OK.into_response();
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, PUT, HEAD"));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("300"));
        if let Some(asked) = asked {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
        }
        Ok(response)
    }

    /// Whether a request is signed as S3 wants it. Whether the signature itself matches is checked behind this.
    fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let presigned = Presigned::of(uri);
        let authorization = headers.get(header::AUTHORIZATION).map(|value| String::from_utf8_lossy(value.as_bytes()));
        match (presigned, authorization) {
            (Some(_), Some(authorization)) => {
                let message = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, \
                    Signature query \
                               string parameter or the Authorization header should be specified";
                Err(Refusal::new(StatusCode::BAD_REQUEST, "InvalidArgument", message)
                    .with("ArgumentName", "Authorization")
                    .with("ArgumentValue", &authorization))
            }
            (Some(presigned), None) => self.check_presigned(&presigned, headers),
            (None, Some(authorization)) => self.check_authorization(&authorization, headers),
            // Nobody has signed it, and so nobody may.
            (None, None) => Ok(()),
        }
    }

    fn check_presigned(&self, presigned: &Presigned, headers: &HeaderMap) -> Result<(), Refusal> {
        if presigned.is_version_2 {
            return Err(unsupported_version());
        }
        let malformed =
            |message: &str| Refusal::new(StatusCode::BAD_REQUEST, "AuthorizationQueryParametersError", message);
        let credential = presigned.credential.as_deref().unwrap_or_default();
        self.check_credential(credential).map_err(|wrong| {
            wrong.told(|why| malformed(&format!("Error parsing the X-Amz-Credential parameter; {why}")))
        })?;
        if let Some(lifetime) = &presigned.lifetime_secs {
            match lifetime.parse::<i64>() {
                Ok(MAX_LIFETIME_SECS..) if lifetime.parse() != Ok(MAX_LIFETIME_SECS) => {
                    return Err(malformed(
                        "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires \
                         must be less \
                         than 604800 seconds",
                    ));
                }
                Ok(..0) => return Err(malformed("X-Amz-Expires must be non-negative")),
                Ok(_) => {}
                Err(_) => return Err(malformed("X-Amz-Expires should be a number")),
            }
        }
        presigned.check_time(self.clock.now())?;
        check_signed_headers(presigned.signed_headers.as_deref().unwrap_or_default(), headers)
    }

    fn check_authorization(&self, authorization: &str, headers: &HeaderMap) -> Result<(), Refusal> {
        let (scheme, parameters) = authorization.split_once(' ').unwrap_or((authorization, ""));
        if scheme == "AWS" {
            return Err(unsupported_version());
        }
        if scheme != ALGORITHM {
            let refusal = Refusal::new(StatusCode::BAD_REQUEST, "InvalidArgument", "Unsupported Authorization Type");
            return Err(refusal.with("ArgumentName", "Authorization").with("ArgumentValue", authorization));
        }
        let parameter = |wanted: &str| sigv4::parameter(parameters, wanted).unwrap_or_default();
        let malformed = |why: &str| {
            let message = format!("The authorization header is malformed; {why}");
            Refusal::new(StatusCode::BAD_REQUEST, "AuthorizationHeaderMalformed", &message)
        };
        self.check_credential(parameter("Credential")).map_err(|wrong| wrong.told(malformed))?;
        // The machine's clock counts: it is what an SDK signs with, however far ahead the stack's is.
        let (signed_at, now) = (text(headers, "x-amz-date"), OffsetDateTime::from(SystemTime::now()));
        if PrimitiveDateTime::parse(signed_at, SIGNED_AT)
            .is_ok_and(|signed_at| (now - signed_at.assume_utc()).abs() > MAX_SKEW)
        {
            let message = "The difference between the request time and the current time is too large.";
            return Err(Refusal::new(StatusCode::FORBIDDEN, "RequestTimeTooSkewed", message)
                .with("RequestTime", signed_at)
                .with("ServerTime", &now.format(&Rfc3339).unwrap_or_default())
                .with("MaxAllowedSkewMilliseconds", &MAX_SKEW.as_millis().to_string()));
        }
        check_signed_headers(parameter("SignedHeaders"), headers)
    }

    /// `KEY/20261121/us-east-1/s3/aws4_request`. One of another form is left to the protocol.
    fn check_credential(&self, credential: &str) -> Result<(), WrongCredential> {
        let parts: Vec<_> = credential.split('/').collect();
        let &[id, _, region, service, _] = parts.as_slice() else { return Ok(()) };
        if region != REGION {
            return Err(WrongCredential::Scope(format!("the region '{region}' is wrong; expecting '{REGION}'")));
        }
        if service != "s3" {
            let why = format!("incorrect service \"{service}\". This endpoint belongs to \"s3\".");
            return Err(WrongCredential::Scope(why));
        }
        self.keys.find(id).map(drop).ok_or_else(|| WrongCredential::Unknown(id.to_owned()))
    }
}

enum WrongCredential {
    /// Why.
    Scope(String),
    Unknown(String),
}

impl WrongCredential {
    fn told(self, malformed: impl FnOnce(&str) -> Refusal) -> Refusal {
        match self {
            Self::Scope(why) => malformed(&why),
            Self::Unknown(id) => {
                let message = "The AWS Access Key Id you provided does not exist in our records.";
                Refusal::new(StatusCode::FORBIDDEN, "InvalidAccessKeyId", message).with("AWSAccessKeyId", &id)
            }
        }
    }
}

fn unsupported_version() -> Refusal {
    let message = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.";
    Refusal::new(StatusCode::BAD_REQUEST, "InvalidRequest", message)
}

/// # Errors
/// Headers for S3 that are not signed.
fn check_signed_headers(signed: &str, headers: &HeaderMap) -> Result<(), Refusal> {
    let is_signed = |name: &str| signed.split(';').any(|known| known == name);
    let unsigned: Vec<_> = headers.keys().map(header::HeaderName::as_str).collect();
    let unsigned: Vec<_> = unsigned.into_iter().filter(|name| name.starts_with("x-amz-") && !is_signed(name)).collect();
    if unsigned.is_empty() {
        return Ok(());
    }
    let message = "There were headers present in the request which were not signed";
    let refusal = Refusal::new(StatusCode::FORBIDDEN, "AccessDenied", message);
    Err(refusal.with("HeadersNotSigned", &unsigned.join(", ")))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// What a presigned URL says of itself.
#[derive(Default)]
struct Presigned {
    is_version_2: bool,
    credential: Option<String>,
    signed_at: Option<PrimitiveDateTime>,
    lifetime_secs: Option<String>,
    signed_headers: Option<String>,
}

impl Presigned {
    /// None for a URL that has no signature.
    fn of(uri: &Uri) -> Option<Self> {
        let mut presigned = Self::default();
        let mut is_signed = false;
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            match &*name {
                "X-Amz-Algorithm" | "X-Amz-Signature" => is_signed = true,
                "Signature" => (is_signed, presigned.is_version_2) = (true, true),
                "X-Amz-Credential" => presigned.credential = Some(value.into_owned()),
                "X-Amz-Date" => presigned.signed_at = PrimitiveDateTime::parse(&value, SIGNED_AT).ok(),
                "X-Amz-Expires" => presigned.lifetime_secs = Some(value.into_owned()),
                "X-Amz-SignedHeaders" => presigned.signed_headers = Some(value.into_owned()),
                _ => {}
            }
        }
        is_signed.then_some(presigned)
    }

    /// The function signs with the time of its event, so the clock of the stack counts.
    fn check_time(&self, now: Timestamp) -> Result<(), Refusal> {
        let lifetime = self.lifetime_secs.as_deref().and_then(|lifetime| lifetime.parse::<i64>().ok());
        let Some((signed_at, lifetime)) = self.signed_at.zip(lifetime) else { return Ok(()) };
        let signed_at = signed_at.assume_utc().unix_timestamp();
        let expires = signed_at.saturating_add(lifetime);
        if now.as_secs() > expires {
            let written = |secs| {
                let moment = OffsetDateTime::from_unix_timestamp(secs).ok();
                moment.and_then(|moment| moment.format(&Rfc3339).ok()).unwrap_or_default()
            };
            return Err(Refusal::new(StatusCode::FORBIDDEN, "AccessDenied", "Request has expired")
                .with("X-Amz-Expires", &lifetime.to_string())
                .with("Expires", &written(expires))
                .with("ServerTime", &written(now.as_secs())));
        }
        if signed_at > now.as_secs().saturating_add_unsigned(MAX_SKEW.as_secs()) {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "AccessDenied", "Request is not yet valid"));
        }
        Ok(())
    }
}

/// An error of S3's.
struct Refusal {
    status: StatusCode,
    /// The elements within `Error`.
    elements: String,
}

impl Refusal {
    fn new(status: StatusCode, code: &str, message: &str) -> Self {
        Self { status, elements: String::new() }.with("Code", code).with("Message", message)
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        let value = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        // What XML cannot have stands for nothing that anybody would look for.
        let value = value.replace(|letter: char| letter.is_control(), "?");
        self.elements.push_str(&format!("<{name}>{value}</{name}>"));
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        error(self.status, &self.elements)
    }
}

fn error(status: StatusCode, elements: &str) -> Response {
    let id = Uuid::new_v4().simple().to_string();
    let (request_id, host_id) = (id[..16].to_uppercase(), id);
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>{elements}<RequestId>{request_id}</RequestId>\
         <HostId>{host_id}</HostId></Error>"
    );
    let headers =
        [("content-type", "application/xml".to_owned()), ("x-amz-request-id", request_id), ("x-amz-id-2", host_id)];
    (status, headers, body).into_response()
}

/// An answer with all that S3's have: the protocol leaves out the message of many errors, and the ids.
async fn whole(response: Response) -> Response {
    let is_error = response.status().is_client_error() || response.status().is_server_error();
    let is_xml = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().ends_with(b"/xml"));
    if !is_error || !is_xml {
        return response;
    }
    let (parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, ERROR_BYTES).await else { return parts.status.into_response() };
    let body = String::from_utf8_lossy(&body);
    let Some(elements) = body.split_once("<Error>").and_then(|(_, body)| body.split_once("</Error>")) else {
        return (parts, Body::from(body.into_owned())).into_response();
    };
    let elements = elements.0;
    let code =
        elements.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map_or("", |(code, _)| code);
    if elements.contains("<Message>") {
        return error(parts.status, elements);
    }
    error(parts.status, &format!("{elements}<Message>{}</Message>", message_of(code)))
}

fn message_of(code: &str) -> &str {
    match code {
        "AccessDenied" => "Access Denied",
        "BadDigest" => "The Content-MD5 or checksum value that you specified did not match what the server received.",
        "InternalError" => "We encountered an internal error. Please try again.",
        "MissingContentLength" => "You must provide the Content-Length HTTP header.",
        "NoSuchBucket" => "The specified bucket does not exist",
        "NoSuchKey" => "The specified key does not exist.",
        "PreconditionFailed" => "At least one of the pre-conditions you specified did not hold",
        "SignatureDoesNotMatch" => {
            "The request signature we calculated does not match the signature you provided. Check your key and signing \
             method."
        }
        other => other,
    }
}
