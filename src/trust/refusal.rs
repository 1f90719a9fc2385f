//! Why a file or a certificate cannot be pinned.
//!
//! Two types, because they answer two questions. [`Refusal`] is about one certificate and always a
//! matter of trust; [`RootError`] is about the file it came in, and says which file and which
//! certificate.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::error::{Exit, Explained, Location};
use crate::trust::certificate::SMALLEST_RSA_BITS;

/// Why a well-formed certificate is not acceptable as a pinned root.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It does not say `CA:TRUE`: a server's own certificate, or one of X.509 version 1.
    #[error("it is not a CA certificate (its basic constraints do not say `CA:TRUE`)")]
    NotCa,
    /// Its key usage leaves out `keyCertSign`.
    #[error("its key may not sign certificates (its key usage lacks `keyCertSign`)")]
    MayNotSign,
    /// Another certificate authority issued it: an intermediate, or a cross-signed root.
    #[error("it is not a root: `{issuer}` issued it")]
    NotSelfIssued {
        /// Who issued it.
        issuer: String,
    },
    /// It names itself as its issuer, but its own key did not sign it.
    #[error("its signature was not made by its own key")]
    ForgedSignature,
    /// Signed with a broken hash.
    #[error("it is signed with `{algorithm}`, which is broken")]
    WeakSignature {
        /// Name or object identifier.
        algorithm: String,
    },
    /// Signed in a way this tool cannot check, so nothing is known about it.
    #[error("its signature algorithm `{algorithm}` cannot be checked")]
    UnknownSignature {
        /// Name or object identifier.
        algorithm: String,
    },
    /// An RSA key that is too short.
    #[error("its RSA key has {bits} bits, and {SMALLEST_RSA_BITS} are the least")]
    WeakKey {
        /// Bits of the modulus.
        bits: usize,
    },
    /// A key that the TLS library of the device cannot use.
    #[error(
        "its key type `{key}` cannot be verified by the device, only RSA and ECDSA P-256 or P-384 can"
    )]
    UnsupportedKey {
        /// Name or object identifier.
        key: String,
    },
    /// It demands that the reader understands something the device's TLS library does not.
    #[error("its critical extension `{oid}` is unknown to the device's TLS library")]
    CriticalExtension {
        /// Object identifier.
        oid: String,
    },
    /// Its time is over.
    #[error("it ended on {ended}, and it is {now}")]
    Expired {
        /// Last second in which it is valid.
        ended: Timestamp,
        /// The time it was checked against.
        now: Timestamp,
    },
    /// Its time has not come.
    #[error("it starts on {starts}, and it is {now}")]
    NotYetValid {
        /// First second in which it is valid.
        starts: Timestamp,
        /// The time it was checked against.
        now: Timestamp,
    },
}

/// Why a file gave no pinned roots. A file that is not what it should be exits 3; a certificate
/// that could be read and must not be trusted exits 6.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The file is missing or unreadable.
    #[error("`{}` could not be read", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is too large to be a handful of certificates.
    #[error("`{}` is larger than {limit} bytes", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// The most that is read.
        limit: usize,
    },
    /// There is no PEM section in it, or a torn one.
    #[error("`{}` is not PEM ({reason})", file.display())]
    NotPem {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// PEM, but something else: a request, a revocation list, a public key.
    #[error("`{}` holds no certificate", file.display())]
    NoCertificate {
        /// The file.
        file: PathBuf,
    },
    /// A secret where only public things belong.
    #[error("`{}` holds a private key", file.display())]
    PrivateKey {
        /// The file.
        file: PathBuf,
    },
    /// More certificates than anybody pins: probably the bundle of a browser.
    #[error("`{}` holds more than {limit} certificates", file.display())]
    TooMany {
        /// The file.
        file: PathBuf,
        /// The most that are taken.
        limit: usize,
    },
    /// A PEM section says `CERTIFICATE` and holds none.
    #[error("certificate {number} in `{}` is malformed ({reason})", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// Place in the file, from 1.
        number: usize,
        /// What the parser said.
        reason: String,
    },
    /// A certificate that must not be pinned.
    #[error("`{subject}` in `{}` cannot be a pinned root", file.display())]
    Refused {
        /// The file.
        file: PathBuf,
        /// Whose certificate it is.
        subject: String,
        /// Why.
        source: Refusal,
    },
    /// The very same certificate a second time.
    #[error("`{subject}` in `{}` is there twice (SHA-256 {fingerprint})", file.display())]
    Duplicate {
        /// The file.
        file: PathBuf,
        /// Whose certificate it is.
        subject: String,
        /// Lower-case hex.
        fingerprint: String,
    },
}

