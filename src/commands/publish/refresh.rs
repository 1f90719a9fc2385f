//! `--refresh`: what is published is signed again, so that it is good for longer.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;

use super::deliver::Delivery;
use super::preview::Preview;
use super::{PublishError, Reading, load, outside};
use crate::commands::{Context, build, ca, context};
use crate::config::Project;
use crate::error::{Exit, Failure};
use crate::output::{Paint, Report};
use crate::release::keys::{Held, KeyFolder, Role, SigningKey, Supplied};
use crate::release::plan::Plan;
use crate::release::repository::{Expiry, OnlineKeys, State, Terms};

/// The whole answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct RefreshReport {
    product: String,
    /// Each role, also where it was not signed.
    roles: Vec<SignedRole>,
    store: String,
    /// Where devices read, if it was verified from there.
    verified_from: Option<String>,
    live_at_url: Option<bool>,
}

#[derive(Debug, Serialize)]
struct SignedRole {
    role: &'static str,
    /// The number of what was signed; `null` where the role was not.
    version: Option<u64>,
    /// Until when it is good now.
    expires: Option<Timestamp>,
}

/// Signs, stages, looks and promotes.
pub(super) fn run(
    context: &Context,
    project: &Project,
    (folder, supplied): (KeyFolder, Supplied),
    reading: Reading,
    is_dry_run: bool,
) -> Result<Exit, Failure> {
    // Not `stamp`: nothing is built, and an older time would only let it end earlier.
    let now = context.now();
    let root = build::tuf_root(project)?;
    let roots = ca::project_roots(project, now)?;
    let mut online = OnlineKeys {
        targets: None,
        snapshot: folder.load(Role::Snapshot, &supplied)?,
        timestamp: folder.load(Role::Timestamp, &supplied)?,
    };
    let outside = outside(project, reading)?;
    let expiry = Expiry::default();
    context::runtime()?.block_on(async {
        let store = context.store(project)?;
        let state = load(context, &store, &root, now).await?;
        if !state.is_live() {
            return Err(PublishError::NothingToRefresh(project.store.value.clone()).into());
        }
        let until = expiry.end(Role::Snapshot, now)?;
        let ends = state.ends(Role::Targets).filter(|end| *end < until);
        if let Some(end) = ends {
            online.targets = targets_key(context, &folder, &supplied, end)?;
        }
        let terms = Terms { now, expiry, plain_channel: project.plain_channel.as_str() };
        let plan = state.refresh(&online, terms).await?;
        if is_dry_run {
            let preview = Preview::of(project, &store, &state, &plan, outside).await?;
            return context.output.answer(&preview, Exit::Success);
        }
        let (store, root, roots) = (&store, &root, &roots);
        let delivery = Delivery { context, project, store, root, roots, outside, now };
        let delivered = delivery.deliver(&state, &plan).await?;
        let report = RefreshReport {
            product: project.product.value.to_string(),
            roles: roles(&state, &plan, (now, expiry))?,
            store: project.store.value.clone(),
            verified_from: outside.map(|outside| outside.url.to_owned()),
            live_at_url: delivered.live_at_url,
        };
        context.output.answer(&report, Exit::Success)
    })
}

/// The targets key, if it is at hand: the list of images ends before the rest will.
fn targets_key(
    context: &Context,
    folder: &KeyFolder,
    supplied: &Supplied,
    end: Timestamp,
) -> Result<Option<SigningKey>, Failure> {
    match folder.held(Role::Targets, supplied)? {
        Held::Here(key) => Ok(Some(key)),
        // Not a warning: somebody meant it to be used.
        Held::Unreadable(error) => Err(error.into()),
        Held::Absent => {
            context.output.warn(format_args!(
                "the list of images ends on {end}, before what is signed now, and the targets key \
                 is not here: publish a release before then, or refresh where that key is"
            ));
            Ok(None)
        }
    }
}

fn roles(
    state: &State,
    plan: &Plan,
    (now, expiry): (Timestamp, Expiry),
) -> Result<Vec<SignedRole>, Failure> {
    let mut found = Vec::new();
    for role in [Role::Targets, Role::Snapshot, Role::Timestamp] {
        // The timestamp shares the snapshot's number.
        let numbered = if role == Role::Timestamp { Role::Snapshot } else { role };
        let version = plan.number(numbered);
        let expires = match version {
            Some(_) => Some(expiry.end(role, now)?),
            None => state.ends(role),
        };
        found.push(SignedRole { role: role.name(), version, expires });
    }
    Ok(found)
}

impl Report for RefreshReport {
    fn human(&self, out: &mut dyn Write, _: Paint) -> io::Result<()> {
        writeln!(out, "signed again what is published of {} in {}", self.product, self.store)?;
        for SignedRole { role, version, expires } in &self.roles {
            let end = expires.map_or("an unknown time".to_owned(), |end| end.to_string());
            match version {
                Some(version) => writeln!(out, "  {role} {version}: good until {end}")?,
                None => writeln!(out, "  {role}: not signed again, good until {end}")?,
            }
        }
        match &self.verified_from {
            Some(url) => writeln!(out, "  verified from {url} with the pinned roots alone"),
            None => writeln!(out, "  not verified from outside"),
        }
    }
}
