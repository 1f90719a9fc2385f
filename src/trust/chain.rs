//! A server's certificates, and whether they lead to a root as the device would see it.
//!
//! webpki finds the way; the algorithms it may use are those of the device's TLS library, mbedtls,
//! which also takes no certificate with a critical extension that it does not know.

use std::time::Duration;

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::{EndEntityCert, KeyUsage, aws_lc_rs as algorithms};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::trust::certificate::{
    KeyType, broken_signature, key_type, printable, timestamp, unknown_critical,
};
use crate::trust::distrust::Distrust;
use crate::trust::endpoint::Endpoint;
use crate::trust::refusal::Refusal;

/// What the device's TLS library verifies.
const DEVICE: [&dyn SignatureVerificationAlgorithm; 12] = [
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P256_SHA512,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::ECDSA_P384_SHA512,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
    algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
];

/// One certificate of a chain.
#[derive(Clone, Debug)]
pub struct Link {
    der: CertificateDer<'static>,
    /// Whose it is.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// Its last second.
    pub not_after: Timestamp,
    /// Its kind of key, where the device can use it.
    pub key: Option<KeyType>,
    /// Why the device cannot use it.
    pub refusal: Option<Refusal>,
}

/// What a server showed, its own certificate first.
#[derive(Clone, Debug)]
pub struct Chain {
    certificates: Vec<CertificateDer<'static>>,
    links: Vec<Link>,
}

/// A way from the server's certificate to a root.
#[derive(Clone, Debug)]
pub struct Route {
    /// The certificates on it, the server's own first, the root not among them.
    pub links: Vec<Link>,
}

impl Link {
    /// Bytes of the certificate.
    pub fn size(&self) -> usize {
        self.der.len()
    }

    /// Whether it is the very same certificate.
    pub fn is_same(&self, other: &Self) -> bool {
        self.der == other.der
    }

    fn read(der: &CertificateDer<'static>) -> Result<Self, String> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
        let key = key_type(&certificate);
        let algorithm = certificate.signature_algorithm.algorithm.to_id_string();
        let weak = broken_signature(&algorithm)
            .map(|name| Refusal::WeakSignature { algorithm: name.to_owned() });
        let extension =
            || unknown_critical(&certificate).map(|oid| Refusal::CriticalExtension { oid });
        Ok(Self {
            der: der.clone(),
            subject: printable(certificate.subject()),
            issuer: printable(certificate.issuer()),
            not_after: timestamp(certificate.validity().not_after),
            refusal: key.as_ref().err().cloned().or(weak).or_else(extension),
            key: key.ok(),
        })
    }
}

impl Chain {
    /// Reads what a server showed; what it sent and is no certificate is an error.
    pub fn read(certificates: Vec<CertificateDer<'static>>) -> Result<Self, Distrust> {
        let links: Result<Vec<Link>, String> = certificates.iter().map(Link::read).collect();
        Ok(Self { links: links.map_err(Distrust::Malformed)?, certificates })
    }

    /// Every certificate, as sent.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// Who would have issued the last certificate of the chain, following issuers from the
    /// server's own.
    pub fn top_issuer(&self) -> &str {
        let mut links = self.links.iter();
        let Some(mut top) = links.next() else { return "" };
        for _ in &self.links {
            let above = self.links.iter().find(|link| link.subject == top.issuer);
            match above {
                Some(link) if link.issuer != link.subject => top = link,
                Some(_) | None => break,
            }
        }
        &top.issuer
    }

    /// Bytes of all certificates.
    pub fn size(&self) -> usize {
        self.links.iter().fold(0, |sum, link| sum.saturating_add(link.size()))
    }

    /// Whether the server's certificate is for the host that was asked.
    pub fn is_for(&self, endpoint: &Endpoint) -> Result<(), Distrust> {
        let distrust = |error: webpki::Error| Distrust::new(&error, endpoint);
        let Some(leaf) = self.certificates.first() else {
            return Err(Distrust::Malformed("no certificate".to_owned()));
        };
        let leaf = EndEntityCert::try_from(leaf).map_err(distrust)?;
        leaf.verify_is_valid_for_subject_name(&endpoint.server_name()).map_err(distrust)
    }

