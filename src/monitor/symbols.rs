//! Addresses of code, told by the ELF file that it was linked into.

use addr2line::gimli::{Dwarf, EndianSlice, LittleEndian};
use object::elf::{EM_RISCV, EM_XTENSA};
use object::read::elf::ElfFile32;
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SymbolKind};
use serde::Serialize;

use super::unwind::Unwind;

/// Functions that an address can be in: what was inlined into what.
const MOST_FRAMES: usize = 16;
/// Sections of code that are read. A program of ESP-IDF has fewer than ten.
const MOST_SECTIONS: usize = 1000;
/// Symbols that are read. The largest programs have some ten thousand.
const MOST_SYMBOLS: usize = 1_000_000;

/// Names and lines of one program. Nothing is done before somebody asks, but for the list of its
/// functions.
pub struct Symbols<'data> {
    dwarf: addr2line::Context<EndianSlice<'data, LittleEndian>>,
    /// Sections of code by their start: start, bytes.
    code: Vec<(u64, &'data [u8])>,
    /// Functions that have a name, by their start: start, bytes, name as the linker has it.
    functions: Vec<(u64, u64, &'data str)>,
    unwind: Unwind<'data>,
    is_risc_v: bool,
}

/// One function that an address is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Frame {
    /// The address, as the device printed it.
    pub address: u64,
    /// The function's name.
    pub function: Option<String>,
    /// Its source file.
    pub file: Option<String>,
    /// The line in it, from 1.
    pub line: Option<u32>,
    /// Whether the function was inlined into that of the next frame.
    pub inlined: bool,
}

