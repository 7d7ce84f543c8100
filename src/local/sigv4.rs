//! Verifies signatures (AWS Signature Version 4) for DynamoDB, Lambda and `@connections`: each is computed again with
//! AWS's own library. The embedded S3 verifies its own.
//!
//! Sources: IAM user guide, "Create a signed AWS API request", "Troubleshoot signed requests for AWS APIs"; the
//! messages as mhart/dynalite on GitHub has captured them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::config::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use axum::http::{HeaderMap, Method, Uri, header};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use super::REGION;
use super::keys::{AccessKey, Keys};

/// The one algorithm.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";
/// `20261121T113307Z`, as signatures have it.
pub const SIGNED_AT: &[BorrowedFormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");
const DATE: &str = "x-amz-date";
/// Allowed clock skew of signatures.
const MAX_SKEW: Duration = Duration::from_secs(5 * 60);
/// The library cannot sign a URL that grows beyond 64 KB when it is encoded, which can triple it.
const LONGEST_URL_BYTES: usize = 16 * 1024;

/// A refused request: the error's type and AWS's message.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub kind: &'static str,
    pub message: String,
}

impl Refusal {
    fn unsigned(message: &str) -> Self {
        Self { kind: "MissingAuthenticationTokenException", message: message.to_owned() }
    }

    fn incomplete(message: String) -> Self {
        Self { kind: "IncompleteSignatureException", message }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self { kind: "InvalidSignatureException", message: message.into() }
    }

    fn unknown_key() -> Self {
        let message = "The security token included in the request is invalid.".to_owned();
        Self { kind: "UnrecognizedClientException", message }
    }

    fn mismatch() -> Self {
        Self::invalid(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method. Consult the service documentation for details.",
        )
    }
}

/// A request.
pub struct Signed<'a> {
    pub method: &'a Method,
    pub uri: &'a Uri,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
}

/// Verifies the signatures for one service.
#[derive(Clone)]
pub struct Verifier {
    service: &'static str,
    /// The service's error for an unsigned request.
    unsigned: &'static str,
    keys: Arc<Keys>,
}

impl Verifier {
    /// A verifier for a service.
    pub fn new(service: &'static str, unsigned: &'static str, keys: Arc<Keys>) -> Self {
        Self { service, unsigned, keys }
    }

    /// # Errors
    /// A request that is not signed with one of the keys, for this service, within five minutes of the machine's clock:
    /// the stack's clock can be ahead, which the SDK does not know.
    pub fn verify(&self, request: &Signed<'_>) -> Result<(), Refusal> {
        self.verify_at(request, SystemTime::now())
    }

    fn verify_at(&self, request: &Signed<'_>, now: SystemTime) -> Result<(), Refusal> {
        self.require_signature(request.headers)?;
        let authorization = Authorization::of(request.headers)?;
        let signed_at = signing_time(authorization.date, now)?;
        let key = self.key(&authorization)?;
        let signature = self.signature(request, &authorization, key, signed_at);
        let matches = signature.is_some_and(|signature| signature == authorization.signature);
        if matches { Ok(()) } else { Err(Refusal::mismatch()) }
    }

    /// # Errors
    /// An unsigned request.
    pub fn require_signature(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        match text(headers, header::AUTHORIZATION.as_str()) {
            Some(authorization) if authorization.starts_with("AWS4-") => Ok(()),
            _ => Err(Refusal::unsigned(self.unsigned)),
        }
    }

    fn key(&self, authorization: &Authorization<'_>) -> Result<&AccessKey, Refusal> {
        let scope: Vec<_> = authorization.credential.split('/').collect();
        let &[id, date, region, service, terminator] = scope.as_slice() else {
            return Err(Refusal::incomplete(format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. \
                 keyid/date/region/service/term, got '{}'",
                authorization.credential
            )));
        };
        let mut problems = Vec::new();
        if region != REGION {
            problems.push(format!("Credential should be scoped to a valid region, not '{region}'."));
        }
        if service != self.service {
            problems.push(format!("Credential should be scoped to correct service: '{}'.", self.service));
        }
        if terminator != TERMINATOR {
            problems.push(format!(
                "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{terminator}'."
            ));
        }
        let signing_date = authorization.date.get(..8).unwrap_or_default();
        if date != signing_date {
            problems.push(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{date}' != \
                 '{signing_date}', from '{}'.",
                authorization.date
            ));
        }
        if !problems.is_empty() {
            return Err(Refusal::invalid(problems.join(" ")));
        }
        self.keys.find(id).ok_or_else(Refusal::unknown_key)
    }

    /// The expected signature; `None` for a request that cannot be signed.
    fn signature(
        &self,
        request: &Signed<'_>,
        authorization: &Authorization<'_>,
        key: &AccessKey,
        signed_at: SystemTime,
    ) -> Option<String> {
        let target = request.uri.path_and_query()?.as_str();
        if !target.starts_with('/') || target.len() > LONGEST_URL_BYTES {
            return None;
        }
        let mut headers = Vec::new();
        for name in authorization.signed_headers() {
            for value in request.headers.get_all(name) {
                headers.push((name, std::str::from_utf8(value.as_bytes()).ok()?));
            }
        }
        // The library takes the host from the URL otherwise, which has none here.
        headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(header::HOST.as_str()))?;

        let mut settings = SigningSettings::default();
        // It signs the date by itself, and the given headers.
        let signs_date = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(DATE));
        settings.excluded_headers = (!signs_date).then(|| vec![DATE.into()]);
        let identity = Credentials::new(&*key.id, &*key.secret, None, None, "local").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(REGION)
            .name(self.service)
            .time(signed_at)
            .settings(settings)
            .build()
            .ok()?
            .into();
        let body = SignableBody::Bytes(request.body);
        let signable = SignableRequest::new(request.method.as_str(), target, headers.into_iter(), body).ok()?;
        Some(sign(signable, &params).ok()?.into_parts().1)
    }
}

