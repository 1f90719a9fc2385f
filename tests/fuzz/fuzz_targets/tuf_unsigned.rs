//! Any bytes as one of the metadata files, from somebody without a key.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| cargo_esp_ota_fuzz::metadata::unsigned(bytes));
