//! Finds the root that a live server's chain is anchored by.
//!
//! The server is asked for its chain by a handshake that trusts nobody; that chain is then verified
//! against one candidate after the other, each alone, host name included, as the device would do it.
//! What comes back is a proposal: whether to pin it is for a person with the fingerprint in hand.

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;

use crate::error::{Exit, Explained};
use crate::trust::candidates::Candidates;
use crate::trust::chain::Chain;
use crate::trust::distrust::{Distrust, is_impostor};
use crate::trust::endpoint::Endpoint;
use crate::trust::probe::{self, ProbeError};
use crate::trust::refusal::{Refusal, Unfit};
use crate::trust::root::{self, PinnedRoot};

/// Roots that anchor a live chain.
#[derive(Clone, Debug)]
pub struct Found {
    /// The one to pin: nearest to the server's certificate, so that the chain may lose a
    /// cross-signature above it; of equally near ones the one that lasts longest.
    pub root: PinnedRoot,
    /// Others that anchor the very same chain.
    pub spares: Vec<PinnedRoot>,
    /// What the server showed.
    pub chain: Chain,
}

/// No root can be proposed.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    /// The server showed nothing.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The server does not hold the key of what it showed, or no device can tell.
    #[error("`{host}` does not prove that its certificate is its own")]
    Unproven {
        /// Who was asked.
        host: String,
        /// What the TLS library said.
        source: Box<rustls::Error>,
    },
    /// A certificate of the chain that no device takes.
    #[error("devices cannot verify `{subject}`, a certificate that `{host}` shows")]
    Link {
        /// Who was asked.
        host: String,
        /// Whose certificate it is.
        subject: String,
        /// Why.
        source: Refusal,
    },
    /// The chain ends somewhere else.
    #[error("no root in {candidates} anchors `{host}`: its chain ends below `{issuer}`")]
    Unknown {
        /// Who was asked.
        host: String,
        /// Where the root was looked for.
        candidates: String,
        /// Who issued the last certificate.
        issuer: String,
        /// Whether a file was named already.
        from_file: bool,
    },
    /// The chain would lead to a root, and something is wrong on the way.
    #[error("the certificates of `{host}` are not good")]
    Untrusted {
        /// Who was asked.
        host: String,
        /// What is wrong.
        source: Distrust,
    },
    /// The root is there, and must not be pinned.
    #[error("`{subject}` anchors `{host}`, and cannot be a pinned root")]
    Unfit {
        /// Who was asked.
        host: String,
        /// Whose certificate it is.
        subject: String,
        /// Why.
        source: Refusal,
    },
}

impl Explained for AnchorError {
    fn exit(&self) -> Exit {
        match self {
            Self::Probe(source) => source.exit(),
            Self::Unproven { .. }
            | Self::Link { .. }
            | Self::Unknown { .. }
            | Self::Untrusted { .. }
            | Self::Unfit { .. } => Exit::Trust,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Probe(source) => source.help(),
            Self::Unproven { source, .. } if is_impostor(source) => {
                Some("look at the server: it has another key than its certificate".to_owned())
            }
            Self::Unproven { .. } => Some(
                "let the server use a certificate with a key that devices can verify".to_owned(),
            ),
            Self::Link { source, .. } | Self::Unfit { source, .. } => Some(source.help().to_owned()),
            Self::Unknown { from_file: false, .. } => Some(
                "let the server send its whole chain; for a private authority pass a file with its \
                 root, `--candidates FILE`"
                    .to_owned(),
            ),
            Self::Unknown { from_file: true, .. } => {
                Some("let the server send its whole chain, or add the right root to the file".to_owned())
            }
            Self::Untrusted { source, .. } => Some(source.help().to_owned()),
        }
    }
}

/// Asks `endpoint` for its chain and finds the roots among `candidates` that anchor it at `now`.
///
/// # Errors
///
/// Where nothing can be proposed: the server cannot be reached, its chain is not good, ends
/// elsewhere, or ends in a root that must not be pinned.
pub fn find(
    endpoint: &Endpoint,
    candidates: &Candidates,
    now: Timestamp,
) -> Result<Found, AnchorError> {
    let presented = probe::probe(endpoint)?;
    let chain = Chain::read(presented.certificates)
        .map_err(|source| AnchorError::Untrusted { host: endpoint.to_string(), source })?;
    if let Some(source) = presented.fault {
        let (host, source) = (endpoint.to_string(), Box::new(source));
        // The reason behind most broken signatures is a key that is too weak to be used.
        return Err(refused(&chain, endpoint).unwrap_or(AnchorError::Unproven { host, source }));
    }
    let mut anchors: Vec<(usize, PinnedRoot)> = Vec::new();
    let mut reason = None;
    for candidate in candidates.iter() {
        match judge(&chain, endpoint, candidate, now) {
            Ok(anchor) => anchors.push(anchor),
            Err(other) => reason = reason.or(other),
        }
    }
    anchors.sort_by_key(|(distance, root)| (*distance, std::cmp::Reverse(root.not_after())));
    anchors.dedup_by(|(_, a), (_, b)| a.fingerprint() == b.fingerprint());
    let mut roots = anchors.into_iter().map(|(_, root)| root);
    match roots.next() {
        Some(root) => Ok(Found { root, spares: roots.collect(), chain }),
        None => Err(refused(&chain, endpoint).or(reason).unwrap_or_else(|| AnchorError::Unknown {
            host: endpoint.to_string(),
            candidates: candidates.to_string(),
            issuer: chain.top_issuer().to_owned(),
            from_file: candidates.is_file(),
        })),
    }
}

/// How far from the server's certificate the candidate is, if it anchors the chain. `None` among
/// errors means that the two have nothing to do with each other.
fn judge(
    chain: &Chain,
    endpoint: &Endpoint,
    candidate: &CertificateDer<'static>,
    now: Timestamp,
) -> Result<(usize, PinnedRoot), Option<AnchorError>> {
    let host = || endpoint.to_string();
    let route = match chain.proves(endpoint, candidate, now) {
        Ok(route) => route,
        Err(Distrust::Unrelated) => return Err(None),
        Err(source) => return Err(Some(AnchorError::Untrusted { host: host(), source })),
    };
    for link in &route.links {
        if let Some(source) = link.refusal.clone() {
            let subject = link.subject.clone();
            return Err(Some(AnchorError::Link { host: host(), subject, source }));
        }
    }
    match root::check(candidate, now) {
        Ok(root) => Ok((route.links.len(), root)),
        Err(Unfit::Refused { subject, source }) => {
            Err(Some(AnchorError::Unfit { host: host(), subject, source }))
        }
        Err(Unfit::Malformed(reason)) => {
            Err(Some(AnchorError::Untrusted { host: host(), source: Distrust::Malformed(reason) }))
        }
    }
}

/// The first certificate that no device takes.
fn refused(chain: &Chain, endpoint: &Endpoint) -> Option<AnchorError> {
    let link = chain.links().iter().find(|link| link.refusal.is_some())?;
    Some(AnchorError::Link {
        host: endpoint.to_string(),
        subject: link.subject.clone(),
        source: link.refusal.clone()?,
    })
}