/// The signature in a request.
struct Authorization<'a> {
    credential: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
    /// The time of the signature, as the request has it.
    date: &'a str,
}

impl<'a> Authorization<'a> {
    fn of(headers: &'a HeaderMap) -> Result<Self, Refusal> {
        let whole = text(headers, header::AUTHORIZATION.as_str()).unwrap_or_default();
        let (algorithm, parameters) = whole.split_once(' ').unwrap_or((whole, ""));
        let [credential, signature, signed_headers] =
            ["Credential", "Signature", "SignedHeaders"].map(|name| parameter(parameters, name));
        let date = text(headers, DATE);
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
            return Err(Refusal::incomplete(format!("{problems}Authorization={whole}")));
        };
        let authorization = Self { credential, signed_headers, signature, date };
        if !authorization.signed_headers().any(|name| name.eq_ignore_ascii_case(header::HOST.as_str())) {
            return Err(Refusal::invalid("'Host' must be a 'SignedHeader' in the AWS Authorization."));
        }
        if algorithm != ALGORITHM {
            let message = format!("Unsupported AWS 'algorithm': '{algorithm}' (only {ALGORITHM} for now). ");
            return Err(Refusal::incomplete(message));
        }
        Ok(authorization)
    }

    fn signed_headers(&self) -> impl Iterator<Item = &'a str> {
        self.signed_headers.split(';')
    }
}

/// `Credential=KEY/SCOPE, SignedHeaders=host;x-amz-date, Signature=HEX`: one of these.
pub fn parameter<'a>(parameters: &'a str, wanted: &str) -> Option<&'a str> {
    let mut parameters = parameters.split(',').filter_map(|parameter| parameter.trim().split_once('='));
    parameters.find(|(name, value)| *name == wanted && !value.is_empty()).map(|(_, value)| value)
}

/// # Errors
/// An invalid time, and one too far from the machine's clock.
fn signing_time(date: &str, now: SystemTime) -> Result<SystemTime, Refusal> {
    let Ok(signed_at) = PrimitiveDateTime::parse(date, SIGNED_AT) else {
        return Err(Refusal::incomplete(format!(
            "Date must be in ISO-8601 'basic format'. Got '{date}'. See http://en.wikipedia.org/wiki/ISO_8601"
        )));
    };
    let (signed_at, now) = (signed_at.assume_utc(), OffsetDateTime::from(now));
    let written = |moment: OffsetDateTime| moment.format(SIGNED_AT).unwrap_or_default();
    if now - signed_at > MAX_SKEW {
        let (earliest, now) = (written(now - MAX_SKEW), written(now));
        let message = format!("Signature expired: {date} is now earlier than {earliest} ({now} - 5 min.)");
        return Err(Refusal::invalid(message));
    }
    if signed_at - now > MAX_SKEW {
        let (latest, now) = (written(now + MAX_SKEW), written(now));
        let message = format!("Signature not yet current: {date} is still later than {latest} ({now} + 5 min.)");
        return Err(Refusal::invalid(message));
    }
    Ok(signed_at.into())
}

/// The value of a header that occurs once.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    value.to_str().ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    /// Claims to be signed with a known key, and is well-formed besides.
    fn headers(host: &[u8]) -> HeaderMap {
        let date = OffsetDateTime::now_utc().format(SIGNED_AT).unwrap();
        let authorization = format!(
            "{ALGORITHM} Credential=known/{}/{REGION}/lambda/{TERMINATOR},SignedHeaders=host;x-amz-date,Signature=00",
            &date[..8]
        );
        HeaderMap::from_iter([
            (header::AUTHORIZATION, HeaderValue::from_str(&authorization).unwrap()),
            (header::HeaderName::from_static(DATE), HeaderValue::from_str(&date).unwrap()),
            (header::HOST, HeaderValue::from_bytes(host).unwrap()),
        ])
    }

    #[test]
    fn malformed_requests_are_refused_without_a_panic() {
        let known: AccessKey = "known:secret".parse().unwrap();
        let keys = Keys { function: known, operator: AccessKey::random() };
        let verifier = Verifier::new("lambda", "Missing Authentication Token", Arc::new(keys));
        let long = format!("/?{}", "+".repeat(60_000));
        let mut no_host = headers(b"localhost");
        no_host.remove(header::HOST);
        for (uri, headers) in [
            ("*", headers(b"localhost")),
            ("localhost:80", headers(b"localhost")),
            ("http://localhost", headers(b"localhost")),
            ("//../.?&&=&%zz=%", headers(b"localhost")),
            (long.as_str(), headers(b"localhost")),
            ("/", headers(b"\xff")),
            ("/", headers(b"")),
            ("/", no_host),
        ] {
            let uri = uri.parse().unwrap();
            let request = Signed { method: &Method::POST, uri: &uri, headers: &headers, body: b"" };
            assert_eq!(verifier.verify(&request), Err(Refusal::mismatch()), "{uri}");
        }
    }

    #[test]
    fn an_invalid_time_is_refused() {
        let mut headers = headers(b"localhost");
        headers.insert(DATE, HeaderValue::from_static("99991332T256161Z"));
        let keys = Keys { function: AccessKey::random(), operator: AccessKey::random() };
        let verifier = Verifier::new("lambda", "", Arc::new(keys));
        let request = Signed { method: &Method::GET, uri: &Uri::from_static("/"), headers: &headers, body: b"" };
        assert_eq!(verifier.verify(&request).map_err(|refusal| refusal.kind), Err("IncompleteSignatureException"));
    }
}
