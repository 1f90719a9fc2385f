//! Any bytes as a file that somebody asks about.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| cargo_esp_ota_fuzz::inspect::judge(bytes));
