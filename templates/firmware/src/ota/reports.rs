//! What the device tells of its updates: one report for each event, kept until a server took it.
//!
//! A report never stands in the way of an update: what cannot be stored is lost, and nothing waits
//! for a server. A server may hear the same report twice, when the power goes away between its
//! answer and the moment that is written down; it never hears half of one.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use super::clock::Source;
use super::history;
use super::ports::{ReportSink, Store, StoreError, TransportError};
use super::release::Identity;
use super::reset::ResetReason;

/// Version of the JSON below.
const SCHEMA: u32 = 1;
/// Where it is in the store.
pub(super) const KEY: &str = "reports";
/// First byte of the stored value, so that a later agent can tell its own layout.
const LAYOUT: u8 = 1;
/// Bytes of all reports that wait: about ten, and no less than the three that tell of one update.
/// The `nvs` partition of 20 KiB has to hold the largest TUF root twice beside them.
const LONGEST_QUEUE: usize = 384;
/// Longest reason that is kept, in bytes; ours are shorter.
const LONGEST_REASON: usize = 40;
/// Longest text in the JSON, in bytes; a digest has as many.
const LONGEST_TEXT: usize = 64;
/// Event, slot, reset reason, clock and rollback, and three lengths.
const HEAD: usize = 7;
const NONE: u8 = 0xff;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A release stands in its slot and is selected.
    Installed,
    /// A release has proven itself and stays.
    Confirmed,
    /// A release did not prove itself; the one before it runs again.
    FellBack,
    /// The device says no to what it was offered.
    Refused,
    /// Nothing was judged: the network, the server or the device's own flash failed.
    Failed,
}

impl What {
    const ALL: [Self; 5] =
        [Self::Installed, Self::Confirmed, Self::FellBack, Self::Refused, Self::Failed];

    /// The `event` in the JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::Confirmed => "confirmed",
            Self::FellBack => "fell-back",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    fn byte(self) -> u8 {
        match self {
            Self::Installed => 0,
            Self::Confirmed => 1,
            Self::FellBack => 2,
            Self::Refused => 3,
            Self::Failed => 4,
        }
    }

    /// Whether it comes again with the next poll, as long as its cause lasts.
    fn repeats(self) -> bool {
        matches!(self, Self::Refused | Self::Failed)
    }
}

/// One report. What is not known, or does not apply, is `None` and becomes `null`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What happened.
    pub what: What,
    /// The release it happened to.
    pub version: Option<String>,
    /// The version that ran before it, or that runs on without it.
    pub from: String,
    /// The slot of the release.
    pub slot: Option<u32>,
    /// Why, where it went wrong: the codes in `docs/reference/agent-reasons.md`.
    pub reason: Option<String>,
    /// Why the chip started after the trial.
    pub reset: Option<ResetReason>,
    /// Whether the bootloader has rollback of its own: a trial shows it.
    pub bootloader_rollback: Option<bool>,
    /// Where the time of the run came from.
    pub clock: Source,
}

impl Report {
    /// The JSON that is posted. `agent` is the digest of the agent that runs.
    pub fn json(&self, identity: &Identity, agent: Option<&str>) -> String {
        let running = alloc::format!("{}", identity.version);
        // It may have been written by the image before this one, whose agent nobody knows now.
        let author = match self.what {
            What::Confirmed => self.version.as_deref(),
            What::Installed | What::FellBack | What::Refused | What::Failed => Some(&*self.from),
        };
        let agent = agent.filter(|_| author == Some(history::cut(&running)));
        let slot = self.slot.map(|slot| alloc::format!("ota_{slot}"));
        let rollback = self.bootloader_rollback.map(|has| if has { "yes" } else { "no" });
        let clock = alloc::format!("{}", self.clock);
        let members = [
            ("product", Some(&*identity.product)),
            ("chip", Some(&*identity.chip)),
            ("device", Some(&*identity.device_id)),
            ("channel", Some(&*identity.channel)),
            ("event", Some(self.what.name())),
            ("version", self.version.as_deref()),
            ("from", Some(&*self.from)),
            ("slot", slot.as_deref()),
            ("reason", self.reason.as_deref()),
            ("reset-reason", self.reset.map(ResetReason::name)),
            ("agent", agent),
            ("bootloader-rollback", rollback),
            ("clock", Some(&*clock)),
        ];
        let mut json = alloc::format!("{}\"schema\":{SCHEMA}", '{');
        for (name, value) in members {
            json.push_str(",\"");
            json.push_str(name);
            json.push_str("\":");
            match value {
                Some(text) => push_text(&mut json, text),
                None => json.push_str("null"),
            }
        }
        json.push('}');
        json
    }

    fn encode(&self, queue: &mut Vec<u8>) {
        let version = history::cut(self.version.as_deref().unwrap_or_default());
        let from = history::cut(&self.from);
        let reason = cut(self.reason.as_deref().unwrap_or_default(), LONGEST_REASON);
        let rollback = match self.bootloader_rollback {
            None => 0,
            Some(false) => 1,
            Some(true) => 2,
        };
        let clock = match self.clock {
            Source::Floor => 0,
            Source::Date => 1,
            Source::Sntp => 2,
        };
        let len = |text: &str| u8::try_from(text.len()).unwrap_or(0);
        queue.extend_from_slice(&[
            self.what.byte(),
            self.slot.and_then(|slot| u8::try_from(slot).ok()).unwrap_or(NONE),
            self.reset.map_or(NONE, ResetReason::byte),
            (rollback << 4) | clock,
            len(version),
            len(from),
            len(reason),
        ]);
        for text in [version, from, reason] {
            queue.extend_from_slice(text.as_bytes());
        }
    }

