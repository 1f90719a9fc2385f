//! What a server can do wrong with an image, and that each is refused by its own name.

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use sha2::{Digest, Sha256};

use super::bench::{
    App, Bench, FLASH, Faults, Memory, NVS, REVISION, Ran, Repository, image, image_for, layout,
    runtime,
};
use crate::agent::agent::{Error, Outcome};
use crate::agent::image::ImageError;
use crate::agent::install::{self, InstallError, Wanted};
use crate::agent::layout::Running;
use crate::agent::nvs_store::NvsStore;
use crate::agent::ports::TransportError;
use crate::chip::Chip;
use crate::virtual_device::bootloader::Rollback;
use crate::virtual_device::flash::{FlashFault, FlashHandle, VirtualFlash};

/// Lets a device at 1.0.0 poll once; gives what came of it and where downloads began. The device
/// must still boot 1.0.0 if nothing was installed.
fn poll(repository: &Repository, faults: Faults) -> (Ran, Vec<u32>) {
    let bench = Bench::new(&repository.root, Rollback::Off);
    let mut memory = Memory::new(repository, faults);
    let ran = bench.run(&mut memory, |_| App::Hangs).unwrap();
    let asked = memory.asked;
    if ran.polled != Some(Ok(Outcome::Installed)) {
        let again = bench.device.start().unwrap();
        assert_eq!(again.agent.version().to_string(), "1.0.0");
    }
    (ran, asked)
}

fn refusal(repository: &Repository, faults: Faults) -> InstallError {
    match poll(repository, faults).0.polled {
        Some(Err(Error::Install(error))) => error,
        other => panic!("{other:?}"),
    }
}

fn repository() -> Repository {
    Repository::with(&[("1.1.0", image("1.1.0"))])
}

#[test]
fn a_broken_connection_is_picked_up_where_it_broke() {
    let faults = Faults { drops_after: Some(4000), ..Faults::default() };
    let (ran, asked) = poll(&repository(), faults);
    assert_eq!(ran.polled, Some(Ok(Outcome::Installed)));
    assert_eq!(asked, [0, 4000, 8000]);
}

#[test]
fn a_weak_etag_is_not_sent_back_and_the_download_resumes_all_the_same() {
    let faults = Faults { drops_after: Some(4000), is_weak: true, ..Faults::default() };
    let (ran, asked) = poll(&repository(), faults);
    assert_eq!(ran.polled, Some(Ok(Outcome::Installed)));
    assert_eq!(asked, [0, 4000, 8000]);
}

#[test]
fn a_server_that_cannot_resume_is_read_from_the_start() {
    let faults = Faults { drops_after: Some(4000), ignores_ranges: true, ..Faults::default() };
    let (ran, asked) = poll(&repository(), faults);
    let unreachable = InstallError::Transport(TransportError::Unreachable);
    assert_eq!(ran.polled, Some(Err(Error::Install(unreachable))), "it never gets further");
    assert_eq!(asked.len(), 6, "and is not asked for ever");

    let whole = Faults { ignores_ranges: true, ..Faults::default() };
    assert_eq!(poll(&repository(), whole).0.polled, Some(Ok(Outcome::Installed)));
}

#[test]
fn a_download_that_resumes_elsewhere_is_refused() {
    let faults = Faults { drops_after: Some(4000), resumes_late_by: 4, ..Faults::default() };
    assert_eq!(refusal(&repository(), faults), InstallError::Range);
}

#[test]
fn another_length_than_signed_is_refused_before_it_is_read() {
    for faults in
        [Faults { appends: 1, ..Faults::default() }, Faults { truncates: 1, ..Faults::default() }]
    {
        assert_eq!(refusal(&repository(), faults), InstallError::Length, "{faults:?}");
    }
}

#[test]
fn one_changed_bit_is_refused() {
    for at in [0, 24, 5000, 9000] {
        let mut repository = repository();
        repository.target("1.1.0")[at] ^= 0x10;
        let error = refusal(&repository, Faults::default());
        assert_eq!(error, InstallError::Digest, "byte {at}");
        assert!(error.is_trust());
    }
}

#[test]
fn an_image_for_another_chip_is_refused_although_it_is_signed() {
    let other = image_for(Chip::Esp32c6, "1.1.0", 9000);
    let repository = Repository::with(&[("1.1.0", other)]);
    let wrong = ImageError::Chip { expected: 5, found: 13 };
    assert_eq!(refusal(&repository, Faults::default()), InstallError::Image(wrong));
}

