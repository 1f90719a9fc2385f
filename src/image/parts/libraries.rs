//! Which static library a C symbol was linked from: what cargo says that build scripts link, read.
//!
//! A name says little in C: Mbed TLS and Espressif's WPA supplicant both have functions on
//! certificates and AES. The libraries themselves know.

use std::collections::BTreeMap;

use object::read::archive::ArchiveFile;
use object::read::elf::ElfFile32;
use object::{Endianness, Object, ObjectSymbol};

/// Symbols by name, with every library that defines them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Libraries {
    symbols: BTreeMap<String, Vec<Library>>,
}

/// A static library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// Name of the crate that links it, as Rust code writes it.
    pub crate_name: String,
    /// Name of its file, such as `libpp.a`.
    pub file: String,
}

impl Libraries {
    /// Takes a library in. What cannot be read in it, or is no ELF, defines nothing.
    pub fn add(&mut self, library: &Library, archive: &[u8]) {
        let Ok(file) = ArchiveFile::parse(archive) else { return };
        for member in file.members().flatten() {
            let Some(object) = member
                .data(archive)
                .ok()
                .and_then(|data| ElfFile32::<'_, Endianness>::parse(data).ok())
            else {
                continue;
            };
            let defined = object.symbols().filter(|it| it.is_definition() && it.size() > 0);
            for name in defined.filter_map(|symbol| symbol.name().ok()) {
                let known = self.symbols.entry(name.to_owned()).or_default();
                if !known.contains(library) {
                    known.push(library.clone());
                }
            }
        }
    }

    /// Whether any symbol is known.
    pub fn is_empty(&self) -> bool {
        self.symbols.is_empty()
    }

    /// The crate that a symbol was linked by, and the library where that is certain. Two libraries
    /// can have local symbols of one name; `None` where they belong to two crates.
    pub(super) fn of(&self, symbol: &str) -> Option<(&str, &str)> {
        let (first, others) = self.symbols.get(symbol)?.split_first()?;
        let crate_name = first.crate_name.as_str();
        if others.is_empty() {
            Some((crate_name, &first.file))
        } else if others.iter().all(|other| other.crate_name == crate_name) {
            Some((crate_name, crate_name))
        } else {
            None
        }
    }
}
