//! Parts of Mbed TLS that a client of today's TLS never runs, and that its tables refer to all the
//! same: the server's side of a handshake, RIPEMD-160, DES and key wrapping.
//!
//! Mbed TLS comes compiled, with all of it. Where a function of the same name is here, the linker
//! leaves that of Mbed TLS out, which saves 45 KB of flash. Whoever called one would get an error:
//! the handshake ends. No cipher suite of Mbed TLS 3.6 uses DES, and no signature RIPEMD-160.

#![expect(unsafe_code, reason = "C code refers to these by their names")]

use core::ffi::c_int;

/// `MBEDTLS_ERR_PLATFORM_FEATURE_UNSUPPORTED` (`mbedtls/platform_util.h`).
const UNSUPPORTED: c_int = -0x72;

/// Functions that only say so, whatever they are given: what is passed stays in registers.
macro_rules! unused {
    ($($name:ident)*) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name() -> c_int {
                UNSUPPORTED
            }
        )*
    };
}

unused! {
    mbedtls_ssl_handshake_server_step mbedtls_ssl_tls13_handshake_server_step

    mbedtls_ripemd160_init mbedtls_ripemd160_free mbedtls_ripemd160_clone mbedtls_ripemd160_starts
    mbedtls_ripemd160_update mbedtls_ripemd160_finish mbedtls_ripemd160

    mbedtls_des_init mbedtls_des_free mbedtls_des3_init mbedtls_des3_free mbedtls_des_key_set_parity
    mbedtls_des_setkey_enc mbedtls_des_setkey_dec mbedtls_des3_set2key_enc mbedtls_des3_set2key_dec
    mbedtls_des3_set3key_enc mbedtls_des3_set3key_dec mbedtls_des_crypt_ecb mbedtls_des_crypt_cbc
    mbedtls_des3_crypt_ecb mbedtls_des3_crypt_cbc

    mbedtls_nist_kw_init mbedtls_nist_kw_setkey mbedtls_nist_kw_free mbedtls_nist_kw_wrap
    mbedtls_nist_kw_unwrap
}
