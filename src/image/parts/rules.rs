//! Which part of a firmware a crate or a C symbol belongs to: two tables, and nothing else.
//!
//! `docs/design/size.md` explains the method; a new crate in the firmware wants a line here.

use serde::Serialize;

/// A part of a firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// TLS: Mbed TLS and its Rust side.
    Tls,
    /// Wi-Fi: esp-radio, and Espressif's libraries for radio and PHY.
    WiFi,
    /// TCP/IP and what is spoken over it.
    Network,
    /// Digests and signatures.
    Signatures,
    /// The update agent: TUF, `otadata`, installation, its memory.
    UpdateAgent,
    /// JSON.
    Json,
    /// Drivers, executor, heap, panic handler.
    Hal,
    /// The project's own code.
    Own,
    /// What comes with the compiler.
    Compiler,
    /// Rust of crates that no line of the table names.
    OtherCrates,
    /// C and assembler that no line of the table names.
    OtherC,
    /// What no symbol covers, or one that says nothing: most constants of Rust, literals, jump
    /// tables.
    Rest,
    /// Headers and padding of the image.
    Format,
}

impl Part {
    /// The words for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Tls => "TLS",
            Self::WiFi => "Wi-Fi",
            Self::Network => "network",
            Self::Signatures => "signatures",
            Self::UpdateAgent => "update agent",
            Self::Json => "JSON",
            Self::Hal => "HAL and runtime",
            Self::Own => "your code",
            Self::Compiler => "Rust's library",
            Self::OtherCrates => "other crates",
            Self::OtherC => "other C",
            Self::Rest => "rest",
            Self::Format => "image format",
        }
    }
}

/// Crates by name. A `*` at the end stands for any ending. The first line that fits counts.
const CRATES: &[(Part, &[&str])] = &[
    (Part::Tls, &["mbedtls_rs*", "embedded_tls", "rustls*", "webpki*"]),
    (Part::WiFi, &["esp_radio*", "esp_wifi*", "esp_phy", "ieee80211*"]),
    (
        Part::Network,
        &[
            "embassy_net*",
            "smoltcp",
            "httparse",
            "reqwless",
            "edge_*",
            "sntpc*",
            "embedded_nal*",
            "picoserve",
            "managed",
        ],
    ),
    (
        Part::Signatures,
        &[
            "ed25519*",
            "curve25519_dalek*",
            "p256",
            "p384",
            "ecdsa",
            "elliptic_curve",
            "primeorder",
            "primefield",
            "crypto_bigint",
            "crypto_common",
            "sha2",
            "digest",
            "hmac",
            "rfc6979",
            "signature",
            "sec1",
            "der",
            "spki",
            "pkcs8",
            "pem_rfc7468",
            "base16ct",
            "base64ct",
            "const_oid",
            "subtle",
            "zeroize",
            "ff",
            "group",
            "rustcrypto_*",
            "block_buffer",
            "hybrid_array",
            "generic_array",
            "fiat_crypto",
            "ctutils",
            "cmov",
            "wnaf",
        ],
    ),
    (Part::UpdateAgent, &["esp_nvs", "semver"]),
    (Part::Json, &["serde*", "ryu", "itoa", "minijson"]),
    (
        Part::Hal,
        &[
            "esp_*",
            "esp32*",
            "riscv*",
            "xtensa*",
            "embassy_*",
            "critical_section",
            "portable_atomic*",
            "embedded_hal*",
            "embedded_io*",
            "embedded_storage*",
            "embedded_dma",
            "static_cell",
            "heapless",
            "allocator_api2",
            "linked_list_allocator",
            "rlsf",
            "defmt*",
            "log",
            "fugit",
            "bitfield",
            "bitflags",
            "enumset",
            "nb",
            "rand_core",
            "vcell",
        ],
    ),
    (Part::Compiler, &["core", "alloc", "std", "compiler_builtins", "rustc_*", "__rustc"]),
];

/// C of libraries by name, for a program whose libraries are not at hand: [`super::Libraries`] know
/// better. The first line that fits counts, and its text stands in the table like a crate's name.
const LIBRARIES: &[(Part, &str, &[&str])] = &[
    (
        Part::Tls,
        "Mbed TLS",
        &["mbedtls_*", "psa_*", "ssl_*", "secp*", "brainpool*", "ecp_*", "ecjpake_*", "x509_*"],
    ),
    (
        Part::WiFi,
        "Espressif's radio libraries",
        &[
            "ieee80211*",
            "net80211*",
            "wifi_*",
            "esp_wifi_*",
            "esp_phy_*",
            "esp_coex*",
            "esp_wps*",
            "esp_mesh_*",
            "coex*",
            "phy_*",
            "pp*",
            "lmac*",
            "wDev*",
            "wdev*",
            "rcUpdate*",
            "rcGet*",
            "trc_*",
            "pm_*",
            "hal_*",
            "cnx_*",
            "scan_*",
            "sta_*",
            "hostap*",
            "chm_*",
            "ftm_*",
            "offchan_*",
            "ampdu_*",
            "esf_*",
            "tsf_*",
            "ic_*",
            "mac_*",
            "wpa*",
            "eapol_*",
            "eap_*",
            "sae_*",
            "wps_*",
            "pmksa_*",
            "dragonfly_*",
            "bt_*",
            "btdm_*",
            "rf_*",
            "rfcal_*",
            "rfrx_*",
            "pbus_*",
            "txcal_*",
            "txiq_*",
            "rom1_*",
            "rom2_*",
            "ram1_*",
            "ram2_*",
            "register_chipv7_phy*",
            "regdomain*",
            "regulatory*",
            "g_wifi*",
            "g_ic*",
        ],
    ),
];