    /// The way to `root` of a server that is the one that was asked.
    pub fn proves(
        &self,
        endpoint: &Endpoint,
        root: &CertificateDer<'_>,
        now: Timestamp,
    ) -> Result<Route, Distrust> {
        let route = self.route(endpoint, root, now)?;
        self.is_for(endpoint).map(|()| route)
    }

    /// The way from the server's certificate to `root`, and to it alone, at `now`, whoever the server
    /// is. `endpoint` is only named in errors.
    pub fn route(
        &self,
        endpoint: &Endpoint,
        root: &CertificateDer<'_>,
        now: Timestamp,
    ) -> Result<Route, Distrust> {
        let distrust = |error: &webpki::Error| Distrust::new(error, endpoint);
        let Some((leaf, others)) = self.certificates.split_first() else {
            return Err(Distrust::Malformed("no certificate".to_owned()));
        };
        let anchor = webpki::anchor_from_trusted_cert(root).map_err(|error| distrust(&error))?;
        let leaf = EndEntityCert::try_from(leaf).map_err(|error| distrust(&error))?;
        // Before 1970 no certificate is valid, and none at 0 either.
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let anchors = [anchor];
        let usage = KeyUsage::server_auth();
        let path = leaf
            .verify_for_usage(&DEVICE, &anchors, others, time, usage, None, None)
            .map_err(|error| distrust(&error))?;
        let used: Vec<CertificateDer<'_>> =
            path.intermediate_certificates().map(|certificate| certificate.der()).collect();
        let is_used = |link: &&Link| used.contains(&link.der);
        let links = self.links.iter().take(1).chain(self.links.iter().skip(1).filter(is_used));
        Ok(Route { links: links.cloned().collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(name: &str) -> Vec<CertificateDer<'static>> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/chains");
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let sections = pem::parse_many(text).unwrap().into_iter();
        sections.map(|section| CertificateDer::from(section.into_contents())).collect()
    }

    /// No server of the tests can use such a key.
    #[test]
    fn a_server_with_a_weak_key_is_refused_although_its_chain_leads_to_the_root() {
        let now = "2027-01-01T00:00:00Z".parse().unwrap();
        let endpoint = Endpoint::from_url("https://updates.test").unwrap();
        let chain = Chain::read(vector("rsa-1024-leaf.pem")).unwrap();
        let route = chain.proves(&endpoint, &vector("root.pem")[0], now).unwrap();
        assert_eq!(route.links[0].refusal, Some(Refusal::WeakKey { bits: 1024 }));
        assert_eq!(route.links[0].key, None);
    }

    #[test]
    fn the_last_issuer_is_found_whatever_the_order_and_a_circle_ends() {
        let [leaf, between] = vector("sha1.pem").try_into().unwrap();
        let top = |chain: Vec<CertificateDer<'static>>| {
            Chain::read(chain).unwrap().top_issuer().to_owned()
        };
        let root = vector("root.pem").remove(0);
        assert_eq!(top(vec![leaf.clone()]), "CN=RSA 2048");
        assert_eq!(top(vec![leaf.clone(), between.clone()]), "CN=Chain Root");
        assert_eq!(top(vec![leaf.clone(), root, between.clone()]), "CN=Chain Root");
        assert_eq!(top(vec![leaf, between.clone(), between]), "CN=Chain Root");
    }

    #[test]
    fn what_is_no_certificate_is_malformed_and_never_a_panic() {
        let der = vector("root.pem").remove(0);
        for at in 0..der.len() {
            let cut = CertificateDer::from(der.as_ref()[..at].to_vec());
            assert!(matches!(Chain::read(vec![cut]), Err(Distrust::Malformed(_))), "cut at {at}");
        }
    }
}
