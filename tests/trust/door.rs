//! The way to a server: its address, and the roots that a device pins for it.

use std::net::SocketAddr;
use std::sync::LazyLock;

use cargo_esp_ota::trust::PinnedRoot;
use cargo_esp_ota::trust::bench::{BenchRoot, Leaf};
use cargo_esp_ota::virtual_device::tls_transport::Options;
use jiff::Timestamp;

use crate::device::BUILT;

/// How a device reaches a server.
#[derive(Clone)]
pub(crate) struct Door {
    /// The URL of the repository.
    pub(crate) url: String,
    /// What its firmware pins.
    pub(crate) roots: Vec<PinnedRoot>,
    /// How long it waits.
    pub(crate) options: Options,
}

impl Door {
    /// To a server of ours at this address.
    pub(crate) fn to(address: SocketAddr) -> Self {
        let roots = vec![OURS.certificate().clone()];
        Self { url: format!("https://{address}"), roots, options: Options::default() }
    }
}

/// The authority that the devices of these tests pin.
static OURS: LazyLock<BenchRoot> = LazyLock::new(authority);

/// A certificate for the loopback address, under the pinned root.
pub(crate) fn certificate() -> Leaf {
    certificate_of(&OURS)
}

/// The same from an authority that nobody pins.
pub(crate) fn foreign_certificate() -> Leaf {
    certificate_of(&authority())
}

fn certificate_of(authority: &BenchRoot) -> Leaf {
    authority.leaf(&["127.0.0.1".parse().unwrap()], now()).unwrap()
}

fn authority() -> BenchRoot {
    // Its files are not needed again.
    let folder = tempfile::tempdir().unwrap();
    BenchRoot::load_or_make(folder.path(), now()).unwrap()
}

fn now() -> Timestamp {
    BUILT.parse().unwrap()
}
