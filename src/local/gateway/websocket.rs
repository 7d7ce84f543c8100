//! The port of the WebSocket API: handshakes at the stage's path, and `@connections` below it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::header::UPGRADE;
use axum::http::{Method, Request, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::management::forbidden;
use super::socket::{Peer, Sockets};
use super::{Gateway, handshake, management};
use crate::local::guard::{self, Guard};

/// Serves the API until the stack stops.
pub fn serve(listener: TcpListener, guard: Guard, gateway: Arc<Gateway>) -> JoinHandle<()> {
    let api =
        Router::new().fallback(request).with_state(gateway).layer(middleware::from_fn_with_state(guard, guard::check));
    tokio::spawn(async move {
        let _ = axum::serve(Sockets(listener), api.into_make_service_with_connect_info::<Peer>()).await;
    })
}

async fn request(
    State(gateway): State<Arc<Gateway>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request<Body>,
) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let rest = path.strip_prefix('/').and_then(|path| path.strip_prefix(gateway.setup.stage.as_str()));
    if let Some(id) = rest.and_then(connection_id) {
        return management::handle(&gateway, &id, &parts, body).await;
    }
    let is_upgrade = parts.headers.contains_key(UPGRADE);
    match rest {
        Some("" | "/") => handshake::open(gateway, peer, parts).await,
        _ if parts.method == Method::GET && !is_upgrade && !is_management(path) => {
            StatusCode::UPGRADE_REQUIRED.into_response()
        }
        _ => forbidden(),
    }
}

/// The id in `/@connections/{id}`. Both segments may be percent-encoded.
fn connection_id(path: &str) -> Option<String> {
    let (first, id) = path.strip_prefix('/')?.split_once('/')?;
    is_management(first).then(|| percent_decode_str(id).decode_utf8_lossy().into_owned())
}

fn is_management(path: &str) -> bool {
    path.split('/').any(|segment| percent_decode_str(segment).decode_utf8_lossy() == "@connections")
}
