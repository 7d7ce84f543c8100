//! Signature Version 4. The SDK derives the signing key for each request, although it is valid for a day: that would be
//! a fifth of the cost of a send. Unusual requests are left to the SDK.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4Signer};
use aws_sdk_dynamodb::config::Credentials;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::{AuthScheme, AuthSchemeEndpointConfig, AuthSchemeId, Sign};
use aws_smithy_runtime_api::client::identity::{Identity, SharedIdentityResolver};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::{GetIdentityResolver, RuntimeComponents};
use aws_smithy_types::config_bag::ConfigBag;
use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::digest::{SHA256, digest};
use ring::hmac::{self, HMAC_SHA256};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// `20260102T030405Z`: the first eight characters are the date.
const TIME: &[BorrowedFormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");
/// Characters of a path that need no encoding.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Signs the requests to one service.
#[derive(Debug)]
pub struct Signer {
    service: &'static str,
    region: String,
    /// The date and the secret of the cached key, and the key.
    key: Mutex<Option<((String, Credentials), hmac::Key)>>,
    of_the_sdk: SigV4Signer,
}

impl Signer {
    /// A signer for a service in a region.
    pub fn new(service: &'static str, region: &str) -> Self {
        Self { service, region: region.to_owned(), key: Mutex::default(), of_the_sdk: SigV4Signer::new() }
    }

    /// Signs a request that no SDK makes.
    ///
    /// # Errors
    /// It has a query or a streaming body.
    pub(super) fn sign_now(&self, request: &mut HttpRequest, credentials: &Credentials) -> Result<(), BoxError> {
        let time = OffsetDateTime::now_utc().format(TIME)?;
        if self.sign(request, credentials, &time)? { Ok(()) } else { Err("the request cannot be signed".into()) }
    }

    /// `false` for a request with a query or with a streaming body, which is not signed here.
    fn sign(&self, request: &mut HttpRequest, credentials: &Credentials, time: &str) -> Result<bool, BoxError> {
        let uri: Uri = request.uri().parse()?;
        let Some(body) = request.body().bytes().filter(|_| uri.query().is_none()).map(hash) else { return Ok(false) };
        let headers = request.headers_mut();
        headers.try_insert("host", host(&uri))?;
        headers.try_insert("x-amz-date", time.to_owned())?;
        if let Some(token) = credentials.session_token() {
            headers.try_insert("x-amz-security-token", token.to_owned())?;
        }

        let is_signed = |name: &str| matches!(name, "content-type" | "host") || name.starts_with("x-amz-");
        let mut signed: Vec<_> = request.headers().iter().filter(|(name, _)| is_signed(name)).collect();
        signed.sort_unstable();
        let names = signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let mut canonical = format!("{}\n{}\n\n", request.method(), utf8_percent_encode(uri.path(), PLAIN));
        for (name, value) in signed {
            writeln!(canonical, "{name}:{}", value.trim())?;
        }
        write!(canonical, "\n{names}\n{body}")?;

        let date = time.get(..8).unwrap_or_default();
        let scope = format!("{date}/{}/{}/aws4_request", self.region, self.service);
        let message = format!("{ALGORITHM}\n{time}\n{scope}\n{}", hash(canonical.as_bytes()));
        let signature = hex::encode(hmac::sign(&self.key(date, credentials), message.as_bytes()));
        let key_id = credentials.access_key_id();
        let authorization =
            format!("{ALGORITHM} Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}");
        request.headers_mut().try_insert("authorization", authorization)?;
        Ok(true)
    }

    fn key(&self, date: &str, credentials: &Credentials) -> hmac::Key {
        let mut known = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(((day, of), key)) = &*known
            && day == date
            && of.secret_access_key() == credentials.secret_access_key()
        {
            return key.clone();
        }
        let first = hmac::Key::new(HMAC_SHA256, format!("AWS4{}", credentials.secret_access_key()).as_bytes());
        let key = [date, &self.region, self.service, "aws4_request"]
            .into_iter()
            .fold(first, |key, part| hmac::Key::new(HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref()));
        *known = Some(((date.to_owned(), credentials.clone()), key.clone()));
        key
    }
}

/// As the HTTP client sends it.
fn host(uri: &Uri) -> String {
    let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    let host = uri.host().unwrap_or_default();
    uri.port_u16().filter(|port| *port != usual).map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}

impl Sign for Signer {
    fn sign_http_request(
        &self,
        request: &mut HttpRequest,
        identity: &Identity,
        endpoint: AuthSchemeEndpointConfig<'_>,
        components: &RuntimeComponents,
        settings: &ConfigBag,
    ) -> Result<(), BoxError> {
        let now = components.time_source().ok_or("there is no clock")?.now();
        let credentials = identity.data::<Credentials>().ok_or("there are no credentials")?;
        if self.sign(request, credentials, &OffsetDateTime::from(now).format(TIME)?)? {
            return Ok(());
        }
        self.of_the_sdk.sign_http_request(request, identity, endpoint, components, settings)
    }
}

impl AuthScheme for Signer {
    fn scheme_id(&self) -> AuthSchemeId {
        SCHEME_ID
    }

    fn identity_resolver(&self, resolvers: &dyn GetIdentityResolver) -> Option<SharedIdentityResolver> {
        resolvers.identity_resolver(SCHEME_ID)
    }

    fn signer(&self) -> &dyn Sign {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings};
    use aws_sigv4::sign::v4;
    use aws_smithy_types::body::SdkBody;

    use super::*;

    const CONNECTION: &str = "%40connections/L0SM9cOFvHcCIhw%3D";

    fn request(uri: &str, headers: &[(&'static str, &'static str)], body: &'static str) -> HttpRequest {
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_method("POST").unwrap();
        request.set_uri(uri).unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, *value);
        }
        request
    }

    /// What AWS's own library makes of the same request.
    fn signed_by_aws(request: &HttpRequest, signer: &Signer, credentials: &Credentials, at: SystemTime) -> String {
        let identity = Identity::from(credentials.clone());
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&signer.region)
            .name(signer.service)
            .time(at)
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let body = SignableBody::Bytes(request.body().bytes().unwrap());
        let signable = SignableRequest::new(request.method(), request.uri(), request.headers().iter(), body).unwrap();
        let (instructions, _) = aws_sigv4::http_request::sign(signable, &params).unwrap().into_parts();
        let authorization = instructions.headers().find(|(name, _)| *name == "authorization");
        authorization.unwrap().1.to_owned()
    }

    #[test]
    fn signatures_equal_those_of_the_aws_library() {
        let key =
            |secret, token: Option<&str>| Credentials::new("AKID", secret, token.map(str::to_owned), None, "test");
        let everybody = [key("a secret", None), key("a secret", Some("a/token+of==mine")), key("another", None)];
        let question = [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", "DynamoDB_20120810.Query")];
        let octets = [("content-type", "application/octet-stream")];
        let dynamodb = Signer::new("dynamodb", "eu-west-1");
        let connections = Signer::new("execute-api", "eu-west-1");
        let mut signed = 0;

        // A second before midnight, at midnight, and another year.
        for (at, body) in
            [1_767_311_999, 1_767_312_000, 1_861_920_000].into_iter().zip(["{}", "", "{\"text\":\"héllo ☕\"}"])
        {
            let at = UNIX_EPOCH + Duration::from_secs(at);
            for (signer, headers, uri) in [
                (&dynamodb, question.as_slice(), "https://dynamodb.eu-west-1.amazonaws.com/".to_owned()),
                (&dynamodb, &question, "http://127.0.0.1:8000/".to_owned()),
                (&dynamodb, &question, "https://localhost:443".to_owned()),
                (&connections, &octets, format!("https://a1.execute-api.eu-west-1.amazonaws.com/prod/{CONNECTION}")),
                (&connections, &octets, format!("http://127.0.0.1:7071/a-stage_2/{CONNECTION}")),
            ] {
                for credentials in &everybody {
                    let mut ours = request(&uri, headers, body);
                    let expected = signed_by_aws(&ours, signer, credentials, at);
                    assert!(
                        signer.sign(&mut ours, credentials, &OffsetDateTime::from(at).format(TIME).unwrap()).unwrap()
                    );
                    assert_eq!(ours.headers().get("authorization"), Some(expected.as_str()), "{uri} at {at:?}");
                    signed += 1;
                }
            }
        }
        assert_eq!(signed, 3 * 5 * 3);
    }

    #[test]
    fn unusual_requests_are_left_to_the_sdk() {
        let signer = Signer::new("dynamodb", "eu-west-1");
        let credentials = Credentials::new("AKID", "a secret", None, None, "test");
        let mut asked = request("https://localhost/?a=b", &[], "");
        assert!(!signer.sign(&mut asked, &credentials, "20260102T030405Z").unwrap());
        assert_eq!(asked.headers().len(), 0);
    }
}