    /// The first report in `queue`, and what comes behind it.
    fn decode(queue: &[u8]) -> Option<(Self, &[u8])> {
        let ([what, slot, reset, bits, version, from, reason], rest) =
            queue.split_first_chunk::<HEAD>()?;
        let text = |rest| split_text(rest);
        let (version, rest) = text((rest, *version))?;
        let (from, rest) = text((rest, *from))?;
        let (reason, rest) = text((rest, *reason))?;
        let some = |text: &str| (!text.is_empty()).then(|| text.into());
        let report = Self {
            what: What::ALL.into_iter().find(|known| known.byte() == *what)?,
            version: some(version),
            from: from.into(),
            slot: (*slot != NONE).then(|| u32::from(*slot)),
            reason: some(reason),
            reset: ResetReason::from_byte(*reset),
            bootloader_rollback: match bits >> 4 {
                1 => Some(false),
                2 => Some(true),
                _ => None,
            },
            clock: match bits & 0x0f {
                1 => Source::Date,
                2 => Source::Sntp,
                _ => Source::Floor,
            },
        };
        Some((report, rest))
    }
}

/// The reports that no server has taken yet, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reports(Vec<Report>);

impl Reports {
    /// Reads them from the store. A value of another layout counts as none; a damaged report ends
    /// the list.
    pub fn load<S: Store>(store: &mut S) -> Result<Self, StoreError> {
        // Room for the values of a later agent, which are then not understood.
        let mut buf = [0; 2 * LONGEST_QUEUE];
        let len = store.get(KEY, &mut buf)?.unwrap_or(0);
        let mut reports = Vec::new();
        if let Some((&LAYOUT, mut rest)) = buf.get(..len).and_then(<[u8]>::split_first) {
            while let Some((report, behind)) = Report::decode(rest) {
                reports.push(report);
                rest = behind;
            }
        }
        Ok(Self(reports))
    }

    /// The reports that wait, oldest first.
    pub fn waiting(&self) -> &[Report] {
        &self.0
    }

    /// Adds a report, unless the same one waits already: a server that is down for a week, polled
    /// every minute, must not wear out the flash.
    ///
    /// Where there is no room, the oldest `refused` or `failed` goes first: its cause either
    /// lasts, and is said again, or is over. Only then the oldest of the others goes.
    pub fn add<S: Store>(&mut self, store: &mut S, report: Report) -> Result<(), StoreError> {
        if self.0.contains(&report) {
            return Ok(());
        }
        self.0.push(report);
        while self.encode().len() > LONGEST_QUEUE && self.0.len() > 1 {
            let last = self.0.len().saturating_sub(1);
            let older = self.0.iter().take(last);
            let first = older.enumerate().find(|(_, report)| report.what.repeats());
            self.0.remove(first.map_or(0, |(index, _)| index));
        }
        store.set(KEY, &self.encode())
    }

    /// Posts all reports, oldest first. What is answered with a 2xx is forgotten, in one write at
    /// the end. Another status keeps the report, but does not hold up those behind it; without a
    /// connection nothing more is tried.
    pub async fn deliver<S: Store, R: ReportSink>(
        &mut self,
        store: &mut S,
        sink: &mut R,
        body: impl Fn(&Report) -> String,
    ) -> Result<Delivery, StoreError> {
        let mut delivery = Delivery::default();
        let mut kept = Vec::new();
        for report in core::mem::take(&mut self.0) {
            let posted = match delivery.trouble {
                Some(Trouble::Transport(_)) => Posted::NotTried,
                None | Some(Trouble::Status(_)) => {
                    Posted::Answer(sink.post(body(&report).as_bytes()).await)
                }
            };
            match posted {
                Posted::Answer(Ok(200..=299)) => {
                    delivery.sent = delivery.sent.saturating_add(1);
                    continue;
                }
                Posted::Answer(Ok(status)) => delivery.trouble = Some(Trouble::Status(status)),
                Posted::Answer(Err(error)) => delivery.trouble = Some(Trouble::Transport(error)),
                Posted::NotTried => {}
            }
            kept.push(report);
        }
        self.0 = kept;
        delivery.left = self.0.len();
        if delivery.sent > 0 {
            store.set(KEY, &self.encode())?;
        }
        Ok(delivery)
    }

    /// Nothing at all is stored where nothing waits.
    fn encode(&self) -> Vec<u8> {
        let mut queue = Vec::new();
        for report in &self.0 {
            if queue.is_empty() {
                queue.push(LAYOUT);
            }
            report.encode(&mut queue);
        }
        queue
    }
}

enum Posted {
    Answer(Result<u16, TransportError>),
    NotTried,
}

/// What became of the reports that waited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Reports that the server took.
    pub sent: usize,
    /// Reports that wait on.
    pub left: usize,
    /// Why, of the last one that was not taken.
    pub trouble: Option<Trouble>,
}

/// Why a report was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The server's answer was not a 2xx.
    Status(u16),
    /// There was no answer.
    Transport(TransportError),
}

fn split_text((bytes, len): (&[u8], u8)) -> Option<(&str, &[u8])> {
    let (text, rest) = bytes.split_at_checked(usize::from(len))?;
    Some((core::str::from_utf8(text).ok()?, rest))
}

fn cut(text: &str, longest: usize) -> &str {
    text.get(..text.floor_char_boundary(longest)).unwrap_or_default()
}

/// A JSON string (RFC 8259, section 7), cut where it is too long.
fn push_text(json: &mut String, text: &str) {
    json.push('"');
    for letter in cut(text, LONGEST_TEXT).chars() {
        match letter {
            '"' | '\\' => json.extend(['\\', letter]),
            // Writing into a String cannot fail.
            '\0'..='\x1f' => _ = write!(json, "\\u{:04x}", u32::from(letter)),
            _ => json.push(letter),
        }
    }
    json.push('"');
}
