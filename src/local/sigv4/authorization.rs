//! Parses the `Authorization` header and checks its date.

use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, header};
use time::{OffsetDateTime, PrimitiveDateTime};

use super::{ALGORITHM, DATE_HEADER, SIGNING_TIME_FORMAT, SignatureError};

/// Allowed clock skew of signatures.
const MAX_SKEW: Duration = Duration::from_secs(5 * 60);

/// The parsed `Authorization` header of a request.
pub struct Authorization<'a> {
    pub credential: &'a str,
    signed_headers: &'a str,
    pub signature: &'a str,
    /// The value of `X-Amz-Date`, not parsed yet.
    pub date: &'a str,
}

impl<'a> Authorization<'a> {
    /// # Errors
    /// A parameter or the date is missing, the host is not signed, or the algorithm is unsupported.
    pub fn of(headers: &'a HeaderMap) -> Result<Self, SignatureError> {
        let whole = text(headers, header::AUTHORIZATION.as_str()).unwrap_or_default();
        let (algorithm, parameters) = whole.split_once(' ').unwrap_or((whole, ""));
        let [credential, signature, signed_headers] =
            ["Credential", "Signature", "SignedHeaders"].map(|name| parameter(parameters, name));
        let date = text(headers, DATE_HEADER);
        let mut problems = String::new();
        for (name, value) in [("Credential", credential), ("Signature", signature), ("SignedHeaders", signed_headers)] {
            if value.is_none() {
                problems.push_str(&format!("Authorization header requires '{name}' parameter. "));
            }
        }
        if date.is_none() {
            problems.push_str("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ");
        }
        let (Some(credential), Some(signature), Some(signed_headers), Some(date)) =
            (credential, signature, signed_headers, date)
        else {
            return Err(SignatureError::incomplete(format!("{problems}Authorization={whole}")));
        };
        let authorization = Self { credential, signed_headers, signature, date };
        if !authorization.signed_headers().any(|name| name.eq_ignore_ascii_case(header::HOST.as_str())) {
            return Err(SignatureError::invalid("'Host' must be a 'SignedHeader' in the AWS Authorization."));
        }
        if algorithm != ALGORITHM {
            let message = format!("Unsupported AWS 'algorithm': '{algorithm}' (only {ALGORITHM} for now). ");
            return Err(SignatureError::incomplete(message));
        }
        Ok(authorization)
    }

    /// The names of the signed headers.
    pub fn signed_headers(&self) -> impl Iterator<Item = &'a str> {
        self.signed_headers.split(';')
    }
}

/// The value of one parameter in `Credential=KEY/SCOPE, SignedHeaders=host;x-amz-date, Signature=HEX`.
pub fn parameter<'a>(parameters: &'a str, wanted: &str) -> Option<&'a str> {
    let mut parameters = parameters.split(',').filter_map(|parameter| parameter.trim().split_once('='));
    parameters.find(|(name, value)| *name == wanted && !value.is_empty()).map(|(_, value)| value)
}

/// # Errors
/// The time is invalid or too far from the machine's clock.
pub fn signing_time(date: &str, now: SystemTime) -> Result<SystemTime, SignatureError> {
    let Ok(signed_at) = PrimitiveDateTime::parse(date, SIGNING_TIME_FORMAT) else {
        return Err(SignatureError::incomplete(format!(
            "Date must be in ISO-8601 'basic format'. Got '{date}'. See http://en.wikipedia.org/wiki/ISO_8601"
        )));
    };
    let (signed_at, now) = (signed_at.assume_utc(), OffsetDateTime::from(now));
    let formatted = |time: OffsetDateTime| time.format(SIGNING_TIME_FORMAT).unwrap_or_default();
    if now - signed_at > MAX_SKEW {
        let (earliest, now) = (formatted(now - MAX_SKEW), formatted(now));
        let message = format!("Signature expired: {date} is now earlier than {earliest} ({now} - 5 min.)");
        return Err(SignatureError::invalid(message));
    }
    if signed_at - now > MAX_SKEW {
        let (latest, now) = (formatted(now + MAX_SKEW), formatted(now));
        let message = format!("Signature not yet current: {date} is still later than {latest} ({now} + 5 min.)");
        return Err(SignatureError::invalid(message));
    }
    Ok(signed_at.into())
}

/// The value of a header that occurs once.
pub fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    value.to_str().ok()
}
