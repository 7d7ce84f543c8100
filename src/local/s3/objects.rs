//! The objects in the buckets: as the file system keeps them, with what S3 does besides.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CreateBucketInput, CreateBucketOutput, DeleteBucketInput, DeleteBucketOutput,
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, GetBucketLocationInput,
    GetBucketLocationOutput, GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput,
    HeadObjectOutput, ListBucketsInput, ListBucketsOutput, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input,
    ListObjectsV2Output, PutObjectInput, PutObjectOutput,
};
use s3s::{S3, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Setup;
use crate::domain::Timestamp;
use crate::local::REGION;
use crate::local::clock::Clock;
use crate::local::faults::Faults;
use crate::local::runtime::Pool;

/// Longer keys have no place in the names of the files that the file system keeps beside an object.
const LONGEST_NAME_BYTES: usize = 140;

/// Clones are the same objects.
#[derive(Clone)]
pub struct Objects(Arc<Inner>);

struct Inner {
    files: FileSystem,
    /// The bucket whose objects are told of, and where it is.
    bucket: String,
    folder: PathBuf,
    /// Where the buckets are.
    root: PathBuf,
    lifetime: Duration,
    clock: Clock,
    faults: Faults,
    pool: Arc<Pool>,
    /// Keys that are being written just now.
    under_way: Mutex<HashSet<String>>,
}

/// A key that is being written, until it is dropped.
struct UnderWay<'a> {
    inner: &'a Inner,
    key: String,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.inner.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

impl Objects {
    /// A bucket whose objects are files below `root`.
    pub fn new(files: FileSystem, root: &Path, setup: &Setup, clock: Clock, pool: Arc<Pool>) -> Self {
        Self(Arc::new(Inner {
            files,
            bucket: setup.bucket.clone(),
            folder: root.join(&setup.bucket),
            root: root.to_owned(),
            lifetime: setup.lifetime,
            clock,
            faults: setup.faults.clone(),
            pool,
            under_way: Mutex::default(),
        }))
    }

    async fn put(&self, mut req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let (bucket, key) = (req.input.bucket.clone(), req.input.key.clone());
        self.0.require_bucket(&bucket)?;
        let Some(_under_way) = self.0.begin(&bucket, &key) else {
            return Err(s3_error!(ConditionalRequestConflict, "somebody else is writing this object"));
        };
        let size = req.input.content_length;
        req.input.key = name_of(key.clone());
        let name = req.input.key.clone();
        let only_new = req.input.if_none_match.is_some();
        let put = self.0.files.put_object(req).await;
        let is_new = only_new && put.as_ref().is_err_and(|error| *error.code() != S3ErrorCode::PreconditionFailed);
        match &put {
            Ok(answer) if bucket == self.0.bucket => {
                let tag = answer.output.e_tag.as_ref().map(|tag| tag.value().to_owned()).unwrap_or_default();
                let at = self.0.faults.skewed(self.0.clock.now());
                let event = created(&bucket, &key, size.unwrap_or_default(), &tag, at);
                let pool = Arc::clone(&self.0.pool);
                tokio::spawn(async move { pool.invoke_in_background(event).await });
            }
            // It is written before it is known that something is wrong with it.
            Err(error) if is_new || *error.code() == S3ErrorCode::BadDigest => {
                let input = DeleteObjectInput { bucket, key: name, ..Default::default() };
                let _ = self.0.files.delete_object(request(input)).await;
            }
            _ => {}
        }
        put
    }

    /// Removes what is older than the bucket's lifecycle has it.
    pub async fn end_old_ones(&self) {
        let age = Duration::from_millis(self.0.clock.now().as_millis().unsigned_abs()).saturating_sub(self.0.lifetime);
        let before = SystemTime::UNIX_EPOCH + age;
        for key in keys_in(&self.0.folder, before) {
            let input = DeleteObjectInput { bucket: self.0.bucket.clone(), key, ..Default::default() };
            if let Err(error) = self.0.files.delete_object(request(input)).await {
                tracing::warn!(%error, "an old object was not removed");
            }
        }
    }
}

/// Names of the files under a folder that were written before a moment.
fn keys_in(folder: &PathBuf, before: SystemTime) -> Vec<String> {
    let mut keys = Vec::new();
    let mut folders = vec![folder.clone()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(about) = entry.metadata() else { continue };
            if about.is_dir() {
                folders.push(path);
            } else if about.modified().is_ok_and(|written| written < before)
                && let Ok(key) = path.strip_prefix(folder)
            {
                keys.push(key.to_string_lossy().into_owned());
            }
        }
    }
    keys
}

impl Inner {
    /// # Errors
    /// A bucket that there is not.
    fn require_bucket(&self, bucket: &str) -> S3Result<()> {
        if self.root.join(bucket).is_dir() { Ok(()) } else { Err(s3_error!(NoSuchBucket)) }
    }

