//! The command: from what was asked to what devices see.

use std::io::{self, Write};

use serde::Serialize;

use super::{Around, Revert, content};
use crate::commands::publish::report::ImageReport;
use crate::commands::publish::{Delivery, PublishReport, load, outside};
use crate::commands::{Context, build, ca, context};
use crate::config::Project;
use crate::error::{Exit, Failure};
use crate::output::{Paint, Report};
use crate::release::keys::{KeyFolder, Supplied};
use crate::release::repository::{Expiry, Terms};

/// What a revert did.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct RevertReport {
    /// The version whose content was published.
    content_of: String,
    #[serde(flatten)]
    publish: PublishReport,
}

/// Publishes the content of an older release again.
pub(in crate::commands::publish) fn run(
    context: &Context,
    project: &Project,
    revert: &Revert<'_>,
    (is_public, connect_to): (bool, Option<std::net::SocketAddr>),
) -> Result<Exit, Failure> {
    let now = context.now();
    let root = build::tuf_root(project)?;
    let roots = ca::project_roots(project, now)?;
    let folder = KeyFolder::new(&context.configuration_folder()?, project.product.value.as_str())?;
    let keys = folder.load_for_publish(&Supplied::from_environment(context::variable))?;
    let store = context.store(project)?;
    let outside = outside(project, is_public, connect_to)?;
    let report = context::runtime()?.block_on(async {
        let state = load(context, &store, &root, now).await?;
        let around = Around { project, store: &store, state: &state, roots: &roots, outside, now };
        let releases = content(&around, revert).await?;
        let channel = project.channel.value.as_str();
        let terms = Terms { now, expiry: Expiry::default(), plain_channel: channel };
        let plan = state.publish(&keys, releases.clone(), terms).await?;
        let (store, root, roots) = (&store, &root, &roots);
        let delivery = Delivery { context, project, store, root, roots, outside, now };
        let delivered = delivery.deliver(&state, &plan).await?;
        delivered.warn_of_agents(context);
        delivered.warn_of_gaps(context);
        let version = releases.first().map(|release| release.custom.version.clone());
        let publish = PublishReport {
            product: project.product.value.to_string(),
            channel: channel.to_owned(),
            version: version.unwrap_or_default(),
            published: !plan.is_published(),
            images: ImageReport::list(&releases, &plan),
            rehearsed_with_own_agent: delivered.is_with_own_agent(),
            delivered,
            store: project.store.value.clone(),
            verified_from: outside.map(|outside| outside.url.to_owned()),
        };
        Ok::<_, Failure>(RevertReport { content_of: revert.to.to_string(), publish })
    })?;
    context.output.answer(&report, Exit::Success)
}

impl Report for RevertReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let Self { content_of, publish } = self;
        writeln!(out, "{} is {content_of} under a newer version", publish.version)?;
        publish.human(out, paint)
    }
}
