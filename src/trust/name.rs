//! What a server is called: an address or a host name.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use rustls::pki_types::DnsName;

/// A name a server certificate is made for. The two kinds stand in different fields of the
/// certificate, and TLS libraries do not take one for the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum IpOrDns {
    /// An IP address.
    Ip(IpAddr),
    /// A DNS host name.
    Dns(DnsName<'static>),
}

/// The text is neither an IP address nor a host name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither an IP address nor a host name")]
pub struct NotAHost(String);

impl FromStr for IpOrDns {
    type Err = NotAHost;

    fn from_str(text: &str) -> Result<Self, NotAHost> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(address));
        }
        DnsName::try_from(text.to_owned()).map(Self::Dns).map_err(|_| NotAHost(text.to_owned()))
    }
}

impl fmt::Display for IpOrDns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Dns(name) => f.pad(name.as_ref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_host_names_are_told_apart() {
        let ip = |text: &str| IpOrDns::Ip(text.parse().unwrap());
        assert_eq!("192.168.1.7".parse(), Ok(ip("192.168.1.7")));
        assert_eq!("::1".parse(), Ok(ip("::1")));
        let name: IpOrDns = "bench.local".parse().unwrap();
        assert!(matches!(name, IpOrDns::Dns(_)));
        assert_eq!(name.to_string(), "bench.local");
    }

    #[test]
    fn a_url_or_a_port_is_no_host() {
        for text in ["https://bench.local", "bench.local:443", "", "a b", "*.bench.local"] {
            assert_eq!(text.parse::<IpOrDns>(), Err(NotAHost(text.to_owned())), "{text}");
        }
    }
}
