//! What `build` says of an image.

use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;

use super::dates::CertificateDates;
use super::published::Published;
use crate::image::Place;
use crate::image::parts::{Part, Share};
use crate::output::{Paint, Report, Tone};

/// How many origins of a part are named to people.
const NAMED: usize = 3;

/// An image that fits.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct BuildReport {
    pub(super) file: PathBuf,
    pub(super) version: String,
    pub(super) size: usize,
    pub(super) smallest_slot: String,
    pub(super) slot_size: u32,
    pub(super) free: u32,
    pub(super) slots: Vec<Slot>,
    pub(super) sections: Vec<Section>,
    pub(super) published: Option<Published>,
    pub(super) not_compared: Option<String>,
    pub(super) parts: Option<Vec<PartReport>>,
    pub(super) certificate_dates: CertificateDates,
    #[serde(skip)]
    pub(super) shows_parts: bool,
}

/// A slot, all of which the image fits.
#[derive(Debug, Serialize)]
pub(super) struct Slot {
    pub(super) name: String,
    pub(super) size: u32,
    pub(super) free: u32,
}

/// Bytes of one kind of memory.
#[derive(Debug, Serialize)]
pub(super) struct Section {
    section: Place,
    bytes: u64,
}

/// Bytes of one part of the firmware.
#[derive(Debug, Serialize)]
pub(super) struct PartReport {
    part: Part,
    bytes: u64,
    origins: Vec<Origin>,
}

#[derive(Debug, Serialize)]
struct Origin {
    name: String,
    bytes: u64,
}

impl From<(Place, u64)> for Section {
    fn from((section, bytes): (Place, u64)) -> Self {
        Self { section, bytes }
    }
}

impl From<Share> for PartReport {
    fn from(share: Share) -> Self {
        let origins = share.origins.into_iter().map(|(name, bytes)| Origin { name, bytes });
        Self { part: share.part, bytes: share.bytes, origins: origins.collect() }
    }
}

impl BuildReport {
    fn size(&self) -> u64 {
        u64::try_from(self.size).unwrap_or(u64::MAX)
    }

    /// Bytes by section; beside them, where an older image is there, what it had less.
    fn sections(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let compared = self
            .published
            .as_ref()
            .and_then(|published| Some((published, published.sections.as_ref()?)));
        let Some((published, changes)) = compared else {
            for section in &self.sections {
                writeln!(out, "  {:<20} {:>9}", section.section.words(), section.bytes)?;
            }
            return Ok(());
        };
        let since = format!("since {}", published.version);
        let width = since.len();
        writeln!(out, "  {:<20} {:>9}  {}", "", "bytes", paint.tone(Tone::Faint, &since))?;
        for change in changes {
            let section = self.sections.iter().find(|it| it.section == change.section);
            let (words, bytes) = (change.section.words(), section.map_or(0, |it| it.bytes));
            writeln!(out, "  {words:<20} {bytes:>9}  {:>width$}", signed(change.change))?;
        }
        let (size, change) = (self.size, signed(published.change));
        writeln!(out, "  {:<20} {size:>9}  {change:>width$}", "in all")
    }

    /// The line about what could not be compared.
    fn comparison(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(Published { version, change, sections: None, .. }) = &self.published {
            writeln!(out, "  {} bytes since {version}", signed(*change))?;
        }
        match &self.not_compared {
            Some(reason) => writeln!(out, "  not compared: {reason}"),
            None => Ok(()),
        }
    }

    fn parts(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let Some(parts) = &self.parts else {
            return writeln!(out, "the program has no symbols: nothing is known of its parts");
        };
        writeln!(out, "{}", paint.tone(Tone::Strong, "bytes by part"))?;
        for part in parts {
            let named = part.origins.iter().take(NAMED);
            let mut named: Vec<String> =
                named.map(|origin| format!("{} {}", origin.name, origin.bytes)).collect();
            if part.origins.len() > NAMED {
                named.push("…".to_owned());
            }
            let percent = tenths(part.bytes, self.size());
            let line = format!(
                "  {:<15} {:>9}  {percent:>5}%  {}",
                part.part.words(),
                part.bytes,
                paint.tone(Tone::Faint, named.join(", "))
            );
            writeln!(out, "{line}")?;
        }
        writeln!(out, "  {:<15} {:>9}  100.0%", "in all", self.size)
    }
}

/// A difference with its sign; nothing has none.
fn signed(change: i64) -> String {
    if change == 0 { "0".to_owned() } else { format!("{change:+}") }
}

/// Percent with one digit behind the point.
fn tenths(bytes: u64, of: u64) -> String {
    let tenths = bytes.saturating_mul(1000).checked_div(of).unwrap_or(0);
    format!("{}.{}", tenths / 10, tenths % 10)
}

impl Report for BuildReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let percent =
            self.size().saturating_mul(100).checked_div(u64::from(self.slot_size)).unwrap_or(0);
        writeln!(
            out,
            "image {} of {} bytes: {percent}% of slot `{}`, {} bytes free\n  {}",
            paint.tone(Tone::Strong, &self.version),
            self.size,
            self.smallest_slot,
            self.free,
            self.file.display()
        )?;
        self.sections(out, paint)?;
        self.comparison(out)?;
        if self.shows_parts { self.parts(out, paint) } else { Ok(()) }
    }
}
