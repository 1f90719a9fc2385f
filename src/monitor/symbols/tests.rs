//! Lookups in a small program whose source is at hand: `tests/vectors/elf/README.md`.

use super::{Frame, MOST_SECTIONS, MOST_SYMBOLS, Symbols, SymbolsError};

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

/// A program without debug information: eight bytes of code at each address, a function `pump` at the
/// first, and so many symbols without a name in the middle of it.
#[expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]
fn small(code: &[u32], nameless: usize) -> Vec<u8> {
    let words =
        |words: &[u32]| words.iter().copied().flat_map(u32::to_le_bytes).collect::<Vec<_>>();
    // A global function of section 1.
    let symbol = |name, address, size| words(&[name, address, size, 0x1_0012]);
    let mut table = words(&[0; 4]);
    table.extend((0..nameless).flat_map(|_| symbol(0, code[0] + 2, 2)));
    table.extend(symbol(1, code[0], 8));
    let link = u32::try_from(code.len()).unwrap() + 2;
    // Of each section: type, flags, address, bytes, link, information, size of an entry.
    let mut sections: Vec<_> =
        code.iter().map(|address| (1, 6, *address, vec![0x13; 8], 0, 0, 0)).collect();
    sections.push((2, 0, 0, table, link, 1, 16));
    sections.push((3, 0, 0, b"\0pump\0".to_vec(), 0, 0, 0));
    let (mut bytes, mut headers) = (vec![0; 52], vec![0; 40]);
    for (kind, flags, address, content, link, information, entry) in sections {
        let [at, length] = [bytes.len(), content.len()].map(|it| u32::try_from(it).unwrap());
        bytes.extend(content);
        headers.extend(words(&[0, kind, flags, address, at, length, link, information, 1, entry]));
    }
    let count = u32::try_from(headers.len() / 40).unwrap();
    let start = u32::try_from(bytes.len()).unwrap();
    bytes.extend(headers);
    let half = |low: u32, high: u32| low | high << 16;
    bytes[..16].copy_from_slice(b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0");
    let header =
        [half(2, 243), 1, code[0], 0, start, 0, half(52, 0), half(0, 40), half(count, count - 1)];
    bytes[16..52].copy_from_slice(&words(&header));
    bytes
}

#[test]
fn code_in_any_order_and_symbols_without_a_name_cost_no_search() {
    let bytes = small(&[0x4300_0000, 0x4200_0000, 0x4280_0000], 10_000);
    let symbols = Symbols::read(&bytes).unwrap();
    assert_eq!(symbols.functions, [(0x4300_0000, 8, "pump")]);
    assert!(symbols.code.is_sorted() && symbols.code.len() == 3);
    for (address, expected) in [
        (0x4300_0000, Some("pump")),
        (0x4300_0007, Some("pump")),
        (0x4200_0004, None),
        (0x4280_0004, None),
    ] {
        let frames = symbols.frames(address);
        assert_eq!(frames.len(), 1, "{address:#x}");
        assert_eq!(frames[0].function.as_deref(), expected, "{address:#x}");
    }
    for address in [0x41ff_ffff, 0x4200_0008, 0x4300_0008] {
        assert_eq!(symbols.frames(address), [], "{address:#x}");
    }
}

#[test]
fn no_more_sections_and_symbols_are_read_than_stated() {
    let many: Vec<u32> =
        (0..u32::try_from(MOST_SECTIONS).unwrap() + 100).map(|it| it * 16).collect();
    let bytes = small(&many, MOST_SYMBOLS);
    let symbols = Symbols::read(&bytes).unwrap();
    assert_eq!((symbols.code.len(), symbols.functions.len()), (MOST_SECTIONS, 0));
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