    /// # Errors
    /// What is being written is not there yet: an object is there with all that belongs to it, or not at all.
    fn require_whole(&self, bucket: &str, key: &str) -> S3Result<()> {
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if under_way.contains(&format!("{bucket}/{key}")) { Err(s3_error!(NoSuchKey)) } else { Ok(()) }
    }

    /// `None` when somebody else is writing there.
    fn begin(&self, bucket: &str, key: &str) -> Option<UnderWay<'_>> {
        let key = format!("{bucket}/{key}");
        let is_free = self.under_way.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        is_free.then(|| UnderWay { inner: self, key })
    }
}

/// How a key is called in the folder.
fn name_of(key: String) -> String {
    if key.len() <= LONGEST_NAME_BYTES {
        return key;
    }
    Sha256::digest(&key).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn request<T>(input: T) -> S3Request<T> {
    S3Request {
        input,
        method: axum::http::Method::default(),
        uri: axum::http::Uri::default(),
        headers: axum::http::HeaderMap::default(),
        extensions: axum::http::Extensions::default(),
        credentials: None,
        region: None,
        service: None,
        trailing_headers: None,
    }
}

/// What the file system does by itself.
macro_rules! as_they_are {
    ($($operation:ident($input:ident) -> $output:ident,)+) => {$(
        fn $operation<'life, 'out>(
            &'life self,
            req: S3Request<$input>,
        ) -> Pin<Box<dyn Future<Output = S3Result<S3Response<$output>>> + Send + 'out>>
        where
            'life: 'out,
            Self: 'out,
        {
            self.0.files.$operation(req)
        }
    )+};
}

#[async_trait]
impl S3 for Objects {
    /// To its end, whether the client waits for it or not.
    async fn put_object(&self, req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let objects = self.clone();
        let put = tokio::spawn(async move { objects.put(req).await }).await;
        put.unwrap_or_else(|error| Err(s3_error!(error, InternalError, "the object was not written")))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        self.0.require_bucket(&req.input.bucket)?;
        self.0.require_whole(&req.input.bucket, &req.input.key)?;
        let asked = (req.input.response_content_type.clone(), req.input.response_content_disposition.clone());
        let got = self.0.files.get_object(req.map_input(|input| GetObjectInput { key: name_of(input.key), ..input }));
        let mut got = got.await?;
        let (content_type, disposition) = asked;
        got.output.content_type = content_type.or(got.output.content_type);
        got.output.content_disposition = disposition.or(got.output.content_disposition);
        Ok(got)
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        self.0.require_bucket(&req.input.bucket)?;
        self.0.require_whole(&req.input.bucket, &req.input.key)?;
        self.0.files.head_object(req.map_input(|input| HeadObjectInput { key: name_of(input.key), ..input })).await
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.0.require_bucket(&req.input.bucket)?;
        let req = req.map_input(|input| DeleteObjectInput { key: name_of(input.key), ..input });
        self.0.files.delete_object(req).await
    }

    // Boxed by hand: the attribute above does not see what a macro makes.
    as_they_are! {
        create_bucket(CreateBucketInput) -> CreateBucketOutput,
        delete_bucket(DeleteBucketInput) -> DeleteBucketOutput,
        head_bucket(HeadBucketInput) -> HeadBucketOutput,
        get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput,
        list_buckets(ListBucketsInput) -> ListBucketsOutput,
        list_objects(ListObjectsInput) -> ListObjectsOutput,
        list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output,
        delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput,
        copy_object(CopyObjectInput) -> CopyObjectOutput,
    }
}

/// What S3 tells of a new object.
fn created(bucket: &str, key: &str, size: i64, tag: &str, at: Timestamp) -> Value {
    let encoded = |part: &str| form_urlencoded::byte_serialize(part.as_bytes()).collect::<String>();
    let key = key.split('/').map(encoded).collect::<Vec<_>>().join("/");
    let id = Uuid::new_v4().simple().to_string();
    json!({ "Records": [{
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventTime": at.to_iso(),
        "eventName": "ObjectCreated:Put",
        "userIdentity": { "principalId": "AWS:LOCAL" },
        "requestParameters": { "sourceIPAddress": "127.0.0.1" },
        "responseElements": { "x-amz-request-id": id[..16].to_uppercase(), "x-amz-id-2": id },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "uploads",
            "bucket": {
                "name": bucket,
                "ownerIdentity": { "principalId": "LOCAL" },
                "arn": format!("arn:aws:s3:::{bucket}"),
            },
            "object": {
                "key": key,
                "size": size,
                "eTag": tag,
                "sequencer": format!("{:016X}", at.as_millis()),
            },
        },
    }] })
}
