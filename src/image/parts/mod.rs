//! Bytes of an app image by part: TLS, Wi-Fi, the update agent and so on.
//!
//! Every byte counts once, so the sum is the image. A byte belongs to the symbol that covers its
//! address in the program; what no symbol covers is `rest`, and what has no address is the format.
//! Code that the compiler inlined belongs to the function it went into.

mod libraries;
mod name;
mod rules;
mod spans;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use object::read::elf::ElfFile32;
use object::{Object, ObjectSection, ObjectSymbol, SectionIndex, SymbolKind};

pub use libraries::{Libraries, Library};
pub use rules::Part;

use super::BuildError;
use super::memory::Place;
use super::sizes::segments;
use crate::chip::Chip;
use spans::{Span, cover};

/// What is known of a program beside its file.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// Crates of the project, as Rust code writes their names.
    pub own_crates: Vec<String>,
    /// The libraries it is linked from; empty where nobody knows.
    pub libraries: Libraries,
}

/// The bytes of one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The part.
    pub part: Part,
    /// Its bytes.
    pub bytes: u64,
    /// The same bytes by crate, library, module or kind of memory; the largest first.
    pub origins: Vec<(String, u64)>,
}

/// Sections that esp-hal's linker scripts keep for Espressif's radio libraries.
const RADIO_SECTIONS: &str = ".wifi";
/// The module of the update agent in a project's crate.
const AGENT: &str = "ota";
/// The agent's JSON reader.
const AGENT_JSON: &str = "json";

/// Measures the image that was made from `elf`. `None` where the program has no symbols.
///
/// # Errors
///
/// Where the program cannot be read.
pub fn parts(
    elf: &[u8],
    image: &[u8],
    chip: Chip,
    origins: &Origins,
) -> Result<Option<Vec<Share>>, BuildError> {
    let file: ElfFile32<'_> = ElfFile32::parse(elf).map_err(BuildError::NotElf)?;
    let symbols = symbols(&file, origins);
    if symbols.is_empty() {
        return Ok(None);
    }
    let sections = sections(&file);
    let mut tally = Tally::default();
    let mut format = u64::try_from(image.len()).unwrap_or(u64::MAX);
    for segment in segments(image, chip).iter().filter(|it| it.place != Place::Format) {
        let start = u64::from(segment.address);
        let range = start..start.saturating_add(u64::from(segment.len));
        format = format.saturating_sub(u64::from(segment.len));
        for (piece, owner) in cover(range, &symbols) {
            match owner {
                Some(owner) => tally.add(owner.clone(), &piece),
                None => {
                    for (piece, is_radio) in cover(piece, &sections) {
                        tally.add(nameless(is_radio == Some(&true), segment.place), &piece);
                    }
                }
            }
        }
    }
    tally.add((Part::Format, Place::Format.words().to_owned()), &(0..format));
    Ok(Some(tally.shares()))
}

/// What no symbol covers.
fn nameless(is_radio: bool, place: Place) -> (Part, String) {
    if is_radio {
        (Part::WiFi, "radio sections".to_owned())
    } else {
        (Part::Rest, place.words().to_owned())
    }
}

/// Whose each range of addresses is: by the symbols.
fn symbols(file: &ElfFile32<'_>, origins: &Origins) -> Vec<Span<(Part, String)>> {
    let mut found: Vec<(u64, Reverse<u64>, bool, &str)> = file
        .symbols()
        .filter(|it| it.size() > 0 && it.section_index().is_some_and(|at| has_bytes(file, at)))
        .filter(|it| matches!(it.kind(), SymbolKind::Text | SymbolKind::Data | SymbolKind::Unknown))
        .filter_map(|it| {
            let name = it.name().ok().filter(|name| !is_temporary(name))?;
            Some((it.address(), Reverse(it.size()), name::owner(name).is_none(), name))
        })
        .collect();
    // Of two symbols for the same bytes the longer counts, then the one that names its crate.
    found.sort_unstable();
    found
        .into_iter()
        .map(|(start, Reverse(size), _, name)| Span {
            range: start..start.saturating_add(size),
            of: owner(name, origins),
        })
        .collect()
}

