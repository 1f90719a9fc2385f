//! Whether the firmware checks the dates of TLS certificates, from what cargo built into it.
//!
//! Mbed TLS compares no dates unless it is compiled with a clock. With it, and with no clock
//! installed, it refuses every certificate: so the feature alone decides.

use serde::Serialize;

use super::messages::Artifact;

/// The package that compiles Mbed TLS.
const MBED_TLS: &str = "mbedtls-rs-sys";
/// Its feature with which certificates are checked against a clock.
const CLOCK: &str = "hook-wall-clock";
/// The feature of the firmware that `init` writes which switches that on.
pub(super) const PROJECT_FEATURE: &str = "tls-clock";

/// Whether dates of certificates are checked on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum CertificateDates {
    /// An expired certificate is refused.
    Enforced,
    /// An expired certificate is accepted.
    NotEnforced,
    /// Nothing was built, or not with Mbed TLS.
    Unknown,
}

impl CertificateDates {
    /// Looks at what was compiled.
    pub(super) fn of(artifacts: &[Artifact]) -> Self {
        let mut libraries = artifacts
            .iter()
            .filter(|artifact| artifact.package() == MBED_TLS && !artifact.is_build_script())
            .map(|artifact| artifact.features.iter().any(|feature| feature == CLOCK))
            .peekable();
        if libraries.peek().is_none() {
            Self::Unknown
        } else if libraries.all(|has_clock| has_clock) {
            Self::Enforced
        } else {
            Self::NotEnforced
        }
    }
}

/// What is said each time where they are not. `has_feature`: whether the project has the feature
/// that `init` writes.
pub(super) fn remark(has_feature: bool) -> String {
    let remedy = if has_feature {
        format!(
            "`cargo esp-ota build -- --features {PROJECT_FEATURE}` makes it (needs clang, cmake and \
             ninja)"
        )
    } else {
        format!("the feature `{CLOCK}` of `mbedtls-rs`, and a clock, make it")
    };
    format!("the device does not check the dates of TLS certificates; {remedy}")
}

#[cfg(test)]
mod tests {
    use super::super::messages::tests::artifact;
    use super::*;

    const ID: &str = "registry+https://registry.example/index#mbedtls-rs-sys@0.3.1";

    #[test]
    fn the_features_of_what_was_compiled_decide() {
        let on = artifact(ID, "lib", &["tls", "hook-timer", "hook-wall-clock"]);
        let off = artifact(ID, "lib", &["tls"]);
        let project = artifact("path+file:///a/fw#0.1.0", "bin", &["tls-clock"]);
        let of = CertificateDates::of;
        assert_eq!(of(&[]), CertificateDates::Unknown);
        // What the project calls its features proves nothing.
        assert_eq!(of(std::slice::from_ref(&project)), CertificateDates::Unknown);
        assert_eq!(of(&[on.clone(), project.clone()]), CertificateDates::Enforced);
        assert_eq!(of(&[off.clone(), project]), CertificateDates::NotEnforced);
        // Two in one program: one without a clock is one too many.
        assert_eq!(of(&[on.clone(), off]), CertificateDates::NotEnforced);
        let script = artifact(ID, "custom-build", &["tls"]);
        assert_eq!(of(&[script, on]), CertificateDates::Enforced);
    }
}
