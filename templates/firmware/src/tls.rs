//! TLS to the update server: Mbed TLS with the pinned roots, and no other that it would trust.

use alloc::ffi::CString;
use alloc::string::String;
use core::ffi::CStr;
use core::fmt;

use embedded_io_async::{Read, Write};
use esp_println::println;
use mbedtls_rs::sys::MbedtlsError;
use mbedtls_rs::{
    AuthMode, Certificate, ClientSessionConfig, Session, SessionConfig, SessionError, Tls,
    TlsReference, X509,
};
use pem_rfc7468::LineEnding;
use static_cell::StaticCell;

use crate::ota::ports::TransportError;
use crate::platform::HardwareRng;

/// The chain leads to no pinned root, or names another host (`mbedtls/x509.h`).
const VERIFY_FAILED: i32 = -0x2700;
/// Reasons of that kind: a certificate that has ended, or not begun (`mbedtls/x509.h`).
const EXPIRED: u32 = 0x01;
const FUTURE: u32 = 0x0200;
/// The server has no certificate, or one that is not for servers (`mbedtls/ssl.h`).
const BAD_CERTIFICATE: i32 = -0x7a00;

/// Makes connections that end at the owner of a certificate under a pinned root.
#[derive(Clone)]
pub struct Client {
    tls: TlsReference<'static>,
    roots: Certificate<'static>,
}

/// Why there is no TLS.
#[derive(Debug)]
pub enum Fault {
    /// This firmware pins no root, so it can trust nobody.
    NoRoots,
    /// A pinned root is not one that Mbed TLS can read.
    Roots(Option<MbedtlsError>),
    /// There is a client already.
    Twice,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoots => write!(f, "no root is pinned: pin one with `cargo esp-ota ca add`"),
            Self::Roots(Some(error)) => write!(f, "the pinned roots cannot be read: {error}"),
            Self::Roots(None) => write!(f, "the pinned roots cannot be read"),
            Self::Twice => write!(f, "TLS is in use already"),
        }
    }
}

impl Client {
    /// Pins `roots`, certificates in DER. There is one client in a firmware.
    pub fn new(roots: &[&[u8]]) -> Result<Self, Fault> {
        static RNG: StaticCell<HardwareRng> = StaticCell::new();
        static TLS: StaticCell<Tls<'static>> = StaticCell::new();
        if roots.is_empty() {
            return Err(Fault::NoRoots);
        }
        // Only of PEM does Mbed TLS take several certificates at once.
        let mut pem = String::new();
        for root in roots {
            let text = pem_rfc7468::encode_string("CERTIFICATE", LineEnding::LF, root);
            pem.push_str(&text.map_err(|_| Fault::Roots(None))?);
        }
        let pem = CString::new(pem).map_err(|_| Fault::Roots(None))?;
        let roots = Certificate::new(X509::PEM(&pem)).map_err(|error| Fault::Roots(Some(error)))?;
        #[cfg(feature = "tls-clock")]
        crate::platform::wall_clock::install();
        let rng = RNG.try_init(HardwareRng::new()).ok_or(Fault::Twice)?;
        let tls = Tls::new(rng).map_err(|_| Fault::Twice)?;
        Ok(Self { tls: TLS.try_init(tls).ok_or(Fault::Twice)?.reference(), roots })
    }

    /// Shakes hands over `stream` with the host of this name or address.
    ///
    /// # Errors
    ///
    /// [`TransportError::Untrusted`] where whoever answers cannot prove to be that host.
    pub async fn connect<S: Read + Write>(
        &self,
        stream: S,
        host: &CStr,
    ) -> Result<Session<'static, S>, TransportError> {
        let config = SessionConfig::Client(ClientSessionConfig {
            ca_chain: Some(self.roots.clone()),
            auth_mode: AuthMode::Required,
            ..ClientSessionConfig::new()
        });
        let mut session = Session::new(self.tls, stream, &config).map_err(judge)?;
        session.set_server_name(host).map_err(judge)?;
        match session.connect().await {
            Ok(()) => Ok(session),
            // SNTP proves nothing, so a date alone is no proof against the server, or this image.
            Err(SessionError::MbedTls(error))
                if error.code() == VERIFY_FAILED
                    && is_of_dates(session.tls_verification_details()) =>
            {
                println!("tls: a certificate is out of its dates by this device's clock");
                Err(TransportError::Unreachable)
            }
            Err(error) => Err(judge(error)),
        }
    }
}

/// Whether the dates are all that is wrong with a chain.
fn is_of_dates(flags: u32) -> bool {
    flags != 0 && flags & !(EXPIRED | FUTURE) == 0
}

fn judge(error: SessionError) -> TransportError {
    println!("tls: {error}");
    match error {
        SessionError::MbedTls(error) if matches!(error.code(), VERIFY_FAILED | BAD_CERTIFICATE) => {
            TransportError::Untrusted
        }
        SessionError::MbedTls(_) | SessionError::Io(_) => TransportError::Unreachable,
    }
}
