//! C's formatted output, silenced: Mbed TLS refers to it for self tests and debug output alone.
//! With Wi-Fi, esp-radio brings its own.

use core::ffi::{c_char, c_int};

#[expect(unsafe_code, reason = "C code calls this by its name")]
#[unsafe(no_mangle)]
extern "C" fn printf(_format: *const c_char) -> c_int {
    0
}

#[expect(unsafe_code, reason = "C code calls this by its name")]
#[unsafe(no_mangle)]
extern "C" fn puts(_text: *const c_char) -> c_int {
    0
}

#[expect(unsafe_code, reason = "C code calls this by its name, with a bare pointer")]
#[unsafe(no_mangle)]
unsafe extern "C" fn snprintf(text: *mut c_char, room: usize, _format: *const c_char) -> c_int {
    // SAFETY: the caller's contract, handed on.
    unsafe { end(text, room) }
}

#[expect(unsafe_code, reason = "C code calls this by its name, with a bare pointer")]
#[unsafe(no_mangle)]
unsafe extern "C" fn vsnprintf(
    text: *mut c_char,
    room: usize,
    _format: *const c_char,
    _arguments: *mut core::ffi::c_void,
) -> c_int {
    // SAFETY: the caller's contract, handed on.
    unsafe { end(text, room) }
}

/// Makes the text empty.
///
/// # Safety
///
/// `room` bytes can be written to `text`.
#[expect(unsafe_code, reason = "a bare pointer from C")]
unsafe fn end(text: *mut c_char, room: usize) -> c_int {
    if room > 0 {
        // SAFETY: there is room for one byte.
        unsafe { text.write(0) };
    }
    0
}
