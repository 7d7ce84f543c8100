//! Presigned URLs: their parameters, lifetime and time of signing.
//!
//! Source: S3 API reference, "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)".

use axum::http::{StatusCode, Uri};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, PrimitiveDateTime};

use super::errors::S3Error;
use super::signatures::MAX_SKEW;
use crate::domain::Timestamp;
use crate::local::sigv4::SIGNING_TIME_FORMAT;

/// Maximum lifetime of a presigned URL: a week.
const MAX_LIFETIME_SECS: i64 = 604_800;

/// The signature parameters of a presigned URL.
#[derive(Default)]
pub struct Presigned {
    pub is_version_2: bool,
    pub credential: Option<String>,
    signed_at: Option<PrimitiveDateTime>,
    lifetime_secs: Option<String>,
    pub signed_headers: Option<String>,
}

impl Presigned {
    /// `None` for a URL without a signature.
    pub fn of(uri: &Uri) -> Option<Self> {
        let mut presigned = Self::default();
        let mut is_signed = false;
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            match &*name {
                "X-Amz-Algorithm" | "X-Amz-Signature" => is_signed = true,
                "Signature" => (is_signed, presigned.is_version_2) = (true, true),
                "X-Amz-Credential" => presigned.credential = Some(value.into_owned()),
                "X-Amz-Date" => presigned.signed_at = PrimitiveDateTime::parse(&value, SIGNING_TIME_FORMAT).ok(),
                "X-Amz-Expires" => presigned.lifetime_secs = Some(value.into_owned()),
                "X-Amz-SignedHeaders" => presigned.signed_headers = Some(value.into_owned()),
                _ => {}
            }
        }
        is_signed.then_some(presigned)
    }

    /// # Errors
    /// The lifetime is not a number of seconds up to a week.
    pub fn check_lifetime(&self) -> Result<(), S3Error> {
        let Some(lifetime) = &self.lifetime_secs else { return Ok(()) };
        match lifetime.parse::<i64>() {
            Ok(0..=MAX_LIFETIME_SECS) => Ok(()),
            Ok(..0) => Err(malformed("X-Amz-Expires must be non-negative")),
            Ok(_) => Err(malformed(
                "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less \
                 than 604800 seconds",
            )),
            Err(_) => Err(malformed("X-Amz-Expires should be a number")),
        }
    }

    /// The function signs with the time of its event, so this uses the clock of the stack.
    ///
    /// # Errors
    /// The URL has expired or is not valid yet.
    pub fn check_time(&self, now: Timestamp) -> Result<(), S3Error> {
        let lifetime = self.lifetime_secs.as_deref().and_then(|lifetime| lifetime.parse::<i64>().ok());
        let Some((signed_at, lifetime)) = self.signed_at.zip(lifetime) else { return Ok(()) };
        let signed_at = signed_at.assume_utc().unix_timestamp();
        let expires = signed_at.saturating_add(lifetime);
        if now.as_secs() > expires {
            let formatted = |secs| {
                let time = OffsetDateTime::from_unix_timestamp(secs).ok();
                time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
            };
            return Err(S3Error::new(StatusCode::FORBIDDEN, "AccessDenied", "Request has expired")
                .with("X-Amz-Expires", &lifetime.to_string())
                .with("Expires", &formatted(expires))
                .with("ServerTime", &formatted(now.as_secs())));
        }
        if signed_at > now.as_secs().saturating_add_unsigned(MAX_SKEW.as_secs()) {
            return Err(S3Error::new(StatusCode::FORBIDDEN, "AccessDenied", "Request is not yet valid"));
        }
        Ok(())
    }
}

/// The error for an invalid parameter.
pub fn malformed(message: &str) -> S3Error {
    S3Error::new(StatusCode::BAD_REQUEST, "AuthorizationQueryParametersError", message)
}
