//! Slot state: both `otadata` entries, the image in every slot, what boots next and why.

use std::io::{self, Write};

use serde::Serialize;

use super::boot_table;
use crate::agent::image::{self, ImageError, ImageInfo};
use crate::agent::layout::Region;
use crate::agent::otadata::{ENTRY, Entry, SECTOR};
use crate::error::{Exit, Explained};
use crate::hex;
use crate::image::Bytes;
use crate::output::{Paint, Report, Tone};
use crate::partition::{self, Options, Severity, TABLE_SIZE, Table};
use crate::virtual_device::bootloader::{self, Rollback, Start, Target};

/// Where partition tables are looked for: every sector from ESP-IDF's default offset to the first
/// place an app can have.
const TABLE_OFFSETS: [u32; 9] =
    [0x8000, 0x9000, 0xa000, 0xb000, 0xc000, 0xd000, 0xe000, 0xf000, 0x10000];

/// Why there is nothing to report.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    /// No sector begins with a table.
    #[error("there is no partition table from 0x8000 to 0x10000")]
    NoTable,
    /// What is there is damaged.
    #[error("the partition table at {offset:#x} is damaged: {message}")]
    DamagedTable {
        /// Where it is.
        offset: u32,
        /// The first problem.
        message: String,
    },
    /// The table points beyond the dump.
    #[error("`otadata` at {0:#x} is beyond the end of the dump")]
    Truncated(u32),
}

impl Explained for SlotError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoTable | Self::DamagedTable { .. } | Self::Truncated(_) => Exit::Rejected,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoTable => Some(
                "dump the whole chip from offset 0; with flash encryption a dump is cipher text"
                    .into(),
            ),
            Self::DamagedTable { .. } => {
                Some("look at it with `cargo esp-ota partitions check`".into())
            }
            Self::Truncated(_) => Some("dump the whole chip".into()),
        }
    }
}

/// How well an image is known to boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// Every byte was checked against the image's own SHA-256.
    Intact,
    /// The bootloader would refuse it.
    Broken,
    /// Erased.
    Blank,
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

/// The whole answer of `slots`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SlotReport {
    /// What boots next, and why.
    pub next_boot: NextBoot,
    /// The partition table.
    pub table: TableReport,
    /// Both entries; empty without an `otadata` partition.
    pub entries: Vec<EntryReport>,
    /// Every app partition.
    pub slots: Vec<SlotState>,
}

impl SlotReport {
    /// Whether something boots at the next reset, whichever bootloader it is.
    pub fn boots(&self) -> bool {
        let NextBoot { without_rollback, with_rollback, .. } = &self.next_boot;
        ![without_rollback, with_rollback].contains(&&Target::None)
    }
}

/// Reads a dump of a whole flash chip.
pub fn report(flash: &[u8]) -> Result<SlotReport, SlotError> {
    let (offset, table) = find_table(flash)?;
    let boot = boot_table(&table);
    let mut entries = [Entry::decode(&[0xff; ENTRY]); 2];
    if boot.has_otadata {
        for (entry, sector) in entries.iter_mut().zip([0, SECTOR]) {
            let at = boot.layout.otadata.saturating_add(sector);
            let bytes = slice(flash, at, ENTRY).and_then(|bytes| bytes.first_chunk());
            *entry = Entry::decode(bytes.ok_or(SlotError::Truncated(at))?);
        }
    }

    let factory = boot.layout.factory.map(|region| (Target::Factory, region));
    let slots = (0u32..).zip(boot.layout.slots);
    let slots = slots.filter_map(|(index, slot)| Some((Target::Slot(index), slot?)));
    let test = boot.test.map(|region| (Target::Test, region));
    let states: Vec<SlotState> = factory
        .into_iter()
        .chain(slots)
        .chain(test)
        .map(|(name, region)| state(flash, &table, name, region))
        .collect();

    let intact = |region: Region| image::verify(&mut Bytes(flash), region, None).is_ok();
    let without = bootloader::start(&boot, &entries, Rollback::Off, intact);
    let with = bootloader::start(&boot, &entries, Rollback::On, intact);
    let count = boot.slot_rows;
    Ok(SlotReport {
        next_boot: next_boot(without, with, &states),
        table: TableReport { offset, rows: table.entries.len() },
        entries: if boot.has_otadata {
            entries.iter().map(|entry| entry_report(entry, count)).collect()
        } else {
            Vec::new()
        },
        slots: states,
    })
}

fn find_table(flash: &[u8]) -> Result<(u32, Table), SlotError> {
    let size = usize::try_from(TABLE_SIZE).unwrap_or(usize::MAX);
    for offset in TABLE_OFFSETS {
        let Some(bytes) = slice(flash, offset, size) else { break };
        if !bytes.starts_with(&[0xaa, 0x50]) {
            continue;
        }
        let format = bytes.get(..partition::FORMAT_SIZE).unwrap_or(bytes);
        let reading = partition::read(format, None, &Options::default());
        // Only damage counts here: what a damaged table says cannot be believed, but a legal table
        // that is unfit for OTA is just what people come to look at.
        let damage = reading.findings.iter().find(|it| it.severity == Severity::Error);
        return match damage {
            Some(finding) => {
                Err(SlotError::DamagedTable { offset, message: finding.message.clone() })
            }
            None => Ok((offset, reading.table())),
        };
    }
    Err(SlotError::NoTable)
}

