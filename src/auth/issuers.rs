//! The listed issuers and their keys, which are fetched at first need.
//!
//! Keys are kept for an hour. While the issuer is down, they are used for up to a day. A key that is not known may be a
//! new one, so it is asked for, at most once a minute. Every process of the function has its own keys. Only addresses
//! of the configuration and of the issuer's own discovery document are asked, never one that a token names.

use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Mutex;

use super::keys::{KeySet, PublicKey};
use super::members::Members;
use super::token::{INVALID, Token};
use crate::aws::transport::Transport;
use crate::config::issuers::require_secure_url;
use crate::config::{self, Algorithm, Auth, ClaimNames};
use crate::domain::Timestamp;
use crate::error::{BoxError, Error, chain};

/// How long keys are used without asking again.
const FRESH_MS: i64 = 3_600_000;
/// How long keys are used while the issuer is down.
const STALE_MS: i64 = 86_400_000;
/// Pause between two requests for an unknown key, and between two attempts to renew keys.
const PAUSE_MS: i64 = 60_000;
/// Pause after a failed attempt without which nobody of the issuer can sign in.
const PAUSE_WITHOUT_KEYS_MS: i64 = 5_000;
/// Limits of a document of an issuer.
const MAX_DOCUMENT_BYTES: usize = 64 * 1024;
const FETCH_TIMEOUT: Duration = Duration::from_secs(3);

/// The listed issuers.
pub struct Issuers(Vec<Issuer>);

struct Issuer {
    rules: config::Issuer,
    transport: Transport,
    /// Who waits for it while it is fetched shares that fetch.
    cache: Mutex<Cache>,
}

/// The keys of an issuer, and when it was asked.
#[derive(Default)]
struct Cache {
    keys: KeySet,
    fetched_at: Option<Timestamp>,
    /// When the last attempt failed, if it did, and why.
    failed: Option<(Timestamp, String)>,
    /// When a key was last asked for that was unknown.
    asked_at: Option<Timestamp>,
}

/// What is read of a discovery document (OpenID Connect Discovery 1.0, section 3).
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Issuers {
    /// The issuers of the configuration. Nothing is sent before the first token.
    pub fn new(auth: &Auth, transport: &Transport) -> Self {
        let listed = match auth {
            Auth::Jwt(rules) => rules.issuers.as_slice(),
            Auth::Open => &[],
        };
        let issuer = |rules: &config::Issuer| Issuer {
            rules: rules.clone(),
            transport: transport.clone(),
            cache: Mutex::default(),
        };
        Self(listed.iter().map(issuer).collect())
    }

    /// The claims of a token that a listed issuer has signed for us, and the names of those that matter.
    ///
    /// # Errors
    /// `UNAUTHORIZED` if its signature, issuer, algorithm or audience does not match; `UNAVAILABLE` without keys.
    pub async fn verify(
        &self,
        token: &Token<'_>,
        algorithm: Algorithm,
        now: Timestamp,
    ) -> Result<(&ClaimNames, Members), Error> {
        let claims = token.claims()?;
        let named = claims.text("iss")?;
        let issuer = self.0.iter().find(|issuer| named == Some(&issuer.rules.issuer)).ok_or(INVALID)?;
        if !issuer.accepts(&claims, algorithm) {
            return Err(INVALID);
        }
        let key = issuer.key(token.key_id.as_deref(), algorithm, now).await?;
        if key.has_signed(token) { Ok((&issuer.rules.claims, claims)) } else { Err(INVALID) }
    }
}

impl Issuer {
    /// Whether a token was issued for us.
    fn accepts(&self, claims: &Members, algorithm: Algorithm) -> bool {
        let config::Issuer { audiences, client_ids, parties, algorithms, .. } = &self.rules;
        let matches = |name, accepted: &[String]| accepted.is_empty() || claims.has_one_of(name, accepted);
        algorithms.contains(&algorithm)
            && matches("aud", audiences)
            && matches("client_id", client_ids)
            && matches("azp", parties)
    }

    /// The key that a token should be signed with.
    async fn key(&self, id: Option<&str>, algorithm: Algorithm, now: Timestamp) -> Result<PublicKey, Error> {
        let mut cache = self.cache.lock().await;
        let known = cache.find(id, algorithm, now);
        if cache.is_due(known.is_some(), now) {
            self.renew(&mut cache, known.is_some(), now).await;
        }
        cache.find(id, algorithm, now).ok_or_else(|| match &cache.failed {
            Some((_, problem)) => Error::Unavailable(problem.clone().into()),
            None => INVALID,
        })
    }

    /// Fetches the keys. If that fails, those from before are kept.
    async fn renew(&self, cache: &mut Cache, is_known: bool, now: Timestamp) {
        match self.fetch().await {
            Ok(keys) => {
                cache.keys = keys;
                cache.fetched_at = Some(now);
                cache.failed = None;
            }
            Err(error) => {
                let issuer = self.rules.issuer.as_str();
                let problem = chain(error.as_ref());
                // Without a key, the request fails with the same words.
                if is_known {
                    tracing::warn!(issuer, error = problem, "the keys of an issuer are not renewed");
                }
                cache.failed = Some((now, format!("the keys of {issuer}: {problem}")));
            }
        }
    }

