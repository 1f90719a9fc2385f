//! The story itself, step by step.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};

use super::Step;
use super::stage::{Session, Stage};
use super::telling::{Story, StoryError};
use crate::agent::agent::Outcome;
use crate::agent::trial::Boot;
use crate::commands::build::ROOT_FILE;
use crate::commands::{Context, ContextError, context, init};
use crate::error::{Exit, Failure};
use crate::server::{Config, LOOPBACK, Limits, Log, Server};
use crate::trust::{BenchRoot, root};
use crate::virtual_device::bootloader::Target;

/// Product and folder of the demo.
pub(super) const PRODUCT: &str = "thermostat";
/// What the device calls its server. The connection goes to loopback, the certificate is checked
/// for this name (`.test` is reserved, RFC 6761).
const HOST: &str = "updates.test";

/// The version whose self-test fails.
const BAD_VERSION: &str = "1.2.0";

/// Tells the story in `folder`; everything in it is left there.
pub(super) async fn tell(
    context: &Context,
    folder: &Path,
    is_firmware: bool,
) -> Result<Vec<Step>, Failure> {
    let private = tempfile::Builder::new()
        .prefix("esp-ota-demo-keys-")
        .tempdir()
        .map_err(|source| super::output_error(&std::env::temp_dir(), source))?;
    let now = context.now();
    let mut story = Story {
        context,
        folder,
        project: folder.join(PRODUCT),
        configuration: private.path().to_owned(),
        steps: Vec::new(),
        is_firmware,
    };

    story.command(
        "a project is made",
        folder,
        &["init", PRODUCT, "--chip", "esp32c3", "--url", &format!("https://{HOST}")],
        Exit::Success,
        "firmware, partition table, signing keys",
    )?;
    let project_folder = story.project.clone();
    story.command(
        "its table is checked",
        &project_folder,
        &["partitions", "check"],
        Exit::Success,
        "two slots that can carry updates",
    )?;

    let bench = BenchRoot::load_or_make(&private.path().join("bench"), now)?;
    context::write(&folder.join("bench-root.pem"), &context::read(bench.path(), 65_536)?)?;
    story.command(
        "a root is pinned",
        &project_folder,
        &["ca", "add", "../bench-root.pem", "--sha256", &bench.certificate().fingerprint_hex()],
        Exit::Success,
        "the only certificate authority the device will trust",
    )?;

    let first = story.build("1.0.0", true)?;
    let names = [HOST.parse().map_err(|_| StoryError::Host)?];
    let leaf = bench.leaf(&names, now)?;
    let dist = project_folder.join("dist");
    std::fs::create_dir_all(&dist).map_err(|source| super::output_error(&dist, source))?;
    let server = Server::start(Config {
        folder: dist.clone(),
        bind: LOOPBACK,
        chain: leaf.chain,
        key: leaf.key,
        log: Log::silent(),
        limits: Limits::default(),
    })
    .await?;
    let project = init::project(&project_folder)?;
    let roots = root::read(&folder.join("bench-root.pem"), now)?;
    let device = Stage::new(
        &project,
        &first,
        context::read(&project_folder.join(ROOT_FILE), 65_536)?,
        roots,
        (format!("https://{HOST}"), server.addr()),
        now,
    )?;
    let device = if is_firmware { device.with_bad_version(BAD_VERSION) } else { device };
    story.slots("1.0.0 is on the device", &device, "flash-1-installed.bin", "1.0.0")?;

    let second = story.build("1.1.0", true)?;
    story.publish(
        "1.1.0 is published",
        &second,
        Exit::Success,
        "signed, staged, rehearsed, live",
    )?;
    let title = format!("served at https://{}", server.addr());
    let lines = vec![
        format!("HTTPS for `{HOST}`, with a certificate issued by the bench root"),
        "the device trusts that root and the embedded TUF root, and nothing else".into(),
    ];
    story.told(&title, lines, Ok(()), "loopback only, until the story ends")?;

    story
        .session("the device updates itself", &device, |session| {
            session.version == "1.0.0" && session.installed()
        })
        .await?;
    story
        .session("1.1.0 boots on trial", &device, |session| {
            session.version == "1.1.0" && matches!(session.boot, Boot::Trial(_))
        })
        .await?;
    story.slots("slots prove it", &device, "flash-2-updated.bin", "1.1.0")?;

    let third = story.build(BAD_VERSION, false)?;
    story.publish("1.2.0 is published", &third, Exit::Success, "its self-test will fail")?;
    story.session("the device takes 1.2.0", &device, Session::installed).await?;
    story
        .session("1.2.0 fails its self-test", &device, |session| {
            session.version == "1.2.0" && matches!(session.boot, Boot::Trial(_))
        })
        .await?;
    story
        .session("the device falls back", &device, |session| {
            session.version == "1.1.0"
                && session.boot == Boot::Settled
                && session.outcome == Some(Ok(Outcome::UpToDate))
        })
        .await?;
    story.slots("slots prove it", &device, "flash-3-fell-back.bin", "1.1.0")?;

    let fourth = story.build("1.3.0", true)?;
    let image = context::read(&fourth, u64::from(u32::MAX))?;
    let tampered = folder.join("tampered.bin");
    context::write(&tampered, &flipped(&image))?;
    story.publish(
        "a tampered image",
        &tampered,
        Exit::Trust,
        "`publish` refuses it: one bit was changed",
    )?;
    story.publish(
        "1.3.0 is published",
        &fourth,
        Exit::Success,
        "and then changed on the server",
    )?;
    story.command(
        "1.3.0 is rehearsed",
        &project_folder,
        &["rehearse", "--from", "1.1.0"],
        Exit::Success,
        "from 1.1.0, as the device will do it",
    )?;
    let target = published_target(&dist, "1.3.0")?;
    context::write(&target, &flipped(&image))?;
    story
        .refused("tampered on the server", &device, now, "the device refuses the bytes", |error| {
            error.code() == "hash-mismatch-target"
        })
        .await?;
    context::write(&target, &image)?;

    let expired = folder.join("expired-root.pem");
    context::write(&expired, expired_root(now)?.as_bytes())?;
    story.command(
        "an expired root",
        &project_folder,
        &["ca", "add", "../expired-root.pem", "--yes"],
        Exit::Trust,
        "`ca add` refuses it",
    )?;
    let after_its_end = device.root_ends().saturating_add(SignedDuration::from_hours(24));
    let after_its_end = after_its_end.unwrap_or(Timestamp::MAX);
    story
        .refused(
            "the pinned root has ended",
            &device,
            after_its_end,
            "the device refuses the server",
            |error| error.code() == "untrusted-tls",
        )
        .await?;

    story.session("none of it hurt", &device, Session::installed).await?;
    story
        .session("1.3.0 boots and stays", &device, |session| {
            session.version == "1.3.0" && session.target == Target::Slot(0)
        })
        .await?;
    story.slots("slots prove it", &device, "flash-4-healthy.bin", "1.3.0")?;
    server.shutdown().await;
    Ok(story.steps)
}

impl Session {
    fn installed(&self) -> bool {
        self.outcome == Some(Ok(Outcome::Installed))
    }
}

/// The file with one bit changed, in the middle.
fn flipped(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    bytes
}

fn published_target(dist: &Path, version: &str) -> Result<PathBuf, Failure> {
    let folder = dist.join("targets");
    let end = format!("-{version}.bin");
    let failed = |source| ContextError::Input { file: folder.clone(), source };
    for entry in std::fs::read_dir(&folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(&end)) {
            return Ok(path);
        }
    }
    Err(failed(std::io::ErrorKind::NotFound.into()).into())
}

/// A sound root certificate in every respect but that it ended a year before `now`.
fn expired_root(now: Timestamp) -> Result<String, Failure> {
    let year = |before: i64| {
        let seconds = now.as_second().saturating_sub(before.saturating_mul(365 * 24 * 3600));
        time::OffsetDateTime::from_unix_timestamp(seconds)
            .unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
    };
    let make = || {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, "Expired Root");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        parameters.not_before = year(11);
        parameters.not_after = year(1);
        parameters.self_signed(&KeyPair::generate()?)
    };
    Ok(make().map_err(StoryError::Certificate)?.pem())
}
