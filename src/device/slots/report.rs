//! The whole answer of `slots`, for programs.

use serde::Serialize;

use super::image::{Found, Outline};
use super::{Survey, entry};
use crate::agent::layout::Region;
use crate::agent::otadata;
use crate::device::serial::Security;
use crate::hex;
use crate::virtual_device::bootloader::{Rollback, Start, Target};

/// How well an image is known to boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// Every byte was checked, against the image's own SHA-256 or against an image at hand.
    Intact,
    /// Its headers lead to its end; the bytes between were not compared with anything.
    Unproven,
    /// The bootloader would refuse it.
    Broken,
    /// Erased.
    Blank,
}

impl Proof {
    /// The word in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Intact => "intact",
            Self::Unproven => "unproven",
            Self::Broken => "broken",
            Self::Blank => "blank",
        }
    }

    /// Whether a bootloader may find that it boots.
    pub fn may_boot(self) -> bool {
        matches!(self, Self::Intact | Self::Unproven)
    }
}

/// An entry of `otadata`, for people and programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct EntryReport {
    /// `ota_seq`, `null` where erased.
    pub seq: Option<u32>,
    /// ESP-IDF's name, or `unknown`.
    pub state: &'static str,
    /// Our label; hexadecimal where it is foreign.
    pub label: String,
    /// `good`, `bad` or `blank`.
    pub crc: &'static str,
    /// The slot it selects, if its CRC is good.
    pub selects: Option<Target>,
    /// The 32 bytes, hexadecimal.
    pub raw: String,
}

/// What a slot holds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ImageReport {
    /// Project name of the app descriptor.
    pub project: String,
    /// Version of the app descriptor.
    pub version: String,
    /// ESP-IDF's anti-rollback counter.
    pub secure_version: u32,
    /// SHA-256 of the ELF file.
    pub elf_sha256: String,
    /// Date and time of the build as the compiler wrote them.
    pub built: String,
    /// Bytes of the image.
    pub size: u32,
    /// SHA-256 appended to the image.
    pub sha256: String,
    /// Which known image it is, byte for byte: a published release, or the last build.
    pub known: Option<String>,
}

/// An app partition.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SlotState {
    /// `ota_0`, `factory`.
    pub name: Target,
    /// Its label in the table.
    pub label: String,
    /// First byte.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
    /// What it holds; `null` where that is no image.
    pub image: Option<ImageReport>,
    /// How well it is known to boot.
    pub proof: Proof,
    /// Why it is broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What the bootloader does at the next reset.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct NextBoot {
    /// With a bootloader as espflash flashes it.
    pub without_rollback: Target,
    /// With app rollback in the bootloader.
    pub with_rollback: Target,
    /// Whether the images of both answers are intact.
    pub proven: bool,
    /// Each step of the first answer.
    pub because: Vec<String>,
    /// Each step of the second, where it differs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub because_with_rollback: Vec<String>,
}

/// Where the table was found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TableReport {
    /// Offset in flash.
    pub offset: u32,
    /// Rows.
    pub rows: usize,
}

/// What is known of the second-stage bootloader.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BootloaderReport {
    /// Offset in flash.
    pub offset: u32,
    /// What is wrong with it; `null` where it is whole, as far as its headers tell.
    pub reason: Option<String>,
    /// Bytes.
    pub size: Option<u32>,
    /// SHA-256 appended to it.
    pub sha256: Option<String>,
    /// The ESP-IDF it was built with, where it says so.
    pub esp_idf: Option<String>,
    /// Which known one it is, byte for byte.
    pub known: Option<String>,
    /// `yes`, `no` or `unknown`.
    pub rollback: &'static str,
    /// How that is known.
    pub rollback_because: String,
}

/// What the chip's ROM says of its security.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SecurityReport {
    /// Whether the flash is encrypted.
    pub flash_encryption: bool,
    /// Whether the bootloader has to be signed.
    pub secure_boot: bool,
    /// Whether a cable can only write.
    pub secure_download: bool,
}

impl From<&Security> for SecurityReport {
    fn from(security: &Security) -> Self {
        let Security { flash_encryption, secure_boot, secure_download } = *security;
        Self { flash_encryption, secure_boot, secure_download }
    }
}

/// What the next update would write, if what boots next is what runs then.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct UpdateReport {
    /// The slot that gets the image.
    pub slot: Target,
    /// The entry that is written.
    pub entry: usize,
    /// Its sequence number; `null` where the numbers are used up.
    pub seq: Option<u32>,
}

