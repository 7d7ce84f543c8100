//! What every handler is given.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, SharedInterceptor};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};

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
        let delivery =
            Delivery::new(connections(&aws, &config), store.clone(), lambda(&aws), config.function_name.clone());
        let files = Files::new(s3(&aws), &config.uploads);
        Self { config, store, files, delivery }
    }
}

fn dynamodb(aws: &SdkConfig) -> aws_sdk_dynamodb::Client {
    let mut settings = aws_sdk_dynamodb::config::Builder::from(aws)
        .retry_config(RetryConfig::standard().with_max_attempts(4).with_initial_backoff(Duration::from_millis(50)))
        .timeout_config(timeouts(Duration::from_secs(2), Duration::from_secs(7)));
    settings.set_interceptors(each_request_logged());
    aws_sdk_dynamodb::Client::from_conf(settings.build())
}

/// Checksums are sent only where a client gave one: what is signed for a browser must be all that it has to send.
fn s3(aws: &SdkConfig) -> aws_sdk_s3::Client {
    let mut settings = aws_sdk_s3::config::Builder::from(aws)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .retry_config(RetryConfig::standard().with_max_attempts(4).with_initial_backoff(Duration::from_millis(50)))
        .timeout_config(timeouts(Duration::from_secs(2), Duration::from_secs(7)));
    settings.set_interceptors(each_request_logged());
    aws_sdk_s3::Client::from_conf(settings.build())
}

/// A post that has not gone through in two seconds, tries and all, is left to the client's catch-up.
fn connections(aws: &SdkConfig, config: &Config) -> aws_sdk_apigatewaymanagement::Client {
    let mut settings = aws_sdk_apigatewaymanagement::config::Builder::from(aws)
        .endpoint_url(&config.connections_endpoint)
        .retry_config(RetryConfig::standard().with_max_attempts(4).with_initial_backoff(Duration::from_millis(50)))
        .timeout_config(timeouts(Duration::from_secs(2), Duration::from_secs(2)));
    settings.set_interceptors(each_request_logged());
    aws_sdk_apigatewaymanagement::Client::from_conf(settings.build())
}

/// Lambda takes an event in milliseconds, or says at once that it does not.
fn lambda(aws: &SdkConfig) -> aws_sdk_lambda::Client {
    let mut settings = aws_sdk_lambda::config::Builder::from(aws)
        .retry_config(RetryConfig::standard().with_max_attempts(4).with_initial_backoff(Duration::from_millis(50)))
        .timeout_config(timeouts(Duration::from_secs(2), Duration::from_secs(2)));
    settings.set_interceptors(each_request_logged());
    aws_sdk_lambda::Client::from_conf(settings.build())
}

fn timeouts(attempt: Duration, operation: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(attempt)
        .operation_timeout(operation)
        .build()
}

/// Where debugging is asked for. Elsewhere the clients do not even ask.
fn each_request_logged() -> Option<SharedInterceptor> {
    tracing::enabled!(tracing::Level::DEBUG).then(|| SharedInterceptor::new(RequestLog))
}

/// Tells of each request to AWS, tries of the same one included. Neither its address, which may be signed, nor what is
/// in it.
#[derive(Debug)]
struct RequestLog;

/// When a request was begun.
#[derive(Debug)]
struct Begun(Instant);

impl Storable for Begun {
    type Storer = StoreReplace<Self>;
}

impl Intercept for RequestLog {
    fn name(&self) -> &'static str {
        "RequestLog"
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        settings: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        settings.interceptor_state().store_put(Begun(Instant::now()));
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        settings: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // What is only signed comes to no end.
        if let (Some(_), Some(begun)) = (context.output_or_error(), settings.load::<Begun>()) {
            let about = settings.load::<Metadata>();
            tracing::debug!(
                service = about.map(Metadata::service),
                operation = about.map(Metadata::name),
                status = context.response().map(|answer| answer.status().as_u16()),
                duration_ms = begun.0.elapsed().as_millis() as u64,
                "AWS was asked"
            );
        }
        Ok(())
    }
}
