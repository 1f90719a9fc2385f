//! How much heap and stack the device's TUF client takes, as 32-bit RISC-V code.
//!
//! The agent's own files, on a machine that QEMU emulates: `run.sh` builds this program around a
//! repository of 50 releases and runs it. TLS and the radio come on top of what it prints.

#![no_std]
#![no_main]

extern crate alloc;

mod board;
mod flash;
#[expect(dead_code, unused_imports, reason = "only the client runs here")]
#[path = "../../../templates/firmware/src/ota/mod.rs"]
mod ota;

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use board::measured;
use flash::Ram;
use ota::clock::Clock;
use ota::layout::Region;
use ota::nvs_store::NvsStore;
use ota::ports::{Response, Transport, TransportError};
use ota::release::Identity;
use ota::tuf::{self, Caps};
use semver::Version;

/// The `nvs` partition of the layout that `init` writes.
const NVS: Region = Region { start: 0, len: 0x5000 };
/// 2026-06-01: before anything in the repository expires.
const BUILT: u64 = 1_780_272_000;

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!(env!("REPOSITORY"), "/", $name))
    };
}

const FILES: [(&str, &[u8]); 3] = [
    ("metadata/timestamp.json", file!("timestamp.json")),
    ("metadata/1.snapshot.json", file!("1.snapshot.json")),
    ("metadata/1.targets.json", file!("1.targets.json")),
];

/// Serves [`FILES`].
struct Server(&'static [u8]);

impl Transport for Server {
    async fn get(
        &mut self,
        path: &str,
        _: u32,
        _: Option<&str>,
    ) -> Result<Response, TransportError> {
        let Some((_, file)) = FILES.iter().find(|(name, _)| *name == path) else {
            return Ok(Response { status: 404, ..Response::default() });
        };
        self.0 = file;
        let length = u32::try_from(file.len()).ok();
        Ok(Response { status: 200, length, ..Response::default() })
    }

    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, TransportError> {
        let count = self.0.len().min(buf.len());
        let (now, later) = self.0.split_at(count);
        buf[..count].copy_from_slice(now);
        self.0 = later;
        Ok(count)
    }
}

/// Nothing here ever waits.
fn block_on<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a transport in memory does not wait"),
    }
}

/// Called once the machine is up.
fn measure() {
    let flash = Ram::blank();
    let mut store = measured("open the store", || NvsStore::open(flash, NVS).expect("it opens"));
    let mut clock = Clock::new(BUILT, None);
    let trusted = measured("refresh", || {
        let root = file!("1.root.json");
        let caps = Caps::default();
        let mut server = Server(&[]);
        let refresh = tuf::refresh(&mut server, &mut store, root, &mut clock, &caps);
        block_on(refresh).expect("the repository is genuine")
    });
    let identity = Identity {
        product: "thermostat".into(),
        channel: "stable".into(),
        chip: "esp32c3".into(),
        device_id: "0123456789ab".into(),
        version: Version::new(1, 0, 0),
    };
    let selection = measured("choose a release", || trusted.select(&identity, |_| false));
    assert!(selection.candidate.is_some(), "there is a newer release");
}
