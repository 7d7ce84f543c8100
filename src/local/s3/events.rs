//! The events that the bucket sends to the function.
//!
//! Source: S3 user guide, "Event message structure".

use serde_json::{Value, json};
use uuid::Uuid;

use crate::domain::Timestamp;
use crate::local::REGION;

/// `ObjectCreated:Put`, with the key form-encoded as in S3's events.
pub fn object_created(bucket: &str, key: &str, size: i64, tag: &str, at: Timestamp) -> Value {
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
