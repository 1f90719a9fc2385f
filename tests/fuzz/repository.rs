//! A repository in memory, signed by one key, on a server that may serve other bytes instead.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use cargo_esp_ota::agent::clock::Clock;
use cargo_esp_ota::agent::json::{Value, canonical};
use cargo_esp_ota::agent::ports::{Response, Store, StoreError, Transport, TransportError};
use cargo_esp_ota::agent::tuf::{Caps, Error, Trusted, refresh};
use ed25519_dalek::{Signer, SigningKey};
use futures_util::FutureExt;

/// The roles whose files a server sends, with the names of the files.
pub const FILES: [(&str, &str); 4] = [
    ("root", "metadata/2.root.json"),
    ("timestamp", "metadata/timestamp.json"),
    ("snapshot", "metadata/1.snapshot.json"),
    ("targets", "metadata/1.targets.json"),
];

/// The key of every role.
static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[7; 32]));
/// The honest files, made once: signing is slow.
static HONEST: LazyLock<BTreeMap<&str, Vec<u8>>> = LazyLock::new(|| {
    FILES.into_iter().skip(1).map(|(role, path)| (path, signed(&part(role)))).collect()
});
/// What the firmware embeds.
static ROOT: LazyLock<Vec<u8>> = LazyLock::new(|| signed(&part("root")));

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The signed part of a role: version 1, without an end.
pub fn part(role: &str) -> String {
    let key = format!(
        r#"{{"keytype":"ed25519","scheme":"ed25519","keyval":{{"public":"{}"}}}}"#,
        hex(KEY.verifying_key().as_bytes())
    );
    let keys = r#"{"threshold":1,"keyids":["k"]}"#;
    let hash = "ab".repeat(32);
    let own = match role {
        "root" => format!(
            r#""consistent_snapshot":true,"keys":{{"k":{key}}},"roles":{{"root":{keys},"timestamp":{keys},"snapshot":{keys},"targets":{keys}}}"#
        ),
        "timestamp" => {
            r#""meta":{"snapshot.json":{"version":1}},"x-signed-at":"2027-02-01T00:00:00Z""#.into()
        }
        "snapshot" => r#""meta":{"targets.json":{"version":1}}"#.into(),
        _ => format!(
            r#""targets":{{"p-esp32c3-1.1.0.bin":{{"length":9,"hashes":{{"sha256":"{hash}"}},"custom":{{"product":"p","channels":["stable"],"chip":"esp32c3","version":"1.1.0","secure-version":0,"min-chip-revision":0,"rollout":{{"percent":100,"seed":"s"}}}}}}}}"#
        ),
    };
    format!(
        r#"{{"_type":"{role}","spec_version":"1.0.34","version":1,"expires":"2999-01-01T00:00:00Z",{own}}}"#
    )
}

/// A document with `part` in it, and a signature that is good where `part` is JSON at all.
pub fn signed(part: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if let Ok(value) = Value::parse(part.as_bytes()) {
        canonical::write(value, &mut |bytes| message.extend_from_slice(bytes));
    }
    let signature = hex(&KEY.sign(&message).to_bytes());
    format!(r#"{{"signatures":[{{"keyid":"k","sig":"{signature}"}}],"signed":{part}}}"#)
        .into_bytes()
}

/// Serves the honest files, or one other file in the place of one of them.
pub struct Server<'a> {
    /// Path and contents of the file that is not honest.
    pub other: Option<(&'a str, &'a [u8])>,
    /// Leaves the length of bodies out.
    pub is_chunked: bool,
    /// Bytes that the device has read of each file.
    pub read: BTreeMap<String, usize>,
    asked: String,
    body: &'a [u8],
}

impl<'a> Server<'a> {
    /// A server of nothing but honest files.
    pub fn honest() -> Self {
        let read = BTreeMap::new();
        Self { other: None, is_chunked: false, read, asked: String::new(), body: &[] }
    }

    /// The honest file at `path`; empty where there is none.
    pub fn file(path: &str) -> &'static [u8] {
        HONEST.get(path).map_or(&[], Vec::as_slice)
    }
}

impl Transport for Server<'_> {
    async fn get(
        &mut self,
        path: &str,
        _from: u32,
        _if_range: Option<&str>,
    ) -> Result<Response, TransportError> {
        self.body = match self.other {
            Some((other, contents)) if other == path => contents,
            _ => Self::file(path),
        };
        self.asked = path.to_owned();
        let status = if self.body.is_empty() { 404 } else { 200 };
        let length = u32::try_from(self.body.len()).ok().filter(|_| !self.is_chunked);
        Ok(Response { status, length, ..Response::default() })
    }

    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, TransportError> {
        let (now, later) = self.body.split_at(self.body.len().min(buf.len()));
        buf[..now.len()].copy_from_slice(now);
        self.body = later;
        *self.read.entry(self.asked.clone()).or_default() += now.len();
        Ok(now.len())
    }
}

/// A device that remembers in memory.
#[derive(Default)]
pub struct Device(BTreeMap<String, Vec<u8>>);

impl Store for Device {
    fn get(&mut self, key: &str, buf: &mut [u8]) -> Result<Option<usize>, StoreError> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        buf.get_mut(..value.len()).ok_or(StoreError)?.copy_from_slice(value);
        Ok(Some(value.len()))
    }

    fn set(&mut self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.0.insert(key.to_owned(), value.to_owned());
        Ok(())
    }
}

impl Device {
    /// One run of the client. Nothing here ever waits.
    pub fn refresh(&mut self, server: &mut Server<'_>) -> Result<Trusted, Error> {
        let mut clock = Clock::new(1_798_761_600, None);
        let caps = Caps::default();
        refresh(server, self, &ROOT, &mut clock, &caps).now_or_never().expect("nothing waits")
    }

    /// What it remembers.
    pub fn memory(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.0
    }
}
