//! What every handler is given.

use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};

use aws_sdk_s3::config::RequestChecksumCalculation;

use crate::config::Config;
use crate::delivery::Delivery;
use crate::files::Files;
use crate::store::Store;

/// Made once for the life of the function's environment, so that connections to AWS are reused.
pub struct App {
    pub config: Arc<Config>,
    pub store: Store,
    pub files: Files,
    pub delivery: Delivery,
}

impl App {
    /// Makes the clients. Nothing is sent before the first request.
    pub async fn new(config: Config) -> Self {
        let config = Arc::new(config);
        let aws = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(Region::new(config.region.clone()))
            .load()
            .await;
        let store = Store::new(dynamodb(&aws), Arc::clone(&config));
        let delivery = Delivery::new(connections(&aws, &config), store.clone());
        let files = Files::new(s3(&aws), &config.uploads);
        Self { config, store, files, delivery }
    }
}

fn dynamodb(aws: &SdkConfig) -> aws_sdk_dynamodb::Client {
    let settings = aws_sdk_dynamodb::config::Builder::from(aws)
        .retry_config(RetryConfig::standard().with_max_attempts(4).with_initial_backoff(Duration::from_millis(50)))
        .timeout_config(timeouts(Duration::from_secs(2), Duration::from_secs(7)))
        .build();
    aws_sdk_dynamodb::Client::from_conf(settings)
}

/// Checksums are sent only where a client gave one: what is signed for a browser must be all that it has to send.
fn s3(aws: &SdkConfig) -> aws_sdk_s3::Client {
    let settings = aws_sdk_s3::config::Builder::from(aws)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .retry_config(RetryConfig::standard().with_max_attempts(4).with_initial_backoff(Duration::from_millis(50)))
        .timeout_config(timeouts(Duration::from_secs(2), Duration::from_secs(7)))
        .build();
    aws_sdk_s3::Client::from_conf(settings)
}

/// A post that has not gone through in two seconds, tries and all, is left to the client's catch-up.
fn connections(aws: &SdkConfig, config: &Config) -> aws_sdk_apigatewaymanagement::Client {
    let settings = aws_sdk_apigatewaymanagement::config::Builder::from(aws)
        .endpoint_url(&config.connections_endpoint)
        .retry_config(RetryConfig::standard().with_max_attempts(4).with_initial_backoff(Duration::from_millis(50)))
        .timeout_config(timeouts(Duration::from_secs(2), Duration::from_secs(2)))
        .build();
    aws_sdk_apigatewaymanagement::Client::from_conf(settings)
}

fn timeouts(attempt: Duration, operation: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(attempt)
        .operation_timeout(operation)
        .build()
}
