//! How the server speaks TLS.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Largest TLS record, in bytes with its header. A device keeps a whole record in RAM before it can
/// read a byte of it; the usual 16 KiB is a third of the heap an ESP32 has left for TLS.
const LARGEST_RECORD: usize = 4096;

/// TLS 1.2 and 1.3 with one certificate chain, HTTP/1.1 only.
pub(super) fn config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.max_fragment_size = Some(LARGEST_RECORD);
    // Devices connect once an hour or less and forget their sessions; some TLS clients take the
    // ticket for data.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
