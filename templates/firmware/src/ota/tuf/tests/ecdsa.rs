//! ECDSA keys and signatures: those of openssl, our own, and what only looks like one.

use super::super::super::json::{Text, Value};
use super::super::ecdsa::Key;
use super::Device;
use super::repository::{Repository, canonical, hex, signature};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, Signature, SigningKey};
use p256::pkcs8::{EncodePublicKey, LineEnding};
use serde_json::{Value as Json, json};

/// `openssl ecparam -name prime256v1 -genkey`, then `openssl ec -pubout` (3.0.22).
const KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEonoOJQmzx3EPMRwQlpDGatKHu4pt
fiL3Z9dGGJWtrFw8uT/JwUAEvg1p4j3iKbehlHCa25pFxI/dkU+30dVvHQ==
-----END PUBLIC KEY-----
";
/// The same point with `-conv_form compressed`.
const COMPRESSED: &str = "-----BEGIN PUBLIC KEY-----
MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgADonoOJQmzx3EPMRwQlpDGatKHu4pt
fiL3Z9dGGJWtrFw=
-----END PUBLIC KEY-----
";
/// What was signed, in its canonical form.
const MESSAGE: &str = r#"{"a":1}"#;
/// `openssl dgst -sha256 -sign` over it, twice.
const SIGNATURES: [&str; 2] = [
    "3044022002d3dbf14cb8d0dbc20ab7f2e505a8afc0e43573f9c09b14140d03fafae9dbfc\
     02200e1ad12941e9cfac4e3090a9468904886baa39aab8052570d0cafac46c1b1149",
    "304502210087b2137dc6cbe855b854e3f2602b164650f1386b2c0198fa455a3e4ed4946638\
     02202a2242637bad2847b208796e9014dace217176a9a588a328ed73100328a933a3",
];
/// The order of the curve (SEC 2, section 2.4.2).
const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

/// Reads a key as it stands in metadata, where a line end is an escape.
fn read(pem: &str) -> Option<Key> {
    let document = Json::from(pem).to_string();
    Key::read(Value::parse(document.as_bytes()).unwrap().text().unwrap())
}

/// Whether openssl's key takes a signature over a document.
fn takes(document: &str, signature: &str) -> bool {
    let quoted = Json::from(signature).to_string();
    let signature: Text<'_> = Value::parse(quoted.as_bytes()).unwrap().text().unwrap();
    let signed = Value::parse(document.as_bytes()).unwrap();
    read(KEY).unwrap().verify(signed, signature).is_some()
}

/// PEM of other bytes than the key's.
fn pem_of(der: impl Into<Vec<u8>>) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new("PUBLIC KEY", der), config)
}

