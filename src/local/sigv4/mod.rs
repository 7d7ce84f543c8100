//! Verifies signatures (AWS Signature Version 4) for DynamoDB, Lambda and `@connections`: each is recomputed with AWS's
//! own library. The embedded S3 verifies its own.
//!
//! Sources: IAM user guide, "Create a signed AWS API request", "Troubleshoot signed requests for AWS APIs"; the
//! messages are those captured in mhart/dynalite on GitHub.

mod authorization;
mod error;

use std::sync::Arc;
use std::time::SystemTime;

use aws_sdk_dynamodb::config::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use axum::http::{HeaderMap, Method, Uri, header};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::REGION;
use super::keys::{AccessKey, Keys};
pub use authorization::parameter;
use authorization::{Authorization, signing_time};
pub use error::SignatureError;

/// The only supported algorithm.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";
/// The time format of signatures: `20261121T113307Z`.
pub const SIGNING_TIME_FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");
const DATE_HEADER: &str = "x-amz-date";
/// AWS's library cannot sign a URL longer than 64 KB after percent-encoding, which can triple its length.
const MAX_URL_BYTES: usize = 16 * 1024;

/// The parts of a request that its signature covers.
pub struct SignedRequest<'a> {
    pub method: &'a Method,
    pub uri: &'a Uri,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
}

/// Verifies the signatures for one service.
#[derive(Clone)]
pub struct Verifier {
    service: &'static str,
    /// The service's error message for an unsigned request.
    unsigned_message: &'static str,
    keys: Arc<Keys>,
}

impl Verifier {
    /// A verifier for one service, with its error message for unsigned requests.
    pub fn new(service: &'static str, unsigned_message: &'static str, keys: Arc<Keys>) -> Self {
        Self { service, unsigned_message, keys }
    }

    /// The key that signed a request.
    ///
    /// # Errors
    /// The request is not signed with one of the keys for this service within five minutes of the machine's clock. The
    /// stack's clock can be ahead, which an SDK does not know.
    pub fn verify(&self, request: &SignedRequest<'_>) -> Result<AccessKey, SignatureError> {
        self.verify_at(request, SystemTime::now())
    }

    fn verify_at(&self, request: &SignedRequest<'_>, now: SystemTime) -> Result<AccessKey, SignatureError> {
        self.require_signature(request.headers)?;
        let authorization = Authorization::of(request.headers)?;
        let signed_at = signing_time(authorization.date, now)?;
        let key = self.key(&authorization)?;
        let signature = self.signature(request, &authorization, &key, signed_at);
        let matches = signature.is_some_and(|signature| signature == authorization.signature);
        if matches { Ok(key) } else { Err(SignatureError::mismatch()) }
    }

    /// # Errors
    /// The request is unsigned.
    pub fn require_signature(&self, headers: &HeaderMap) -> Result<(), SignatureError> {
        match authorization::text(headers, header::AUTHORIZATION.as_str()) {
            Some(authorization) if authorization.starts_with("AWS4-") => Ok(()),
            _ => Err(SignatureError::unsigned(self.unsigned_message)),
        }
    }

    /// The access key that the credential names.
    fn key(&self, authorization: &Authorization<'_>) -> Result<AccessKey, SignatureError> {
        let scope: Vec<_> = authorization.credential.split('/').collect();
        let &[id, date, region, service, terminator] = scope.as_slice() else {
            return Err(SignatureError::incomplete(format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. \
                 keyid/date/region/service/term, got '{}'",
                authorization.credential
            )));
        };
        let problems = self.scope_problems(authorization.date, [date, region, service, terminator]);
        if !problems.is_empty() {
            return Err(SignatureError::invalid(problems.join(" ")));
        }
        self.keys.find(id).ok_or_else(SignatureError::unknown_key)
    }

    /// What is wrong with a credential's scope, in AWS's words.
    fn scope_problems(&self, signed_at: &str, [date, region, service, terminator]: [&str; 4]) -> Vec<String> {
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
        let signing_date = signed_at.get(..8).unwrap_or_default();
        if date != signing_date {
            problems.push(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{date}' != \
                 '{signing_date}', from '{signed_at}'."
            ));
        }
        problems
    }

    /// The expected signature; `None` for a request that cannot be signed.
    fn signature(
        &self,
        request: &SignedRequest<'_>,
        authorization: &Authorization<'_>,
        key: &AccessKey,
        signed_at: SystemTime,
    ) -> Option<String> {
        let target = request.uri.path_and_query()?.as_str();
        if !target.starts_with('/') || target.len() > MAX_URL_BYTES {
            return None;
        }
        let mut headers = Vec::new();
        for name in authorization.signed_headers() {
            for value in request.headers.get_all(name) {
                headers.push((name, std::str::from_utf8(value.as_bytes()).ok()?));
            }
        }
        // Without a host header the library would take the host from the URL, which has none here.
        headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(header::HOST.as_str()))?;

        let mut settings = SigningSettings::default();
        // The library always signs the date unless it is excluded.
        let signs_date = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(DATE_HEADER));
        settings.excluded_headers = (!signs_date).then(|| vec![DATE_HEADER.into()]);
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

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use time::OffsetDateTime;

    use super::*;

    /// Well-formed headers that claim a signature of a known key.
    fn headers(host: &[u8]) -> HeaderMap {
        let date = OffsetDateTime::now_utc().format(SIGNING_TIME_FORMAT).unwrap();
        let authorization = format!(
            "{ALGORITHM} Credential=known/{}/{REGION}/lambda/{TERMINATOR},SignedHeaders=host;x-amz-date,Signature=00",
            &date[..8]
        );
        HeaderMap::from_iter([
            (header::AUTHORIZATION, HeaderValue::from_str(&authorization).unwrap()),
            (header::HeaderName::from_static(DATE_HEADER), HeaderValue::from_str(&date).unwrap()),
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
            let request = SignedRequest { method: &Method::POST, uri: &uri, headers: &headers, body: b"" };
            assert_eq!(verifier.verify(&request).err(), Some(SignatureError::mismatch()), "{uri}");
        }
    }

    #[test]
    fn an_invalid_time_is_refused() {
        let mut headers = headers(b"localhost");
        headers.insert(DATE_HEADER, HeaderValue::from_static("99991332T256161Z"));
        let keys = Keys { function: AccessKey::random(), operator: AccessKey::random() };
        let verifier = Verifier::new("lambda", "", Arc::new(keys));
        let request = SignedRequest { method: &Method::GET, uri: &Uri::from_static("/"), headers: &headers, body: b"" };
        assert_eq!(
            verifier.verify(&request).map(drop).map_err(|error| error.kind),
            Err("IncompleteSignatureException")
        );
    }
}
