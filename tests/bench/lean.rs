//! A minimal function: it creates the same AWS clients with their default configuration and does nothing else. Its cold
//! start is the lower bound.

use aws_config::{BehaviorVersion, Region};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .http_client(switchboard::aws::transport::Transport::new(&[])?.for_sdk())
        .load()
        .await;
    let clients = (
        aws_sdk_dynamodb::Client::new(&aws),
        aws_sdk_s3::Client::new(&aws),
        aws_sdk_apigatewaymanagement::Client::new(&aws),
        aws_sdk_lambda::Client::new(&aws),
    );
    let clients = &clients;
    lambda_runtime::run(service_fn(move |_: LambdaEvent<Value>| async move {
        std::hint::black_box(clients);
        Ok::<_, lambda_runtime::Error>(())
    }))
    .await
}
