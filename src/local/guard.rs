//! Protects the local ports from web pages: any page in a browser on this machine can reach its ports. Cross-origin
//! requests have an `Origin` or a `Sec-Fetch-Site` header; DNS rebinding has a foreign `Host`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::net::TcpListener;

/// The hosts that a port accepts, and what web pages may do there.
#[derive(Clone)]
pub struct Guard {
    listening: SocketAddr,
    allowed_hosts: Arc<[String]>,
    pages: Pages,
}

/// What a web page may do at a port.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pages {
    /// Send any request. CORS decides which responses the page can read.
    Allowed,
    Refused,
    /// Use presigned URLs of S3, including preflights.
    OnlyPresigned,
}

impl Guard {
    /// # Errors
    /// The listener has no address.
    pub fn new(listener: &TcpListener, allowed_hosts: &Arc<[String]>, pages: Pages) -> std::io::Result<Self> {
        Ok(Self { listening: listener.local_addr()?, allowed_hosts: Arc::clone(allowed_hosts), pages })
    }

    /// The response to a refused request.
    fn refusal(&self, request: &Request) -> Option<Response> {
        let mut hosts = request.headers().get_all(header::HOST).iter();
        let host = hosts.next().filter(|_| hosts.next().is_none()).map(|host| String::from_utf8_lossy(host.as_bytes()));
        let host = host.unwrap_or_default();
        // An absolute URL must have an accepted host too.
        let is_known = self.accepts_host(&host)
            && request.uri().authority().is_none_or(|authority| self.accepts_host(authority.as_str()));
        if !is_known {
            return Some(unknown_host(&host));
        }
        match self.pages {
            Pages::Allowed => None,
            Pages::OnlyPresigned if is_presigned(request) => None,
            Pages::Refused | Pages::OnlyPresigned => refuse_page(request.headers()),
        }
    }

    /// Whether a `Host` is accepted: an address of this port, a loopback name, or an allowed name. Only names can be
    /// rebound, so a port that listens on every address accepts every address.
    fn accepts_host(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = authority.host();
        // Browsers send no user info.
        if host.contains('@') {
            return false;
        }
        if self.allowed_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(name)) {
            return true;
        }
        let is_this_port = match authority.port_u16() {
            Some(port) => port == self.listening.port(),
            None => authority.as_str() == name,
        };
        let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name).parse::<IpAddr>();
        let is_here = match address {
            Ok(address) => {
                address == self.listening.ip() || address.is_loopback() || self.listening.ip().is_unspecified()
            }
            Err(_) => name.eq_ignore_ascii_case("localhost"),
        };
        is_this_port && is_here
    }
}

/// Passes accepted requests on, and refuses others with 403.
pub async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.refusal(&request) {
        Some(refusal) => {
            // The refusal has no CORS headers, so a web page cannot read it. The log says how to accept the host.
            let [host, origin] = [header::HOST, header::ORIGIN].map(|name| request.headers().get(name));
            let port = guard.listening.port();
            tracing::warn!(
                port,
                ?host,
                ?origin,
                "request refused because of its host or origin (see --allow-host in --help)"
            );
            refusal
        }
        None => next.run(request).await,
    }
}

/// The refusal, if the request comes from a web page. `Sec-Fetch-Site: none` means that a person entered the address.
pub fn refuse_page(headers: &HeaderMap) -> Option<Response> {
    let site = || headers.get("sec-fetch-site").filter(|site| site.as_bytes() != b"none");
    headers.get(header::ORIGIN).or_else(site)?;
    Some(refuse("web pages may not use this port; they may use the HTTP API, the WebSocket API and presigned URLs"))
}

/// Whether the request comes from a page of this port, or from no page. The guard has accepted its `Host`, so a foreign
/// name that is rebound to this machine is no such page.
pub fn is_own_page(headers: &HeaderMap) -> bool {
    let own = headers.get(header::HOST).map(|host| [b"http://", host.as_bytes()].concat());
    let is_own = |origin: &HeaderValue| own.as_deref() == Some(origin.as_bytes());
    let is_same_site = |site: &HeaderValue| [&b"same-origin"[..], b"none"].contains(&site.as_bytes());
    headers.get(header::ORIGIN).is_none_or(is_own) && headers.get("sec-fetch-site").is_none_or(is_same_site)
}

fn unknown_host(host: &str) -> Response {
    let name = host.parse::<Authority>().map_or_else(|_| host.to_owned(), |authority| authority.host().to_owned());
    refuse(&format!("this port does not accept the host '{host}'; if it is yours, start with --allow-host {name}"))
}

fn refuse(message: &str) -> Response {
    (StatusCode::FORBIDDEN, axum::Json(json!({ "message": message }))).into_response()
}

/// Whether the URL is presigned. S3 verifies the signature.
fn is_presigned(request: &Request) -> bool {
    let query = request.uri().query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "X-Amz-Signature")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening_on(address: &str) -> Guard {
        let allowed_hosts = ["chat.test".to_owned()].into();
        Guard { listening: address.parse().unwrap(), allowed_hosts, pages: Pages::Allowed }
    }

    #[test]
    fn hosts_are_accepted_by_address_loopback_and_allowed_names() {
        let local = listening_on("127.0.0.1:7070");
        for host in [
            "127.0.0.1:7070",
            "127.0.0.1",
            "localhost:7070",
            "LOCALHOST",
            "[::1]:7070",
            "[::1]",
            "chat.test",
            "Chat.Test:443",
        ] {
            assert!(local.accepts_host(host), "{host}");
        }
        let on_the_network = listening_on("192.168.1.5:7070");
        assert!(on_the_network.accepts_host("192.168.1.5:7070"));
        let everywhere = listening_on("0.0.0.0:7070");
        assert!(everywhere.accepts_host("192.168.1.5:7070") && everywhere.accepts_host("[fe80::1]:7070"));
    }

    #[test]
    fn other_hosts_are_refused() {
        let local = listening_on("127.0.0.1:7070");
        for host in [
            "",
            "evil.example",
            "evil.example:7070",
            "127.0.0.1:7071",
            "localhost:80",
            "localhost:",
            "localhost:99999",
            "localhost.evil.example:7070",
            "127.0.0.1.evil.example:7070",
            "localhost@evil.example:7070",
            "evil.example@localhost:7070",
            "192.168.1.5:7070",
            "[::1",
            "a b",
        ] {
            assert!(!local.accepts_host(host), "{host}");
        }
        assert!(!listening_on("0.0.0.0:7070").accepts_host("evil.example:7070"));
    }
}
