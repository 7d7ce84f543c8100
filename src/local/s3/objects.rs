//! The objects in the buckets: files of `s3s_fs`, with the behaviour of S3 that it lacks.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CreateBucketInput, CreateBucketOutput, DeleteBucketInput, DeleteBucketOutput,
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, ETag, GetBucketLocationInput,
    GetBucketLocationOutput, GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput,
    HeadObjectOutput, ListBucketsInput, ListBucketsOutput, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input,
    ListObjectsV2Output, PutObjectInput, PutObjectOutput,
};
use s3s::{S3, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;
use sha2::{Digest, Sha256};

use super::pending_events::{PendingEvent, PendingEvents};
use super::{Setup, events};
use crate::local::clock::Clock;
use crate::local::faults::Faults;
use crate::local::lambda::Pool;

/// Longer keys do not fit into the names of the metadata files that `s3s_fs` keeps beside an object.
const MAX_NAME_BYTES: usize = 140;
/// How many events of an earlier stack are sent at once.
const SENT_AGAIN_AT_ONCE: usize = 8;

/// The objects. Clones share them.
#[derive(Clone)]
pub struct Objects(Arc<Inner>);

struct Inner {
    files: FileSystem,
    /// The bucket that sends events for new objects.
    bucket: String,
    /// The folder of all buckets.
    root: PathBuf,
    pending: PendingEvents,
    clock: Clock,
    faults: Faults,
    pool: Arc<Pool>,
    /// `bucket/key` of the objects that are being written.
    writing: Mutex<HashSet<String>>,
}

/// Marks an object as being written until it is dropped.
struct WriteLock<'a> {
    inner: &'a Inner,
    key: String,
}

