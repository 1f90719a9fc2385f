//! What a rotation did, for people and programs.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::End;
use super::scene::Scene;
use super::walk::Walk;
use crate::chip::Chip;
use crate::commands::build::ROOT_FILE;
use crate::config::Project;
use crate::error::Failure;
use crate::output::{Paint, Report, Tone};
use crate::release::keys::{Adopted, Role};
use crate::release::root::RootFile;
use crate::release::rotation::{Replacement, Rotation};

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct RotateReport {
    pub(super) dry_run: bool,
    /// Versions of the new roots.
    roots: Vec<u64>,
    /// Until when the newest is good.
    expires: String,
    file: PathBuf,
    store: String,
    /// Where it was looked at what devices see; `null` where it was not.
    pub(super) url: Option<String>,
    /// Whether what is published was signed again.
    signed_again: bool,
    /// What was signed again.
    pub(super) releases: Vec<SignedRelease>,
    pub(super) changed: Vec<ChangedKey>,
    /// Keys that no root lists any more.
    dropped: Vec<DroppedKey>,
    /// `false` where a root still lists keys that are leaving: the next run drops them.
    finished: bool,
    /// What the public URL lacks for the second half.
    waiting_for: Option<String>,
    devices: Vec<Walk>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ChangedKey {
    role: &'static str,
    /// The ids of the keys that it takes the place of.
    old: Vec<String>,
    /// `null` where nothing was written: the next run makes another.
    new: Option<String>,
    file: PathBuf,
    /// Where the old key is kept, if it was here.
    retired: Option<PathBuf>,
    /// The variable that still holds the old key, if one does.
    variable: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct DroppedKey {
    role: &'static str,
    key: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct SignedRelease {
    version: String,
    chip: Chip,
    sha256: String,
}

impl fmt::Display for SignedRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, chip, sha256 } = self;
        write!(f, "  {version} for {chip}, SHA-256 {sha256}")
    }
}

impl ChangedKey {
    pub(super) fn new(
        scene: &Scene,
        role: Role,
        replacement: &Replacement,
        Adopted { file, retired }: Adopted,
    ) -> Result<Self, Failure> {
        Ok(Self {
            role: role.name(),
            old: replacement.old.clone(),
            new: Some(replacement.new.id()?),
            file,
            retired,
            variable: scene.supplied.has(role).then_some(role.variable()),
        })
    }
}

impl RotateReport {
    pub(super) fn new(
        project: &Project,
        scene: &Scene,
        rotation: &Rotation,
        devices: Vec<Walk>,
    ) -> Self {
        let signed_again = rotation.plan.timestamp.is_some();
        let releases = scene.live.releases().iter().filter(|_| signed_again);
        let releases = releases.map(|release| SignedRelease {
            version: release.custom.version.clone(),
            chip: release.custom.chip,
            sha256: release.sha256.clone(),
        });
        Self {
            dry_run: false,
            roots: Vec::new(),
            expires: String::new(),
            file: project.path(Path::new(ROOT_FILE)),
            store: project.store.value.clone(),
            url: None,
            signed_again,
            releases: releases.collect(),
            changed: Vec::new(),
            dropped: Vec::new(),
            finished: true,
            waiting_for: None,
            devices,
        }
    }

    /// What a run would do to the keys that did nothing.
    pub(super) fn would_change(
        &mut self,
        scene: &Scene,
        replacements: &BTreeMap<Role, Replacement>,
    ) {
        self.changed = replacements
            .iter()
            .map(|(role, replacement)| ChangedKey {
                role: role.name(),
                old: replacement.old.clone(),
                new: None,
                file: scene.new_file(*role),
                retired: None,
                variable: scene.supplied.has(*role).then_some(role.variable()),
            })
            .collect();
    }

    /// How far it came.
    pub(super) fn end(&mut self, rotation: &Rotation, scene: &Scene, end: &End) {
        let both = rotation.first.as_ref().unwrap_or(&scene.newest);
        let mut newest = both;
        self.roots.extend(rotation.first.as_ref().map(RootFile::version));
        match (end, &rotation.last) {
            (End::Finished, Some(last)) => {
                newest = last;
                self.roots.push(last.version());
                let leaving = both.leaving().into_iter();
                self.dropped = leaving
                    .flat_map(|(role, keys)| {
                        keys.into_iter().map(move |key| DroppedKey { role: role.name(), key })
                    })
                    .collect();
            }
            (End::Finished, None) => {}
            (End::Half, _) => self.finished = false,
            (End::Unseen(reason), _) => {
                self.finished = false;
                self.waiting_for = Some(reason.clone());
            }
        }
        self.expires = newest.expires().to_string();
    }

    fn changes(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let would = if self.dry_run { "would be " } else { "" };
        let short = |id: &String| id.get(..16).unwrap_or(id).to_owned();
        for key in &self.changed {
            let old: Vec<String> = key.old.iter().map(short).collect();
            let old = if old.is_empty() { "no key".to_owned() } else { old.join(" and ") };
            let new = key.new.as_ref().map_or("a new key".to_owned(), short);
            let (role, new) = (key.role, paint.tone(Tone::Strong, new));
            writeln!(out, "{role}: {old} {would}replaced by {new}, in {}", key.file.display())?;
            if let Some(retired) = &key.retired {
                writeln!(out, "  the old key is kept in {}", retired.display())?;
            }
            if let Some(variable) = key.variable {
                writeln!(out, "  `{variable}` holds the old key: put the new one there")?;
            }
        }
        Ok(())
    }
}

impl Report for RotateReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let would = if self.dry_run { "would be " } else { "" };
        self.changes(out, paint)?;
        let roots: Vec<String> = self.roots.iter().map(u64::to_string).collect();
        match &roots[..] {
            [] => writeln!(out, "no new root was made")?,
            roots => writeln!(
                out,
                "{} {} {would}made, good until {}; the newest {would}in `{}` and {}",
                if roots.len() == 1 { "root" } else { "roots" },
                roots.join(" and "),
                self.expires,
                self.file.display(),
                self.store
            )?,
        }
        if self.signed_again {
            writeln!(out, "what is published {would}signed again:")?;
            self.releases.iter().try_for_each(|release| writeln!(out, "{release}"))?;
        }
        for device in &self.devices {
            let roots: Vec<String> = device.roots.iter().map(u64::to_string).collect();
            let reads = match (device.reads_releases, device.in_any_order) {
                (Some(true), true) => ", and reads the releases",
                (Some(true), false) => {
                    ", and reads the releases; where it sees the new metadata before the new root, \
                     it refuses it until it sees both"
                }
                (Some(false), _) => ", and refuses the releases as before: publish again",
                (None, _) => "",
            };
            let way = roots.join(" → ");
            writeln!(out, "a device with root {}: trusts {way}{reads}", device.embedded)?;
        }
        if !self.finished {
            let half = paint.tone(Tone::Warning, "half done");
            writeln!(out, "{half}: the old keys still count")?;
            if let (Some(reason), Some(url)) = (&self.waiting_for, &self.url) {
                writeln!(out, "  {url} does not show the first half: {reason}")?;
            }
            writeln!(
                out,
                "  once devices see it, `cargo esp-ota keys rotate` makes the root that drops them"
            )?;
        }
        Ok(())
    }
}
