//! How the virtual device's TLS is set up: pinned roots and the device's clock.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};

use crate::agent::url::UrlError;
use crate::error::{Exit, Explained};
use crate::trust::{PinnedRoot, Refusal};

/// The transport could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TransportSetupError {
    /// Not a URL, or one that no device may use.
    #[error("`{url}` is not an https URL of a folder")]
    Url {
        /// As given.
        url: String,
        /// What the device's own reader says.
        source: UrlError,
    },
    /// An IP address in the URL says itself where to connect.
    #[error("`{url}` names an address, and so cannot be reached at `{connect_to}`")]
    AddressTwice {
        /// As given.
        url: String,
        /// The override.
        connect_to: SocketAddr,
    },
    /// A pinned root that the TLS library does not take.
    #[error("the pinned root `{subject}` cannot be used")]
    Root {
        /// Whose root.
        subject: String,
        /// What the library said.
        source: rustls::Error,
    },
    /// The TLS library refused its own defaults.
    #[error("TLS could not be set up")]
    Tls(#[source] rustls::Error),
}

impl Explained for TransportSetupError {
    fn exit(&self) -> Exit {
        match self {
            Self::Url { .. } => Exit::Project,
            Self::AddressTwice { .. } => Exit::Usage,
            Self::Root { .. } => Exit::Trust,
            Self::Tls(_) => Exit::Network,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Url { .. } => {
                Some("set `url = \"https://…\"` under `[release]` in `esp-ota.toml`".to_owned())
            }
            Self::AddressTwice { .. } => Some("leave out the address to connect to".to_owned()),
            Self::Root { .. } => {
                Some("pin another root with `cargo esp-ota ca add FILE`".to_owned())
            }
            Self::Tls(_) => None,
        }
    }
}

/// The device's clock, as the TLS library asks for it.
#[derive(Debug)]
struct DeviceClock(UnixTime);

impl TimeProvider for DeviceClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.0)
    }
}

/// What the TLS library needs of the roots valid at `now`, and words for the others.
pub(super) fn anchors(
    roots: &[PinnedRoot],
    now: Timestamp,
) -> Result<(RootCertStore, Vec<String>), TransportSetupError> {
    let mut anchors = RootCertStore::empty();
    let mut left_out = Vec::new();
    for root in roots {
        let subject = root.subject();
        match root.check_period(now) {
            Ok(()) => anchors.add(root.der().clone()).map_err(|source| {
                TransportSetupError::Root { subject: subject.to_owned(), source }
            })?,
            Err(refusal) => left_out.push(describe(subject, &refusal)),
        }
    }
    Ok((anchors, left_out))
}

fn describe(subject: &str, refusal: &Refusal) -> String {
    format!("the pinned root `{subject}` is not used: {refusal}")
}

pub(super) fn tls(
    anchors: RootCertStore,
    now: Timestamp,
) -> Result<ClientConfig, TransportSetupError> {
    // Before 1970 no certificate is valid, and none at 0 either.
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    let clock = DeviceClock(UnixTime::since_unix_epoch(Duration::from_secs(seconds)));
    let config = ClientConfig::builder_with_details(Arc::new(default_provider()), Arc::new(clock))
        .with_safe_default_protocol_versions()
        .map_err(TransportSetupError::Tls)?
        .with_root_certificates(anchors)
        .with_no_client_auth();
    Ok(config)
}
