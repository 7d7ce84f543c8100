//! Files in S3. The function presigns requests and inspects objects; the bytes go directly between client and bucket.

use std::time::{Duration, UNIX_EPOCH};

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{DisplayErrorContext, SdkError};
use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumMode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::config::Uploads;
use crate::domain::file_kind::FIRST_BYTES;
use crate::domain::{ContentType, FileName, NewFile, ObjectKey, Timestamp};
use crate::error::Error;

/// Lifetime of a presigned upload.
const UPLOAD_SECS: i64 = 300;
/// Lifetime of a presigned download.
const DOWNLOAD_SECS: i64 = 60;
/// Lifetime of a presigned download of an export.
const EXPORT_SECS: i64 = 3_600;
/// Characters that need no encoding in the extended form of a file name (RFC 8187).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The bucket for files.
pub struct Files {
    client: Client,
    bucket: Option<String>,
}

/// A presigned request: valid for everybody who knows it, until it expires.
pub struct Signed {
    pub url: String,
    pub method: String,
    /// The headers that must be sent, exactly these.
    pub headers: Vec<(String, String)>,
    pub expires_at: Timestamp,
}

impl Signed {
    fn new(request: &PresignedRequest, expires_at: Timestamp) -> Self {
        let (url, method) = (request.uri().to_owned(), request.method().to_owned());
        Self { url, method, headers: signed_headers(request), expires_at }
    }
}

/// The metadata of an object.
pub struct Object {
    pub size: u64,
    pub content_type: String,
    /// In base64, if it was uploaded with a checksum.
    pub sha256: Option<String>,
    /// The ETag.
    pub tag: String,
}

impl Files {
    /// The configured bucket. Sends nothing.
    pub fn new(client: Client, uploads: &Uploads) -> Self {
        Self { client, bucket: uploads.bucket.clone() }
    }

    /// # Errors
    /// `FORBIDDEN` when no bucket is configured.
    fn bucket(&self) -> Result<&str, Error> {
        self.bucket.as_deref().ok_or(Error::Forbidden("file uploads are disabled: no bucket is configured"))
    }

    /// Presigns an upload of exactly this size and checksum. `strictly`: also of this content type, and only if the
    /// object does not exist. That requires headers (`Content-Type`, `If-None-Match`) which a page that only puts a
    /// file to the address does not send.
    pub async fn sign_upload(
        &self,
        key: &ObjectKey,
        file: &NewFile,
        strictly: bool,
        now: Timestamp,
    ) -> Result<Signed, Error> {
        let put = self
            .client
            .put_object()
            .bucket(self.bucket()?)
            .key(key.as_str())
            .content_length(i64::try_from(file.size).map_err(Error::internal)?)
            .set_content_type(strictly.then(|| file.content_type.as_str().to_owned()))
            .set_if_none_match(strictly.then(|| "*".to_owned()))
            .set_checksum_sha256(file.sha256.as_ref().map(|sum| sum.as_str().to_owned()));
        let signed = put.presigned(lifetime(now, UPLOAD_SECS)?).await.map_err(failed)?;
        Ok(Signed::new(&signed, now.plus_secs(UPLOAD_SECS)))
    }

    /// Presigns a download with the announced name and type. `inline`: the browser shows the file instead of saving
    /// it.
    pub async fn sign_download(
        &self,
        key: &ObjectKey,
        name: &FileName,
        content_type: &ContentType,
        inline: bool,
        now: Timestamp,
    ) -> Result<Signed, Error> {
        let get = self
            .client
            .get_object()
            .bucket(self.bucket()?)
            .key(key.as_str())
            .response_content_type(if inline { content_type.essence() } else { content_type.as_str() })
            .response_content_disposition(disposition(name, inline));
        let signed = get.presigned(lifetime(now, DOWNLOAD_SECS)?).await.map_err(failed)?;
        Ok(Signed::new(&signed, now.plus_secs(DOWNLOAD_SECS)))
    }

