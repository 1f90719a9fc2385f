//! The binary table: 32-byte rows, an MD5 row over them, an end marker of `FF`.
//!
//! Format: ESP-IDF, `esp_flash_partitions.h` and gen_esp32part.py. The reader takes what
//! gen_esp32part.py takes, and reports what it passes over: a digest that is missing, rows that the
//! digest does not cover, bytes where none should be.

use md5::{Digest as _, Md5};

use super::code::Code;
use super::entry::{Entry, Flags, Label};
use super::finding::Finding;
use super::kind::Kind;
use super::reading::{Digest, Row};
use super::table::Table;
use crate::error::{Exit, Explained};
use crate::hex;

/// Bytes of a table in a file (`MAX_PARTITION_LENGTH`); the rest of its sector is for a signature.
pub const FORMAT_SIZE: usize = 0xc00;

/// First bytes of a row.
pub(crate) const MAGIC: [u8; 2] = [0xaa, 0x50];

/// Most rows beside digest and end marker (`ESP_PARTITION_TABLE_MAX_ENTRIES` less those two).
pub(crate) const MOST_ROWS: usize = 94;

const ROW: usize = 32;
const END: [u8; ROW] = [0xff; ROW];

/// First bytes of the digest row, as ESP-IDF writes them. Readers compare two of them.
const DIGEST_BEGIN: [u8; 16] = [
    0xeb, 0xeb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
];

/// A table that does not fit the space it has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the table has {rows} rows, but there is room for {most}")]
pub struct EncodeError {
    /// Rows of the table.
    pub rows: usize,
    /// Rows that there is room for.
    pub most: usize,
}

impl Explained for EncodeError {
    fn exit(&self) -> Exit {
        Exit::Rejected
    }

    fn help(&self) -> Option<String> {
        Some("remove rows, then run `cargo esp-ota partitions check`".to_owned())
    }
}

/// The table as flash holds it, byte for byte as gen_esp32part.py writes it: rows, digest, `FF` up
/// to [`FORMAT_SIZE`].
///
/// # Errors
///
/// More rows than there is room for.
pub fn encode(table: &Table) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = rows(table, MOST_ROWS)?;
    let digest = Md5::digest(&bytes);
    bytes.extend(DIGEST_BEGIN);
    bytes.extend(digest);
    bytes.resize(FORMAT_SIZE, 0xff);
    Ok(bytes)
}

/// The same without the digest, as gen_esp32part.py writes it with `--disable-md5sum`: for
/// bootloaders from before ESP-IDF 3.1.
///
/// # Errors
///
/// More rows than there is room for, which is one more than beside a digest.
pub fn encode_without_digest(table: &Table) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = rows(table, MOST_ROWS.saturating_add(1))?;
    bytes.resize(FORMAT_SIZE, 0xff);
    Ok(bytes)
}

fn rows(table: &Table, most: usize) -> Result<Vec<u8>, EncodeError> {
    let rows = table.entries.len();
    if rows > most {
        return Err(EncodeError { rows, most });
    }
    Ok(table.entries.iter().flat_map(encode_row).collect())
}

fn encode_row(entry: &Entry) -> Vec<u8> {
    let mut row = Vec::with_capacity(ROW);
    row.extend(MAGIC);
    row.extend([entry.kind.ty, entry.kind.subtype]);
    row.extend(entry.offset.to_le_bytes());
    row.extend(entry.size.to_le_bytes());
    row.extend(entry.label.0);
    row.extend(entry.flags.0.to_le_bytes());
    row
}

/// Reads a binary table. Total; reading stops at the end marker, at the end of the bytes, or at the
/// first row that is none.
pub(crate) fn decode(bytes: &[u8], findings: &mut Vec<Finding>) -> (Vec<Row>, Digest) {
    let mut reader =
        Reader { rows: Vec::new(), digest: Digest::Missing, sum: Md5::new(), findings };
    let (chunks, rest) = bytes.as_chunks::<ROW>();
    for (index, chunk) in chunks.iter().enumerate() {
        if *chunk == END {
            // What lies beyond is not the table's: a signature may be there.
            let table = bytes.iter().take(FORMAT_SIZE);
            reader.end(table.skip(index.saturating_mul(ROW)));
            return reader.done();
        }
        if chunk.starts_with(&[0xeb, 0xeb]) {
            reader.digest(chunk);
        } else if reader.row(chunk, index).is_none() {
            return reader.done();
        }
    }
    if rest.is_empty() {
        findings_missing_end(&mut reader, bytes.len());
    } else {
        reader.findings.push(
            Finding::new(
                Code::BinaryLength,
                format!(
                    "the table is {} bytes long and ends inside a row; rows are {ROW} bytes",
                    bytes.len()
                ),
            )
            .help("copy or read the table again, 3072 bytes of it"),
        );
    }
    reader.done()
}

fn findings_missing_end(reader: &mut Reader<'_>, length: usize) {
    reader.findings.push(
        Finding::new(
            Code::EndMarkerMissing,
            format!(
                "the table has no end: {length} bytes, and no row of {ROW} bytes FF among them"
            ),
        )
        .help("copy or read the table again, 3072 bytes of it"),
    );
}

