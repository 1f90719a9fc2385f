//! PKCS#8 PEM, byte for byte as `openssl genpkey -algorithm ed25519` writes it.
//!
//! RFC 8410, section 7: version 0 and no public key. A file with the public key (version 1) is
//! read too, and so is one encrypted with PBES2 (RFC 8018, section 6.2).

use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes};
use getrandom::SysRng;
use pkcs8::der::pem::PemLabel;
use pkcs8::{EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef};

use super::SigningKey;

/// Why a PEM text gives no key.
#[derive(Debug, thiserror::Error)]
pub(super) enum PemError {
    #[error("it is encrypted, and no passphrase was given")]
    NoPassphrase,
    #[error("it does not open with this passphrase")]
    Passphrase(#[source] pkcs8::Error),
    #[error("it holds no Ed25519 key in PKCS#8 PEM")]
    Malformed(#[source] pkcs8::Error),
}

/// Encodes a key; with a passphrase it is encrypted as openssl can read it (PBES2 with scrypt and
/// AES-256).
pub(super) fn encode(
    key: &SigningKey,
    passphrase: Option<&str>,
) -> Result<impl AsRef<[u8]> + use<>, pkcs8::Error> {
    let bytes = KeypairBytes { secret_key: key.0.to_bytes(), public_key: None };
    let Some(passphrase) = passphrase else {
        return bytes.to_pkcs8_pem(LineEnding::LF).map(|text| text.as_bytes().to_vec());
    };
    let plain = bytes.to_pkcs8_der()?;
    let key = PrivateKeyInfoRef::try_from(plain.as_bytes())?;
    let encrypted = key.encrypt_with_rng(&mut SysRng, passphrase)?;
    let text = encrypted.to_pem(EncryptedPrivateKeyInfoRef::PEM_LABEL, LineEnding::LF)?;
    Ok(text.as_bytes().to_vec())
}

/// Whether a PEM text asks for a passphrase.
pub(super) fn is_encrypted(text: &str) -> bool {
    text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
}

/// Decodes a key; `passphrase` is asked only of an encrypted one.
pub(super) fn decode(text: &str, passphrase: Option<&str>) -> Result<SigningKey, PemError> {
    let text = text.trim();
    let key = if is_encrypted(text) {
        let passphrase = passphrase.ok_or(PemError::NoPassphrase)?;
        ed25519_dalek::SigningKey::from_pkcs8_encrypted_pem(text, passphrase)
            .map_err(PemError::Passphrase)?
    } else {
        ed25519_dalek::SigningKey::from_pkcs8_pem(text).map_err(PemError::Malformed)?
    };
    Ok(SigningKey(key))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    /// RFC 8410, section 10.3: the same key without and with its public half.
    const VERSION_1: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    const VERSION_2: &str = "-----BEGIN PRIVATE KEY-----\n\
        MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB\n\
        Z9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PRIVATE KEY-----\n";

    fn text(key: &SigningKey) -> String {
        String::from_utf8(encode(key, None).unwrap().as_ref().to_vec()).unwrap()
    }

    #[test]
    fn a_key_under_a_passphrase_opens_with_it_alone_here_and_in_openssl() {
        let key = SigningKey::generate().unwrap();
        let encode = || {
            let text = encode(&key, Some("correct horse")).unwrap();
            String::from_utf8(text.as_ref().to_vec()).unwrap()
        };
        let encrypted = encode();
        assert!(encrypted.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
        assert_ne!(encode(), encrypted, "salt and start value are new each time");
        assert_eq!(decode(&encrypted, Some("correct horse")).unwrap().public(), key.public());
        assert!(matches!(decode(&encrypted, None), Err(PemError::NoPassphrase)));
        assert!(matches!(decode(&encrypted, Some("wrong")), Err(PemError::Passphrase(_))));
        let arguments = ["pkey", "-passin", "pass:correct horse"];
        let Some(plain) = openssl(&arguments, &encrypted) else { return };
        assert_eq!(plain, text(&key));
    }

    #[test]
    fn the_keys_of_rfc_8410_are_read_and_the_plain_one_written_back() {
        let key = decode(VERSION_1, None).unwrap();
        assert_eq!(text(&key), VERSION_1);
        assert_eq!(decode(VERSION_2, None).unwrap().public(), key.public());
        // As an environment variable may hold it.
        assert!(decode(&VERSION_1.replace('\n', "\r\n"), None).is_ok());
    }

    #[test]
    fn a_public_half_of_another_key_is_refused() {
        let key = SigningKey::generate().unwrap();
        let other = SigningKey::generate().unwrap();
        let bytes = KeypairBytes {
            secret_key: key.0.to_bytes(),
            public_key: Some(ed25519_dalek::pkcs8::PublicKeyBytes(
                other.0.verifying_key().to_bytes(),
            )),
        };
        let text = bytes.to_pkcs8_pem(LineEnding::LF).unwrap();
        assert!(matches!(decode(&text, None), Err(PemError::Malformed(_))));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for bad in ["", "hello", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----"] {
            assert!(matches!(decode(bad, None), Err(PemError::Malformed(_))), "{bad}");
        }
    }

    fn openssl(arguments: &[&str], input: &str) -> Option<String> {
        let child = Command::new("openssl")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = child else {
            let _ = writeln!(std::io::stderr(), "skipped: no `openssl` on PATH");
            return None;
        };
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "openssl {arguments:?}");
        Some(String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn openssl_and_this_tool_write_the_same_bytes() {
        let ours = text(&SigningKey::generate().unwrap());
        let Some(again) = openssl(&["pkey"], &ours) else { return };
        assert_eq!(again, ours);
        let theirs = openssl(&["genpkey", "-algorithm", "ed25519"], "").unwrap();
        assert_eq!(text(&decode(&theirs, None).unwrap()), theirs);
    }

    #[test]
    fn a_key_that_openssl_encrypted_needs_its_passphrase() {
        let key = SigningKey::generate().unwrap();
        let arguments = ["pkcs8", "-topk8", "-passout", "pass:correct horse"];
        let Some(encrypted) = openssl(&arguments, &text(&key)) else { return };
        assert_eq!(decode(&encrypted, Some("correct horse")).unwrap().public(), key.public());
        assert!(matches!(decode(&encrypted, None), Err(PemError::NoPassphrase)));
        assert!(matches!(decode(&encrypted, Some("wrong")), Err(PemError::Passphrase(_))));
    }

    #[test]
    fn a_key_of_another_kind_is_refused() {
        let arguments = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
        let Some(ecdsa) = openssl(&arguments, "") else { return };
        assert!(matches!(decode(&ecdsa, None), Err(PemError::Malformed(_))));
    }
}