/// Symbols that Rust code and assembler export by a plain name, and what compilers call.
const EXPORTS: &[(Part, &str, &[&str])] = &[
    (Part::Tls, "Mbed TLS", &["mbedtls_*", "psa_*"]),
    (
        Part::WiFi,
        "esp-radio",
        &["__esp_radio*", "__ESP_RADIO*", "esp_radio*", "__esp_phy*", "WIFI_*"],
    ),
    (Part::Network, "embassy-net", &["_embassy_net_*"]),
    (
        Part::Compiler,
        "compiler-builtins",
        &[
            "memcpy*",
            "memmove*",
            "memset*",
            "memcmp*",
            "memchr",
            "bcmp",
            "strlen",
            "__atomic_*",
            "__rust*",
            "rust_begin_unwind",
            "rust_eh_personality",
            "__*di2",
            "__*di3",
            "__*si2",
            "__*si3",
            "__*ti2",
            "__*ti3",
            "__*df2",
            "__*df3",
            "__*sf2",
            "__*sf3",
            "__*moddi4",
            "__*modsi4",
            "__*modti4",
            "__fix*",
            "__float*",
            "__riscv_*",
        ],
    ),
    (
        Part::Hal,
        "esp-hal and runtime",
        &[
            "_critical_section_*",
            "_embassy_*",
            "__embassy_*",
            "__pender",
            "esp_*",
            "_esp_*",
            "__esp_*",
            "ESP_*",
            "_start*",
            "_default_*",
            "_setup_*",
            "_vector_table",
            "_mp_hook",
            "__pre_init",
            "__post_init",
            "__init_*",
            "__*_INTERRUPTS",
            "__EXCEPTIONS",
            "DefaultHandler",
            "EspDefaultHandler",
            "ExceptionHandler",
            "Trap*",
            "interrupt*",
            "handle_interrupts",
            "swint_handler_trampoline",
            "get_free_internal_heap_size",
            "rom_*",
            "ets_*",
            "malloc*",
            "calloc*",
            "realloc*",
            "free*",
            "DEVICE_PERIPHERALS",
            "_defmt_*",
        ],
    ),
    // Pieces of many functions that LLVM merged.
    (Part::Rest, "outlined by the compiler", &["OUTLINED_FUNCTION_*"]),
];

/// The part of a crate, where the table has a line for it.
pub(super) fn of_crate(name: &str) -> Option<Part> {
    CRATES.iter().find(|(_, patterns)| fits_any(patterns, name)).map(|(part, _)| *part)
}

/// The part of a symbol that is not Rust's, and what to call its origin.
pub(super) fn of_symbol(name: &str, libraries_are_known: bool) -> Option<(Part, &'static str)> {
    let guesses = if libraries_are_known { &[] } else { LIBRARIES };
    let mut lines = guesses.iter().chain(EXPORTS);
    let found = lines.find(|(_, _, patterns)| fits_any(patterns, name));
    found.map(|(part, origin, _)| (*part, *origin))
}

fn fits_any(patterns: &[&str], name: &str) -> bool {
    patterns.iter().any(|pattern| fits(pattern, name))
}

/// Whether a name fits a pattern with at most one `*`.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => name == pattern,
        Some((start, end)) => name.strip_prefix(start).is_some_and(|rest| rest.ends_with(end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_counts() {
        for (name, expected) in [
            ("mbedtls_rs_sys", Some(Part::Tls)),
            ("esp_radio", Some(Part::WiFi)),
            ("esp_wifi_sys_esp32c3", Some(Part::WiFi)),
            ("esp_nvs", Some(Part::UpdateAgent)),
            ("esp_hal", Some(Part::Hal)),
            ("embassy_net_driver", Some(Part::Network)),
            ("embassy_executor", Some(Part::Hal)),
            ("curve25519_dalek", Some(Part::Signatures)),
            ("serde_json", Some(Part::Json)),
            ("core", Some(Part::Compiler)),
            ("thermostat", None),
            ("coreutils", None),
        ] {
            assert_eq!(of_crate(name), expected, "{name}");
        }
    }

    #[test]
    fn names_of_c_are_guessed_only_where_the_libraries_are_not_known() {
        let part = |name, known| of_symbol(name, known).map(|(part, _)| part);
        assert_eq!(part("mbedtls_ssl_read", false), Some(Part::Tls));
        // Rust exports names of this form, too; nobody else does.
        assert_eq!(part("mbedtls_ssl_read", true), Some(Part::Tls));
        assert_eq!(part("ssl_read", false), Some(Part::Tls));
        assert_eq!(part("ssl_read", true), None);
        assert_eq!(part("OUTLINED_FUNCTION_7", true), Some(Part::Rest));
        assert_eq!(part("esp_wifi_start", false), Some(Part::WiFi));
        assert_eq!(part("__esp_radio_malloc", true), Some(Part::WiFi));
        assert_eq!(part("__udivdi3", true), Some(Part::Compiler));
        assert_eq!(part("_start_trap", true), Some(Part::Hal));
        assert_eq!(part("nobody_s", false), None);
    }

    #[test]
    fn a_star_stands_for_any_text_and_nothing() {
        assert!(fits("a*", "a") && fits("a*", "ab") && fits("a*c", "abc") && fits("a*c", "ac"));
        assert!(!fits("a", "ab") && !fits("ab*", "a") && !fits("a*a", "a"));
    }
}
