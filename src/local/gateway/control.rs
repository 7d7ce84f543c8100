//! Where a person or a test on this machine says what goes wrong: `/_faults` on the HTTP port, if it was asked for.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};

use crate::local::faults::{Faults, Plan};

pub const PATH: &str = "/_faults";

/// `GET` tells the plan that is followed, `POST` gives another: what it does not name goes wrong no more.
pub fn route(faults: Faults) -> MethodRouter {
    let router: MethodRouter<Faults> = get(tell).post(follow);
    router.with_state(faults)
}

async fn tell(State(faults): State<Faults>) -> Json<Plan> {
    Json(faults.plan())
}

async fn follow(State(faults): State<Faults>, body: Bytes) -> Response {
    match serde_json::from_slice(&body) {
        Ok(plan) => {
            faults.follow(plan);
            tell(State(faults)).await.into_response()
        }
        Err(error) => {
            let message = format!("this is no plan of faults: {error}");
            (StatusCode::BAD_REQUEST, Json(serde_json::json!({ "message": message }))).into_response()
        }
    }
}
