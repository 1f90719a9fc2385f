//! `rehearse --faults`: the update under every power cut and every lie of the network.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::thread;
use std::time::Instant;

use clap::value_parser;
use semver::Version;
use serde::Serialize;

use super::RehearseError;
use super::report::OwnAgent;
use super::scene::Scene;
use crate::chip::Chip;
use crate::commands::{Context, context};
use crate::error::{Exit, Failure};
use crate::output::{Annotation, Level, Paint, Report, Tone};
use crate::virtual_device::faults::plan::{MOST_CASES, Sampled};
use crate::virtual_device::faults::run::Replay;
use crate::virtual_device::faults::summary;
use crate::virtual_device::faults::{Case, Plan, Project, Subject, Summary, replay, run};
use crate::virtual_device::rehearsal;

/// Threads at most: more than this many cores are rare, and every thread has a device of its own.
const MOST_JOBS: i64 = 256;
/// Lost cases that people see; programs get more.
const MOST_SHOWN: usize = 10;

/// What belongs to `--faults`.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Cut the power at every flash operation of the update, and lie on the network
    #[arg(long, conflicts_with = "from")]
    pub(super) faults: bool,
    /// Replay this one case of `--faults` and print its trace
    #[arg(long, value_name = "SEED", requires = "faults")]
    seed: Option<Case>,
    /// About how many cases at most: what is beyond is sampled evenly, and no kind of fault is left
    /// out
    #[arg(long, value_name = "NUMBER", requires = "faults", default_value_t = MOST_CASES)]
    cases: NonZeroUsize,
    /// Threads [default: one for each core]
    #[arg(long, value_name = "NUMBER", requires = "faults", value_parser = value_parser!(u16).range(1..=MOST_JOBS))]
    jobs: Option<u16>,
}

