//! A small identity provider for trying out `JWT_ISSUERS`: discovery, keys, and tokens for whoever asks. Its keys are
//! new at each start. They can be rotated, and it can go down.

mod keys;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::Clock;
use super::guard::{self, Guard};
use crate::error::BoxError;
pub use keys::{ALGORITHMS, SigningKey};

/// Whom the tokens are for.
pub const AUDIENCE: &str = "switchboard";
/// The lifetime of a token that asks for none.
const LIFETIME_SECONDS: i64 = 3_600;

/// The issuer, for tests.
#[derive(Clone)]
pub struct Issuer {
    url: String,
    clock: Clock,
    state: Arc<Mutex<IssuerState>>,
}

#[derive(Default)]
struct IssuerState {
    /// The keys that sign, one for each algorithm.
    current: Vec<Arc<SigningKey>>,
    /// Those that signed before the last rotation: still published, so that their tokens are valid until they expire.
    previous: Vec<Arc<SigningKey>>,
    is_down: bool,
    /// How often the keys were asked for.
    requests: usize,
}

impl Issuer {
    /// An issuer at this address.
    ///
    /// # Errors
    /// No keys can be made.
    pub fn new(url: &str, clock: Clock) -> Result<Self, BoxError> {
        let issuer = Self { url: url.to_owned(), clock, state: Arc::default() };
        issuer.rotate()?;
        Ok(issuer)
    }

    /// Serves requests until the task is aborted.
    pub fn serve(&self, listener: TcpListener, guard: Guard) -> JoinHandle<()> {
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks.json", get(published))
            .route("/token", get(token))
            .route("/rotate", post(rotate))
            .route("/down", post(|State(issuer): State<Self>| async move { issuer.set_down(true) }))
            .route("/up", post(|State(issuer): State<Self>| async move { issuer.set_down(false) }))
            .with_state(self.clone())
            .layer(middleware::from_fn_with_state(guard, guard::check));
        tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        })
    }

    fn lock(&self) -> MutexGuard<'_, IssuerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes new keys, which sign from now on. The last ones stay published until the next rotation.
    ///
    /// # Errors
    /// No keys can be made.
    pub fn rotate(&self) -> Result<(), BoxError> {
        let keys = ALGORITHMS.map(|algorithm| SigningKey::generate(algorithm, Uuid::new_v4().to_string()));
        let keys: Result<Vec<_>, _> = keys.into_iter().map(|key| key.map(Arc::new)).collect();
        let mut state = self.lock();
        state.previous = std::mem::replace(&mut state.current, keys?);
        Ok(())
    }

    /// Goes down, or comes up again.
    pub fn set_down(&self, is_down: bool) {
        self.lock().is_down = is_down;
    }

    /// How often the keys were asked for.
    pub fn requests(&self) -> usize {
        self.lock().requests
    }

    /// The key that signs with an algorithm.
    pub fn key(&self, algorithm: &str) -> Option<Arc<SigningKey>> {
        self.lock().current.iter().find(|key| key.algorithm() == algorithm).cloned()
    }

    /// The claims of a token for `sub`.
    pub fn claims(&self, sub: &str, lifetime_seconds: i64) -> Value {
        let iat = self.clock.now().as_secs();
        json!({ "iss": self.url, "aud": AUDIENCE, "sub": sub, "iat": iat, "exp": iat + lifetime_seconds })
    }

    fn documents(&self, document: impl FnOnce(&mut IssuerState) -> Value) -> Response {
        let mut state = self.lock();
        if state.is_down {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        Json(document(&mut state)).into_response()
    }
}

async fn discovery(State(issuer): State<Issuer>) -> Response {
    issuer.documents(|_| {
        json!({
            "issuer": issuer.url,
            "jwks_uri": format!("{}/jwks.json", issuer.url),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ALGORITHMS,
        })
    })
}

async fn published(State(issuer): State<Issuer>) -> Response {
    issuer.documents(|state| {
        state.requests += 1;
        let keys: Vec<_> = state.current.iter().chain(&state.previous).map(|key| key.published()).collect();
        json!({ "keys": keys })
    })
}

async fn rotate(State(issuer): State<Issuer>) -> Response {
    match tokio::task::spawn_blocking(move || issuer.rotate()).await {
        Ok(Ok(())) => StatusCode::NO_CONTENT.into_response(),
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// `GET /token?sub=ana&name=Ana&roles=admin&alg=RS256&lifetime=3600`
async fn token(State(issuer): State<Issuer>, RawQuery(query): RawQuery) -> Response {
    let fields: HashMap<String, String> =
        form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
    match signed_token(&issuer, &fields) {
        Ok((token, lifetime)) => {
            let answer = json!({ "access_token": token, "token_type": "Bearer", "expires_in": lifetime });
            Json(answer).into_response()
        }
        Err(problem) => {
            let answer = json!({ "error": "invalid_request", "error_description": problem.to_string() });
            (StatusCode::BAD_REQUEST, Json(answer)).into_response()
        }
    }
}

fn signed_token(issuer: &Issuer, fields: &HashMap<String, String>) -> Result<(String, i64), BoxError> {
    let text = |name: &str| fields.get(name).filter(|value| !value.is_empty());
    let sub = text("sub").ok_or("`sub` is missing")?;
    let lifetime = text("lifetime").map_or(Ok(LIFETIME_SECONDS), |seconds| seconds.parse())?;
    let mut claims = issuer.claims(sub, lifetime);
    if let Some(name) = text("name") {
        claims["name"] = name.as_str().into();
    }
    if let Some(roles) = text("roles") {
        claims["roles"] = roles.split(',').collect();
    }
    let algorithm = text("alg").map_or(ALGORITHMS[0], String::as_str);
    let key = issuer.key(algorithm).ok_or_else(|| format!("`alg` must be one of {}", ALGORITHMS.join(", ")))?;
    Ok((key.token(&claims)?, lifetime))
}
