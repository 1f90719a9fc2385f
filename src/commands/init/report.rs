//! What `init` did, and what it leaves to do.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Init;
use super::by_hand::ByHand;
use super::cargo_project::{Base, CargoProject};
use super::plan::Plan;
use super::work::Change;
use crate::chip::Chip;
use crate::output::{Paint, Report, Tone};

/// The update agent is in here.
const AGENT: &str = "src/ota";

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct InitReport {
    pub(super) folder: PathBuf,
    pub(super) product: String,
    pub(super) chip: Chip,
    /// What the firmware is built on.
    pub(super) base: &'static str,
    pub(super) files: Vec<PathBuf>,
    pub(super) kept: Vec<PathBuf>,
    pub(super) changed: Vec<Changed>,
    /// Whether the agent is in the firmware.
    pub(super) firmware: bool,
    pub(super) keys: Option<PathBuf>,
    pub(super) pinned: usize,
    pub(super) by_hand: Vec<ByHand>,
    pub(super) next: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Changed {
    file: PathBuf,
    difference: String,
}

impl From<Change> for Changed {
    fn from(change: Change) -> Self {
        Self { file: change.path, difference: change.difference }
    }
}

/// The word for what the firmware is built on.
pub(super) fn base(cargo: Option<&CargoProject>) -> &'static str {
    match cargo.map(|cargo| cargo.base) {
        None | Some(Base::EspHal) => "esp-hal",
        Some(Base::EspIdf) => "esp-idf",
    }
}

/// What to do next, in words.
pub(super) fn next_steps(asked: &Init, plan: &Plan, has_keys: bool) -> Vec<String> {
    let mut steps = Vec::new();
    if asked.dir != Path::new(".") {
        steps.push(format!("cd {}", asked.dir.display()));
    }
    if plan.url.is_none() {
        steps.push("set `url` in `esp-ota.toml`".into());
    }
    if plan.roots.is_empty() {
        steps.push("cargo esp-ota ca add ROOT.pem".into());
    }
    if !has_keys {
        steps.push("cargo esp-ota keys new".into());
    }
    steps.extend(["build", "flash", "publish"].map(|command| format!("cargo esp-ota {command}")));
    steps
}

/// A line for each file with a space before it, but one for all below a folder of `src`.
pub(super) fn file_lines(files: &[PathBuf]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut counts: BTreeMap<&Path, u32> = BTreeMap::new();
    for file in files {
        match folder_of_source(file) {
            Some(folder) => {
                let count = counts.entry(folder).or_default();
                *count = count.saturating_add(1);
            }
            None => lines.push(format!(" {}", file.display())),
        }
    }
    lines.extend(counts.into_iter().map(|(folder, count)| {
        let what = if folder == Path::new(AGENT) { "the update agent, " } else { "" };
        let files = if count == 1 { "file" } else { "files" };
        format!(" {}/: {what}{count} {files}", folder.display())
    }));
    lines
}

/// `src/platform` of `src/platform/emulator/mod.rs`.
fn folder_of_source(file: &Path) -> Option<&Path> {
    let below = |folder: &&Path| folder.parent() == Some(Path::new("src"));
    file.ancestors().skip(1).find(below)
}

impl Report for InitReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let product = paint.tone(Tone::Strong, &self.product);
        writeln!(out, "project {product} for {} in `{}`", self.chip, self.folder.display())?;
        file_lines(&self.files).iter().try_for_each(|line| writeln!(out, " {line}"))?;
        for change in &self.changed {
            writeln!(out, "  {}: changed", change.file.display())?;
        }
        if self.files.is_empty() && self.changed.is_empty() {
            writeln!(out, "  it is all there: nothing was changed")?;
        } else if !self.kept.is_empty() {
            let kept = file_lines(&self.kept).join(",");
            writeln!(out, "  there already, and left as it is:{kept}")?;
        }
        if !self.firmware {
            let why = "the update agent does not run on ESP-IDF";
            writeln!(out, "  the firmware is yours: only the host side was added, {why}")?;
        }
        if let Some(keys) = &self.keys {
            writeln!(out, "signing keys in {}: keep a copy", keys.display())?;
        }
        for ByHand { file, lines } in &self.by_hand {
            writeln!(out, "put into `{}`:", file.display())?;
            lines.iter().try_for_each(|line| writeln!(out, "  {line}"))?;
        }
        writeln!(out, "next:")?;
        self.next.iter().try_for_each(|step| writeln!(out, "  {step}"))
    }
}
