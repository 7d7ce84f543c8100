//! The clients of AWS services, and how their requests are signed and sent.

pub mod events;
pub mod jwt_crypto;
mod signing;
pub mod transport;

use std::time::{Duration, Instant};

use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_runtime::invocation_id::InvocationIdInterceptor;
use aws_runtime::request_info::RequestInfoInterceptor;
use aws_runtime::user_agent::UserAgentInterceptor;
use aws_sdk_s3::config::{Credentials, RequestChecksumCalculation, SharedCredentialsProvider};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, SharedInterceptor, disable_interceptor};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};

use crate::config::Config;

use events::EventBridge;
use signing::Signer;
use transport::Transport;

/// One client per service, created once: clients reuse connections.
pub struct Clients {
    pub dynamodb: aws_sdk_dynamodb::Client,
    pub s3: aws_sdk_s3::Client,
    pub connections: aws_sdk_apigatewaymanagement::Client,
    pub lambda: aws_sdk_lambda::Client,
    pub events: EventBridge,
    /// For the review function, which is waited for.
    pub review: aws_sdk_lambda::Client,
}

impl Clients {
    /// Creates the clients. Nothing is sent before the first request.
    ///
    /// # Errors
    /// There are no credentials.
    pub fn new(config: &Config, transport: &Transport) -> Result<Self, BoxError> {
        let aws = aws(config, transport)?;
        Ok(Self {
            dynamodb: dynamodb(&aws, config),
            s3: s3(&aws, config),
            connections: connections(&aws, config),
            lambda: lambda(&aws, config, timeouts(Duration::from_millis(500), Duration::from_secs(2))),
            review: lambda(&aws, config, timeout_of_review(config)),
            events: EventBridge::new(config, transport, credentials()?),
        })
    }
}

/// The settings of all clients. The SDK's own lookup of settings is bypassed: Lambda has the credentials in the
/// environment for as long as the process lives, and everything else is in our configuration.
fn aws(config: &Config, transport: &Transport) -> Result<SdkConfig, BoxError> {
    Ok(SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(config.region.clone()))
        .credentials_provider(SharedCredentialsProvider::new(credentials()?))
        // They are in memory already.
        .identity_cache(IdentityCache::no_cache())
        .http_client(transport.for_sdk())
        .retry_config(RetryConfig::standard().with_max_attempts(4).with_initial_backoff(Duration::from_millis(50)))
        // Lambda's clock is right.
        .disable_clock_skew_correction(true)
        // Each attempt has a timeout.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build())
}

/// # Errors
/// A variable is missing.
fn credentials() -> Result<Credentials, BoxError> {
    let variable = |name: &str| std::env::var(name).map_err(|error| format!("{name}: {error}"));
    let (id, secret) = (variable("AWS_ACCESS_KEY_ID")?, variable("AWS_SECRET_ACCESS_KEY")?);
    Ok(Credentials::new(id, secret, variable("AWS_SESSION_TOKEN").ok(), None, "environment"))
}

fn dynamodb(aws: &SdkConfig, config: &Config) -> aws_sdk_dynamodb::Client {
    let mut settings = aws_sdk_dynamodb::config::Builder::from(aws)
        .timeout_config(timeouts(Duration::from_secs(2), Duration::from_secs(7)))
        .push_auth_scheme(Signer::new("dynamodb", &config.region));
    settings.set_endpoint_url(config.dynamodb_endpoint.clone());
    settings.set_interceptors(each_request_logged());
    settings.push_interceptor(SharedInterceptor::new(StripTelemetryHeaders));
    aws_sdk_dynamodb::Client::from_conf(settings.build())
}

/// Checksums are sent only if a client gave one: a presigned request must not require other headers from a browser.
fn s3(aws: &SdkConfig, config: &Config) -> aws_sdk_s3::Client {
    let mut settings = aws_sdk_s3::config::Builder::from(aws)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .timeout_config(timeouts(Duration::from_secs(2), Duration::from_secs(7)));
    settings.set_endpoint_url(config.s3_endpoint.clone());
    settings.set_interceptors(each_request_logged());
    aws_sdk_s3::Client::from_conf(settings.build())
}

/// A post has two seconds including retries; after that the client catches up by `resume`.
fn connections(aws: &SdkConfig, config: &Config) -> aws_sdk_apigatewaymanagement::Client {
    let mut settings = aws_sdk_apigatewaymanagement::config::Builder::from(aws)
        .endpoint_url(&config.connections_endpoint)
        .timeout_config(timeouts(Duration::from_secs(2), Duration::from_secs(2)))
        .push_auth_scheme(Signer::new("execute-api", &config.region));
    settings.set_interceptors(each_request_logged());
    settings.push_interceptor(SharedInterceptor::new(StripTelemetryHeaders));
    aws_sdk_apigatewaymanagement::Client::from_conf(settings.build())
}

/// Lambda accepts or refuses an asynchronous event within milliseconds; a function that is waited for has its own time.
fn lambda(aws: &SdkConfig, config: &Config, timeouts: TimeoutConfig) -> aws_sdk_lambda::Client {
    let mut settings = aws_sdk_lambda::config::Builder::from(aws).timeout_config(timeouts);
    settings.set_endpoint_url(config.lambda_endpoint.clone());
    settings.set_interceptors(each_request_logged());
    aws_sdk_lambda::Client::from_conf(settings.build())
}

fn timeout_of_review(config: &Config) -> TimeoutConfig {
    let timeout = config.review.as_ref().map_or(Duration::from_millis(500), |review| review.timeout);
    timeouts(timeout, timeout)
}

fn timeouts(attempt: Duration, operation: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().operation_attempt_timeout(attempt).operation_timeout(operation).build()
}

/// Removes the telemetry headers, which would be computed and signed for each request.
#[derive(Debug)]
struct StripTelemetryHeaders;

impl Intercept for StripTelemetryHeaders {
    fn name(&self) -> &'static str {
        "StripTelemetryHeaders"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        settings: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        const WHY: &str = "telemetry";
        let state = settings.interceptor_state();
        state.store_put(disable_interceptor::<UserAgentInterceptor>(WHY));
        state.store_put(disable_interceptor::<InvocationIdInterceptor>(WHY));
        state.store_put(disable_interceptor::<RequestInfoInterceptor>(WHY));
        Ok(())
    }
}

/// The interceptor that logs requests, at the level `debug` only.
fn each_request_logged() -> Option<SharedInterceptor> {
    tracing::enabled!(tracing::Level::DEBUG).then(|| SharedInterceptor::new(RequestLog))
}

/// Logs each request to AWS including retries, without its address, which may be presigned, and its content.
#[derive(Debug)]
struct RequestLog;

/// When an attempt began.
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
        // Presigning sends nothing.
        if let (Some(_), Some(begun)) = (context.output_or_error(), settings.load::<Begun>()) {
            let about = settings.load::<Metadata>();
            tracing::debug!(
                service = about.map(Metadata::service),
                operation = about.map(Metadata::name),
                status = context.response().map(|answer| answer.status().as_u16()),
                duration_ms = begun.0.elapsed().as_millis() as u64,
                "aws request"
            );
        }
        Ok(())
    }
}
