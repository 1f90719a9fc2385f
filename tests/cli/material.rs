//! Programs, images and dumps to test with: what `demo --keep` leaves behind, made once.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::certificates;
use crate::harness::{Project, copy};

/// Begin of `otadata` in the table that `init` writes.
pub(crate) const OTADATA: usize = 0xe000;
/// Begins of its slots.
pub(crate) const SLOTS: [usize; 2] = [0x1_0000, 0x15_0000];

fn kept() -> PathBuf {
    static KEPT: OnceLock<TempDir> = OnceLock::new();
    let kept = KEPT.get_or_init(|| {
        let project = Project::new();
        project.run(["demo", "--keep", "kept", "-q"]).exits(0).stderr("");
        let folder = tempfile::tempdir().unwrap();
        copy(&project.path("kept"), folder.path());
        folder
    });
    kept.path().to_owned()
}

/// The program of a version: a real ELF file for RISC-V.
pub(crate) fn elf(version: &str) -> Vec<u8> {
    fs::read(kept().join(format!("thermostat-{version}.elf"))).unwrap()
}

/// Its app image for the ESP32-C3.
pub(crate) fn image(version: &str) -> Vec<u8> {
    let name = format!("thermostat/target/esp-ota/thermostat-esp32c3-{version}.bin");
    fs::read(kept().join(name)).unwrap()
}

/// A dump of the demo's device, such as `2-updated`.
pub(crate) fn dump(name: &str) -> Vec<u8> {
    fs::read(kept().join(format!("flash-{name}.bin"))).unwrap()
}

/// A root certificate, the same for all tests of a run.
pub(crate) fn bench_root() -> String {
    static ROOT: OnceLock<String> = OnceLock::new();
    ROOT.get_or_init(|| certificates::root("Test Root")).clone()
}

/// One bit changed in the middle.
pub(crate) fn tampered(mut bytes: Vec<u8>) -> Vec<u8> {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
}

/// An image that says it is for another chip, and is sound otherwise: `chip_id` is in the header's
/// bytes 12 and 13, and the SHA-256 at the end covers all before it.
pub(crate) fn for_chip(mut image: Vec<u8>, id: u16) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    image[12..14].copy_from_slice(&id.to_le_bytes());
    let end = image.len() - 32;
    let digest = Sha256::digest(&image[..end]);
    image[end..].copy_from_slice(&digest);
    image
}

/// The same image under another version: 32 bytes of the app descriptor, behind the headers, its
/// magic, its secure version and two reserved words.
pub(crate) fn with_version(mut image: Vec<u8>, version: &str) -> Vec<u8> {
    let field = &mut image[24 + 8 + 16..][..32];
    field.fill(0);
    field[..version.len()].copy_from_slice(version.as_bytes());
    with_checksum(image)
}

/// Makes checksum and digest fit what was changed: the checksum is the XOR of all segment bytes
/// and 0xEF, in the last byte before the digest.
pub(crate) fn with_checksum(mut image: Vec<u8>) -> Vec<u8> {
    let mut checksum = 0xef;
    let mut at = 24;
    for _ in 0..image[1] {
        let length = u32::from_le_bytes(image[at + 4..at + 8].try_into().unwrap());
        let end = at + 8 + usize::try_from(length).unwrap();
        checksum = image[at + 8..end].iter().fold(checksum, |sum, byte| sum ^ byte);
        at = end;
    }
    let end = image.len() - 32;
    image[end - 1] = checksum;
    let chip = u16::from_le_bytes([image[12], image[13]]);
    for_chip(image, chip)
}

/// Blank flash with a partition table at an offset: `otadata` behind it, and so many small slots.
pub(crate) fn flash_with(offset: usize, slots: u8) -> Vec<u8> {
    use cargo_esp_ota::partition::{self, Entry, Kind, Table};
    let at = |place: usize| u32::try_from(place).unwrap();
    let mut entries = vec![Entry::new("otadata", Kind::OTADATA, at(offset + 0x1000), 0x2000)];
    for slot in 0..slots {
        let start = at(0x2_0000 * (usize::from(slot) + 1));
        entries.push(Entry::new(
            &format!("ota_{slot}"),
            Kind::slot(slot).unwrap(),
            start,
            0x2_0000,
        ));
    }
    let table = partition::encode(&Table { entries }).unwrap();
    let mut flash = vec![0xff; 4 << 20];
    flash[offset..offset + table.len()].copy_from_slice(&table);
    flash
}
