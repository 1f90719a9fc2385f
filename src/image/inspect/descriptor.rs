//! The descriptors at the start of an image: `esp_app_desc_t`, and `esp_bootloader_desc_t`.
//!
//! The agent reads of the first what decides; the rest is here, from the same 256 bytes.

use serde::Serialize;

use crate::agent::image::{DESCRIPTOR_OFFSET, Descriptor};
use crate::hex;

/// Bytes of an app descriptor.
pub(super) const APP_SIZE: usize = 256;
/// Bytes of a bootloader's descriptor.
const BOOTLOADER_SIZE: usize = 80;
/// Bytes at the start of a bootloader that hold its descriptor: the headers, and it.
pub const BOOTLOADER_HEAD: u32 = DESCRIPTOR_OFFSET + 80;
/// `ESP_BOOTLOADER_DESC_MAGIC_BYTE`.
const BOOTLOADER_MAGIC: u8 = 80;

/// What a firmware says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct App {
    /// Project name; empty where it is not ASCII.
    pub project: String,
    /// Version text.
    pub version: String,
    /// Date and time of the build as the compiler wrote them.
    pub built: String,
    /// Version of ESP-IDF, or what a builder without it says.
    pub idf_version: String,
    /// Counter of ESP-IDF's anti-rollback.
    pub secure_version: u32,
    /// SHA-256 of the ELF file.
    pub elf_sha256: String,
    /// Lowest revision of the eFuse block, major times 100 plus minor.
    pub min_efuse_block_revision: u16,
    /// Highest revision of the eFuse block.
    pub max_efuse_block_revision: u16,
    /// Bytes of a page that flash is mapped in; `null` where the image does not say.
    pub mmu_page_size: Option<u32>,
}

/// What a bootloader of ESP-IDF 5.2 or later says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Bootloader {
    /// Its version: a counter.
    pub version: u32,
    /// Version of ESP-IDF.
    pub idf_version: String,
    /// Date and time of the build.
    pub built: String,
}

/// The app descriptor of an image.
pub(super) fn app(image: &[u8]) -> Option<App> {
    app_in(behind_headers(image)?)
}

/// The app descriptor at the start of a section.
pub(super) fn app_in(section: &[u8]) -> Option<App> {
    let bytes: &[u8; APP_SIZE] = section.first_chunk()?;
    let known = Descriptor::decode(bytes)?;
    let (date, time) = known.built();
    let half = |at| field::<2>(bytes, at).map(u16::from_le_bytes);
    let [page] = field(bytes, 180)?;
    Some(App {
        project: known.project().to_owned(),
        version: known.version().to_owned(),
        built: format!("{date} {time}").trim().to_owned(),
        idf_version: text(&field::<32>(bytes, 112)?).unwrap_or_default(),
        secure_version: known.secure_version,
        elf_sha256: hex::lower(&known.elf_digest),
        min_efuse_block_revision: half(176)?,
        max_efuse_block_revision: half(178)?,
        mmu_page_size: 1u32.checked_shl(page.into()).filter(|size| *size > 1),
    })
}

/// A bootloader's descriptor, from its first [`BOOTLOADER_HEAD`] bytes. Its magic is a single byte,
/// so the texts have to be texts too.
pub fn bootloader(image: &[u8]) -> Option<Bootloader> {
    let bytes: &[u8; BOOTLOADER_SIZE] = behind_headers(image)?.first_chunk()?;
    let [magic] = field(bytes, 0)?;
    let idf_version = text(&field::<32>(bytes, 8)?).filter(|version| !version.is_empty())?;
    let built = text(&field::<24>(bytes, 40)?)?;
    let version = u32::from_le_bytes(field(bytes, 4)?);
    (magic == BOOTLOADER_MAGIC).then_some(Bootloader { version, idf_version, built })
}

/// What stands behind the header of the image and that of its first segment.
fn behind_headers(image: &[u8]) -> Option<&[u8]> {
    image.get(usize::try_from(DESCRIPTOR_OFFSET).ok()?..)
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// The text before the first NUL; `None` where it is not plain ASCII.
fn text(bytes: &[u8]) -> Option<String> {
    let head = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let is_plain = head.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    is_plain.then(|| head.iter().copied().map(char::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section() -> Vec<u8> {
        let mut bytes = vec![0; APP_SIZE];
        bytes[..4].copy_from_slice(&0xabcd_5432_u32.to_le_bytes());
        bytes[4] = 7;
        bytes[16..21].copy_from_slice(b"1.2.3");
        bytes[48..52].copy_from_slice(b"lamp");
        bytes[80..88].copy_from_slice(b"12:34:56");
        bytes[96..107].copy_from_slice(b"Jan  2 2026");
        bytes[112..116].copy_from_slice(b"v5.5");
        bytes[144..176].fill(0xab);
        bytes[176..181].copy_from_slice(&[0x64, 0, 0xc7, 0, 16]);
        bytes
    }

    #[test]
    fn every_field_is_read_from_its_place() {
        let app = app_in(&section()).unwrap();
        let expected = App {
            project: "lamp".into(),
            version: "1.2.3".into(),
            built: "Jan  2 2026 12:34:56".into(),
            idf_version: "v5.5".into(),
            secure_version: 7,
            elf_sha256: "ab".repeat(32),
            min_efuse_block_revision: 100,
            max_efuse_block_revision: 199,
            mmu_page_size: Some(65536),
        };
        assert_eq!(app, expected);
        assert_eq!(app_in(&section()[..255]), None);
    }

    #[test]
    fn a_page_size_is_said_only_where_the_image_says_it() {
        for (byte, size) in [(0, None), (13, Some(8192)), (31, Some(1 << 31)), (32, None)] {
            let mut bytes = section();
            bytes[180] = byte;
            assert_eq!(app_in(&bytes).unwrap().mmu_page_size, size, "{byte}");
        }
    }

    #[test]
    fn a_bootloader_is_told_by_its_byte_and_its_texts() {
        let mut image = vec![0; 0x20 + BOOTLOADER_SIZE];
        image[0x20] = 80;
        image[0x24] = 3;
        image[0x28..0x2c].copy_from_slice(b"v5.2");
        image[0x48..0x4c].copy_from_slice(b"Jan ");
        let found = bootloader(&image).unwrap();
        let texts = (found.version, found.idf_version.as_str(), found.built.as_str());
        assert_eq!(texts, (3, "v5.2", "Jan "));
        image[0x28] = 0x80;
        assert_eq!(bootloader(&image), None);
        image[0x28] = 0;
        assert_eq!(bootloader(&image), None, "without a version it is just a byte");
    }
}
