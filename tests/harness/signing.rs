//! Requests with any signature, made with AWS's own library.

use std::time::SystemTime;

use aws_sdk_s3::config::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use switchboard::local::AccessKey;

use super::{Answer, request};

/// How a request is signed.
#[derive(Clone)]
pub struct Signing {
    pub key: AccessKey,
    pub service: &'static str,
    pub region: &'static str,
    pub at: SystemTime,
}

impl Signing {
    /// The headers and their signature. Headers that must not be signed are added by the caller.
    pub fn headers(&self, method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<(String, String)> {
        let mut settings = SigningSettings::default();
        if self.service == "s3" {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let identity = Credentials::new(&*self.key.id, &*self.key.secret, None, None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(self.at)
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let signable = SignableRequest::new(method, url, headers.iter().copied(), SignableBody::Bytes(body)).unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        let all = headers.iter().copied().chain(instructions.headers());
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Sends a signed request.
    pub async fn request(&self, method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let headers = self.headers(method, url, headers, body);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        request(method, url, &headers, body).await
    }
}
