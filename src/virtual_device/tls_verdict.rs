//! Tells an untrusted server from an unreachable one, and says why in words.
//!
//! The HTTP client wraps a failed handshake several times over, in io errors too, whose own `source`
//! skips the error they carry. So the whole chain is searched for the TLS library's verdict.

use std::error::Error;
use std::io;

use rustls::CertificateError;

use crate::agent::ports::TransportError;

/// What an error of the HTTP client means to the agent, and its cause in words.
pub(super) fn judge(error: &(dyn Error + 'static)) -> (TransportError, String) {
    let mut reasons: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(link) = next {
        if let Some(tls) = link.downcast_ref::<rustls::Error>()
            && let Some(words) = distrust(tls)
        {
            return (TransportError::Untrusted, words);
        }
        let text = link.to_string();
        if !reasons.last().is_some_and(|above| above.contains(&text)) {
            reasons.push(text);
        }
        next = inner(link);
    }
    (TransportError::Unreachable, reasons.join(": "))
}

/// The next link of a chain. An io error that carries another one *is* that one.
fn inner<'a>(link: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    if let Some(carried) = link.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        return Some(carried);
    }
    link.source()
}

/// Words for a verdict on who the server is; `None` for every other failure of TLS.
fn distrust(error: &rustls::Error) -> Option<String> {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            Some("the server's certificate does not lead to a pinned root".to_owned())
        }
        rustls::Error::InvalidCertificate(reason) => Some(reason.to_string()),
        rustls::Error::NoCertificatesPresented => {
            Some("the server presented no certificate".to_owned())
        }
        // The enum may grow. Alerts, garbage and closed connections are the network's business.
        _ => None,
    }
}
