//! How the certificates of a file stand today, good ones and bad ones alike.
//!
//! Everything that uses roots reads them through [`super::root`], where one bad certificate refuses
//! the whole file. Whoever looks a set over, or takes a bad one out of it, has to see them all.

use std::path::Path;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::trust::certificate::{KeyType, key_type, printable, timestamp};
use crate::trust::pem_file;
use crate::trust::refusal::{Refusal, RootError, Unfit};
use crate::trust::root::{self, LIMITS, PinnedRoot};

/// One certificate and the verdict on it.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Whose it is.
    pub subject: String,
    /// SHA-256 of the whole certificate.
    pub fingerprint: [u8; 32],
    /// Its kind of key, where the device can use it.
    pub key: Option<KeyType>,
    /// Last second in which it is valid.
    pub not_after: Timestamp,
    /// The root, or why it must not be one.
    pub verdict: Result<PinnedRoot, Refusal>,
}

impl Standing {
    /// SHA-256 of the whole certificate in lower-case hex.
    pub fn fingerprint_hex(&self) -> String {
        crate::hex::lower(&self.fingerprint)
    }

    /// Whole days from `now` until the certificate ends; negative when it has ended.
    pub fn days_left(&self, now: Timestamp) -> i64 {
        days_between(now, self.not_after)
    }
}

/// Whole days from one time to another, rounded down: an end in twelve hours is 0 days away.
pub fn days_between(from: Timestamp, to: Timestamp) -> i64 {
    const DAY: i64 = 24 * 60 * 60;
    to.as_second().saturating_sub(from.as_second()).div_euclid(DAY)
}

/// Every certificate of the PEM file `file`, judged at `now`. Never empty.
pub fn read(file: &Path, now: Timestamp) -> Result<Vec<Standing>, RootError> {
    let pem = pem_file::read(file, LIMITS)?;
    let mut found = Vec::new();
    for (index, der) in pem_file::certificates(file, &pem, LIMITS)?.into_iter().enumerate() {
        let number = index.saturating_add(1);
        let verdict = match root::check(&der, now) {
            Ok(root) => Ok(root),
            Err(Unfit::Refused { source, .. }) => Err(source),
            Err(unfit @ Unfit::Malformed(_)) => return Err(unfit.in_file(file, number)),
        };
        let (_, certificate) = X509Certificate::from_der(&der)
            .map_err(|error| Unfit::Malformed(error.to_string()).in_file(file, number))?;
        found.push(Standing {
            subject: printable(certificate.subject()),
            fingerprint: Sha256::digest(&der).into(),
            key: key_type(&certificate).ok(),
            not_after: timestamp(certificate.validity().not_after),
            verdict,
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_rounded_down() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2027-01-10T12:00:00Z");
        assert_eq!(days_between(now, at("2027-01-11T12:00:00Z")), 1);
        assert_eq!(days_between(now, at("2027-01-11T11:59:59Z")), 0);
        assert_eq!(days_between(now, now), 0);
        assert_eq!(days_between(now, at("2027-01-10T11:59:59Z")), -1);
        assert_eq!(days_between(now, Timestamp::MAX), 2_912_067);
    }

    #[test]
    fn a_bad_certificate_is_shown_with_its_reason_beside_the_good_ones() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/roots");
        let now = "2027-01-01T00:00:00Z".parse().unwrap();
        let sha1 = &read(&folder.join("sha1.pem"), now).unwrap()[0];
        assert!(matches!(sha1.verdict, Err(Refusal::WeakSignature { .. })));
        assert_eq!(sha1.subject, "CN=sha1");
        assert!(read(&folder.join("rsa-2048.pem"), now).unwrap()[0].verdict.is_ok());
    }
}