/// Sections of the image, and whether they are the radio's.
fn sections(file: &ElfFile32<'_>) -> Vec<Span<bool>> {
    let mut spans: Vec<Span<bool>> = file
        .sections()
        .filter(|section| section.size() > 0 && has_bytes(file, section.index()))
        .map(|section| {
            let start = section.address();
            let is_radio = section.name().is_ok_and(|name| name.ends_with(RADIO_SECTIONS));
            Span { range: start..start.saturating_add(section.size()), of: is_radio }
        })
        .collect();
    spans.sort_unstable_by_key(|span| span.range.start);
    spans
}

/// Whether a section has an address on the device and bytes in the file: no `.bss`, no debug
/// information, whose addresses begin at 0.
fn has_bytes(file: &ElfFile32<'_>, index: SectionIndex) -> bool {
    file.section_by_index(index)
        .is_ok_and(|section| section.address() > 0 && section.file_range().is_some())
}

/// Labels of the compiler: of constants without a name, of branches.
fn is_temporary(name: &str) -> bool {
    name.starts_with(".L") || name.starts_with('$')
}

/// The part of a symbol, and what of the part it is.
fn owner(symbol: &str, origins: &Origins) -> (Part, String) {
    if let Some(path) = name::owner(symbol) {
        return of_path(&path, &origins.own_crates);
    }
    if let Some((crate_name, library)) = origins.libraries.of(symbol) {
        return (rules::of_crate(crate_name).unwrap_or(Part::OtherC), library.to_owned());
    }
    match rules::of_symbol(symbol, !origins.libraries.is_empty()) {
        Some((part, origin)) => (part, origin.to_owned()),
        None => (Part::OtherC, "C and assembler".to_owned()),
    }
}

/// The part of Rust code: the project's crates are told apart from the agent in them.
fn of_path(path: &str, own_crates: &[String]) -> (Part, String) {
    let crate_name = name::crate_of(path);
    if own_crates.iter().any(|own| own == crate_name) {
        let mut modules = path.split("::").skip(1);
        return match (modules.next(), modules.next()) {
            (Some(AGENT), Some(AGENT_JSON)) => (Part::Json, format!("{AGENT}::{AGENT_JSON}")),
            (Some(AGENT), Some(module)) => (Part::UpdateAgent, format!("{AGENT}::{module}")),
            (Some(AGENT), None) => (Part::UpdateAgent, AGENT.to_owned()),
            (Some(module), _) => (Part::Own, format!("{crate_name}::{module}")),
            (None, _) => (Part::Own, crate_name.to_owned()),
        };
    }
    (rules::of_crate(crate_name).unwrap_or(Part::OtherCrates), crate_name.to_owned())
}

/// Bytes by part and origin.
#[derive(Debug, Default)]
struct Tally(BTreeMap<Part, BTreeMap<String, u64>>);

impl Tally {
    fn add(&mut self, (part, origin): (Part, String), piece: &std::ops::Range<u64>) {
        let bytes = self.0.entry(part).or_default().entry(origin).or_default();
        *bytes = bytes.saturating_add(piece.end.saturating_sub(piece.start));
    }

    /// In the order of [`Part`]; parts without bytes are left out.
    fn shares(self) -> Vec<Share> {
        let shares = self.0.into_iter().map(|(part, origins)| {
            let mut origins: Vec<(String, u64)> =
                origins.into_iter().filter(|(_, bytes)| *bytes > 0).collect();
            origins.sort_by_key(|(_, bytes)| Reverse(*bytes));
            let bytes = origins.iter().fold(0u64, |sum, (_, bytes)| sum.saturating_add(*bytes));
            Share { part, bytes, origins }
        });
        shares.filter(|share| share.bytes > 0).collect()
    }
}