    async fn fetch(&self) -> Result<KeySet, BoxError> {
        let url = match &self.rules.jwks_url {
            Some(url) => url.clone(),
            None => self.discover().await?,
        };
        Ok(KeySet::parse(&self.get(&url).await?)?)
    }

    /// The address of the keys, by the issuer's discovery document.
    async fn discover(&self) -> Result<String, BoxError> {
        let issuer = &self.rules.issuer;
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let found: Discovery = serde_json::from_slice(&self.get(&url).await?)?;
        if found.issuer != *issuer {
            return Err("the discovery document is of another issuer".into());
        }
        require_secure_url(&found.jwks_uri)?;
        Ok(found.jwks_uri)
    }

    async fn get(&self, url: &str) -> Result<Vec<u8>, BoxError> {
        Ok(self.transport.get(url, MAX_DOCUMENT_BYTES, FETCH_TIMEOUT).await?)
    }
}

impl Cache {
    fn age_ms(&self, now: Timestamp) -> Option<i64> {
        self.fetched_at.map(|at| now.millis_since(at)).filter(|age| *age < STALE_MS)
    }

    fn find(&self, id: Option<&str>, algorithm: Algorithm, now: Timestamp) -> Option<PublicKey> {
        self.age_ms(now)?;
        self.keys.find(id, algorithm).cloned()
    }

    /// Whether to ask the issuer for its keys.
    fn is_due(&mut self, is_known: bool, now: Timestamp) -> bool {
        let has_paused = |at: Option<Timestamp>, pause| at.is_none_or(|at| now.millis_since(at) >= pause);
        let failed_at = self.failed.as_ref().map(|(at, _)| *at);
        match self.age_ms(now) {
            None => has_paused(failed_at, PAUSE_WITHOUT_KEYS_MS),
            Some(age) if is_known => age >= FRESH_MS && has_paused(failed_at, PAUSE_MS),
            Some(_) => {
                let is_due = has_paused(self.asked_at, PAUSE_MS);
                if is_due {
                    self.asked_at = Some(now);
                }
                is_due
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const KEYS: &str =
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY"}]}"#;

    /// A server with keys, and how often they were fetched.
    async fn served() -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    socket.read_buf(&mut request).await.unwrap();
                }
                counted.fetch_add(1, Ordering::Relaxed);
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{KEYS}", KEYS.len());
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (url, count)
    }

    fn issuer(url: &str) -> Issuer {
        let list = format!(r#"[{{"issuer":"{url}","jwksUrl":"{url}","audience":"a","algorithms":"EdDSA"}}]"#);
        let rules = config::issuers::parse(&list).unwrap().remove(0);
        Issuer { rules, transport: Transport::new(&[]).unwrap(), cache: Mutex::default() }
    }

    const fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + seconds * 1_000)
    }

    #[tokio::test]
    async fn concurrent_requests_share_one_fetch() {
        let (url, count) = served().await;
        let issuer = issuer(&url);
        let keys = join_all((0..20).map(|_| issuer.key(Some("a"), Algorithm::EdDsa, at(0)))).await;
        assert!(keys.iter().all(Result::is_ok));
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn keys_are_fetched_again_after_an_hour_and_for_an_unknown_key_once_a_minute() {
        let (url, count) = served().await;
        let issuer = issuer(&url);
        for (seconds, id, status, fetches) in [
            (0, "a", 200, 1),
            (1, "b", 401, 2),
            (2, "c", 401, 2),
            (60, "b", 401, 2),
            (61, "b", 401, 3),
            (62, "a", 200, 3),
            (3_660, "a", 200, 3),
            (3_661, "a", 200, 4),
            // A clock that goes back changes nothing.
            (0, "a", 200, 4),
            (0, "b", 401, 4),
        ] {
            let key = issuer.key(Some(id), Algorithm::EdDsa, at(seconds)).await;
            assert_eq!(key.map_or_else(|error| error.status(), |_| 200), status, "{id} at {seconds} s");
            assert_eq!(count.load(Ordering::Relaxed), fetches, "{id} at {seconds} s");
        }
    }

    #[tokio::test]
    async fn an_issuer_without_keys_is_asked_again_after_five_seconds() {
        let issuer = issuer("http://127.0.0.1:1");
        let statuses = [0, 4, 5].map(|seconds| (seconds, issuer.key(Some("a"), Algorithm::EdDsa, at(seconds))));
        for (seconds, key) in statuses {
            let error = key.await.unwrap_err();
            assert_eq!((error.status(), error.code()), (503, "UNAVAILABLE"));
            let failed_at = issuer.cache.lock().await.failed.as_ref().map(|(at, _)| *at);
            assert_eq!(failed_at, Some(at(if seconds < 5 { 0 } else { 5 })));
        }
    }
}
