//! Protects the local ports from web pages: a page from anywhere runs in a browser on this machine and can reach its
//! ports. Cross-origin requests have an `Origin` or a `Sec-Fetch-Site`; DNS rebinding has a foreign `Host`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
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
    /// Everything. CORS decides what the page can read.
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
        // A URL with a host of its own counts as well as the header.
        let is_known = self.answers_to(&host)
            && request.uri().authority().is_none_or(|authority| self.answers_to(authority.as_str()));
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
    fn answers_to(&self, host: &str) -> bool {
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

/// Passes accepted requests on.
pub async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.refusal(&request) {
        Some(refusal) => {
            // A page under a foreign name must not see anything of the response.
            let [host, origin] = [header::HOST, header::ORIGIN].map(|name| request.headers().get(name));
            let port = guard.listening.port();
            tracing::warn!(port, ?host, ?origin, "a request was refused for its host or origin (--allow-host, --help)");
            refusal
        }
        None => next.run(request).await,
    }
}

/// The refusal of a web page's request. `Sec-Fetch-Site: none` is a person who entered the address.
pub fn refuse_page(headers: &HeaderMap) -> Option<Response> {
    let site = || headers.get("sec-fetch-site").filter(|site| site.as_bytes() != b"none");
    headers.get(header::ORIGIN).or_else(site)?;
    Some(refuse("web pages may not use this port; they use the HTTP API, the WebSocket API and presigned URLs"))
}

fn unknown_host(host: &str) -> Response {
    let name = host.parse::<Authority>().map_or_else(|_| host.to_owned(), |authority| authority.host().to_owned());
    refuse(&format!("this port does not answer to the host '{host}'; if it is yours, start with --allow-host {name}"))
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
            assert!(local.answers_to(host), "{host}");
        }
        let on_the_network = listening_on("192.168.1.5:7070");
        assert!(on_the_network.answers_to("192.168.1.5:7070"));
        let everywhere = listening_on("0.0.0.0:7070");
        assert!(everywhere.answers_to("192.168.1.5:7070") && everywhere.answers_to("[fe80::1]:7070"));
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
            assert!(!local.answers_to(host), "{host}");
        }
        assert!(!listening_on("0.0.0.0:7070").answers_to("evil.example:7070"));
    }
}
