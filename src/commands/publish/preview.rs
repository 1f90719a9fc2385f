//! `--dry-run`: what would be written, in which order, and what devices would make of it.

use std::io::{self, Write};

use serde::Serialize;

use super::deliver::{Outside, Withdrawn};
use super::fleet::{Update, updates};
use super::report::ImageReport;
use crate::chip::Chip;
use crate::config::Project;
use crate::error::Failure;
use crate::output::{Paint, Report, Tone};
use crate::release::keys::Role;
use crate::release::plan::{LIVE_TIMESTAMP, Plan};
use crate::release::repository::State;
use crate::release::rules::Release;
use crate::release::store::Store;

/// The whole answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::commands) struct Preview {
    /// `true`: nothing was done.
    dry_run: bool,
    product: String,
    channel: String,
    /// `null` where no release is offered.
    pub(super) version: Option<String>,
    /// Whether devices would see anything new.
    publishes: bool,
    pub(super) images: Vec<ImageReport>,
    /// Numbers of the metadata that would be signed.
    metadata: Numbers,
    /// In the order in which they would be written.
    files: Vec<PlannedFile>,
    updates: Vec<PlannedUpdate>,
    /// Releases that would be listed no longer.
    withdrawn: Vec<Withdrawn>,
    store: String,
    /// Where devices read, if the release would be verified from there.
    verified_from: Option<String>,
}

/// `null` where nothing would be signed for a role.
#[derive(Debug, Serialize)]
struct Numbers {
    targets: Option<u64>,
    snapshot: Option<u64>,
    /// It shares the snapshot's.
    timestamp: Option<u64>,
}

/// What would happen to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Action {
    /// It is not there.
    Write,
    /// These very bytes are there.
    Keep,
    /// Others are.
    Replace,
    /// It goes.
    Remove,
    /// It goes to the archive.
    Archive,
}

#[derive(Debug, Serialize)]
struct PlannedFile {
    path: String,
    size: u64,
    action: Action,
}

/// What devices that run `from` would run.
#[derive(Debug, Serialize)]
struct PlannedUpdate {
    chip: Chip,
    channel: String,
    from: Option<String>,
    to: Option<String>,
}

impl Preview {
    /// Compares a plan with what is in the store. Only reads.
    pub(super) async fn of(
        project: &Project,
        store: &Store,
        state: &State,
        plan: &Plan,
        outside: Option<Outside<'_>>,
    ) -> Result<Self, Failure> {
        let mut files = Vec::new();
        for upload in &plan.uploads {
            files.push(planned(store, &upload.path, &upload.bytes).await?);
        }
        if let Some(timestamp) = &plan.timestamp {
            files.push(planned(store, LIVE_TIMESTAMP, timestamp).await?);
        }
        for upload in &plan.plain {
            files.push(planned(store, &upload.path, &upload.bytes).await?);
        }
        for copy in &plan.copies {
            let bytes = store.read(&copy.of.image_path()).await?.unwrap_or_default();
            files.push(planned(store, &copy.path, &bytes).await?);
        }
        for path in &plan.obsolete {
            if store.exists(path).await? {
                files.push(PlannedFile { path: path.clone(), size: 0, action: Action::Remove });
            }
        }
        for path in super::tidy::leftovers(state, plan) {
            if let Some(image) = store.read(path).await? {
                let size = u64::try_from(image.len()).unwrap_or(u64::MAX);
                files.push(PlannedFile { path: path.clone(), size, action: Action::Archive });
            }
        }
        let version = |release: Release| release.custom.version;
        let product = project.product.value.as_str();
        let after = if plan.is_published() { state.releases() } else { &plan.releases[..] };
        let update = |Update { chip, channel, from, goal, .. }| PlannedUpdate {
            chip,
            channel,
            from: from.map(version),
            to: goal.map(version),
        };
        Ok(Self {
            dry_run: true,
            product: product.to_owned(),
            channel: project.channel.value.to_string(),
            version: None,
            publishes: !plan.is_published(),
            images: Vec::new(),
            metadata: Numbers {
                targets: plan.number(Role::Targets),
                snapshot: plan.number(Role::Snapshot),
                timestamp: plan.number(Role::Snapshot),
            },
            files,
            withdrawn: Withdrawn::by(plan),
            updates: updates(state.releases(), after, product).into_iter().map(update).collect(),
            store: project.store.value.clone(),
            verified_from: outside.map(|outside| outside.url.to_owned()),
        })
    }
}

async fn planned(store: &Store, path: &str, bytes: &[u8]) -> Result<PlannedFile, Failure> {
    let action = match store.read(path).await? {
        None => Action::Write,
        Some(found) if found == bytes => Action::Keep,
        Some(_) => Action::Replace,
    };
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    Ok(PlannedFile { path: path.to_owned(), size, action })
}

impl Report for Preview {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let Self { product, channel, store, .. } = self;
        let version = paint.tone(Tone::Strong, self.version.as_deref().unwrap_or("what is there"));
        match (self.publishes, &self.version) {
            (true, Some(_)) => {
                writeln!(
                    out,
                    "nothing written: {product} {version} would go to `{channel}` in {store}"
                )?;
            }
            (true, None) => {
                writeln!(
                    out,
                    "nothing written: {version} of {product} would be signed again in {store}"
                )?;
            }
            (false, _) => {
                writeln!(
                    out,
                    "nothing written: {product} {version} is published already in {store}"
                )?;
            }
        }
        for PlannedFile { path, size, action } in &self.files {
            match action {
                Action::Write => writeln!(out, "  write    {path}, {size} bytes")?,
                Action::Keep => writeln!(out, "  keep     {path}, {size} bytes")?,
                Action::Replace => writeln!(out, "  replace  {path}, {size} bytes")?,
                Action::Remove => writeln!(out, "  remove   {path}")?,
                Action::Archive => writeln!(out, "  archive  {path}, {size} bytes")?,
            }
        }
        for PlannedUpdate { chip, channel, from, to } in &self.updates {
            let from = from.as_deref().unwrap_or("no release");
            match to {
                Some(to) => writeln!(out, "  {chip} in `{channel}`: from {from} to {to}")?,
                None => writeln!(out, "  {chip} in `{channel}`: stays with {from}")?,
            }
        }
        for Withdrawn { version, chip } in &self.withdrawn {
            writeln!(out, "  {chip}: {version} is listed no longer")?;
        }
        match &self.verified_from {
            Some(url) if self.publishes => {
                writeln!(out, "  verified from {url} before devices see it")
            }
            Some(_) | None => Ok(()),
        }
    }
}
