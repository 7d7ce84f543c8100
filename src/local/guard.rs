//! Closes the local ports to web pages: a page runs in a browser on this machine and reaches what listens there,
//! although it comes from anywhere. What it fetches from another origin has an `Origin` or a `Sec-Fetch-Site`; a page
//! that gets around that by DNS rebinding has a `Host` that is a name of its own.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::net::TcpListener;

/// Which hosts a port answers to, and whether to web pages.
#[derive(Clone)]
pub struct Guard {
    listening: SocketAddr,
    allowed_hosts: Arc<[String]>,
    pages: Pages,
}

/// What a web page may do at a port.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pages {
    /// Whatever anybody may. What the page can read of it is up to CORS.
    Allowed,
    Refused,
    /// Use what the function has signed for it: presigned URLs of S3, preflights for them included.
    OnlyPresigned,
}

impl Guard {
    /// # Errors
    /// A listener that does not know its address.
    pub fn new(listener: &TcpListener, allowed_hosts: &Arc<[String]>, pages: Pages) -> std::io::Result<Self> {
        Ok(Self { listening: listener.local_addr()?, allowed_hosts: Arc::clone(allowed_hosts), pages })
    }

    /// What is answered to a request that may not be here.
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

    /// Whether a `Host` means this port: by an address that it listens on, by a name of this machine's loopback, or by
    /// one that is allowed. Only a name can be rebound to another address, so where every address is listened on, every
    /// address will do.
    fn answers_to(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = authority.host();
        // Browsers send no user, and what is before it is no host.
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

/// Lets through what may be here.
pub async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.refusal(&request) {
        Some(refusal) => {
            // Whoever serves a page under another name sees nothing of the answer but that the connection fails.
            let [host, origin] = [header::HOST, header::ORIGIN].map(|name| request.headers().get(name));
            let port = guard.listening.port();
            tracing::warn!(port, ?host, ?origin, "a request was refused for its host or origin (--allow-host, --help)");
            refusal
        }
        None => next.run(request).await,
    }
}

/// What is answered to a web page. Its browser says that it is one; `none` is a person who enters the address.
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

/// Whether there is a signature in the address. Whether it matches is for S3 to say.
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
    fn a_port_answers_to_its_address_to_the_loopback_and_to_allowed_names() {
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
    fn a_port_answers_to_no_other_name_address_or_port() {
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
