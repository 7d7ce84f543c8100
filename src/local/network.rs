//! Listening addresses, and the URLs for clients and for the function.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use rustix::system::uname;
use tokio::net::TcpListener;

use super::StartError;

/// A port of the stack.
pub struct Port {
    pub flag: &'static str,
    /// 0 uses any free port.
    pub number: u16,
    /// Whether clients need it. The others always listen on 127.0.0.1.
    pub is_for_clients: bool,
}

/// The host in URLs.
pub struct Network {
    host: IpAddr,
    /// For clients and in file URLs.
    pub public: String,
    /// For the function.
    pub internal: String,
}

impl Network {
    /// Listens on `host`. URLs for clients have `public`: by default the host itself, or for a wildcard address the
    /// machine's own address in its network.
    pub fn new(host: IpAddr, public: Option<&str>) -> Self {
        let internal = match host {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
            address => address,
        };
        let public = match public {
            Some(name) => name.parse().map_or_else(|_| name.to_owned(), in_url),
            None if host.is_unspecified() => address_in_network().map_or_else(host_name, in_url),
            None => in_url(host),
        };
        Self { host, public, internal: in_url(internal) }
    }

    /// The host for clients, if it differs from the listening one.
    pub fn other_name(&self) -> Option<String> {
        Some(self.public.clone()).filter(|public| *public != in_url(self.host))
    }

    /// The value of `NO_PROXY`: local hosts bypass proxies.
    pub fn no_proxy(&self) -> String {
        let hosts = ["127.0.0.1", "localhost", &self.internal, &self.public];
        hosts.map(|host| host.trim_matches(['[', ']'])).join(",")
    }

    /// # Errors
    /// Names each port that is in use with its flag.
    pub async fn bind<const N: usize>(&self, ports: [Port; N]) -> Result<[TcpListener; N], StartError> {
        let mut bound = Vec::new();
        let mut problems = Vec::new();
        for (index, Port { flag, number, is_for_clients }) in ports.iter().enumerate() {
            let same = ports[..index].iter().find(|other| *number > 0 && other.number == *number);
            if let Some(Port { flag: other, .. }) = same {
                problems.push(format!("port {number} is used twice; choose another with {flag} or {other}"));
                continue;
            }
            let host = if *is_for_clients { self.host } else { Ipv4Addr::LOCALHOST.into() };
            match TcpListener::bind((host, *number)).await {
                Ok(listener) => bound.push(listener),
                Err(error) if error.kind() == ErrorKind::AddrNotAvailable => return Err(StartError::Host(host)),
                Err(error) => {
                    let problem = match error.kind() {
                        ErrorKind::AddrInUse => "is in use".to_owned(),
                        ErrorKind::PermissionDenied => "needs permissions that this program does not have".to_owned(),
                        _ => format!("cannot be used ({error})"),
                    };
                    problems.push(format!(
                        "port {number} {problem}; choose another with {flag}, or five others with --port-base N"
                    ));
                }
            }
        }
        <[TcpListener; N]>::try_from(bound).map_err(|_| StartError::Ports { problems })
    }
}

fn in_url(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// The address that packets to the network leave from. Nothing is sent: connecting a UDP socket only chooses a route.
/// The destinations are reserved for documentation (RFC 5737 and RFC 3849).
fn address_in_network() -> Option<IpAddr> {
    let from = |any: IpAddr, destination: &str| {
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect((destination, 9)).ok()?;
        Some(socket.local_addr().ok()?.ip()).filter(|address| !address.is_unspecified())
    };
    from(Ipv4Addr::UNSPECIFIED.into(), "192.0.2.1").or_else(|| from(Ipv6Addr::UNSPECIFIED.into(), "2001:db8::1"))
}

fn host_name() -> String {
    uname().nodename().to_string_lossy().into_owned()
}
