//! Lookups in a small program whose source is at hand: `tests/vectors/elf/README.md`.

use super::{Frame, Symbols, SymbolsError};

const PUMP: &[u8] = include_bytes!("../../../tests/vectors/elf/pump.elf");

/// Frames as `function file:line`, with `>` before what it was inlined into.
fn words(frames: &[Frame]) -> Vec<String> {
    let text = |frame: &Frame| {
        let name = frame.function.as_deref().unwrap_or("?");
        let file = frame.file.as_deref().unwrap_or("?");
        let inlined = if frame.inlined { " >" } else { "" };
        format!("{:#x} {name} {file}:{}{inlined}", frame.address, frame.line.unwrap_or(0))
    };
    frames.iter().map(text).collect()
}

#[test]
fn an_address_is_a_function_a_file_and_a_line() {
    let symbols = Symbols::read(PUMP).unwrap();
    assert_eq!(
        words(&symbols.frames(0x4200_0044)),
        ["0x42000044 pump::pump::water /pump/pump.rs:31"]
    );
    assert_eq!(
        words(&symbols.frames(0x4200_003a)),
        [
            "0x4200003a pump::pump::valve /pump/pump.rs:25 >",
            "0x4200003a pump::pump::water /pump/pump.rs:30",
        ],
    );
}

#[test]
fn an_address_outside_of_the_code_is_nothing() {
    let symbols = Symbols::read(PUMP).unwrap();
    for address in [0, 0x4200_001f, 0x4200_007a, 0x3fc8_0000, u64::from(u32::MAX), u64::MAX] {
        assert_eq!(symbols.frames(address), [], "{address:#x}");
    }
    assert_ne!(symbols.frames(0x4200_0079), []);
}

#[test]
fn other_files_are_refused() {
    assert!(matches!(Symbols::read(b""), Err(SymbolsError::Elf(_))));
    assert!(matches!(Symbols::read(b"\x7fELF"), Err(SymbolsError::Elf(_))));
    assert!(matches!(Symbols::read(&PUMP[..200]), Err(SymbolsError::Elf(_))));
    let mut other = PUMP.to_vec();
    other[18] = 40; // 32-bit ARM
    assert!(matches!(Symbols::read(&other), Err(SymbolsError::Processor)));
}

proptest::proptest! {
    #[test]
    fn no_damage_ends_the_watch(
        changes in proptest::collection::vec((0..PUMP.len(), proptest::prelude::any::<u8>()), 1..40),
        stack in proptest::collection::vec(0x4200_0000_u64..0x4200_0090, 0..40),
    ) {
        let mut damaged = PUMP.to_vec();
        for (at, byte) in changes {
            damaged[at] = byte;
        }
        if let Ok(symbols) = Symbols::read(&damaged) {
            let _ = symbols.calls(&stack);
        }
    }
}