struct Reader<'a> {
    rows: Vec<Row>,
    digest: Digest,
    sum: Md5,
    findings: &'a mut Vec<Finding>,
}

impl Reader<'_> {
    /// `None` where the bytes are no row.
    fn row(&mut self, chunk: &[u8; ROW], index: usize) -> Option<()> {
        let [m0, m1, ty, subtype, o0, o1, o2, o3, s0, s1, s2, s3, label @ .., f0, f1, f2, f3] =
            *chunk;
        if [m0, m1] != MAGIC {
            self.findings.push(
                Finding::new(
                    Code::RowMagic,
                    format!("row {index} begins with {m0:02X} {m1:02X}, but rows begin with AA 50"),
                )
                .help("generate the table again, or read it from the device again"),
            );
            return None;
        }
        let label = Label(label);
        let flags = Flags(u32::from_le_bytes([f0, f1, f2, f3]));
        if std::str::from_utf8(label.bytes()).is_err() {
            self.findings.push(
                Finding::new(
                    Code::NameNotText,
                    format!(
                        "the name of row {index} is not UTF-8: {}",
                        label.bytes().escape_ascii()
                    ),
                )
                .help("name it with at most 16 ASCII letters and digits"),
            );
        }
        if flags.unknown() != 0 {
            self.findings.push(
                Finding::new(
                    Code::UnknownFlagBits,
                    format!("`{label}` has flags that nobody knows: {:#010x}", flags.unknown()),
                )
                .help("generate the table again from its CSV"),
            );
        }
        self.sum.update(chunk);
        if self.digest != Digest::Missing {
            self.digest = Digest::BeforeLastRow;
        }
        let entry = Entry {
            label,
            kind: Kind { ty, subtype },
            offset: u32::from_le_bytes([o0, o1, o2, o3]),
            size: u32::from_le_bytes([s0, s1, s2, s3]),
            flags,
        };
        self.rows.push(Row { entry, name: label.text().into_owned(), written: None });
        Some(())
    }

    fn digest(&mut self, chunk: &[u8; ROW]) {
        let [begin @ .., d0, d1, d2, d3, d4, d5, d6, d7, d8, d9, d10, d11, d12, d13, d14, d15] =
            *chunk;
        let found = [d0, d1, d2, d3, d4, d5, d6, d7, d8, d9, d10, d11, d12, d13, d14, d15];
        let computed: [u8; 16] = self.sum.clone().finalize().into();
        if found != computed {
            self.findings.push(
                Finding::new(
                    Code::DigestMismatch,
                    format!(
                        "the MD5 of the rows is {}, but the table says {}",
                        hex::lower(&computed),
                        hex::lower(&found)
                    ),
                )
                .help("the table is damaged or was edited: generate it again from its CSV"),
            );
        }
        if self.digest != Digest::Missing {
            self.findings.push(
                Finding::new(Code::DigestRepeated, "the table has more than one digest row")
                    .help("generate the table again: the bootloader allows one"),
            );
        }
        if begin != DIGEST_BEGIN {
            self.findings.push(
                Finding::new(
                    Code::DigestPadding,
                    format!(
                        "the digest row begins with {}, not EB EB and 14 x FF",
                        hex::lower(&begin)
                    ),
                )
                .help("generate the table again: espflash does not recognise this digest"),
            );
        }
        self.digest = Digest::Last;
    }

    fn end<'b>(&mut self, rest: impl Iterator<Item = &'b u8>) {
        let dirty = rest.filter(|byte| **byte != 0xff).count();
        if dirty > 0 {
            self.findings.push(
                Finding::new(
                    Code::PaddingNotBlank,
                    format!("{dirty} bytes behind the end of the table are not FF"),
                )
                .help("generate the table again: nothing reads these bytes"),
            );
        }
    }

    fn done(self) -> (Vec<Row>, Digest) {
        match self.digest {
            Digest::Last => {}
            Digest::Missing => self.findings.push(
                Finding::new(
                    Code::DigestMissing,
                    "the table has no digest row, so damage to it goes unnoticed, and apps built \
                     with ESP-IDF's defaults refuse it",
                )
                .help("generate the table again, without `--disable-md5sum`"),
            ),
            Digest::BeforeLastRow => self.findings.push(
                Finding::new(
                    Code::RowsAfterDigest,
                    "rows follow the digest row: the bootloader reads them unprotected, apps never \
                     see them",
                )
                .help("generate the table again: the digest is the last row"),
            ),
        }
        (self.rows, self.digest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::partition::{Options, Source, read, standard};

    fn table() -> Table {
        standard(0x40_0000).unwrap()
    }

    fn codes(bytes: &[u8]) -> Vec<Code> {
        let reading = read(bytes, None, &Options::default());
        reading.findings.iter().map(|finding| finding.code).collect()
    }

    /// Rows without digest or end.
    fn raw() -> Vec<u8> {
        table().entries.iter().flat_map(encode_row).collect()
    }

    #[test]
    fn the_standard_table_has_the_digest_that_gen_esp32part_gives_it() {
        let bytes = encode(&table()).unwrap();
        assert_eq!(bytes.len(), FORMAT_SIZE);
        assert_eq!(hex::lower(&bytes[..16]), "aa50010200900000005000006e767300");
        // Row 5 of gen_esp32part.py 1.5's output for the same CSV.
        assert_eq!(
            hex::lower(&bytes[160..192]),
            "ebebffffffffffffffffffffffffffff28f14c0945017760a107065db97a2507"
        );
        assert!(bytes[192..].iter().all(|byte| *byte == 0xff));
    }

    #[test]
    fn a_table_without_a_digest_is_read_and_said() {
        let mut bytes = raw();
        bytes.extend(END);
        assert_eq!(codes(&bytes), [Code::DigestMissing]);
    }

    #[test]
    fn one_flipped_bit_anywhere_in_the_rows_is_a_finding() {
        let good = encode(&table()).unwrap();
        // The first two bytes tell a binary table from text.
        for bit in 16..192 * 8_usize {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(codes(&bytes), [], "bit {bit}");
        }
    }

    #[test]
    fn rows_behind_the_digest_are_said() {
        let good = encode(&table()).unwrap();
        let mut bytes = good[..192].to_vec();
        bytes.extend(encode_row(&Entry::new("late", Kind::NVS, 0x40_0000, 0x3000)));
        bytes.extend(END);
        assert_eq!(codes(&bytes), [Code::RowsAfterDigest]);
        assert_eq!(read(&bytes, None, &Options::default()).rows.len(), 6);
    }

    #[test]
    fn a_second_digest_and_strange_padding_are_said() {
        let good = encode(&table()).unwrap();
        let twice = [&good[..192], &good[160..192], &END].concat();
        assert_eq!(codes(&twice), [Code::DigestRepeated]);
        let mut padded = good.clone();
        padded[170] = 0;
        assert_eq!(codes(&padded), [Code::DigestPadding]);
        let mut dirty = good.clone();
        dirty[0xbff] = 0;
        assert_eq!(codes(&dirty), [Code::PaddingNotBlank]);
        dirty = good;
        dirty.resize(0x1000, 0);
        assert_eq!(codes(&dirty), [], "a signature may follow the table");
    }

    #[test]
    fn a_cut_table_is_not_a_shorter_one() {
        let good = encode(&table()).unwrap();
        assert_eq!(codes(&good[..192]), [Code::EndMarkerMissing]);
        assert_eq!(codes(&good[..191]), [Code::BinaryLength, Code::DigestMissing]);
        assert_eq!(codes(&good[..224]), []);
    }

    #[test]
    fn garbage_in_place_of_a_row_is_named() {
        let mut bytes = raw();
        bytes.extend([0; ROW]);
        assert_eq!(codes(&bytes), [Code::RowMagic, Code::DigestMissing]);
    }

    #[test]
    fn names_that_are_no_text_and_unknown_flags_are_said() {
        let mut odd = table();
        odd.entries[0].label = Label(*b"\xff\xfe\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        odd.entries[1].flags = Flags(0x10);
        assert_eq!(codes(&encode(&odd).unwrap()), [Code::NameNotText, Code::UnknownFlagBits]);
    }

    #[test]
    fn ninety_four_rows_fit_and_one_more_does_not() {
        let rows = |count| (0..count).map(|_| Entry::new("x", Kind::NVS, 0, 0)).collect::<Table>();
        let full = encode(&rows(94)).unwrap();
        assert_eq!(full.len(), FORMAT_SIZE);
        assert_eq!(codes(&full), []);
        assert_eq!(encode(&rows(95)), Err(EncodeError { rows: 95, most: 94 }));
        let bare = encode_without_digest(&rows(95)).unwrap();
        assert_eq!((bare.len(), &bare[95 * 32..]), (FORMAT_SIZE, &[0xff; 32][..]));
        let error = encode_without_digest(&rows(96)).unwrap_err();
        assert_eq!(error, EncodeError { rows: 96, most: 95 });
    }

    prop_compose! {
        fn any_entry()(
            label in any::<[u8; 16]>(), ty: u8, subtype: u8, offset: u32, size: u32, flags: u32,
        ) -> Entry {
            Entry { label: Label(label), kind: Kind { ty, subtype }, offset, size, flags: Flags(flags) }
        }
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(entries in prop::collection::vec(any_entry(), 1..94)) {
            let table = Table { entries };
            let bytes = encode(&table).unwrap();
            let reading = read(&bytes, None, &Options::default());
            prop_assert_eq!(reading.table(), table);
            let protected = matches!(reading.source, Source::Binary { digest: Digest::Last, .. });
            prop_assert!(protected);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..400), row: bool) {
            if row {
                bytes.splice(..0, MAGIC);
            }
            let reading = read(&bytes, None, &Options::default());
            crate::partition::check(&reading, &Options::default());
        }
    }
}
