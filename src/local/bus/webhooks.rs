//! Webhooks: each event is sent to each URL, signed, and again until it is taken.
//!
//! Source: the Standard Webhooks specification 1.0, <https://www.standardwebhooks.com>.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::Uri;
use ring::hmac::{self, HMAC_SHA256};
use serde_json::Value;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::aws::transport::Transport;

/// How long a webhook may take to answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Before the second attempt; it doubles from one attempt to the next.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
/// The longest wait between two attempts.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// After so many attempts, in about ten minutes, an event is given up.
const ATTEMPTS: u32 = 16;
/// Deliveries that are under way at once.
const AT_ONCE: usize = 16;
/// The beginning of a secret.
const PREFIX: &str = "whsec_";

/// The secret that signs deliveries: `whsec_` and 24 to 64 bytes in Base64.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// A new secret.
    pub fn random() -> Self {
        let halves = [Uuid::new_v4(), Uuid::new_v4()];
        Self(halves.iter().flat_map(|half| half.as_bytes().to_vec()).collect())
    }

    /// The secret as receivers enter it.
    pub fn to_text(&self) -> String {
        format!("{PREFIX}{}", BASE64_STANDARD.encode(&self.0))
    }

    /// The header `webhook-signature` of a delivery.
    pub fn sign(&self, id: &str, timestamp: u64, body: &str) -> String {
        let key = hmac::Key::new(HMAC_SHA256, &self.0);
        let signature = hmac::sign(&key, format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", BASE64_STANDARD.encode(signature))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = text.strip_prefix(PREFIX).and_then(|encoded| BASE64_STANDARD.decode(encoded).ok());
        let secret = bytes.filter(|bytes| (24..=64).contains(&bytes.len()));
        secret.map(Self).ok_or_else(|| format!("must be {PREFIX} and 24 to 64 bytes in Base64"))
    }
}

/// The webhooks of a bus.
pub struct Webhooks {
    urls: Vec<String>,
    secret: Secret,
    transport: Transport,
    running: Arc<Semaphore>,
}

impl Webhooks {
    /// # Errors
    /// One of them is not an `http` or `https` URL, or the client cannot be made.
    pub fn new(urls: &[String], secret: &Secret) -> Result<Self, String> {
        for url in urls {
            let is_url = url.parse::<Uri>().is_ok_and(|uri| {
                uri.host().is_some_and(|host| !host.is_empty()) && matches!(uri.scheme_str(), Some("http" | "https"))
            });
            if !is_url {
                return Err(format!("{url} is not an http or https URL"));
            }
        }
        let transport = Transport::new(&[]).map_err(|error| error.to_string())?;
        Ok(Self { urls: urls.to_vec(), secret: secret.clone(), transport, running: Arc::new(Semaphore::new(AT_ONCE)) })
    }

    /// Sends an event to all of them, in the background. Those that come later may arrive sooner.
    pub fn deliver(&self, detail: &Value, body: String) {
        let body = Arc::new(body);
        for url in &self.urls {
            let delivery = Delivery {
                id: detail["id"].as_str().unwrap_or_default().to_owned(),
                url: url.clone(),
                body: Arc::clone(&body),
                secret: self.secret.clone(),
                transport: self.transport.clone(),
            };
            let running = Arc::clone(&self.running);
            tokio::spawn(async move { delivery.run(&running).await });
        }
    }
}

/// An event on its way to a webhook.
struct Delivery {
    id: String,
    url: String,
    body: Arc<String>,
    secret: Secret,
    transport: Transport,
}

impl Delivery {
    async fn run(self, running: &Semaphore) {
        let mut backoff = FIRST_BACKOFF;
        for attempt in 1..=ATTEMPTS {
            let outcome = {
                let _permit = running.acquire().await;
                tokio::time::timeout(TIMEOUT, self.attempt()).await.unwrap_or(Err("no answer".to_owned()))
            };
            let Err(problem) = outcome else { return };
            if attempt == ATTEMPTS {
                tracing::error!(url = self.url, event_id = self.id, problem, "a webhook did not take an event");
                return;
            }
            tracing::warn!(url = self.url, event_id = self.id, problem, "a webhook will get an event again");
            tokio::time::sleep(backoff.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
    }

    /// # Errors
    /// Why the webhook did not take it: any status but 2xx.
    async fn attempt(&self) -> Result<(), String> {
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let signature = self.secret.sign(&self.id, timestamp, &self.body);
        let mut request = HttpRequest::new(SdkBody::from(self.body.as_str()));
        request.set_method("POST").map_err(|error| error.to_string())?;
        request.set_uri(self.url.as_str()).map_err(|error| error.to_string())?;
        for (name, value) in [
            ("content-type", "application/json".to_owned()),
            ("webhook-id", self.id.clone()),
            ("webhook-timestamp", timestamp.to_string()),
            ("webhook-signature", signature),
        ] {
            request.headers_mut().try_insert(name, value).map_err(|error| error.to_string())?;
        }
        let answer = self.transport.call(request).await.map_err(|error| error.to_string())?;
        if answer.status().is_success() { Ok(()) } else { Err(format!("status {}", answer.status().as_u16())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference implementations.
    #[test]
    fn signatures_are_those_of_standard_webhooks() {
        let secret: Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_read_as_it_is_shown() {
        let secret = Secret::random();
        let read: Secret = secret.to_text().parse().unwrap();
        assert_eq!(read.0, secret.0);
        for wrong in ["", "whsec_", "whsec_!", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            assert!(wrong.parse::<Secret>().is_err(), "{wrong}");
        }
    }
}
