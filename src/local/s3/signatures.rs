//! The checks of a signed request that the embedded S3 omits.
//!
//! Source: S3 API reference, "Authenticating Requests (AWS Signature Version 4)".

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, StatusCode, Uri, header};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, PrimitiveDateTime};

use super::errors::S3Error;
use super::presigned::{self, Presigned};
use crate::local::REGION;
use crate::local::clock::Clock;
use crate::local::keys::Keys;
use crate::local::sigv4::{self, ALGORITHM, SIGNING_TIME_FORMAT};

/// Allowed clock skew of signatures.
pub const MAX_SKEW: Duration = Duration::from_secs(15 * 60);

/// Checks signatures in headers and in presigned URLs.
pub struct SignatureChecks {
    pub clock: Clock,
    pub keys: Arc<Keys>,
}

impl SignatureChecks {
    /// Checks how a request is signed. The embedded S3 verifies the signature itself.
    ///
    /// # Errors
    /// The signature's form, scope, key, time or set of signed headers is invalid.
    pub fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), S3Error> {
        let presigned = Presigned::of(uri);
        let authorization = headers.get(header::AUTHORIZATION).map(|value| String::from_utf8_lossy(value.as_bytes()));
        match (presigned, authorization) {
            (Some(_), Some(authorization)) => {
                let message = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature \
                               query string parameter or the Authorization header should be specified";
                Err(S3Error::new(StatusCode::BAD_REQUEST, "InvalidArgument", message)
                    .with("ArgumentName", "Authorization")
                    .with("ArgumentValue", &authorization))
            }
            (Some(presigned), None) => self.check_presigned(&presigned, headers),
            (None, Some(authorization)) => self.check_authorization(&authorization, headers),
            // The embedded S3 refuses unsigned requests.
            (None, None) => Ok(()),
        }
    }

    fn check_presigned(&self, presigned: &Presigned, headers: &HeaderMap) -> Result<(), S3Error> {
        if presigned.is_version_2 {
            return Err(unsupported_version());
        }
        let credential = presigned.credential.as_deref().unwrap_or_default();
        self.check_credential(credential).map_err(|wrong| {
            wrong
                .into_error(|why| presigned::malformed(&format!("Error parsing the X-Amz-Credential parameter; {why}")))
        })?;
        presigned.check_lifetime()?;
        presigned.check_time(self.clock.now())?;
        check_signed_headers(presigned.signed_headers.as_deref().unwrap_or_default(), headers)
    }

    fn check_authorization(&self, authorization: &str, headers: &HeaderMap) -> Result<(), S3Error> {
        let (scheme, parameters) = authorization.split_once(' ').unwrap_or((authorization, ""));
        if scheme == "AWS" {
            return Err(unsupported_version());
        }
        if scheme != ALGORITHM {
            let error = S3Error::new(StatusCode::BAD_REQUEST, "InvalidArgument", "Unsupported Authorization Type");
            return Err(error.with("ArgumentName", "Authorization").with("ArgumentValue", authorization));
        }
        let parameter = |wanted: &str| sigv4::parameter(parameters, wanted).unwrap_or_default();
        let malformed = |why: &str| {
            let message = format!("The authorization header is malformed; {why}");
            S3Error::new(StatusCode::BAD_REQUEST, "AuthorizationHeaderMalformed", &message)
        };
        self.check_credential(parameter("Credential")).map_err(|wrong| wrong.into_error(malformed))?;
        check_skew(header_text(headers, "x-amz-date"))?;
        check_signed_headers(parameter("SignedHeaders"), headers)
    }

    /// Checks `KEY/20261121/us-east-1/s3/aws4_request`. The embedded S3 refuses other forms.
    fn check_credential(&self, credential: &str) -> Result<(), CredentialError> {
        let parts: Vec<_> = credential.split('/').collect();
        let &[id, _, region, service, _] = parts.as_slice() else { return Ok(()) };
        if region != REGION {
            return Err(CredentialError::Scope(format!("the region '{region}' is wrong; expecting '{REGION}'")));
        }
        if service != "s3" {
            let why = format!("incorrect service \"{service}\". This endpoint belongs to \"s3\".");
            return Err(CredentialError::Scope(why));
        }
        self.keys.find(id).map(drop).ok_or_else(|| CredentialError::UnknownKey(id.to_owned()))
    }
}

enum CredentialError {
    /// A wrong region or service, in AWS's words.
    Scope(String),
    /// An unknown access key id.
    UnknownKey(String),
}

impl CredentialError {
    fn into_error(self, malformed: impl FnOnce(&str) -> S3Error) -> S3Error {
        match self {
            Self::Scope(why) => malformed(&why),
            Self::UnknownKey(id) => {
                let message = "The AWS Access Key Id you provided does not exist in our records.";
                S3Error::new(StatusCode::FORBIDDEN, "InvalidAccessKeyId", message).with("AWSAccessKeyId", &id)
            }
        }
    }
}

fn unsupported_version() -> S3Error {
    let message = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.";
    S3Error::new(StatusCode::BAD_REQUEST, "InvalidRequest", message)
}

/// Uses the machine's clock, with which an SDK signs, even if the stack's clock is ahead.
///
/// # Errors
/// The time of signing is too far from the machine's clock.
fn check_skew(signed_at: &str) -> Result<(), S3Error> {
    let now = OffsetDateTime::from(SystemTime::now());
    let is_skewed = PrimitiveDateTime::parse(signed_at, SIGNING_TIME_FORMAT)
        .is_ok_and(|signed_at| (now - signed_at.assume_utc()).abs() > MAX_SKEW);
    if !is_skewed {
        return Ok(());
    }
    let message = "The difference between the request time and the current time is too large.";
    Err(S3Error::new(StatusCode::FORBIDDEN, "RequestTimeTooSkewed", message)
        .with("RequestTime", signed_at)
        .with("ServerTime", &now.format(&Rfc3339).unwrap_or_default())
        .with("MaxAllowedSkewMilliseconds", &MAX_SKEW.as_millis().to_string()))
}

/// # Errors
/// An `x-amz-*` header is not signed.
fn check_signed_headers(signed: &str, headers: &HeaderMap) -> Result<(), S3Error> {
    let is_signed = |name: &str| signed.split(';').any(|known| known == name);
    let unsigned: Vec<_> = headers.keys().map(header::HeaderName::as_str).collect();
    let unsigned: Vec<_> = unsigned.into_iter().filter(|name| name.starts_with("x-amz-") && !is_signed(name)).collect();
    if unsigned.is_empty() {
        return Ok(());
    }
    let message = "There were headers present in the request which were not signed";
    let error = S3Error::new(StatusCode::FORBIDDEN, "AccessDenied", message);
    Err(error.with("HeadersNotSigned", &unsigned.join(", ")))
}

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
