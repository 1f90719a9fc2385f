//! What Mbed TLS wants of its surroundings: of a C library, what not every chip has in its ROM, and
//! of its own server, nothing.

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

/// `MBEDTLS_ERR_SSL_INTERNAL_ERROR` (`mbedtls/ssl.h`).
const INTERNAL_ERROR: c_int = -0x6c00;

/// The server's side of a handshake of TLS 1.2. A client never gets here, and it would end the
/// handshake. With a function of this name the linker leaves out that of Mbed TLS.
#[expect(unsafe_code, reason = "C code refers to this by its name")]
#[unsafe(no_mangle)]
extern "C" fn mbedtls_ssl_handshake_server_step(_context: *mut c_void) -> c_int {
    INTERNAL_ERROR
}

/// The same of TLS 1.3. Both together would take 28 KB.
#[expect(unsafe_code, reason = "C code refers to this by its name")]
#[unsafe(no_mangle)]
extern "C" fn mbedtls_ssl_tls13_handshake_server_step(_context: *mut c_void) -> c_int {
    INTERNAL_ERROR
}
