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

/// Frames without what was inlined into them.
fn calls(symbols: &Symbols<'_>, words: &[u64]) -> Vec<(u64, String)> {
    let frames = symbols.calls(words).into_iter().filter(|frame| !frame.inlined);
    frames.map(|frame| (frame.address, frame.function.unwrap_or_default())).collect()
}

#[test]
fn a_stack_leads_from_call_to_call_by_the_compiler_s_rules() {
    let symbols = Symbols::read(PUMP).unwrap();
    let water = 0x4200_0044;
    // 16 bytes of `water`'s own: what an earlier call has left there, and where it returns to. Then
    // those of `_start`, which nothing has called.
    let stack = [water, 0x4200_004c, 0, 0, 0x4200_0066, 0x4200_0042, 0, 0, 0];
    let expected = [(water, "pump::pump::water".into()), (0x4200_0066, "_start".into())];
    assert_eq!(calls(&symbols, &stack)[..2], expected);
}

#[test]
fn where_a_function_keeps_no_way_back_the_next_call_is_looked_for() {
    let symbols = Symbols::read(PUMP).unwrap();
    // `open` calls nothing: where it returns to was in a register. Neither data nor the middle of a
    // function is a way back.
    let open = 0x4200_0024;
    let stack = [open, 0x3fc8_0000, 0x4200_0030, 0x4200_002c, 0x4200_0066];
    let expected = [(open, "pump::open".into()), (0x4200_0066, "_start".into())];
    assert_eq!(calls(&symbols, &stack), expected);
    assert_eq!(calls(&symbols, &[0x1234, 0x4200_0066]), [(0x4200_0066, "_start".into())]);
    assert_eq!(calls(&symbols, &[]), []);
}

#[test]
fn a_stack_of_nothing_but_calls_has_an_end() {
    let symbols = Symbols::read(PUMP).unwrap();
    assert_eq!(calls(&symbols, &[0x4200_003a; 10_000]).len(), 33);
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
