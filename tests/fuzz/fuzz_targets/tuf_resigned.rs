//! Any text as the signed part of one of the metadata files, signed.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| cargo_esp_ota_fuzz::metadata::resigned(bytes));
