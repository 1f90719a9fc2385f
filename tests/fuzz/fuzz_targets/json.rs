//! Any bytes as a JSON document.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| cargo_esp_ota_fuzz::json::judge(bytes));
