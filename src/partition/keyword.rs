//! ESP-IDF's words for types and subtypes (`TYPES` and `SUBTYPES` in gen_esp32part.py 1.5).

/// Words and the codes they stand for, in the order in which messages list them.
pub(crate) type Words<'a> = &'a [(&'a str, u8)];

/// Words of the type column.
pub(crate) const TYPES: Words<'static> =
    &[("bootloader", 0x02), ("partition_table", 0x03), ("app", 0x00), ("data", 0x01)];

const APP: Words<'static> = &[
    ("factory", 0x00),
    ("test", 0x20),
    ("ota_0", 0x10),
    ("ota_1", 0x11),
    ("ota_2", 0x12),
    ("ota_3", 0x13),
    ("ota_4", 0x14),
    ("ota_5", 0x15),
    ("ota_6", 0x16),
    ("ota_7", 0x17),
    ("ota_8", 0x18),
    ("ota_9", 0x19),
    ("ota_10", 0x1a),
    ("ota_11", 0x1b),
    ("ota_12", 0x1c),
    ("ota_13", 0x1d),
    ("ota_14", 0x1e),
    ("ota_15", 0x1f),
    ("tee_0", 0x30),
    ("tee_1", 0x31),
];

const DATA: Words<'static> = &[
    ("ota", 0x00),
    ("phy", 0x01),
    ("nvs", 0x02),
    ("coredump", 0x03),
    ("nvs_keys", 0x04),
    ("efuse", 0x05),
    ("undefined", UNDEFINED),
    ("esphttpd", 0x80),
    ("fat", 0x81),
    ("spiffs", 0x82),
    ("littlefs", 0x83),
    ("tee_ota", 0x90),
];

const BOOTLOADER: Words<'static> = &[("primary", 0x00), ("ota", 0x01), ("recovery", 0x02)];

const PARTITION_TABLE: Words<'static> = &[("primary", 0x00), ("ota", 0x01)];

/// What an empty subtype means in every type but `app`.
pub(crate) const UNDEFINED: u8 = 0x06;

/// Words of the subtype column for a type; none for custom types.
pub(crate) fn subtypes(ty: u8) -> Words<'static> {
    match ty {
        0x00 => APP,
        0x01 => DATA,
        0x02 => BOOTLOADER,
        0x03 => PARTITION_TABLE,
        _ => &[],
    }
}

/// The word for a code.
pub(crate) fn word<'a>(words: Words<'a>, code: u8) -> Option<&'a str> {
    words.iter().find(|(_, known)| *known == code).map(|(word, _)| *word)
}

/// The code of a word, spelt exactly.
pub(crate) fn code(words: Words<'_>, word: &str) -> Option<u8> {
    words.iter().find(|(known, _)| *known == word).map(|(_, code)| *code)
}

/// Whether any type has a subtype of this name.
pub(crate) fn is_subtype(word: &str) -> bool {
    [APP, DATA, BOOTLOADER, PARTITION_TABLE].iter().any(|words| code(words, word).is_some())
}

/// The word that was probably meant: the one with the smallest edit distance, if that is at most 2
/// and smaller than the word is long.
pub(crate) fn nearest<'a>(words: Words<'a>, typed: &str) -> Option<&'a str> {
    // Longer than any word by more than the distance allowed; also bounds the work.
    const LONGEST: usize = 20;
    if typed.chars().count() > LONGEST {
        return None;
    }
    words
        .iter()
        .map(|(word, _)| (distance(word, typed), *word))
        .min()
        .filter(|(distance, word)| *distance <= 2 && *distance < word.len().div_euclid(2))
        .map(|(_, word)| word)
}

/// Levenshtein distance, ignoring case.
fn distance(known: &str, typed: &str) -> usize {
    let typed: Vec<char> = typed.chars().map(|c| c.to_ascii_lowercase()).collect();
    let mut row: Vec<usize> = (0..=typed.len()).collect();
    for (line, letter) in known.chars().enumerate() {
        let mut diagonal = line;
        let mut left = line.saturating_add(1);
        let mut next = vec![left];
        for (other, above) in typed.iter().zip(row.iter().skip(1)) {
            let swap = diagonal.saturating_add(usize::from(letter != *other));
            left = swap.min(above.saturating_add(1)).min(left.saturating_add(1));
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_codes_lead_to_each_other() {
        for words in [TYPES, APP, DATA, BOOTLOADER, PARTITION_TABLE] {
            for (text, value) in words {
                assert_eq!(code(words, text), Some(*value));
                assert_eq!(word(words, *value), Some(*text));
            }
        }
        assert_eq!(code(TYPES, "App"), None, "the caller folds case");
    }

    #[test]
    fn a_slip_of_the_keyboard_is_recognised_and_nonsense_is_not() {
        assert_eq!(nearest(DATA, "spifs"), Some("spiffs"));
        assert_eq!(nearest(DATA, "litlefs"), Some("littlefs"));
        assert_eq!(nearest(TYPES, "dta"), Some("data"));
        assert_eq!(nearest(DATA, "xyz"), None);
        assert_eq!(nearest(DATA, &"a".repeat(1000)), None);
    }
}