fn der() -> Vec<u8> {
    pem::parse(KEY).unwrap().into_contents()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2).map(|pair| core::str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// DER of two integers as they are given, right or wrong.
fn sequence(first: &[u8], second: &[u8]) -> String {
    let length = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
    let body = [&[2, length(first)], first, &[2, length(second)], second].concat();
    hex(&[&[0x30, length(&body)], &body[..]].concat())
}

#[test]
fn openssl_signs_and_we_verify() {
    for signature in SIGNATURES {
        assert!(takes(MESSAGE, signature));
        assert!(takes(" { \"a\" : 1 }\n", signature), "the canonical form is what counts");
        assert!(takes(MESSAGE, &signature.to_uppercase()));
        assert!(!takes(r#"{"a":2}"#, signature));
    }
}

/// Both `s` and `n - s` make a signature: openssl writes either (SEC 1, section 4.1.4).
#[test]
fn both_of_the_two_forms_of_a_signature_count() {
    let order = unhex(ORDER);
    for signature in SIGNATURES {
        let (r, s) = Signature::from_der(&unhex(signature)).unwrap().split_bytes();
        let mut borrow = 0_i32;
        let mut other: Vec<u8> = Vec::new();
        for (order, s) in order.iter().zip(s).rev() {
            let digit = i32::from(*order) - i32::from(s) - borrow;
            borrow = i32::from(digit < 0);
            other.insert(0, u8::try_from(digit.rem_euclid(256)).unwrap());
        }
        let other =
            Signature::from_scalars(<[u8; 32]>::from(r), <[u8; 32]>::try_from(other).unwrap());
        assert!(takes(MESSAGE, &hex(other.unwrap().to_der().as_bytes())));
    }
}

#[test]
fn what_is_not_der_of_two_numbers_in_range_is_no_signature() {
    let good = SIGNATURES[0];
    let (r, s) = (unhex(&good[8..72]), unhex(&good[76..]));
    assert_eq!(sequence(&r, &s), good);
    let order = [&[0], &unhex(ORDER)[..]].concat();
    let padded = |number: &[u8]| [&[0], number].concat();
    let negative = unhex(ORDER);
    for (what, bad) in [
        ("empty", String::new()),
        ("not hexadecimal", "zz".repeat(70)),
        ("half a digit more", format!("{good}0")),
        ("a byte more", format!("{good}00")),
        ("a byte less", good[..good.len() - 2].to_string()),
        ("73 bytes", format!("{good}{}", "00".repeat(3))),
        ("a thousand bytes", "00".repeat(1000)),
        ("two plain numbers", hex(&[&r[..], &s].concat())),
        ("the length in two bytes", format!("3081{}", &good[2..])),
        ("a number with a needless zero", sequence(&padded(&r), &s)),
        ("the second with one", sequence(&r, &padded(&s))),
        ("negative", sequence(&negative, &s)),
        ("zero", sequence(&[0], &s)),
        ("zero behind", sequence(&r, &[0])),
        ("no number", sequence(&[], &s)),
        ("both zero", sequence(&[0], &[0])),
        ("the order", sequence(&order, &s)),
        ("the order behind", sequence(&r, &order)),
        ("swapped", sequence(&s, &r)),
        ("three numbers", format!("3047{}020101", &good[4..])),
    ] {
        assert!(!takes(MESSAGE, &bad), "{what}: {bad}");
    }
}

#[test]
fn one_point_is_one_key_however_it_is_spelled() {
    let key = read(KEY);
    assert!(key.is_some());
    for spelled in [
        COMPRESSED.to_string(),
        KEY.replace('\n', "\r\n"),
        KEY.trim_end().to_string(),
        pem_of(der()),
        format!("{}\n{KEY}", "x".repeat(511 - KEY.len())),
    ] {
        assert_eq!(read(&spelled), key, "{spelled}");
    }
    let mut other_side = pem::parse(COMPRESSED).unwrap().into_contents();
    other_side[26] ^= 1;
    let other_side = read(&pem_of(other_side));
    assert!(other_side.is_some() && other_side != key, "the point mirrored is another key");
}

#[test]
fn what_is_not_one_point_of_this_curve_is_no_key() {
    let (good, point) = (der(), 27..91);
    let twist = |at: usize, bits: u8| {
        let mut bytes = good.clone();
        bytes[at] ^= bits;
        pem_of(bytes)
    };
    assert_eq!(good.len(), point.end);
    let infinity = [&[0x30, 0x17], &good[2..23], &[0x03, 0x02, 0x00, 0x00]].concat();
    let zeros = [&good[..27], &[0; 64]].concat();
    let prime = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff";
    let too_large = [&good[..27], &unhex(prime), &[0; 32]].concat();
    for (what, bad) in [
        ("nothing", String::new()),
        ("no PEM", hex(&good)),
        ("beside the curve", twist(90, 1)),
        ("a coordinate that is too large", pem_of(too_large)),
        ("the point at infinity", pem_of(infinity)),
        ("zeros", pem_of(zeros)),
        ("a hybrid point", twist(26, 4 ^ 6)),
        ("another algorithm", twist(12, 1)),
        ("another curve's name", twist(22, 1)),
        ("a byte more", pem_of([&good[..], &[0]].concat())),
        ("a byte less", pem_of(&good[..90])),
        ("the length in two bytes", pem_of([&[0x30, 0x81], &good[1..]].concat())),
        ("a private key's label", KEY.replace("PUBLIC", "EC PRIVATE")),
        ("labels that differ", KEY.replace("END PUBLIC", "END PRIVATE")),
        ("two keys", KEY.repeat(2)),
        ("text behind it", format!("{KEY}x")),
        ("513 characters", format!("{}\n{KEY}", "x".repeat(512 - KEY.len()))),
        ("64 KiB of text", "A".repeat(65_536)),
        // `openssl ecparam -name secp384r1` and `secp256k1`, `genpkey -algorithm ed25519`.
        ("P-384", "-----BEGIN PUBLIC KEY-----\nMHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEjFYvGgPKEGdGMZVcLoIVZnbX2m/OWThe\n5kPwkPEET6gtzcydAbvmtWSdxQ3D+7k4cOK8hXTjRkFgzFyM49nkGVQt1eFJayPT\nq6Vb8+Gqjj6uzk5SFxQNkSVFFEwINaDE\n-----END PUBLIC KEY-----\n".into()),
        ("secp256k1", "-----BEGIN PUBLIC KEY-----\nMFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEHCG5ETg94CB7weKKlQqjwg3AKL6/NAqc\nwNDVbPuqPlbSX8LNSuG3MsL89YFTrIsD2atqSFaduknET6FOboQYMw==\n-----END PUBLIC KEY-----\n".into()),
        ("Ed25519", "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAbWdfdmufkBfDRn9vbONxJxgGm7Uzd+vwnQEtVKh68Yo=\n-----END PUBLIC KEY-----\n".into()),
    ] {
        assert_eq!(read(&bad), None, "{what}: {bad}");
    }
}

fn pem(key: &SigningKey, ends: LineEnding) -> String {
    p256::PublicKey::from(key.verifying_key()).to_public_key_pem(ends).unwrap()
}

/// An entry of the root's `keys` for the key made of this byte, and the key.
fn entry(kind: &str, seed: u8) -> (Json, SigningKey) {
    let key = SigningKey::from_slice(&[seed; 32]).unwrap();
    let public = pem(&key, LineEnding::LF);
    let entry = json!({
        "keytype": kind, "scheme": "ecdsa-sha2-nistp256", "keyval": { "public": public },
    });
    (entry, key)
}

fn signed_by(key: &SigningKey, message: &str) -> String {
    let signature: DerSignature = key.sign(message.as_bytes());
    hex(signature.as_bytes())
}

/// What a fresh device says when the snapshot needs these keys, by entry, and has these signatures.
fn verdict(threshold: u64, entries: &[Json], sign: impl Fn(&str) -> Vec<String>) -> String {
    let mut repository = Repository::new();
    let ids: Vec<String> = (0..entries.len()).map(|number| format!("id-{number}")).collect();
    for (id, entry) in ids.iter().zip(entries) {
        repository.root["keys"][id] = entry.clone();
    }
    repository.root["roles"]["snapshot"] = json!({ "threshold": threshold, "keyids": ids });
    repository.publish_root();
    let signatures = sign(&canonical(&repository.snapshot));
    let signatures: Vec<Json> = ids
        .iter()
        .zip(signatures)
        .map(|(id, signature)| json!({ "keyid": id, "sig": signature }))
        .collect();
    repository.twist("snapshot", |document| document["signatures"] = json!(signatures));
    Device::of(&repository).code(&mut repository)
}

#[test]
fn both_names_of_the_key_type_are_read_and_no_other() {
    for (kind, expected) in [
        ("ecdsa", "ok"),
        ("ecdsa-sha2-nistp256", "ok"),
        ("ecdsa-sha2-nistp384", "threshold-snapshot"),
        ("ed25519", "threshold-snapshot"),
        ("rsa", "threshold-snapshot"),
    ] {
        let (entry, key) = entry(kind, 51);
        let said = verdict(1, &[entry], |message| [signed_by(&key, message)].into());
        assert_eq!(said, expected, "{kind}");
    }
    for scheme in ["ed25519", "ecdsa-sha2-nistp384", "ecdsa", ""] {
        let (mut entry, key) = entry("ecdsa", 51);
        entry["scheme"] = json!(scheme);
        let said = verdict(1, &[entry], |message| [signed_by(&key, message)].into());
        assert_eq!(said, "threshold-snapshot", "{scheme}");
    }
}

#[test]
fn keys_of_both_kinds_count_together() {
    let (mine, key) = entry("ecdsa", 51);
    let ed25519 = Repository::new().root["keys"]["key-3"].clone();
    let entries = [mine, ed25519];
    let sign = |seed| {
        let key = &key;
        move |message: &str| [signed_by(key, message), signature(seed, message)].into()
    };
    assert_eq!(verdict(2, &entries, sign(3)), "ok");
    assert_eq!(verdict(2, &entries, sign(4)), "threshold-snapshot");
}

#[test]
fn one_point_in_two_spellings_counts_once() {
    let (first, key) = entry("ecdsa", 51);
    let mut second = first.clone();
    second["keytype"] = json!("ecdsa-sha2-nistp256");
    let public = pem(&key, LineEnding::CRLF);
    second["keyval"]["public"] = json!(public);
    // A signature differs as well: another number was drawn for it.
    let sign = |message: &str| {
        let second = Signature::from_der(&unhex(&signed_by(&key, message))).unwrap();
        let (r, s) = (second.r(), -*second.s());
        let second = Signature::from_scalars(*r, s).unwrap();
        [signed_by(&key, message), hex(second.to_der().as_bytes())].into()
    };
    let entries = [first, second];
    assert_eq!(verdict(1, &entries, sign), "ok");
    assert_eq!(verdict(2, &entries, sign), "threshold-snapshot");
    let (third, other) = entry("ecdsa", 52);
    let entries = [entries[0].clone(), third];
    let sign = |message: &str| [signed_by(&key, message), signed_by(&other, message)].into();
    assert_eq!(verdict(2, &entries, sign), "ok");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(
        public in "\\PC{0,300}",
        base64 in "[A-Za-z0-9+/=\n]{0,200}",
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80),
    ) {
        let _ = read(&public);
        let _ = read(&format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----\n"));
        let mut near = der();
        for (at, byte) in near.iter_mut().zip(&bytes) {
            *at ^= byte & 1;
        }
        let _ = read(&pem_of(near));
        let _ = takes(MESSAGE, &hex(&bytes));
        let mut signature = unhex(SIGNATURES[1]);
        for (at, byte) in signature.iter_mut().zip(&bytes) {
            *at ^= byte & byte.rotate_left(3) & byte.rotate_right(2);
        }
        let _ = takes(MESSAGE, &hex(&signature));
    }
}
