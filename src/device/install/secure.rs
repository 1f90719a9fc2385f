//! What may be written to a chip with Secure Boot, flash encryption or secure download mode.

use super::signature::{BadSignature, Signed, Signer, signature};
use crate::device::serial::Security;
use crate::error::{Exit, Explained};

/// Why something must not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecureError {
    /// The chip would read plain text as cipher text.
    #[error(
        "the chip's flash is encrypted: it would take plain text that a cable writes for cipher text"
    )]
    Encrypted,
    /// Nothing of what was written could be read back.
    #[error("the chip is in secure download mode: nothing that is written to it can be read back")]
    Download,
    /// The chip would refuse it.
    #[error("the chip has Secure Boot on, and {0} is not signed: the chip would never start it")]
    Unsigned(String),
    /// It is signed for another scheme.
    #[error(
        "the chip has Secure Boot v2 on, and {0} is signed for Secure Boot v1, which it does not take"
    )]
    FirstVersion(String),
    /// There is a signature, and it is wrong.
    #[error("the chip has Secure Boot on, and the signature of {what} is no good: {why}")]
    Bad {
        /// The app or the bootloader.
        what: String,
        /// What is wrong with it.
        #[source]
        why: BadSignature,
    },
}

impl Explained for SecureError {
    fn exit(&self) -> Exit {
        match self {
            Self::Encrypted | Self::Download => Exit::Device,
            Self::Unsigned(_) | Self::FirstVersion(_) => Exit::Rejected,
            Self::Bad { why, .. } => why.exit(),
        }
    }

    fn help(&self) -> Option<String> {
        let text = match self {
            Self::Encrypted => {
                "update it over the air, where the chip itself encrypts what it writes"
            }
            Self::Download => "update it over the air",
            Self::Unsigned(_) | Self::FirstVersion(_) => {
                "sign it with a key that the chip trusts: `espsecure sign-data --version 2`"
            }
            Self::Bad { .. } => {
                "do not trust this file: build it again, and sign it with `espsecure sign-data \
                 --version 2`"
            }
        };
        Some(text.to_owned())
    }
}

/// What is known of something that may be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The chip asks for no signature.
    Open,
    /// No chip was asked: flash in a file.
    Unasked,
    /// It is signed, by each of these. Whether the chip trusts one of them is not proven.
    Signed(Vec<Signer>),
}

impl Admission {
    /// What is not proven, in words; `None` where nothing is left open.
    pub fn unproven(&self) -> Option<String> {
        match self {
            Self::Open => None,
            Self::Unasked => Some("no chip was asked whether it wants signed images".to_owned()),
            Self::Signed(signers) => {
                let keys: Vec<_> = signers.iter().map(Signer::words).collect();
                Some(format!(
                    "whether the chip trusts the signature of {} is for its eFuses to say",
                    keys.join(" or ")
                ))
            }
        }
    }
}

impl Signer {
    fn words(&self) -> String {
        let Self { scheme, key_digest, is_verified } = self;
        let doubt = if *is_verified { "" } else { ", which was not verified," };
        format!("{scheme} key {key_digest}{doubt}")
    }
}

/// Whether anything may be written over a cable at all.
///
/// # Errors
///
/// For flash that is encrypted, and for a chip whose flash cannot be read back.
pub fn may_write(security: Option<&Security>) -> Result<(), SecureError> {
    match security {
        Some(security) if security.flash_encryption => Err(SecureError::Encrypted),
        Some(security) if security.secure_download => Err(SecureError::Download),
        Some(_) | None => Ok(()),
    }
}

