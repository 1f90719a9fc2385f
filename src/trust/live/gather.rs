//! What a host shows of itself, before anything is decided about it.

use std::net::SocketAddr;

use jiff::Timestamp;
use rustls::ProtocolVersion;
use rustls::version::{TLS12, TLS13};

use crate::trust::chain::{Chain, Route};
use crate::trust::distrust::Distrust;
use crate::trust::endpoint::Endpoint;
use crate::trust::probe::{self, ProbeError};
use crate::trust::root::PinnedRoot;

/// A host as a handshake shows it.
#[derive(Debug)]
pub struct Seen {
    /// Who was asked.
    pub endpoint: Endpoint,
    /// Where the connection went.
    pub address: Option<SocketAddr>,
    /// The version of TLS it chose for a client that speaks both.
    pub version: Option<&'static str>,
    /// The versions it accepts.
    pub versions: Vec<&'static str>,
    /// What it showed, or why that cannot be read.
    pub chain: Result<Chain, Distrust>,
    /// What went wrong after it had shown it.
    pub fault: Option<rustls::Error>,
    /// For each pinned root the way to it.
    pub routes: Vec<(PinnedRoot, Result<Route, Distrust>)>,
    /// Whether the host's name is in its certificate.
    pub name: Result<(), Distrust>,
    /// The time that all this was judged at.
    pub now: Timestamp,
}

impl Seen {
    /// The roots that anchor the chain, each with the way to it.
    pub fn anchors(&self) -> impl Iterator<Item = (&PinnedRoot, &Route)> {
        let whole = self.fault.is_none();
        let routes = self.routes.iter().filter(move |_| whole);
        routes.filter_map(|(root, route)| Some((root, route.as_ref().ok()?)))
    }

    /// Whether a device that pins these roots would talk to the host.
    pub fn is_trusted(&self) -> bool {
        self.name.is_ok() && self.anchors().next().is_some()
    }
}

/// Asks a host, and works out where its chain leads.
pub fn look(endpoint: &Endpoint, roots: &[PinnedRoot], now: Timestamp) -> Result<Seen, ProbeError> {
    let shown = probe::probe(endpoint)?;
    let mut versions = Vec::new();
    for version in [&TLS12, &TLS13] {
        if probe::offers(endpoint, version)? {
            versions.extend(name(version.version));
        }
    }
    let chain = Chain::read(shown.certificates);
    let way = |root: &PinnedRoot| {
        let chain = chain.as_ref().map_err(Clone::clone)?;
        // What the TLS library keeps of a root has no dates; a device looks at them.
        match root.check_period(now) {
            Ok(()) => chain.route(endpoint, root.der(), now),
            Err(_) => Err(Distrust::Ended { ended: root.not_after(), now }),
        }
    };
    let routes = roots.iter().map(|root| (root.clone(), way(root))).collect();
    let named = chain.as_ref().map_err(Clone::clone).and_then(|chain| chain.is_for(endpoint));
    Ok(Seen {
        endpoint: endpoint.clone(),
        address: shown.address,
        version: shown.version.and_then(name),
        versions,
        fault: shown.fault,
        routes,
        name: named,
        chain,
        now,
    })
}

fn name(version: ProtocolVersion) -> Option<&'static str> {
    match version {
        ProtocolVersion::TLSv1_2 => Some("1.2"),
        ProtocolVersion::TLSv1_3 => Some("1.3"),
        // The enum may grow; no other version was offered.
        _ => None,
    }
}
