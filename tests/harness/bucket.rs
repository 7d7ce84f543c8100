//! The S3 bucket, from the side of tests.

use aws_sdk_s3::Client;
use axum::body::Bytes;
use serde_json::{Value, json};
use switchboard::local::clients;

use super::{Answer, World, request};

impl World {
    /// An HTTP request to any URL, without validation.
    pub async fn fetch(&self, method: &str, url: &str, headers: &[(&str, &str)], body: Bytes) -> Answer {
        // The client sets content-length itself.
        let headers: Vec<_> = headers.iter().copied().filter(|(name, _)| *name != "content-length").collect();
        request(method, url, &headers, &body).await
    }

    /// An S3 client that is independent of the function.
    pub fn s3(&self) -> Client {
        clients::s3(&self.urls().s3, self.access_key()).unwrap()
    }

    pub async fn puts_object(&self, bucket: &str, key: &str, bytes: &'static [u8]) {
        let put = self.s3().put_object().bucket(bucket).key(key).content_type("text/plain");
        put.body(Bytes::from_static(bytes).into()).send().await.unwrap();
    }

    /// The keys of all objects.
    pub async fn objects(&self, bucket: &str) -> Vec<String> {
        let listed = self.s3().list_objects_v2().bucket(bucket).send().await.unwrap();
        listed.contents().iter().map(|object| object.key().unwrap().to_owned()).collect()
    }

    /// Sends the event of an object again, as S3 may.
    pub async fn repeats_object_event(&self, bucket: &str, key: &str) {
        let encoded = form_urlencoded::byte_serialize(key.as_bytes()).collect::<String>();
        let object = json!({ "bucket": { "name": bucket }, "object": { "key": encoded, "size": 1 } });
        let record = json!({ "eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": object,
            "eventTime": "2026-11-21T11:33:07.000Z" });
        self.sends_event(json!({ "Records": [record] })).await;
    }

    /// Invokes the function asynchronously.
    pub async fn sends_event(&self, event: Value) {
        self.stack().send_event(event).await;
    }

    /// Applies the bucket's lifecycle rules, as S3 does once a day.
    pub async fn applies_lifecycle(&self) {
        self.stack().expire_objects().await;
    }

    pub async fn marks_file_unannounced(&self, file: &str) {
        use aws_sdk_dynamodb::types::AttributeValue;
        let update = self.dynamodb().update_item().table_name("Files");
        let update = update.key("fileId", AttributeValue::S(file.to_owned())).update_expression("REMOVE told");
        update.send().await.unwrap();
    }
}
