//! What is sent: the head of a request, and a path that stays what it is.

use alloc::format;
use alloc::string::String;
use core::fmt::Write;

use super::super::url::Url;
use super::fault::Fault;

/// Some firewalls of CDNs turn away clients without a name.
const USER_AGENT: &str = "esp-ota";

/// The head of `GET`, for the bytes of a file from `from` on.
///
/// A tag that no header can carry would split the request; without a tag a changed file would go
/// unnoticed. So then the whole file is asked for.
pub(super) fn get(
    url: &Url,
    path: &str,
    from: u32,
    if_range: Option<&str>,
) -> Result<String, Fault> {
    let mut target = String::from(url.path());
    encode(path, &mut target)?;
    let mut head = head("GET", &target, url);
    let is_sound = if_range.is_none_or(|tag| tag.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    if from > 0 && is_sound {
        head.push_str(&format!("Range: bytes={from}-\r\n"));
        if let Some(tag) = if_range {
            head.push_str(&format!("If-Range: {tag}\r\n"));
        }
    }
    head.push_str("\r\n");
    Ok(head)
}

/// The head of `POST` of JSON to the URL itself.
pub(super) fn post(url: &Url, length: usize) -> String {
    let mut head = head("POST", url.path_as_given(), url);
    head.push_str(&format!("Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"));
    head
}

fn head(method: &str, target: &str, url: &Url) -> String {
    let host = url.authority();
    format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {USER_AGENT}\r\n")
}

/// Appends `path` below a folder. All that is not unreserved (RFC 3986, section 2.3) is
/// percent-encoded, so that it ends neither path nor line nor request, and stays what it is: S3 takes
/// a plain `+` for a space. Servers take `.` and `..` for folders even when encoded, so there is no
/// asking for those.
fn encode(path: &str, target: &mut String) -> Result<(), Fault> {
    for segment in path.split('/') {
        if segment == "." || segment == ".." {
            return Err(Fault::Path);
        }
        target.push('/');
        for byte in segment.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                target.push(char::from(byte));
            } else {
                write!(target, "%{byte:02X}").map_err(|_| Fault::Path)?;
            }
        }
    }
    Ok(())
}
