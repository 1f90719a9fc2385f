//! The lines of the firmware that `init` writes: `src/updates`, `src/net`, `src/platform`, `src/tls.rs`.
//!
//! The tests make each line from the firmware's own text, so that another wording there fails here.

use super::Event;

/// The event of a line of the firmware, if it is one.
pub(super) fn event(line: &str) -> Option<Event> {
    let own = |text: &str| text.to_owned();
    if let Some(text) = line.strip_prefix("updates: ") {
        return Some(of_updates(text));
    }
    if let Some(problem) = line.strip_prefix("settings: ") {
        return Some(Event::Setting { problem: own(problem) });
    }
    if let Some(state) = line.strip_prefix("wifi: ") {
        return Some(Event::Network { state: own(state) });
    }
    if let Some(reason) = line.strip_prefix("tls: ").or_else(|| line.strip_prefix("sntp: ")) {
        return Some(Event::Connection { reason: own(reason) });
    }
    if let Some(reason) = line.strip_suffix("; restarting") {
        return Some(Event::Restarts { reason: own(reason) });
    }
    runs(line)
}

fn runs(line: &str) -> Option<Event> {
    let (program, slot) = line.split_once(" runs from ")?;
    let (product, version) = program.split_once(' ')?;
    let is_slot = slot == "factory" || slot.strip_prefix("ota_").is_some_and(is_number);
    let is_word = |text: &str| !text.is_empty() && !text.contains(' ');
    (is_word(product) && is_word(version) && is_slot).then(|| Event::Runs {
        product: product.to_owned(),
        version: version.to_owned(),
        slot: slot.to_owned(),
    })
}

/// What follows `updates: `. All that is not known is an error's text.
fn of_updates(text: &str) -> Event {
    match text {
        "this image is settled" => return Event::Settled,
        "this image is on trial" => return Event::OnTrial { bootloader_rollback: false },
        "this image is on trial, by the bootloader too" => {
            return Event::OnTrial { bootloader_rollback: true };
        }
        "this image is the last resort: otadata does not select it" => return Event::LastResort,
        "confirmed" => return Event::Confirmed,
        "up to date" => return Event::UpToDate,
        "a pause before the next try" => return Event::Waiting,
        "the self-test failed, and there is nothing to fall back to" => {
            return Event::SelfTestFailed;
        }
        _ => {}
    }
    let known = in_parts(text).or_else(|| numbers(text));
    known.unwrap_or_else(|| Event::Trouble { reason: text.to_owned() })
}

/// What is a text with another one in it.
fn in_parts(text: &str) -> Option<Event> {
    let own = |text: &str| text.to_owned();
    if let Some(reason) = text.strip_prefix("not confirmed yet: ") {
        return Some(Event::NotConfirmed { reason: own(reason) });
    }
    if let Some(reason) = text.strip_prefix("not settled yet: ") {
        return Some(Event::NotSettled { reason: own(reason) });
    }
    if let Some(version) = text.strip_suffix(" did not prove itself: fell back") {
        return Some(Event::FellBack { version: own(version) });
    }
    if let Some(reason) = text.strip_suffix(": none until that is mended") {
        return Some(Event::NoUpdates { reason: own(reason) });
    }
    if text.starts_with("there is no update server: ") {
        return Some(Event::NoUpdates { reason: own(text) });
    }
    if let Some(name) = text.strip_prefix("network ") {
        return Some(Event::Network { state: own(name) });
    }
    let (channel, url) = text.strip_prefix("channel ")?.split_once(" of ")?;
    Some(Event::Channel { channel: own(channel), url: own(url) })
}

/// What has numbers in it.
fn numbers(text: &str) -> Option<Event> {
    let own = |text: &str| text.to_owned();
    if let Some(found) = text.strip_prefix("found ") {
        let (version, size) = found.strip_suffix(" bytes")?.rsplit_once(", ")?;
        return Some(Event::Found { version: own(version), size: size.parse().ok()? });
    }
    if let Some(installed) = text.strip_prefix("installed ") {
        let (version, slot) = installed.rsplit_once(" in ")?;
        return Some(Event::Installed { version: own(version), slot: own(slot) });
    }
    if let Some(verified) = text.strip_prefix("metadata verified (root ") {
        let (root, clock) = verified.strip_suffix(')')?.split_once(", time by ")?;
        return Some(Event::Verified { root: root.parse().ok()?, clock: own(clock) });
    }
    if let Some(seconds) = text.strip_prefix("the first look for a release is in ") {
        return Some(Event::FirstLook { seconds: seconds.strip_suffix(" s")?.parse().ok()? });
    }
    if let Some((count, reason)) = text.split_once(" reports wait: ") {
        return Some(Event::ReportsWait { count: count.parse().ok()?, reason: own(reason) });
    }
    let received = text.strip_suffix(" bytes")?.parse().ok()?;
    Some(Event::Progress { received, size: None })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
