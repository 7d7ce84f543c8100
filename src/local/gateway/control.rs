//! Where a person or a test on this machine says what goes wrong: `/_faults` on the HTTP port, if it was asked for. A
//! web page is neither, although its browser is on this machine: it gives itself away by its origin. Nor is anybody in
//! the network, where the port is open to it.

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

/// Where faults are controlled.
pub const PATH: &str = "/_faults";

/// `GET` tells the plan that is followed, `POST` gives another: what it does not name goes wrong no more. `host` is
/// what the port listens on: this machine may call itself by it.
pub fn route(faults: Faults, host: IpAddr) -> MethodRouter {
    let router: MethodRouter<Faults> = get(tell).post(follow);
    router.layer(middleware::from_fn_with_state(host, refuse_others)).with_state(faults)
}

async fn refuse_others(
    State(host): State<IpAddr>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let peer = peer.ip().to_canonical();
    if !peer.is_loopback() && peer != host {
        return told(StatusCode::FORBIDDEN, "only this machine has a say in what goes wrong".to_owned());
    }
    match guard::refuse_page(request.headers()) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    }
}

async fn tell(State(faults): State<Faults>) -> Json<Plan> {
    Json(faults.plan())
}

async fn follow(State(faults): State<Faults>, body: Bytes) -> Response {
    match Plan::parse(&body) {
        Ok(plan) => {
            faults.follow(plan);
            tell(State(faults)).await.into_response()
        }
        Err(error) => told(StatusCode::BAD_REQUEST, format!("this is no plan of faults: {error}")),
    }
}

fn told(status: StatusCode, message: String) -> Response {
    (status, Json(serde_json::json!({ "message": message }))).into_response()
}
