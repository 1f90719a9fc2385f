//! A whole refresh in which one of the four files is not what the publisher wrote.

use cargo_esp_ota::agent::release::Identity;
use cargo_esp_ota::agent::tuf::{Caps, Error, Trusted};
use semver::Version;

use crate::memory_of;
use crate::repository::{Device, FILES, Server, signed};

/// Heap of a refresh beside the file it reads: the buffer of the stored root (7 KiB), the keys of
/// a root, lists of the reader, and what the test's own server and store take.
const MOST_MEMORY: usize = 32 * 1024;
/// The client reads so many bytes at a time, and may find out only then that it is too many.
const CHUNK: usize = 512;

fn cap(role: &str) -> usize {
    let caps = Caps::default();
    match role {
        "root" => caps.root,
        "timestamp" => caps.timestamp,
        "snapshot" => caps.snapshot,
        _ => caps.targets,
    }
}

/// The first byte says which file, whether its length is announced and whether the rest is the
/// file itself or patches to the honest one: two bytes of offset and one of contents each.
pub fn unsigned(bytes: &[u8]) {
    let Some((mode, rest)) = bytes.split_first() else { return };
    let (role, path) = FILES[usize::from(mode % 4)];
    let honest = Server::file(path);
    let mut patched = honest.to_vec();
    for patch in rest.as_chunks::<3>().0 {
        let [high, low, byte] = *patch;
        if let Some(at) = patched.get_mut(usize::from(u16::from_be_bytes([high, low]))) {
            *at = byte;
        }
    }
    let document = if mode & 8 == 8 { &patched } else { rest };
    let mut device = Device::default();
    let mut server = Server::honest();
    server.other = Some((path, document));
    server.is_chunked = mode & 4 == 4;
    let trusted = refresh(&mut device, &mut server, role, path);
    // Nobody but the key's owner makes a device believe anything else than he said.
    if let Ok(trusted) = trusted {
        assert_eq!(trusted.root_version, 1);
        let names: Vec<String> = trusted.targets.iter().map(|it| it.name().to_string()).collect();
        assert_eq!(names, ["p-esp32c3-1.1.0.bin"]);
        assert!(trusted.targets.iter().all(|target| target.length() == 9));
    }
    // And nobody else can stop it from hearing that.
    let honest = device.refresh(&mut Server::honest());
    assert!(honest.is_ok(), "{honest:?}");
}

/// The first byte says which file; the rest is its signed part, and is signed.
pub fn resigned(bytes: &[u8]) {
    let Some((mode, rest)) = bytes.split_first() else { return };
    let Ok(part) = std::str::from_utf8(rest) else { return };
    let (role, path) = FILES[usize::from(mode % 4)];
    let document = signed(part);
    let mut device = Device::default();
    let mut server = Server::honest();
    server.other = Some((path, &document));
    let Ok(trusted) = refresh(&mut device, &mut server, role, path) else { return };
    usable(&trusted);
    // What was trusted once is trusted again, and is remembered no differently.
    let before = device.memory().clone();
    let again = device.refresh(&mut server).expect("the same again");
    assert_eq!(again.targets, trusted.targets);
    assert_eq!(device.memory(), &before);
}

fn refresh(
    device: &mut Device,
    server: &mut Server<'_>,
    role: &str,
    path: &str,
) -> Result<Trusted, Error> {
    let (result, used) = memory_of(|| device.refresh(server));
    let cap = cap(role);
    let length = server.other.map_or(0, |(_, file)| file.len()).min(cap);
    assert!(used <= MOST_MEMORY + length, "{used} bytes of memory, {role} of {length}");
    let read = server.read.get(path).copied().unwrap_or(0);
    assert!(read <= cap + CHUNK, "{read} bytes read of {role}");
    if let Err(error) = &result {
        assert!(!error.code().is_empty() && error.to_string().len() < 200);
    }
    result
}

/// Whatever is listed: a path stays below `targets/` and means nothing to a URL or a terminal.
fn usable(trusted: &Trusted) {
    for target in trusted.targets.iter() {
        if let Some(path) = target.path(trusted.consistent_snapshot) {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
            assert!(path.starts_with("targets/") && path.bytes().all(is_plain), "{path}");
            assert!(path.split('/').all(|part| !part.is_empty() && !part.starts_with('.')));
        }
    }
    let text = str::to_owned;
    let identity = Identity {
        product: text("p"),
        channel: text("stable"),
        chip: text("esp32c3"),
        device_id: text("0123456789ab"),
        version: Version::new(1, 0, 0),
    };
    let (selection, used) = memory_of(|| trusted.select(&identity, |_| false));
    assert!(used <= MOST_MEMORY, "{used} bytes of memory to select");
    if let Some(candidate) = selection.candidate {
        assert!(candidate.version > identity.version && candidate.version.build.is_empty());
    }
}
