//! Downloads one target and keeps it only if it is what the metadata says.

use std::error::Error;
use std::fs;
use std::path::Path;

use cargo_esp_ota::agent::tuf::{Target, Trusted};
use sha2::{Digest, Sha256, Sha512};

use crate::repository::{below, client};

/// Brings the target `name` into `folder`, unless it is there.
pub(crate) async fn fetch(
    trusted: &Trusted,
    name: &str,
    url: &str,
    folder: &Path,
) -> Result<(), Box<dyn Error>> {
    let target = trusted.targets.find(name).ok_or("no such target")?;
    let path = target.path(trusted.consistent_snapshot).ok_or("not a name that devices take")?;
    let path = path.strip_prefix("targets/").ok_or("not below targets")?;
    let file = folder.join(name.replace('/', "_"));
    if fs::read(&file).is_ok_and(|content| is_intact(&target, &content)) {
        return Ok(());
    }
    let mut answer = client()?.get(below(url, path)).send().await?.error_for_status()?;
    let mut content = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        content.extend_from_slice(&piece);
        if u64::try_from(content.len())? > target.length() {
            return Err("longer than listed".into());
        }
    }
    if !is_intact(&target, &content) {
        return Err("not the listed length and hash".into());
    }
    Ok(fs::write(file, content)?)
}

/// Whether the content is the target's. A target without a hash that is known here proves nothing.
fn is_intact(target: &Target<'_>, content: &[u8]) -> bool {
    let (sha256, sha512) = (target.sha256(), target.sha512());
    u64::try_from(content.len()) == Ok(target.length())
        && (sha256.is_some() || sha512.is_some())
        && sha256.is_none_or(|hash| Sha256::digest(content) == hash)
        && sha512.is_none_or(|hash| Sha512::digest(content) == hash)
}
