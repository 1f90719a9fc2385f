//! What Mbed TLS wants of a C library, and not every chip has in its ROM.

use core::ffi::{c_int, c_void};

/// The first `byte` among `len` bytes from `start` (C23, 7.26.5.2).
#[expect(unsafe_code, reason = "C code calls this by its name, with a bare pointer")]
#[unsafe(no_mangle)]
unsafe extern "C" fn memchr(start: *const u8, byte: c_int, len: usize) -> *const c_void {
    // SAFETY: C's contract is that `len` bytes can be read. For none, any pointer may be given.
    let bytes = if len == 0 { &[] } else { unsafe { core::slice::from_raw_parts(start, len) } };
    // Only the low byte counts, whatever the rest of an `int` holds.
    let [byte, ..] = byte.to_le_bytes();
    match bytes.iter().position(|found| *found == byte) {
        Some(index) => bytes[index..].as_ptr().cast(),
        None => core::ptr::null(),
    }
}
