//! AWS clients for the stack itself, for tests and for tools.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};

use super::{AccessKey, REGION};
use crate::aws::transport::Transport;

/// A client of the DynamoDB at this URL.
///
/// # Errors
/// As [`Transport::new`].
pub fn dynamodb(url: &str, key: &AccessKey) -> Result<aws_sdk_dynamodb::Client, rustls::Error> {
    Ok(aws_sdk_dynamodb::Client::new(&settings(url, key)?))
}

/// A client of the S3 at this URL.
///
/// # Errors
/// As [`Transport::new`].
pub fn s3(url: &str, key: &AccessKey) -> Result<aws_sdk_s3::Client, rustls::Error> {
    Ok(aws_sdk_s3::Client::new(&settings(url, key)?))
}

/// A client of `@connections` at this URL, without retries: callers see every error.
///
/// # Errors
/// As [`Transport::new`].
pub fn connections(url: &str, key: &AccessKey) -> Result<aws_sdk_apigatewaymanagement::Client, rustls::Error> {
    let settings = settings(url, key)?.into_builder().retry_config(RetryConfig::disabled()).build();
    Ok(aws_sdk_apigatewaymanagement::Client::new(&settings))
}

fn settings(url: &str, key: &AccessKey) -> Result<SdkConfig, rustls::Error> {
    let credentials = Credentials::new(&*key.id, &*key.secret, None, None, "local");
    Ok(SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(Transport::new(&[])?.for_sdk())
        .endpoint_url(url)
        .region(Region::new(REGION))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(RetryConfig::standard())
        .timeout_config(TimeoutConfig::builder().operation_timeout(Duration::from_secs(30)).build())
        .build())
}
