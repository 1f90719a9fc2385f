//! The repository's URL, read so strictly that every reader takes it for the same place.
//!
//! An https URL of a folder: a host name or an IPv4 address, a port if not 443, a path. What has no
//! place in it (credentials, query, fragment) or is read differently here and there (`..`, `\`,
//! `0x7f.1`, an empty port) is refused, not repaired.

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::net::Ipv4Addr;

/// Longest URL in bytes. It is kept in NVS beside the other settings, and goes into every request.
pub const LONGEST: usize = 255;
/// Longest part of a host name between two dots (RFC 1035, section 2.3.4).
const LONGEST_LABEL: usize = 63;
/// The port of https.
const DEFAULT_PORT: u16 = 443;

/// Where a repository is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    host: String,
    port: u16,
    path: String,
}

/// Why a text is no URL that a device may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// Longer than [`LONGEST`].
    TooLong,
    /// It does not begin with `https://`.
    Scheme,
    /// It holds a user name or a password.
    Credentials,
    /// The host is neither a name nor an IPv4 address.
    Host,
    /// The port is no number from 1 to 65535.
    Port,
    /// The path holds a character that has to be percent-encoded, or `.` or `..` as a folder.
    Path,
    /// Something follows the path: a query or a fragment.
    Extra,
}

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    ///
    /// Where it is not https, or anything else than host, port and path of a folder.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if text.len() > LONGEST {
            return Err(UrlError::TooLong);
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("https") {
            return Err(UrlError::Scheme);
        }
        if rest.contains(['?', '#']) {
            return Err(UrlError::Extra);
        }
        let (authority, path) =
            rest.split_at_checked(rest.find('/').unwrap_or(rest.len())).unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err(UrlError::Credentials);
        }
        // An IPv6 address has colons of its own.
        if authority.starts_with('[') {
            return Err(UrlError::Host);
        }
        let (host, port) = match authority.split_once(':') {
            Some((host, digits)) => (host, port(digits).ok_or(UrlError::Port)?),
            None => (authority, DEFAULT_PORT),
        };
        if !is_host(host) {
            return Err(UrlError::Host);
        }
        if !is_path(path) {
            return Err(UrlError::Path);
        }
        Ok(Self { host: host.to_ascii_lowercase(), port, path: path.into() })
    }

    /// The host, in lower case: a name, or an IPv4 address with dots.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port to connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder, percent-encoded as it goes into a request: empty for the server's root, else it
    /// begins with `/` and does not end with one.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path.trim_end_matches('/')
    }

    /// The path with the `/` at its end, where it was given with one; `/` for the server's root.
    #[must_use]
    pub fn path_as_given(&self) -> &str {
        if self.path.is_empty() { "/" } else { &self.path }
    }

    /// What the `Host` header says: the host, and the port where it is not that of https.
    #[must_use]
    pub fn authority(&self) -> String {
        match self.port {
            DEFAULT_PORT => self.host.clone(),
            port => format!("{}:{port}", self.host),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.authority(), self.path_as_given())
    }
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "it is longer than {LONGEST} bytes"),
            Self::Scheme => f.write_str("it does not begin with `https://`"),
            Self::Credentials => f.write_str("it holds credentials"),
            Self::Host => f.write_str("its host is neither a name nor an IPv4 address"),
            Self::Port => f.write_str("its port is no number from 1 to 65535"),
            Self::Path => f.write_str("its path has to be percent-encoded, without `.` and `..`"),
            Self::Extra => f.write_str("it has a query or a fragment"),
        }
    }
}

impl core::error::Error for UrlError {}

/// Digits without a leading zero, so that a port has one spelling.
fn port(digits: &str) -> Option<u16> {
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    is_plain.then(|| digits.parse().ok()).flatten()
}

fn is_host(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or(host);
    if is_number(last) {
        // Browsers take `0x7f.1` for an address; this one does not.
        return host.parse::<Ipv4Addr>().is_ok();
    }
    host.split('.').all(is_label)
}

/// How the URL standard tells an address from a name: by the last label.
fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// Letters, digits, hyphens inside, and underscores, which some have in their names.
fn is_label(label: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=LONGEST_LABEL).contains(&label.len())
        && label.bytes().all(is_inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Empty, or the characters of a path (RFC 3986, section 3.3) without the two names that lead to
/// another folder, plain or encoded.
fn is_path(path: &str) -> bool {
    path.split('/').all(|segment| is_encoded(segment) && !is_dots(segment))
}

fn is_encoded(segment: &str) -> bool {
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        let is_fine = match byte {
            b'%' => {
                let is_digit = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
                is_digit(bytes.next()) && is_digit(bytes.next())
            }
            byte => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte),
        };
        if !is_fine {
            return false;
        }
    }
    true
}

