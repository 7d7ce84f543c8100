//! The bucket, as tests reach it.

use aws_sdk_s3::Client;
use axum::body::Bytes;
use serde_json::{Value, json};
use switchboard::local::clients;

use super::{Answer, World, request};

impl World {
    /// A plain request to any address.
    pub async fn fetch(&self, method: &str, url: &str, headers: &[(&str, &str)], body: Bytes) -> Answer {
        // Every client counts for itself how long its body is.
        let headers: Vec<_> = headers.iter().copied().filter(|(name, _)| *name != "content-length").collect();
        request(method, url, &headers, &body).await
    }

    /// As somebody reaches the bucket who is not the function.
    pub fn s3(&self) -> Client {
        clients::s3(&self.urls().s3, self.access_key()).unwrap()
    }

    pub async fn puts_object(&self, bucket: &str, key: &str, bytes: &'static [u8]) {
        let put = self.s3().put_object().bucket(bucket).key(key).content_type("image/png");
        put.body(Bytes::from_static(bytes).into()).send().await.unwrap();
    }

    /// The keys of all objects.
    pub async fn objects(&self, bucket: &str) -> Vec<String> {
        let listed = self.s3().list_objects_v2().bucket(bucket).send().await.unwrap();
        listed.contents().iter().map(|object| object.key().unwrap().to_owned()).collect()
    }

    /// Lets S3 tell of an object once more.
    pub async fn tells_of_object(&self, bucket: &str, key: &str) {
        let encoded = form_urlencoded::byte_serialize(key.as_bytes()).collect::<String>();
        let object = json!({ "bucket": { "name": bucket }, "object": { "key": encoded, "size": 1 } });
        let record = json!({ "eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": object,
            "eventTime": "2026-11-21T11:33:07.000Z" });
        self.sends_event(json!({ "Records": [record] })).await;
    }

    /// Gives the function an event that nobody waits for.
    pub async fn sends_event(&self, event: Value) {
        self.stack().send_event(event).await;
    }

    /// Applies the rules of the bucket's lifecycle, as S3 does once a day.
    pub async fn ends_old_objects(&self) {
        self.stack().expire_objects().await;
    }

    pub async fn forgets_that_a_file_was_told(&self, file: &str) {
        use aws_sdk_dynamodb::types::AttributeValue;
        let update = self.dynamodb().update_item().table_name("Files");
        let update = update.key("fileId", AttributeValue::S(file.to_owned())).update_expression("REMOVE told");
        update.send().await.unwrap();
    }
}
