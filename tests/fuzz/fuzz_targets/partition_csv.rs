//! Any bytes as a partition table that is not binary.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    if bytes.starts_with(&[0xaa, 0x50]) {
        return Corpus::Reject;
    }
    cargo_esp_ota_fuzz::partition::judge(bytes);
    Corpus::Keep
});