/// Whether this may be written where the chip starts code from: `what` is an app or a bootloader,
/// in words such as ``the app `lamp.bin` ``. Tables and data are not signed.
///
/// # Errors
///
/// Where the chip wants a signature, and there is none or a wrong one; and as [`may_write`].
pub fn admit(
    security: Option<&Security>,
    what: &str,
    image: &[u8],
) -> Result<Admission, SecureError> {
    may_write(security)?;
    match security {
        None => Ok(Admission::Unasked),
        Some(security) if !security.secure_boot => Ok(Admission::Open),
        Some(_) => match signature(image) {
            Ok(Signed::V2(signers)) => Ok(Admission::Signed(signers)),
            Ok(Signed::No) => Err(SecureError::Unsigned(what.to_owned())),
            Ok(Signed::V1) => Err(SecureError::FirstVersion(what.to_owned())),
            Err(why) => Err(SecureError::Bad { what: what.to_owned(), why }),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::signature::tests::{PLAIN, RSA3072, V1_SIGNED, resealed};
    use super::*;

    const OPEN: Security =
        Security { flash_encryption: false, secure_boot: false, secure_download: false };
    const BOOT: Security = Security { secure_boot: true, ..OPEN };

    fn refusal(security: &Security, image: &[u8]) -> (u8, String) {
        let error = admit(Some(security), "the app `lamp.bin`", image).unwrap_err();
        assert!(error.help().is_some());
        (error.exit().code(), error.to_string())
    }

    #[test]
    fn a_chip_without_secure_boot_takes_everything_and_one_with_it_what_is_signed() {
        for image in [PLAIN, RSA3072, V1_SIGNED] {
            assert_eq!(admit(Some(&OPEN), "it", image), Ok(Admission::Open));
            let unasked = admit(None, "it", image).unwrap();
            assert!(unasked.unproven().unwrap().contains("no chip was asked"));
        }
        let admitted = admit(Some(&BOOT), "it", RSA3072).unwrap();
        let unproven = admitted.unproven().unwrap();
        assert!(unproven.contains("RSA-3072 key ") && unproven.contains("eFuses"), "{unproven}");
    }

    #[test]
    fn a_chip_with_secure_boot_gets_nothing_that_is_unsigned_or_signed_the_old_way() {
        let (exit, message) = refusal(&BOOT, PLAIN);
        assert_eq!(exit, 1);
        assert!(message.contains("the app `lamp.bin` is not signed"), "{message}");
        let (exit, message) = refusal(&BOOT, V1_SIGNED);
        assert_eq!(exit, 1);
        assert!(message.contains("Secure Boot v1"), "{message}");
        assert_eq!(refusal(&BOOT, &RSA3072[..RSA3072.len() - 1]).0, 1);
        assert_eq!(refusal(&BOOT, &[PLAIN, &[1; 40]].concat()).0, 1);
    }

    #[test]
    fn a_signature_that_does_not_hold_is_a_matter_of_trust() {
        for at in [100, 2000, 4096 + 5, 4096 + 900] {
            let mut changed = RSA3072.to_vec();
            changed[at] ^= 1;
            let resealed = resealed(changed.clone(), 0);
            // In the padding there was no other byte than FF before.
            let expected = if at == 2000 { 1 } else { 6 };
            assert_eq!(refusal(&BOOT, &changed).0, expected, "{at}");
            assert_eq!(refusal(&BOOT, &resealed).0, expected, "{at}");
        }
    }

    #[test]
    fn encrypted_flash_and_secure_download_take_nothing_whatever_is_signed() {
        for security in [
            Security { flash_encryption: true, ..OPEN },
            Security { flash_encryption: true, ..BOOT },
            Security { secure_download: true, ..BOOT },
        ] {
            assert_eq!(refusal(&security, RSA3072).0, 4, "{security:?}");
            assert!(may_write(Some(&security)).is_err());
        }
        assert_eq!((may_write(Some(&BOOT)), may_write(None)), (Ok(()), Ok(())));
    }

    proptest! {
        #[test]
        fn nothing_but_a_whole_signature_is_admitted(bytes in prop::collection::vec(any::<u8>(), 0..9000)) {
            prop_assert!(admit(Some(&BOOT), "it", &bytes).is_err());
        }
    }
}