/// One of the three images.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ImageReport {
    /// What it is in every case.
    part: &'static str,
    version: String,
    /// Whether it is the newest image under another version, as none was published.
    derived: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct FaultsReport {
    product: String,
    chip: Chip,
    channel: String,
    read_from: String,
    images: Vec<ImageReport>,
    rehearsed_with_own_agent: bool,
    #[serde(flatten)]
    summary: Summary,
    jobs: usize,
    /// Wall time.
    seconds: u64,
    cases_per_second: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ReplayReport {
    seed: String,
    survived: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<summary::Failure>,
    trace: Vec<String>,
}

impl Options {
    /// Runs all cases, or the one that was asked for.
    pub(super) fn run(
        self,
        context: &Context,
        scene: &Scene,
        accepts_drift: bool,
    ) -> Result<Exit, Failure> {
        let runtime = context::runtime()?;
        let (project, has_own_agent) = runtime.block_on(project(scene))?;
        let subject = runtime.block_on(Subject::prepare(project))?;
        if let Some(case) = self.seed {
            let Replay { trace, failure } = replay(&subject, &case)?;
            let survived = failure.is_none();
            let report = ReplayReport { seed: case.to_string(), survived, failure, trace };
            let exit = if survived { Exit::Success } else { Exit::Rejected };
            return context.output.answer(&report, exit);
        }

        let began = Instant::now();
        context.output.status("running each update once without a fault");
        let cores = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let jobs = self.jobs.map_or_else(cores, usize::from);
        let plan = Plan::make(&subject, self.cases.get(), jobs)?;
        let total = u64::try_from(plan.len()).unwrap_or(u64::MAX);
        let bar = context.output.counter("cases", total);
        let progress = |done| bar.at(u64::try_from(done).unwrap_or(u64::MAX));
        let summary = run(&subject, &plan, jobs, progress);
        drop(bar);
        let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let cases = summary.total.cases;
        let report = FaultsReport {
            product: scene.project.product.value.to_string(),
            chip: scene.stage.chip,
            channel: scene.project.channel.value.to_string(),
            read_from: scene.place(),
            images: images(&subject),
            rehearsed_with_own_agent: has_own_agent,
            summary,
            jobs,
            seconds: milliseconds.div_ceil(1000),
            cases_per_second: cases.saturating_mul(1000).checked_div(milliseconds).unwrap_or(0),
        };
        let is_proven = has_own_agent || accepts_drift;
        let exit = match report.summary.is_clean() && is_proven {
            true => Exit::Success,
            false => Exit::Rejected,
        };
        context.output.answer(&report, exit)
    }
}

/// What the project brings: its table, and its newest three images as they are published. Also
/// whether all of them have this tool's agent.
async fn project(scene: &Scene) -> Result<(Project, bool), Failure> {
    /// The cable's image, the one before, and the one under test.
    const PARTS: usize = 3;
    let newest = scene.fleet.goal.as_ref();
    let goal = newest.ok_or_else(|| RehearseError::NotPublished {
        version: "a release that is not halted".to_owned(),
        published: scene.fleet.halted.iter().map(|it| it.custom.version.clone()).collect(),
    })?;
    let releases = scene.fleet.releases.iter();
    let until = releases.take_while(|release| *release != goal).chain([goal]);
    let mut chosen: Vec<_> = until.collect();
    chosen.drain(..chosen.len().saturating_sub(PARTS));
    let source = scene.source();
    let mut images = Vec::new();
    let mut has_own_agent = true;
    for release in chosen {
        has_own_agent &= OwnAgent::of(release) == OwnAgent::Same;
        let (known, _) = rehearsal::pinned_by(release, &scene.roots);
        let start = rehearsal::Start::published(&source, release, known, &scene.roots).await?;
        // Published versions are semantic versions.
        if let Ok(version) = Version::parse(&start.version) {
            images.push((version, start.image));
        }
    }
    let project = Project {
        table: scene.stage.table,
        nvs: scene.stage.nvs,
        flash_size: scene.stage.flash_size,
        chip: scene.stage.chip,
        product: scene.project.product.value.to_string(),
        channel: scene.project.channel.value.to_string(),
        images,
    };
    Ok((project, has_own_agent))
}

fn images(subject: &Subject) -> Vec<ImageReport> {
    let parts = [
        ("first install", subject.cable()),
        ("earlier update", subject.previous()),
        ("release under test", subject.release()),
    ];
    let report = |(part, image): (&'static str, _)| {
        let image: &crate::virtual_device::faults::subject::Image = image;
        ImageReport { part, version: image.version.to_string(), derived: image.is_derived }
    };
    parts.map(report).into()
}

impl Report for FaultsReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let Self { product, chip, summary, .. } = self;
        writeln!(out, "{product} for {chip} from {}", self.read_from)?;
        for ImageReport { part, version, derived } in &self.images {
            let how =
                if *derived { " (the release under test, under another version)" } else { "" };
            writeln!(out, "  {part:<20}{version}{how}")?;
        }
        for (axis, values) in &summary.axes {
            writeln!(out, "\n{}", paint.tone(Tone::Strong, axis))?;
            for (value, count) in values {
                let lost = lost(count.lost, paint);
                let sampled = summary.sampled.iter().find(|it| it.family.name() == *value);
                let of = sampled
                    .filter(|it| it.cases < it.possible)
                    .map_or_else(String::new, |Sampled { possible, .. }| {
                        format!(", sampled from {possible}")
                    });
                writeln!(out, "  {value:<20}{:>8}  {lost}{of}", count.cases)?;
            }
        }
        writeln!(out)?;
        for failure in summary.failures.iter().take(MOST_SHOWN) {
            let word = paint.tone(Tone::Bad, "LOST");
            writeln!(out, "{word}  {}: {}", failure.invariant.rule(), failure.detail)?;
            writeln!(out, "      replay with `--faults --seed {}`", failure.seed)?;
        }
        let (cases, jobs) = (summary.total.cases, self.jobs);
        let survived = cases.saturating_sub(summary.total.lost);
        writeln!(out, "{survived} of {cases} cases survived, {}", lost(summary.total.lost, paint))?;
        let Self { seconds, cases_per_second, .. } = self;
        writeln!(out, "  {seconds} s with {jobs} threads, {cases_per_second} cases/s")?;
        if !self.rehearsed_with_own_agent {
            let word = paint.tone(Tone::Warning, "not rehearsed with its own agent");
            writeln!(out, "  {word}: the images carry another one than this tool")?;
        }
        Ok(())
    }

    fn annotations(&self) -> Vec<Annotation> {
        let annotate = |failure: &summary::Failure| Annotation {
            level: Level::Error,
            location: None,
            title: "rehearse-faults".to_owned(),
            message: format!(
                "{}: {}; replay with `cargo esp-ota rehearse --faults --seed {}`",
                failure.invariant.rule(),
                failure.detail,
                failure.seed
            ),
        };
        self.summary.failures.iter().take(MOST_SHOWN).map(annotate).collect()
    }
}

fn lost(count: u64, paint: Paint) -> String {
    match count {
        0 => paint.tone(Tone::Good, "none lost").to_string(),
        _ => paint.tone(Tone::Bad, format!("{count} LOST")).to_string(),
    }
}

impl Report for ReplayReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        for line in &self.trace {
            writeln!(out, "{line}")?;
        }
        match &self.failure {
            None => writeln!(out, "{}", paint.tone(Tone::Good, "survived")),
            Some(failure) => {
                let word = paint.tone(Tone::Bad, "LOST");
                writeln!(out, "{word}: {}: {}", failure.invariant.rule(), failure.detail)
            }
        }
    }
}
