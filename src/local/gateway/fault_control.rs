//! Fault control: `/_faults` on the HTTP port, if it is enabled, for people and tests on this machine and for the chat
//! page. Other web pages are refused by their origin, and other machines by their address.

use std::net::{IpAddr, SocketAddr};

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};

use crate::local::faults::{Faults, Plan};
use crate::local::guard;

/// The path of fault control.
pub const PATH: &str = "/_faults";

/// `GET` returns the current plan, `POST` replaces it. `host` is the address that the port listens on: requests from
/// this machine may come from it.
pub fn route(faults: Faults, host: IpAddr) -> MethodRouter {
    let router: MethodRouter<Faults> = get(current_plan).post(replace_plan);
    router.layer(middleware::from_fn_with_state(host, refuse_remote)).with_state(faults)
}

async fn refuse_remote(
    State(host): State<IpAddr>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let peer = peer.ip().to_canonical();
    if !peer.is_loopback() && peer != host {
        return error_response(StatusCode::FORBIDDEN, "faults can only be controlled from this machine".to_owned());
    }
    let refusal = if guard::is_own_page(request.headers()) { None } else { guard::refuse_page(request.headers()) };
    match refusal {
        Some(refusal) => refusal,
        None => next.run(request).await,
    }
}

async fn current_plan(State(faults): State<Faults>) -> Json<Plan> {
    Json(faults.plan())
}

async fn replace_plan(State(faults): State<Faults>, body: Bytes) -> Response {
    match Plan::parse(&body) {
        Ok(plan) => {
            faults.follow(plan);
            current_plan(State(faults)).await.into_response()
        }
        Err(error) => error_response(StatusCode::BAD_REQUEST, format!("invalid fault plan: {error}")),
    }
}

fn error_response(status: StatusCode, message: String) -> Response {
    (status, Json(serde_json::json!({ "message": message }))).into_response()
}