fn is_dots(segment: &str) -> bool {
    let plain = segment.replace("%2e", ".").replace("%2E", ".");
    plain == "." || plain == ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, error: UrlError) {
        assert_eq!(Url::parse(text), Err(error), "{text}");
    }

    #[test]
    fn a_url_is_taken_apart() {
        for (text, host, port, path, authority) in [
            ("https://updates.example.com", "updates.example.com", 443, "", "updates.example.com"),
            ("https://u.example/", "u.example", 443, "", "u.example"),
            ("HTTPS://U.Example:443//", "u.example", 443, "", "u.example"),
            ("https://u.example:8443/a/b/", "u.example", 8443, "/a/b", "u.example:8443"),
            ("https://192.168.1.7:1/x", "192.168.1.7", 1, "/x", "192.168.1.7:1"),
            (
                "https://xn--bcher-kva.example/%C3%BC",
                "xn--bcher-kva.example",
                443,
                "/%C3%BC",
                "xn--bcher-kva.example",
            ),
            (
                "https://a_b-c.example/~u/a.b;c=d@e:f",
                "a_b-c.example",
                443,
                "/~u/a.b;c=d@e:f",
                "a_b-c.example",
            ),
            ("https://localhost/...", "localhost", 443, "/...", "localhost"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.host(), url.port(), url.path()), (host, port, path), "{text}");
            assert_eq!(url.authority(), authority);
            let again = Url::parse(&url.to_string()).unwrap();
            assert_eq!(
                (again.path_as_given(), again.path()),
                (url.path_as_given(), path),
                "{text}"
            );
        }
    }

    #[test]
    fn only_https_is_taken() {
        for text in [
            "",
            "https",
            "https:",
            "https:/u.example",
            "http://u.example",
            "//u.example",
            "u.example",
            " https://u.example",
            "ftp://u.example",
            "https\u{0}://u.example",
            "ｈttps://u.example",
        ] {
            refused(text, UrlError::Scheme);
        }
    }

    #[test]
    fn credentials_queries_and_fragments_are_refused() {
        for text in [
            "https://me@u.example",
            "https://me:secret@u.example/",
            "https://u.example@evil.example/",
        ] {
            refused(text, UrlError::Credentials);
        }
        for text in [
            "https://u.example?",
            "https://u.example/?a",
            "https://u.example/#",
            "https://u.example#/a",
            "https://evil.example?@u.example",
        ] {
            refused(text, UrlError::Extra);
        }
    }

    #[test]
    fn a_host_that_somebody_may_read_differently_is_refused() {
        let long = "a".repeat(64);
        for host in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "-a",
            "a-.b",
            "a b",
            "a\tb",
            "a\\b",
            "a%41",
            "bücher.example",
            "[::1]",
            "::1",
            "1",
            "1.2.3",
            "1.2.3.4.5",
            "256.1.1.1",
            "01.2.3.4",
            "1.2.3.4.",
            "0x7f.0.0.1",
            "0x7f000001",
            "a.0x",
            "a.1",
            "*.example",
            "a,b",
            "a\r\nb",
            &long,
        ] {
            let refused = Url::parse(&format!("https://{host}/"));
            assert!(matches!(refused, Err(UrlError::Host | UrlError::Port)), "{host}: {refused:?}");
        }
        assert!(Url::parse(&format!("https://{}/", "a".repeat(63))).is_ok());
    }

    #[test]
    fn a_port_is_a_number_with_one_spelling() {
        for port in ["", "0", "00443", "0443", "65536", "+443", "-1", "44 3", "443a", "443:1", "٤"]
        {
            refused(&format!("https://u.example:{port}/"), UrlError::Port);
        }
        assert_eq!(Url::parse("https://u.example:65535").unwrap().port(), 65535);
    }

    #[test]
    fn a_path_that_leads_elsewhere_or_splits_a_request_is_refused() {
        for path in [
            "/.",
            "/..",
            "/a/../b",
            "/%2e%2E/a",
            "/.%2e",
            "/a b",
            "/a\r\nHost: evil",
            "/a\u{0}",
            "/%",
            "/%4",
            "/%zz",
            "/ü",
            "/a\\b",
            "/a\"",
            "/a<",
            "/[",
            "/{",
            "/|",
            "/^",
            "/`",
            "/a%2",
        ] {
            refused(&format!("https://u.example{path}"), UrlError::Path);
        }
    }

    #[test]
    fn the_longest_url_is_255_bytes() {
        let url = |len: usize| format!("https://u.example/{}", "a".repeat(len - 18));
        assert!(Url::parse(&url(255)).is_ok());
        refused(&url(256), UrlError::TooLong);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}", near in "https://[a-z0-9.:%/@\\\\?#-]{0,40}") {
            let _ = Url::parse(&text);
            let _ = Url::parse(&near);
        }

        /// The host tool reads the same setting with the `url` crate. That one also checks what is
        /// behind `xn--`, and may refuse it.
        #[test]
        fn what_is_taken_the_url_crate_reads_alike(
            text in "(https|HTTPS)://([a-zA-Z0-9_-]{1,5}\\.){0,3}[a-zA-Z0-9-]{1,4}(:[0-9]{1,5})?(/[a-zA-Z0-9._~!$&'()*+,;=:@%-]{0,6}){0,4}",
            odd in "https://[ -~]{0,30}",
            address in "https://[0-9x]{1,3}(\\.[0-9]{1,3}){3}(:[0-9]{1,3})?/?",
        ) {
            for text in [text, odd, address] {
                let Ok(ours) = Url::parse(&text) else { continue };
                let Ok(other) = text.parse::<url::Url>() else {
                    assert!(ours.host().contains("xn--"), "{text}");
                    continue;
                };
                assert_eq!(other.scheme(), "https");
                assert_eq!(Some(ours.host()), other.host_str(), "{text}");
                assert_eq!(Some(ours.port()), other.port_or_known_default(), "{text}");
                assert_eq!(ours.path(), other.path().trim_end_matches('/'), "{text}");
                assert_eq!(ours.path_as_given(), other.path(), "{text}");
                assert_eq!(ours.to_string(), other.as_str(), "{text}");
                assert_eq!(ours.authority(), other.authority(), "{text}");
                assert!(other.username().is_empty() && other.password().is_none());
                assert!(other.query().is_none() && other.fragment().is_none());
            }
        }
    }
}