/// Why one certificate is no pinned root, wherever it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It is no certificate.
    Malformed(String),
    /// It is one, and must not be pinned.
    Refused {
        /// Whose certificate it is.
        subject: String,
        /// Why.
        source: Refusal,
    },
}

impl Unfit {
    /// With the place where it was found.
    pub(super) fn in_file(self, file: &Path, number: usize) -> RootError {
        let file = file.to_owned();
        match self {
            Self::Malformed(reason) => RootError::Malformed { file, number, reason },
            Self::Refused { subject, source } => RootError::Refused { file, subject, source },
        }
    }
}

impl RootError {
    fn file(&self) -> &Path {
        match self {
            Self::Read { file, .. }
            | Self::TooLarge { file, .. }
            | Self::NotPem { file, .. }
            | Self::NoCertificate { file }
            | Self::PrivateKey { file }
            | Self::TooMany { file, .. }
            | Self::Malformed { file, .. }
            | Self::Refused { file, .. }
            | Self::Duplicate { file, .. } => file,
        }
    }
}

impl Explained for RootError {
    fn exit(&self) -> Exit {
        match self {
            Self::Read { .. }
            | Self::TooLarge { .. }
            | Self::NotPem { .. }
            | Self::NoCertificate { .. }
            | Self::PrivateKey { .. }
            | Self::TooMany { .. }
            | Self::Malformed { .. }
            | Self::Duplicate { .. } => Exit::Project,
            Self::Refused { .. } => Exit::Trust,
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::Read { .. } => "check the path, then run `cargo esp-ota ca add FILE`",
            Self::TooLarge { .. } | Self::TooMany { .. } => {
                "pin only the roots your server uses: `cargo esp-ota ca add FILE`"
            }
            Self::NotPem { .. } => {
                "convert a DER file with `openssl x509 -inform der -in FILE -out root.pem`, then run \
                 `cargo esp-ota ca add root.pem`"
            }
            Self::NoCertificate { .. } | Self::Malformed { .. } => {
                "download the root certificate again as PEM, then run `cargo esp-ota ca add FILE`"
            }
            Self::PrivateKey { .. } => {
                "keep the key out of the project and pass a file with the certificate alone to \
                 `cargo esp-ota ca add`"
            }
            Self::Refused { source, .. } => return Some(source.help().to_owned()),
            Self::Duplicate { .. } => {
                "keep it once: in one file, which `[trust] roots` in `esp-ota.toml` names once"
            }
        };
        Some(help.to_owned())
    }

    fn location(&self) -> Option<Location> {
        Some(Location { file: self.file().to_owned(), line: None, column: None })
    }
}

impl Refusal {
    /// What can be done about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::NotCa | Self::MayNotSign | Self::NotSelfIssued { .. } => {
                "take the self-signed root at the end of the server's chain and run \
                 `cargo esp-ota ca add FILE`"
            }
            Self::ForgedSignature => {
                "do not trust this file; take the root from its owner's own page and run \
                 `cargo esp-ota ca add FILE`"
            }
            Self::WeakSignature { .. }
            | Self::UnknownSignature { .. }
            | Self::WeakKey { .. }
            | Self::UnsupportedKey { .. }
            | Self::CriticalExtension { .. } => {
                "let the server use a chain under a root with RSA 2048 or ECDSA P-256 and SHA-256, and \
                 pin that one with `cargo esp-ota ca add FILE`"
            }
            Self::Expired { .. } => {
                "pin the root that replaces it with `cargo esp-ota ca add FILE`, and publish a release \
                 that carries it"
            }
            Self::NotYetValid { .. } => {
                "check this computer's clock, or pin a root that is valid today with \
                 `cargo esp-ota ca add FILE`"
            }
        }
    }
}