/// The whole answer of `slots`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SlotReport {
    /// The port, where it was a device.
    pub port: Option<String>,
    /// The chip, where it is known.
    pub chip: Option<String>,
    /// What its ROM says; `null` for a dump, and for a chip whose ROM does not know the question.
    pub security: Option<SecurityReport>,
    /// What is known of the bootloader; `null` where the chip is not known.
    pub bootloader: Option<BootloaderReport>,
    /// What boots next, and why.
    pub next_boot: NextBoot,
    /// The partition table.
    pub table: TableReport,
    /// Both entries; empty without an `otadata` partition.
    pub entries: Vec<EntryReport>,
    /// Every app partition.
    pub slots: Vec<SlotState>,
    /// What runs, where that is known: a device in its loader runs nothing.
    pub running: Option<Target>,
    /// Whether the image that boots next has to confirm itself: `settled`, `trial` or `unknown`.
    pub trial: &'static str,
    /// What the next update would write; `null` where nothing could.
    pub next_update: Option<UpdateReport>,
}

impl SlotReport {
    /// Whether something boots at the next reset, whichever bootloader it is.
    pub fn boots(&self) -> bool {
        let NextBoot { without_rollback, with_rollback, .. } = &self.next_boot;
        ![without_rollback, with_rollback].contains(&&Target::None)
    }
}

pub(super) fn assemble(survey: &Survey) -> SlotReport {
    let without = survey.start(&survey.entries, Rollback::Off);
    let with = survey.start(&survey.entries, Rollback::On);
    let slots: Vec<SlotState> = survey
        .slots
        .iter()
        .map(|(name, region, found)| state(survey, *name, *region, found))
        .collect();
    let count = survey.boot.slot_rows;
    let trial = entry::trial(survey, without.target);
    SlotReport {
        port: None,
        chip: None,
        security: None,
        bootloader: survey.bootloader.clone(),
        next_update: next_update(survey, without.target),
        next_boot: next_boot(without, with, &slots),
        table: TableReport { offset: survey.table_offset, rows: survey.table.entries.len() },
        entries: if survey.boot.has_otadata {
            survey.entries.iter().map(|it| entry::report(it, count)).collect()
        } else {
            Vec::new()
        },
        slots,
        running: None,
        trial,
    }
}

fn next_boot(without: Start, with: Start, states: &[SlotState]) -> NextBoot {
    let is_intact =
        |target| states.iter().any(|state| state.name == target && state.proof == Proof::Intact);
    let differs = with.steps != without.steps;
    NextBoot {
        without_rollback: without.target,
        with_rollback: with.target,
        proven: is_intact(without.target) && is_intact(with.target),
        because: without.steps,
        because_with_rollback: if differs { with.steps } else { Vec::new() },
    }
}

/// The agent's own rule: the slot after the running one, through the entry that does not select
/// the running slot.
fn next_update(survey: &Survey, running: Target) -> Option<UpdateReport> {
    let layout = &survey.boot.layout;
    let count = layout.slot_count();
    let slot = match running {
        Target::Slot(index) => index.checked_add(1)?.checked_rem(count)?,
        Target::Factory => 0,
        Target::Test | Target::None => return None,
    };
    layout.slot(slot)?;
    let entry = otadata::active(&survey.entries).map_or(0, |active| usize::from(active == 0));
    let seq = otadata::next_sequence(&survey.entries, slot, count);
    Some(UpdateReport { slot: Target::Slot(slot), entry, seq })
}

fn state(survey: &Survey, name: Target, region: Region, found: &Found) -> SlotState {
    let row = survey.table.entries.iter().find(|entry| entry.offset == region.start);
    SlotState {
        name,
        label: row.map(|row| row.label.to_string()).unwrap_or_default(),
        offset: region.start,
        size: region.len,
        image: found.outline.as_ref().map(|outline| image(outline, found.known.clone())),
        proof: found.proof,
        reason: found.reason.map(|reason| reason.to_string()),
    }
}

fn image(outline: &Outline, known: Option<String>) -> ImageReport {
    let descriptor = outline.descriptor.as_ref();
    let (date, time) = descriptor.map_or(("", ""), |descriptor| descriptor.built());
    ImageReport {
        project: descriptor.map_or("", |descriptor| descriptor.project()).to_owned(),
        version: descriptor.map_or("", |descriptor| descriptor.version()).to_owned(),
        secure_version: descriptor.map_or(0, |descriptor| descriptor.secure_version),
        elf_sha256: descriptor
            .map_or(String::new(), |descriptor| hex::lower(&descriptor.elf_digest)),
        built: format!("{date} {time}").trim().to_owned(),
        size: outline.length,
        sha256: hex::lower(&outline.digest),
        known,
    }
}