impl Drop for WriteLock<'_> {
    fn drop(&mut self) {
        self.inner.writing.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

impl Objects {
    /// A bucket whose objects are `files` below `root`.
    pub fn new(
        (files, root): (FileSystem, &Path),
        pending: PendingEvents,
        setup: &Setup,
        clock: Clock,
        pool: Arc<Pool>,
    ) -> Self {
        Self(Arc::new(Inner {
            files,
            bucket: setup.bucket.clone(),
            root: root.to_owned(),
            pending,
            clock,
            faults: setup.faults.clone(),
            pool,
            writing: Mutex::default(),
        }))
    }

    async fn put(&self, mut req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let (bucket, key) = (req.input.bucket.clone(), req.input.key.clone());
        self.0.require_bucket(&bucket)?;
        let Some(_lock) = self.0.lock(&bucket, &key) else {
            return Err(s3_error!(ConditionalRequestConflict, "another request is writing this object"));
        };
        let size = req.input.content_length.unwrap_or_default();
        let event = self.0.note_event(&bucket, &key)?;
        req.input.key = file_name(key.clone());
        let name = req.input.key.clone();
        let only_new = req.input.if_none_match.is_some();
        let put = self.0.files.put_object(req).await;
        let is_new = only_new && put.as_ref().is_err_and(|error| *error.code() != S3ErrorCode::PreconditionFailed);
        match (&put, event) {
            (Ok(response), Some(event)) => {
                tokio::spawn(self.clone().send_event(event, size, response.output.e_tag.clone()));
            }
            (_, Some(event)) => event.remove(),
            _ => {}
        }
        match &put {
            // `s3s_fs` writes the file before it verifies the request.
            Err(error) if is_new || *error.code() == S3ErrorCode::BadDigest => {
                let input = DeleteObjectInput { bucket, key: name, ..Default::default() };
                let _ = self.0.files.delete_object(request(input)).await;
            }
            _ => {}
        }
        put
    }

    /// Sends the function the event of an object, which is pending until the function has handled it.
    async fn send_event(self, pending: PendingEvent, size: i64, tag: Option<ETag>) {
        let inner = &self.0;
        let tag = tag.map(|tag| tag.value().to_owned()).unwrap_or_default();
        let at = inner.faults.skewed(inner.clock.now());
        let event = events::object_created(&inner.bucket, &pending.key, size, &tag, at);
        if inner.pool.invoke_async(event).await {
            pending.remove();
        }
    }

    /// Sends the events that an earlier stack has left, if their objects exist.
    pub async fn send_again(self, events: Vec<PendingEvent>) {
        let send = |event: PendingEvent| async {
            let (bucket, key) = (self.0.bucket.clone(), file_name(event.key.clone()));
            let input = HeadObjectInput { bucket, key, ..Default::default() };
            match self.0.files.head_object(request(input)).await {
                Ok(head) => {
                    let size = head.output.content_length.unwrap_or_default();
                    self.clone().send_event(event, size, head.output.e_tag).await;
                }
                Err(error) if *error.code() == S3ErrorCode::NoSuchKey => event.remove(),
                Err(error) => tracing::warn!(%error, key = event.key, "failed to send an event again"),
            }
        };
        stream::iter(events).for_each_concurrent(SENT_AGAIN_AT_ONCE, send).await;
    }

    /// Deletes the object in a file of the bucket, with its metadata.
    pub async fn delete_file(&self, name: String) -> S3Result<()> {
        let input = DeleteObjectInput { bucket: self.0.bucket.clone(), key: name, ..Default::default() };
        self.0.files.delete_object(request(input)).await.map(drop)
    }
}

impl Inner {
    /// The event of an object that is about to be written, if its bucket sends events.
    fn note_event(&self, bucket: &str, key: &str) -> S3Result<Option<PendingEvent>> {
        if bucket != self.bucket {
            return Ok(None);
        }
        let event = self.pending.add(key);
        event.map(Some).map_err(|error| s3_error!(error, InternalError, "failed to note the object's event"))
    }

    /// # Errors
    /// The bucket does not exist.
    fn require_bucket(&self, bucket: &str) -> S3Result<()> {
        if self.root.join(bucket).is_dir() { Ok(()) } else { Err(s3_error!(NoSuchBucket)) }
    }

    /// # Errors
    /// The object is being written: it does not exist before it is complete.
    fn require_complete(&self, bucket: &str, key: &str) -> S3Result<()> {
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if writing.contains(&format!("{bucket}/{key}")) { Err(s3_error!(NoSuchKey)) } else { Ok(()) }
    }

    /// `None` if another request is writing the object.
    fn lock(&self, bucket: &str, key: &str) -> Option<WriteLock<'_>> {
        let key = format!("{bucket}/{key}");
        let is_free = self.writing.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        is_free.then(|| WriteLock { inner: self, key })
    }
}

/// The file name of a key.
fn file_name(key: String) -> String {
    if key.len() <= MAX_NAME_BYTES {
        return key;
    }
    Sha256::digest(&key).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A request of the stack itself.
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

/// Operations that `s3s_fs` handles unchanged.
macro_rules! delegate {
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
    /// Completes even if the client disconnects.
    async fn put_object(&self, req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let objects = self.clone();
        let put = tokio::spawn(async move { objects.put(req).await }).await;
        put.unwrap_or_else(|error| Err(s3_error!(error, InternalError, "failed to write the object")))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        self.0.require_bucket(&req.input.bucket)?;
        self.0.require_complete(&req.input.bucket, &req.input.key)?;
        let overrides = (req.input.response_content_type.clone(), req.input.response_content_disposition.clone());
        let got = self.0.files.get_object(req.map_input(|input| GetObjectInput { key: file_name(input.key), ..input }));
        let mut got = got.await?;
        let (content_type, disposition) = overrides;
        got.output.content_type = content_type.or(got.output.content_type);
        got.output.content_disposition = disposition.or(got.output.content_disposition);
        Ok(got)
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        self.0.require_bucket(&req.input.bucket)?;
        self.0.require_complete(&req.input.bucket, &req.input.key)?;
        self.0.files.head_object(req.map_input(|input| HeadObjectInput { key: file_name(input.key), ..input })).await
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.0.require_bucket(&req.input.bucket)?;
        let req = req.map_input(|input| DeleteObjectInput { key: file_name(input.key), ..input });
        self.0.files.delete_object(req).await
    }

    // Boxed by hand: `async_trait` does not transform functions that come from a macro.
    delegate! {
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