#[test]
fn a_release_for_a_newer_revision_of_the_chip_is_refused_before_it_is_downloaded() {
    let repository = Repository::for_revision(REVISION + 1);
    let (ran, asked) = poll(&repository, Faults::default());
    let wrong = ImageError::Revision { needed: 102, found: 101 };
    assert_eq!(ran.polled, Some(Err(Error::Install(InstallError::Image(wrong)))));
    assert_eq!(asked, [0; 0]);
    let (ran, _) = poll(&Repository::for_revision(REVISION), Faults::default());
    assert_eq!(ran.polled, Some(Ok(Outcome::Installed)));
}

#[test]
fn a_signed_file_that_is_no_image_is_refused() {
    let page = b"<html><body>404 not found</body></html>".to_vec();
    let refused = |bytes| refusal(&Repository::with(&[("1.1.0", bytes)]), Faults::default());
    assert_eq!(refused(page.clone()), InstallError::Image(ImageError::Size(39)));
    let padded = [page, vec![0; 9]].concat();
    assert_eq!(refused(padded), InstallError::Image(ImageError::Magic(b'<')));
}

#[test]
fn an_image_one_byte_larger_than_the_slot_is_refused_before_anything_is_erased() {
    let fits = 0x10000 - 24 - 8 - 16 - 32;
    let repository = Repository::with(&[("1.1.0", image_for(Chip::Esp32c3, "1.1.0", fits))]);
    let (ran, _) = poll(&repository, Faults::default());
    assert_eq!(ran.polled, Some(Ok(Outcome::Installed)), "exactly the slot");

    let over = image_for(Chip::Esp32c3, "1.1.0", fits + 16);
    let repository = Repository::with(&[("1.1.0", over)]);
    let too_large = InstallError::TooLarge { image: 0x10010, slot: 0x10000 };
    let bench = Bench::new(&repository.root, Rollback::Off);
    let erases = || bench.device.flash().with(|flash| flash.erases()[0x20..].iter().sum::<u32>());
    let ran = bench.run(&mut Memory::new(&repository, Faults::default()), |_| App::Hangs).unwrap();
    assert_eq!(ran.polled, Some(Err(Error::Install(too_large))));
    assert_eq!(erases(), 0);
}

#[test]
fn a_server_error_is_the_weather_and_not_a_breach_of_trust() {
    let error = refusal(&repository(), Faults { status: Some(503), ..Faults::default() });
    assert_eq!(error, InstallError::Status(503));
    assert!(!error.is_trust());
}

/// Flash with one cell that always reads back a 0, as worn or counterfeit chips have it.
struct WornFlash(VirtualFlash);

impl ErrorType for WornFlash {
    type Error = FlashFault;
}

impl ReadNorFlash for WornFlash {
    const READ_SIZE: usize = VirtualFlash::READ_SIZE;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashFault> {
        self.0.read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl NorFlash for WornFlash {
    const WRITE_SIZE: usize = VirtualFlash::WRITE_SIZE;
    const ERASE_SIZE: usize = VirtualFlash::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashFault> {
        self.0.erase(from, to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        let mut bytes = bytes.to_vec();
        if offset == WORN {
            bytes[0] &= 0x7f;
        }
        self.0.write(offset, &bytes)
    }
}

/// The first byte of slot 1: images begin with 0xe9.
const WORN: u32 = 0x20000;

#[test]
fn what_flash_does_not_hold_is_noticed_before_the_slot_is_selected() {
    let bytes = image("1.1.0");
    assert!(bytes[0] > 0x7f, "the cell makes a difference");
    let repository = Repository::with(&[("1.1.0", bytes.clone())]);
    let path = repository.files.keys().find(|path| path.starts_with("targets/")).unwrap();
    let wanted = Wanted {
        path,
        len: u32::try_from(bytes.len()).unwrap(),
        sha256: Sha256::digest(&bytes).into(),
        chip_id: 5,
        chip_revision: REVISION,
        min_chip_revision: 0,
    };
    let mut worn = WornFlash(VirtualFlash::new(FLASH));
    let mut memory = Memory::new(&repository, Faults::default());
    let running = Running::Slot(0);
    let mut quiet = |_| {};
    let layout = layout();
    let nvs = FlashHandle::new(VirtualFlash::new(FLASH));
    let mut store = NvsStore::open(nvs, NVS).unwrap();
    let fetched =
        install::fetch(&mut worn, &mut store, &layout, running, &wanted, &mut memory, &mut quiet);
    assert_eq!(runtime().block_on(fetched), Err(InstallError::FlashDigest));
}