fn slice(flash: &[u8], offset: u32, len: usize) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    flash.get(start..start.checked_add(len)?)
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

fn entry_report(entry: &Entry, count: u32) -> EntryReport {
    let crc = match (entry.is_blank(), entry.is_sound()) {
        (true, _) => "blank",
        (false, true) => "good",
        (false, false) => "bad",
    };
    EntryReport {
        seq: (entry.sequence != u32::MAX).then_some(entry.sequence),
        state: entry.state.name(),
        label: match entry.label.name() {
            Some(name) => name.to_owned(),
            None => hex::lower(&entry.label.bytes()),
        },
        crc,
        selects: if entry.is_sound() { entry.slot(count).map(Target::Slot) } else { None },
        raw: hex::lower(&entry.encode()),
    }
}

fn state(flash: &[u8], table: &Table, name: Target, region: Region) -> SlotState {
    let (image, proof, reason) = match image::verify(&mut Bytes(flash), region, None) {
        Ok(info) => (Some(image_report(&info)), Proof::Intact, None),
        Err(ImageError::Magic(0xff)) => (None, Proof::Blank, None),
        Err(error) => (None, Proof::Broken, Some(error.to_string())),
    };
    let row = table.entries.iter().find(|entry| entry.offset == region.start);
    SlotState {
        name,
        label: row.map(|row| row.label.to_string()).unwrap_or_default(),
        offset: region.start,
        size: region.len,
        image,
        proof,
        reason,
    }
}

fn image_report(info: &ImageInfo) -> ImageReport {
    let descriptor = info.descriptor.as_ref();
    let (date, time) = descriptor.map_or(("", ""), |descriptor| descriptor.built());
    ImageReport {
        project: descriptor.map_or("", |descriptor| descriptor.project()).to_owned(),
        version: descriptor.map_or("", |descriptor| descriptor.version()).to_owned(),
        secure_version: descriptor.map_or(0, |descriptor| descriptor.secure_version),
        elf_sha256: descriptor
            .map_or(String::new(), |descriptor| hex::lower(&descriptor.elf_digest)),
        built: format!("{date} {time}").trim().to_owned(),
        size: info.len,
        sha256: hex::lower(&info.digest),
    }
}

impl Report for SlotReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        writeln!(out, "partition table at {:#x}, {} rows", self.table.offset, self.table.rows)?;
        for (index, entry) in self.entries.iter().enumerate() {
            write!(out, "otadata entry {index}: ")?;
            match (entry.seq, entry.crc) {
                (_, "blank") => writeln!(out, "blank")?,
                (seq, crc) => {
                    let seq = seq.map_or("erased".to_owned(), |seq| seq.to_string());
                    let selects = entry.selects.map(|slot| format!(", selects {slot}"));
                    writeln!(
                        out,
                        "seq {seq}, {}, label `{}`, CRC {crc}{}",
                        entry.state,
                        entry.label,
                        selects.unwrap_or_default()
                    )?;
                }
            }
        }
        for slot in &self.slots {
            let end = u64::from(slot.offset).saturating_add(u64::from(slot.size));
            write!(out, "{:<8} {:#08x}..{end:#08x}  ", slot.name, slot.offset)?;
            match (&slot.image, slot.proof) {
                (Some(image), _) => writeln!(
                    out,
                    "{} {}, {} bytes, {}",
                    image.project,
                    paint.tone(Tone::Strong, &image.version),
                    image.size,
                    paint.tone(Tone::Good, "intact")
                )?,
                (None, Proof::Blank) => writeln!(out, "blank")?,
                (None, _) => writeln!(
                    out,
                    "{}: {}",
                    paint.tone(Tone::Bad, "broken"),
                    slot.reason.as_deref().unwrap_or_default()
                )?,
            }
        }
        let next = &self.next_boot;
        let target = paint.tone(Tone::Strong, next.without_rollback);
        let proven = if next.proven { "proven" } else { "not proven" };
        if next.without_rollback == next.with_rollback {
            writeln!(out, "next boot: {target} ({proven}), with or without bootloader rollback")?;
        } else {
            writeln!(
                out,
                "next boot: {target} without bootloader rollback, {} with it ({proven})",
                paint.tone(Tone::Strong, next.with_rollback)
            )?;
        }
        steps(out, "because", &next.because)?;
        steps(out, "with rollback", &next.because_with_rollback)
    }
}

fn steps(out: &mut dyn Write, heading: &str, steps: &[String]) -> io::Result<()> {
    if !steps.is_empty() {
        writeln!(out, "  {heading}:")?;
    }
    steps.iter().try_for_each(|step| writeln!(out, "    {step}"))
}