/// The file is none that addresses could be looked up in.
#[derive(Debug, thiserror::Error)]
pub enum SymbolsError {
    /// It is no ELF file, or a damaged one.
    #[error("it is no ELF file of a 32-bit little-endian processor")]
    Elf(#[source] object::Error),
    /// Of another processor.
    #[error("it is a program for another processor than Espressif's")]
    Processor,
    /// Its debug information cannot be read.
    #[error("its debug information is damaged")]
    Dwarf(#[source] addr2line::gimli::Error),
}

impl<'data> Symbols<'data> {
    /// Reads an ELF file, as far as it has to be read before the first address comes.
    ///
    /// # Errors
    ///
    /// Where the file is none, or damaged.
    pub fn read(bytes: &'data [u8]) -> Result<Self, SymbolsError> {
        let elf: ElfFile32<'data, object::LittleEndian> =
            ElfFile32::parse(bytes).map_err(SymbolsError::Elf)?;
        let machine = elf.elf_header().e_machine.get(object::LittleEndian);
        if machine != EM_RISCV && machine != EM_XTENSA {
            return Err(SymbolsError::Processor);
        }
        let section = |name: &str| {
            let section = elf.section_by_name(name);
            section.and_then(|section| section.data().ok()).unwrap_or_default()
        };
        let dwarf = Dwarf::load(|id| Ok(EndianSlice::new(section(id.name()), LittleEndian)));
        let dwarf = dwarf.and_then(addr2line::Context::from_dwarf).map_err(SymbolsError::Dwarf)?;
        let code = elf.sections().filter(|section| is_code(section.flags()));
        let code = code.filter_map(|section| Some((section.address(), section.data().ok()?)));
        let code = code.filter(|(_, bytes)| !bytes.is_empty()).take(MOST_SECTIONS);
        let mut code: Vec<(u64, &[u8])> = code.collect();
        code.sort_by_key(|(start, bytes)| (*start, bytes.len()));
        let symbols = elf.symbols().take(MOST_SYMBOLS);
        let functions = symbols.filter(|symbol| symbol.kind() == SymbolKind::Text);
        let mut functions: Vec<(u64, u64, &str)> = functions
            .filter_map(|symbol| Some((symbol.address(), symbol.size(), symbol.name().ok()?)))
            .filter(|(.., name)| !name.is_empty())
            .collect();
        functions.sort_by_key(|(start, size, _)| (*start, *size));
        let unwind = Unwind::new(section(".debug_frame"));
        Ok(Self { dwarf, code, functions, unwind, is_risc_v: machine == EM_RISCV })
    }

    /// The functions that an address is in, innermost first; none where it is no place in the code.
    pub fn frames(&self, address: u64) -> Vec<Frame> {
        self.look_up(address, address)
    }

    /// The functions that the calls on a dumped stack return to, innermost first. `words` are what
    /// [`stack_dump`](super::stack_dump) gives.
    pub fn calls(&self, words: &[u64]) -> Vec<Frame> {
        let Some((dumped_at, stack)) = words.split_first() else { return Vec::new() };
        let mut frames = self.frames(*dumped_at);
        let calls = self.unwind.calls(
            *dumped_at,
            stack,
            |word| self.is_return_address(word),
            |word| self.functions.binary_search_by_key(&word, |(start, ..)| *start).is_ok(),
        );
        for address in calls {
            // The call itself stands before the place to which it returns.
            frames.extend(self.look_up(address, address.saturating_sub(2)));
        }
        frames
    }

    fn look_up(&self, address: u64, place: u64) -> Vec<Frame> {
        if self.bytes_from(place).is_none() {
            return Vec::new();
        }
        let mut frames = Vec::new();
        if let Ok(mut found) = self.dwarf.find_frames(place).skip_all_loads() {
            while let Ok(Some(frame)) = found.next() {
                let name = frame.function.as_ref().and_then(|name| name.raw_name().ok());
                let location = frame.location.as_ref();
                frames.push(Frame {
                    address,
                    function: name.map(|name| demangled(&name)),
                    file: location.and_then(|it| it.file).map(str::to_owned),
                    line: location.and_then(|it| it.line),
                    inlined: true,
                });
                if frames.len() >= MOST_FRAMES {
                    break;
                }
            }
        }
        if frames.is_empty() {
            frames.push(Frame { address, function: None, file: None, line: None, inlined: false });
        }
        if let Some(outermost) = frames.last_mut() {
            outermost.inlined = false;
            // Assembly has lines, and no functions in its debug information.
            outermost.function =
                outermost.function.take().or_else(|| self.function(place).map(demangled));
        }
        frames
    }

    /// The code from an address to the end of its section.
    fn bytes_from(&self, address: u64) -> Option<&'data [u8]> {
        let after = self.code.partition_point(|(start, _)| *start <= address);
        let (start, bytes) = self.code.get(..after)?.last()?;
        let offset = usize::try_from(address.checked_sub(*start)?).ok()?;
        bytes.get(offset..).filter(|rest| !rest.is_empty())
    }

    /// The name of the function around an address, by the list of symbols.
    fn function(&self, address: u64) -> Option<&'data str> {
        let after = self.functions.partition_point(|(start, ..)| *start <= address);
        let (start, size, name) = self.functions.get(..after)?.last()?;
        let is_inside = address.checked_sub(*start)? < *size;
        is_inside.then_some(*name)
    }

    /// Whether a call of RISC-V stands right before an address ("The RISC-V Instruction Set Manual",
    /// JAL and JALR into `ra`, and their short forms).
    fn is_return_address(&self, address: u64) -> bool {
        let long = || {
            let code = self.bytes_from(address.checked_sub(4)?)?.first_chunk()?;
            Some(matches!(u32::from_le_bytes(*code) & 0xfff, 0x0ef | 0x0e7))
        };
        let short = || {
            let code = self.bytes_from(address.checked_sub(2)?)?.first_chunk()?;
            let code = u16::from_le_bytes(*code);
            let is_jalr = code & 0xf07f == 0x9002 && code & 0x0f80 != 0;
            Some(is_jalr || code & 0xe003 == 0x2001)
        };
        let is_even = address.is_multiple_of(2);
        let is_call = || long() == Some(true) || short() == Some(true);
        self.is_risc_v && is_even && self.bytes_from(address).is_some() && is_call()
    }
}

impl std::fmt::Debug for Symbols<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Symbols").field("functions", &self.functions.len()).finish_non_exhaustive()
    }
}

fn is_code(flags: SectionFlags) -> bool {
    let code = object::elf::SHF_ALLOC | object::elf::SHF_EXECINSTR;
    matches!(flags, SectionFlags::Elf { sh_flags, .. } if sh_flags & code == code)
}

/// A name without the hash that Rust puts behind it.
fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

#[cfg(test)]
mod tests;
