//! Any bytes as the two entries of `otadata`, and as a layout.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| cargo_esp_ota_fuzz::boot::judge(bytes));
