//! What an emulated device trusts: a certificate root, a TUF root and signing keys of its own, made
//! for one run. No secret of the project is needed, and no check of the device is left out.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::EmulatorError;
use super::kind::Emulator;
use crate::chip::Chip;
use crate::release::custom::{Custom, Rollout, VersionSource, WHOLE_FLEET};
use crate::release::keys::NewKeys;
use crate::release::repository::{Expiry, NewRelease, State, Terms, View};
use crate::release::root::{ROOT_DAYS, new_root};
use crate::release::store::Store;
use crate::server::{Config, LOOPBACK, Limits, Log, Server};
use crate::trust::{BenchRoot, IpOrDns, Leaf, PinnedRoot};
use crate::virtual_device::caps;

/// Throw-away trust, and the repository and the server that are under it.
#[derive(Debug)]
pub struct Bench {
    /// The root that the firmware pins.
    pub root: PinnedRoot,
    /// The TUF root that it embeds.
    pub tuf_root: Vec<u8>,
    keys: NewKeys,
    leaf: Leaf,
    folder: PathBuf,
    store: Store,
    now: Timestamp,
}

/// What is published.
#[derive(Clone, Debug)]
pub struct Offer<'a> {
    /// The product.
    pub product: &'a str,
    /// The channel that the device follows.
    pub channel: &'a str,
    /// The chip.
    pub chip: Chip,
    /// The version that the image states.
    pub version: &'a str,
    /// The image.
    pub image: Vec<u8>,
}

impl Bench {
    /// Makes everything new. The repository goes to `folder`, which is emptied.
    pub async fn new(
        emulator: Emulator,
        folder: &Path,
        now: Timestamp,
    ) -> Result<Self, EmulatorError> {
        let failed = |source| EmulatorError::File { file: folder.to_owned(), source };
        match std::fs::remove_dir_all(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(error));
            }
            Ok(()) | Err(_) => std::fs::create_dir_all(folder).map_err(failed)?,
        }
        // Its key is needed for the server's certificate, and never again.
        let private = tempfile::tempdir().map_err(failed)?;
        let root = BenchRoot::load_or_make(private.path(), now)?;
        let leaf = root.leaf(&[IpOrDns::Ip(IpAddr::V4(emulator.host()))], now)?;
        let keys = NewKeys::generate()?;
        let tuf_root = new_root(&keys, now, ROOT_DAYS).await?;
        let store = Store::parse("dir:.", folder)?;
        let root = root.certificate().clone();
        Ok(Self { root, tuf_root, keys, leaf, folder: folder.to_owned(), store, now })
    }

    /// Publishes a release for the whole fleet of one device.
    pub async fn publish(&self, offer: Offer<'_>) -> Result<(), EmulatorError> {
        let state = State::load(&self.store, &self.tuf_root, View::Live, self.now).await?;
        let plain_channel = offer.channel;
        let terms = Terms { now: self.now, expiry: Expiry::default(), plain_channel };
        let custom = self.custom(&offer);
        let release = NewRelease { image: offer.image, custom };
        let plan = state.publish(&self.keys.publish, vec![release], terms).await?;
        self.store.stage(&plan).await?;
        Ok(self.store.promote(&plan).await?)
    }

    fn custom(&self, offer: &Offer<'_>) -> Custom {
        Custom {
            product: offer.product.to_owned(),
            channels: vec![offer.channel.to_owned()],
            chip: offer.chip,
            version: offer.version.to_owned(),
            version_source: VersionSource::AppDescriptor,
            secure_version: 0,
            min_chip_revision: 0,
            rollout: Rollout { percent: WHOLE_FLEET, seed: offer.version.to_owned() },
            roots: vec![self.root.fingerprint_hex()],
            agent: None,
            caps: caps::of_own_agent(),
        }
    }

    /// Serves the repository on the loopback interface, which the emulated device reaches: at
    /// `address`, or at a port that the system chooses.
    pub async fn serve(&self, address: Option<SocketAddr>) -> Result<Server, EmulatorError> {
        let config = Config {
            folder: self.folder.clone(),
            bind: address.unwrap_or(LOOPBACK),
            chain: self.leaf.chain.clone(),
            key: self.leaf.key.clone_key(),
            log: Log::silent(),
            limits: Limits::default(),
        };
        Ok(Server::start(config).await?)
    }
}

/// The URL under which a device on `emulator` finds the server at `address`.
pub fn url(emulator: Emulator, address: SocketAddr) -> String {
    format!("https://{}:{}", emulator.host(), address.port())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, RootCertStore};
    use tokio::net::TcpStream;
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::virtual_device::stand_in;

    /// Whether somebody who trusts `root` alone takes the server for the guest's host.
    async fn is_trusted(root: &PinnedRoot, address: SocketAddr) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(root.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::from(IpAddr::V4(Emulator::Qemu.host()));
        let stream = TcpStream::connect(address).await.unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.is_ok()
    }

    #[tokio::test]
    async fn the_root_of_the_bench_and_no_other_vouches_for_its_server() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let now = Timestamp::now();
        let bench = Bench::new(Emulator::Qemu, folders[0].path(), now).await.unwrap();
        let other = Bench::new(Emulator::Qemu, folders[1].path(), now).await.unwrap();
        let server = bench.serve(None).await.unwrap();
        let address = server.addr();
        assert!(is_trusted(&bench.root, address).await);
        assert!(!is_trusted(&other.root, address).await);
        assert_ne!(bench.tuf_root, other.tuf_root);
        assert_eq!(url(Emulator::Qemu, address), format!("https://10.0.2.2:{}", address.port()));

        // Gone, and back at the same address.
        server.shutdown().await;
        assert!(TcpStream::connect(address).await.is_err());
        let server = bench.serve(Some(address)).await.unwrap();
        assert_eq!(server.addr(), address);
        assert!(is_trusted(&bench.root, address).await);
    }

    #[tokio::test]
    async fn what_is_published_is_signed_for_the_bench_and_the_folder_is_emptied_first() {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::now();
        for _ in 0..2 {
            let bench = Bench::new(Emulator::EspEmu, folder.path(), now).await.unwrap();
            let image = stand_in::image(Chip::Esp32c6);
            let (product, channel, chip) = ("thermostat", "stable", Chip::Esp32c6);
            let offer = Offer { product, channel, chip, version: "1.0.1", image };
            bench.publish(offer).await.unwrap();
            let state = State::load(&bench.store, &bench.tuf_root, View::Live, now).await.unwrap();
            let versions: Vec<_> =
                state.releases().iter().map(|it| it.custom.version.as_str()).collect();
            assert_eq!(versions, ["1.0.1"]);
        }
    }
}