    /// The metadata of an object; `None` if it does not exist.
    pub async fn inspect(&self, key: &ObjectKey) -> Result<Option<Object>, Error> {
        let head = self.client.head_object().bucket(self.bucket()?).key(key.as_str());
        match head.checksum_mode(ChecksumMode::Enabled).send().await {
            Ok(object) => Ok(Some(Object {
                size: object.content_length().and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
                content_type: object.content_type().unwrap_or_default().to_owned(),
                sha256: object.checksum_sha256().map(str::to_owned),
                tag: object.e_tag().unwrap_or_default().to_owned(),
            })),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// The first bytes of an object, at most [`FIRST_BYTES`]; `None` if it does not exist.
    pub async fn first_bytes(&self, key: &ObjectKey) -> Result<Option<Vec<u8>>, Error> {
        let get = self.client.get_object().bucket(self.bucket()?).key(key.as_str());
        match get.range(format!("bytes=0-{}", FIRST_BYTES - 1)).send().await {
            Ok(object) => {
                let bytes = object.body.collect().await.map_err(|error| Error::Unavailable(error.into()))?;
                Ok(Some(bytes.to_vec()))
            }
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Writes a part of an export, over one that is there.
    pub async fn write_export(&self, key: &ObjectKey, lines: String) -> Result<(), Error> {
        let put = self.client.put_object().bucket(self.bucket()?).key(key.as_str());
        let put = put.content_type("application/jsonl").body(ByteStream::from(lines.into_bytes()));
        put.send().await.map_err(failed).map(drop)
    }

    /// Presigns the download of a part of an export.
    pub async fn sign_export(&self, key: &ObjectKey, now: Timestamp) -> Result<Signed, Error> {
        let get = self.client.get_object().bucket(self.bucket()?).key(key.as_str());
        let signed = get.presigned(lifetime(now, EXPORT_SECS)?).await.map_err(failed)?;
        Ok(Signed::new(&signed, now.plus_secs(EXPORT_SECS)))
    }

    /// Deletes an object, whether it exists or not.
    pub async fn remove(&self, key: &ObjectKey) -> Result<(), Error> {
        let delete = self.client.delete_object().bucket(self.bucket()?).key(key.as_str());
        delete.send().await.map_err(failed).map(drop)
    }
}

/// The signed headers without `host`, which every client sends. On Lambda the SDK adds a tracing header that is not
/// signed and that clients cannot send.
fn signed_headers(request: &PresignedRequest) -> Vec<(String, String)> {
    let query = request.uri().split_once('?').map(|(_, query)| query).unwrap_or_default();
    let names = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "X-Amz-SignedHeaders");
    let names = names.map(|(_, names)| names.into_owned()).unwrap_or_default();
    let is_signed = |wanted: &str| wanted != "host" && names.split(';').any(|name| name == wanted);
    let headers = request.headers().filter(|(name, _)| is_signed(&name.to_ascii_lowercase()));
    headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Valid from the event's time for `seconds`.
fn lifetime(now: Timestamp, seconds: i64) -> Result<PresigningConfig, Error> {
    let start = UNIX_EPOCH + Duration::from_millis(now.as_millis().unsigned_abs());
    PresigningConfig::builder()
        .start_time(start)
        .expires_in(Duration::from_secs(seconds.unsigned_abs()))
        .build()
        .map_err(Error::internal)
}

/// The `Content-Disposition` with the name for old and new browsers (RFC 6266).
fn disposition(name: &FileName, inline: bool) -> String {
    let kind = if inline { "inline" } else { "attachment" };
    let plain = |letter: char| if letter.is_ascii() && !matches!(letter, '"' | '\\') { letter } else { '_' };
    let ascii: String = name.as_str().chars().map(plain).collect();
    format!("{kind}; filename=\"{ascii}\"; filename*=UTF-8''{}", utf8_percent_encode(name.as_str(), PLAIN))
}

fn is_absent<E>(error: &SdkError<E>) -> bool {
    error.raw_response().is_some_and(|answer| answer.status().as_u16() == 404)
}

fn failed<E: std::error::Error + Send + Sync + 'static>(error: SdkError<E>) -> Error {
    let passing = match &error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
        SdkError::ServiceError(answer) => answer.raw().status().as_u16() >= 500,
        _ => false,
    };
    let cause = DisplayErrorContext(error).to_string();
    if passing { Error::Unavailable(cause.into()) } else { Error::internal(cause) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_disposition_has_the_name_for_old_and_new_browsers() {
        let name = FileName::try_from("Grüße \"2\".txt".to_owned()).unwrap();
        let expected = "attachment; filename=\"Gr__e _2_.txt\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%222%22.txt";
        assert_eq!(disposition(&name, false), expected);
    }
}
