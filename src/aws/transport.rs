//! The HTTP client for AWS and for issuers of tokens: HTTP/1.1 with keep-alive, and TLS for `https` addresses.
//!
//! The SDK's own client also supports HTTP/2 and proxies and reads the system's certificates at every cold start: half
//! a megabyte, and most of the time to the first event.

use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connection::{CaptureSmithyConnection, ConnectionMetadata};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use http::StatusCode;
use http::header::ACCEPT;
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{self, CaptureConnection, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

/// Connect timeout.
const CONNECTING: Duration = Duration::from_secs(1);

/// HTTP and TLS for all that the function asks. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Transport(Client<HttpsConnector<connect::HttpConnector>, SdkBody>);

/// A document could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("invalid URL")]
    Url(#[from] http::Error),
    #[error("connection failed")]
    Connection(#[source] BoxError),
    #[error("answer with status {0}")]
    Status(u16),
    #[error("no complete answer of at most {most_bytes} bytes")]
    Body { most_bytes: usize, source: BoxError },
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

impl Transport {
    /// Trusts `authorities`, or Mozilla's root store if there are none.
    ///
    /// # Errors
    /// The TLS library supports no protocol version.
    pub fn new(authorities: &[CertificateDer<'static>]) -> Result<Self, rustls::Error> {
        let mut tcp = connect::HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECTING));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(authorities)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Self(Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector)))
    }

    /// The HTTP client of the SDKs.
    pub fn for_sdk(&self) -> SharedHttpClient {
        let connector = SharedHttpConnector::new(self.clone());
        http_client_fn(move |_, _| connector.clone())
    }

    /// Fetches a document of at most `most_bytes` within `timeout`. Redirects are not followed.
    ///
    /// # Errors
    /// It is not there, is larger, or takes longer.
    pub async fn get(&self, url: &str, most_bytes: usize, timeout: Duration) -> Result<Vec<u8>, FetchError> {
        let request = http::Request::get(url).header(ACCEPT, "application/json").body(SdkBody::empty())?;
        let answer = async {
            let answer = self.0.request(request).await.map_err(|error| FetchError::Connection(error.into()))?;
            if answer.status() != StatusCode::OK {
                return Err(FetchError::Status(answer.status().as_u16()));
            }
            let body = Limited::new(answer.into_body(), most_bytes).collect().await;
            Ok(body.map_err(|source| FetchError::Body { most_bytes, source })?.to_bytes().into())
        };
        tokio::time::timeout(timeout, answer).await.map_err(|_| FetchError::Timeout(timeout))?
    }
}

fn tls(authorities: &[CertificateDer<'static>]) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities.iter().cloned());
    if authorities.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

impl HttpConnector for Transport {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into()))),
        };
        if let Some(asked) = request.extensions().get::<CaptureSmithyConnection>().cloned() {
            let captured = capture_connection(&mut request);
            asked.set_connection_retriever(move || Some(metadata(captured.clone())));
        }
        let answer = self.0.request(request);
        HttpConnectorFuture::new(async move {
            // A network error may be transient.
            let answer = answer.await.map_err(|error| ConnectorError::io(error.into()))?;
            HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// Lets the SDK close the connection after an attempt that failed with a 5xx, a timeout or a broken socket, so that the
/// next attempt takes another one. Without this the SDK logs an error and reuses the connection.
fn metadata(captured: CaptureConnection) -> ConnectionMetadata {
    let close = move || {
        // If connecting failed, there is nothing to close.
        if let Some(connection) = captured.connection_metadata().as_ref() {
            connection.poison();
        }
    };
    ConnectionMetadata::builder().proxied(false).poison_fn(close).build()
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use aws_config::retry::RetryConfig;
    use aws_config::timeout::TimeoutConfig;
    use aws_config::{BehaviorVersion, Region};
    use aws_sdk_dynamodb::config::Credentials;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tracing::{Event, Level, Subscriber};
    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::{Context, SubscriberExt};

    use super::*;

    /// Remembers what was logged as an error.
    #[derive(Clone, Default)]
    struct Errors(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Errors {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            if *event.metadata().level() == Level::ERROR {
                self.0.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{event:?}"));
            }
        }
    }

    /// Lists tables on an endpoint; gives whether that went well in the end, and the errors that were logged.
    async fn list_tables(endpoint: &str) -> (bool, Vec<String>) {
        let errors = Errors::default();
        let subscriber = tracing_subscriber::registry().with(errors.clone());
        let _guard = tracing::subscriber::set_default(subscriber);
        let settings = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::for_tests())
            .http_client(Transport::new(&[]).unwrap().for_sdk())
            .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(1)))
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(Duration::from_millis(300)).build())
            .endpoint_url(endpoint)
            .build();
        let listed = aws_sdk_dynamodb::Client::from_conf(settings).list_tables().send().await;
        let logged = errors.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (listed.is_ok(), logged)
    }

    const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}";
    const LISTED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"TableNames\":[]}";
    /// The request times out.
    const NONE: &str = "";

    /// Gives each request the next of `answers`. Returns the connection's number of each request so far.
    fn serve(listener: TcpListener, answers: [&'static str; 2]) -> Arc<Mutex<Vec<usize>>> {
        let requests: Arc<Mutex<Vec<usize>>> = Arc::default();
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            for number in 0.. {
                let (mut socket, _) = listener.accept().await.unwrap();
                let seen = Arc::clone(&seen);
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    // The body of ListTables is `{}`.
                    while socket.read_buf(&mut request).await.is_ok_and(|bytes| bytes > 0) {
                        if !request.ends_with(b"\r\n\r\n{}") {
                            continue;
                        }
                        request.clear();
                        let count = {
                            let mut seen = seen.lock().unwrap();
                            seen.push(number);
                            seen.len()
                        };
                        socket.write_all(answers[count - 1].as_bytes()).await.unwrap();
                    }
                });
            }
        });
        requests
    }

    #[tokio::test]
    async fn a_connection_is_not_reused_after_a_failed_attempt() {
        for answers in [[UNAVAILABLE, LISTED], [NONE, LISTED]] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let endpoint = format!("http://{}", listener.local_addr().unwrap());
            let requests = serve(listener, answers);

            let (succeeded, errors) = list_tables(&endpoint).await;

            assert!(succeeded);
            assert_eq!(errors, Vec::<String>::new());
            assert_eq!(*requests.lock().unwrap(), [0, 1]);
        }
    }
}
