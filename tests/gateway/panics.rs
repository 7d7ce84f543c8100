//! A function made with `lambda_runtime`, as ours is: it panics when it is told to, and answers with the id of its process
//! otherwise.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| {
        assert_ne!(event.payload["body"], "panic", "as it was told to");
        Ok::<_, Error>(json!({ "statusCode": 200, "body": std::process::id().to_string() }))
    }))
    .await
}
