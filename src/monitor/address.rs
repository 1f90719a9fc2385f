//! Addresses of code in what a device says: backtraces, registers, exceptions.

/// Addresses of one line that are looked up. A backtrace of ESP-IDF has at most 100 frames.
const MOST: usize = 128;
/// Digits of an address on these chips.
const DIGITS: usize = 8;
/// How lines begin that are about another program than the application: the ROM loads a bootloader
/// into memory that the application uses for code later.
const OF_THE_LOADERS: [&str; 6] = ["load:", "entry ", "rst:", "SPIWP:", "csum", "ho "];

/// Every number of the form `0x4200abcd` in a line about the application, in order.
pub fn addresses(line: &str) -> Vec<u64> {
    if OF_THE_LOADERS.iter().any(|start| line.starts_with(start)) {
        return Vec::new();
    }
    let candidates = line.split("0x").skip(1);
    candidates.filter_map(address).take(MOST).collect()
}

fn address(text: &str) -> Option<u64> {
    let digits = text.get(..DIGITS)?;
    let ends = !text.as_bytes().get(DIGITS).is_some_and(u8::is_ascii_alphanumeric);
    let is_number = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    (ends && is_number).then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

/// A stack as esp-backtrace prints it where the program has no frame pointers: the address of the code
/// that printed it, and the words above its stack pointer.
pub fn stack_dump(line: &str) -> Option<Vec<u64>> {
    let (code, stack) = line.trim_end().strip_prefix("STACKDUMP: ")?.split_once(' ')?;
    let word = |digits: &str| u32::from_str_radix(digits, 16).ok();
    let mut words = vec![u64::from(word(code)?)];
    let mut rest = stack;
    while let Some((digits, after)) = rest.split_at_checked(DIGITS) {
        words.push(word(digits)?.swap_bytes().into());
        rest = after;
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_is_read_as_little_endian_words() {
        let line = "STACKDUMP: 4205c83c ffffffff6025c83f3cc80542e8";
        assert_eq!(stack_dump(line).unwrap(), [0x4205_c83c, 0xffff_ffff, 0x3fc8_2560, 0x4205_c83c]);
        for line in ["STACKDUMP: ", "STACKDUMP: 4205c83c", "STACKDUMP: x 0000", "a STACKDUMP: 1 "] {
            assert_eq!(stack_dump(line), None, "{line}");
        }
        assert_eq!(stack_dump("STACKDUMP: 4205c83c ffffffffnothing more"), None);
    }

    #[test]
    fn addresses_are_found_in_backtraces_and_registers() {
        for (line, found) in [
            ("0x42019d22", &[0x4201_9d22][..]),
            (
                "Backtrace: 0x400d1234:0x3ffb1230 0x400D5678:0x3ffb1250",
                &[0x400d_1234, 0x3ffb_1230, 0x400d_5678, 0x3ffb_1250],
            ),
            ("mepc=0x42000010, mtval=0x00000000", &[0x4200_0010, 0]),
            ("MEPC    : 0x42007ae4  RA      : 0x42007b00", &[0x4200_7ae4, 0x4200_7b00]),
            ("0x4200", &[]),
            ("0x42007ae4b", &[]),
            ("0x4200 7ae4", &[]),
            ("0x4200ae\u{e4}4", &[]),
            ("load:0x403cbf10,len:0xc98", &[]),
            ("entry 0x403cbf1a", &[]),
            ("", &[]),
        ] {
            assert_eq!(addresses(line), found, "{line}");
        }
    }

    #[test]
    fn a_line_of_nothing_but_addresses_has_a_limit() {
        assert_eq!(addresses(&"0x42019d22 ".repeat(1000)).len(), MOST);
    }
}
