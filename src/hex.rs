//! Bytes as people compare them.

/// Lower-case hexadecimal digits, two for each byte.
pub fn lower(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_two_digits() {
        assert_eq!(lower(&[0, 9, 0xa0, 0xff]), "0009a0ff");
        assert_eq!(lower(&[]), "");
    }
}
