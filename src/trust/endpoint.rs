//! Where an HTTPS server is, and what it has to be called.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};

use rustls::pki_types::ServerName;
use url::{Host, Url};

use crate::error::{Exit, Explained};
use crate::trust::deadline::{Deadline, Timed};
use crate::trust::name::IpOrDns;

/// The port of https (RFC 9110, section 4.2.2).
const HTTPS: u16 = 443;

/// A host and port of an https URL, and perhaps another address at which it is to be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    host: IpOrDns,
    port: u16,
    connect_to: Option<SocketAddr>,
}

/// The text is no https URL with a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an https URL")]
pub struct NotAnEndpoint(String);

impl Explained for NotAnEndpoint {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn help(&self) -> Option<String> {
        Some("write `https://host/path`, without user or password".to_owned())
    }
}

impl Endpoint {
    /// The server that an https URL names.
    pub fn from_url(text: &str) -> Result<Self, NotAnEndpoint> {
        let refused = || NotAnEndpoint(text.to_owned());
        let url = Url::parse(text).map_err(|_| refused())?;
        if url.scheme() != "https" || !url.username().is_empty() || url.password().is_some() {
            return Err(refused());
        }
        let host = match url.host().ok_or_else(refused)? {
            Host::Domain(name) => name.parse().map_err(|_| refused())?,
            Host::Ipv4(address) => IpOrDns::Ip(address.into()),
            Host::Ipv6(address) => IpOrDns::Ip(address.into()),
        };
        Ok(Self { host, port: url.port().unwrap_or(HTTPS), connect_to: None })
    }

    /// The same server, reached at `address` whatever its name resolves to. It still has to prove
    /// its name.
    pub fn at(self, address: Option<SocketAddr>) -> Self {
        Self { connect_to: address, ..self }
    }

    /// What the server's certificate has to name.
    pub fn host(&self) -> &IpOrDns {
        &self.host
    }

    /// The host as TLS libraries want it.
    pub(super) fn server_name(&self) -> ServerName<'static> {
        match &self.host {
            IpOrDns::Ip(address) => ServerName::IpAddress((*address).into()),
            IpOrDns::Dns(name) => ServerName::DnsName(name.clone()),
        }
    }

    /// Host and port as a `Host` header has them (RFC 9110, section 7.2).
    pub fn authority(&self) -> String {
        let host = match &self.host {
            IpOrDns::Ip(address) if address.is_ipv6() => format!("[{address}]"),
            host => host.to_string(),
        };
        if self.port == HTTPS { host } else { format!("{host}:{}", self.port) }
    }

    /// Connects to the first address that answers, before `deadline`.
    pub(super) fn open(&self, deadline: Deadline) -> io::Result<Timed> {
        let addresses: Vec<SocketAddr> = match (self.connect_to, &self.host) {
            (Some(address), _) => vec![address],
            (None, IpOrDns::Ip(address)) => vec![SocketAddr::new(*address, self.port)],
            (None, IpOrDns::Dns(name)) => (name.as_ref(), self.port).to_socket_addrs()?.collect(),
        };
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            let connected = match deadline.left()? {
                Some(left) => TcpStream::connect_timeout(&address, left),
                None => TcpStream::connect(address),
            };
            match connected {
                Ok(socket) => return Ok(Timed::new(socket, deadline)),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority())?;
        match self.connect_to {
            Some(address) => write!(f, " at {address}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_gives_host_and_port_and_says_where_it_connects() {
        let shown = |url: &str| Endpoint::from_url(url).unwrap().to_string();
        assert_eq!(shown("https://updates.example.com/a/b?c"), "updates.example.com");
        assert_eq!(shown("https://Updates.Example.com:443/"), "updates.example.com");
        assert_eq!(shown("https://updates.example.com:8443"), "updates.example.com:8443");
        assert_eq!(shown("https://192.168.1.7:8443/x"), "192.168.1.7:8443");
        assert_eq!(shown("https://[::1]/x"), "[::1]");
        let staged = Endpoint::from_url("https://updates.example.com").unwrap();
        let staged = staged.at(Some("127.0.0.1:8443".parse().unwrap()));
        assert_eq!(staged.to_string(), "updates.example.com at 127.0.0.1:8443");
        assert_eq!(staged.authority(), "updates.example.com");
    }

    #[test]
    fn whatever_has_no_tls_or_no_host_is_refused() {
        for url in [
            "http://a.example",
            "ftp://a",
            "a.example",
            "https://",
            "https://u:p@a.example",
            "file.pem",
        ] {
            assert!(Endpoint::from_url(url).is_err(), "{url}");
        }
    }
}
