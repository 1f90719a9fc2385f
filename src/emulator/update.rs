//! A firmware updates itself on an emulated chip: over real TLS, from a real server, with the power
//! cut and the server gone in the middle of a trial, and judged from flash each time.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::bench::{Bench, url};
use super::boot::{NEW, OLD, entry, not_armed, not_started, wrong_choice};
use super::fault::{Fault, Verdict};
use super::kind::Network;
use super::machine::{Cut, End, Session, Until};
use super::settings::Settings;
use super::{EmulatorError, FlashImage, Machine, Narrator, Program};
use crate::agent::settings::SHORTEST_POLL;
use crate::chip::Chip;
use crate::device::SlotReport;
use crate::flash_size::FlashSize;
use crate::partition::Table;
use crate::server::Server;
use crate::virtual_device::bootloader::Target;

/// The file with the flash of this rehearsal.
pub const FLASH: &str = "flash-update.bin";
/// How long the server is away during a trial. A device that would confirm without it has done so
/// by then: with it, confirming takes some seconds.
pub const OUTAGE: Duration = Duration::from_secs(30);

/// What an update leads from and to, and how long its server is away.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// The version that the device starts with.
    pub from: &'a str,
    /// The version that it is offered.
    pub to: &'a str,
    /// How long the server is away during a trial: [`OUTAGE`], unless somebody is in a hurry.
    pub outage: Duration,
}

/// An emulated device that has `image` in `ota_0`, settled, and reads releases from `server`.
pub fn machine(
    (program, folder): (Program, &Path),
    (chip, size): (Chip, FlashSize),
    table: &Table,
    (image, server): (&[u8], SocketAddr),
    deadline: Duration,
) -> Result<Machine, EmulatorError> {
    let mut flash = FlashImage::new(chip, size, table)?;
    flash.install(0, image)?;
    flash.settle()?;
    flash.set(&Settings { url: url(program.emulator, server), poll_s: SHORTEST_POLL })?;
    Machine::new((program, chip), (folder, FLASH), &flash, Network::User, deadline)
}

/// Takes the device from one version to the other, the hard way.
pub async fn rehearse(
    machine: &Machine,
    bench: &Bench,
    server: Server,
    plan: Plan<'_>,
    narrator: &mut dyn Narrator,
) -> Result<Verdict, EmulatorError> {
    let mut course = Course { machine, plan, narrator };
    let address = server.addr();
    match course.run(bench, server, address).await {
        Ok(()) => Ok(Verdict::passed()),
        Err(Stopped::Fault(fault, session)) => Ok(Verdict::failed(fault, session)),
        Err(Stopped::Error(error)) => Err(error),
    }
}

/// Why a course ended early.
enum Stopped {
    Fault(Fault, Session),
    Error(EmulatorError),
}

impl From<EmulatorError> for Stopped {
    fn from(error: EmulatorError) -> Self {
        Self::Error(error)
    }
}

struct Course<'a> {
    machine: &'a Machine,
    plan: Plan<'a>,
    narrator: &'a mut dyn Narrator,
}

impl Course<'_> {
    async fn run(
        &mut self,
        bench: &Bench,
        server: Server,
        address: SocketAddr,
    ) -> Result<(), Stopped> {
        let Plan { from, to, outage } = self.plan;
        self.install(&format!("{from} updates itself")).await?;
        self.narrator.seen(format!("{from} in ota_0 installs {to} into ota_1 over TLS"));

        let session = self.start("the power is cut on trial", Until::Armed, Cut::Now).await?;
        self.cut(session)?;
        self.narrator.seen(format!("{to} is on trial: the power is cut"));
        self.install(&format!("{from} runs again")).await?;
        self.narrator.seen(format!("{from} runs again, waits, and installs {to} once more"));

        server.shutdown().await;
        let title = "on trial, and the server is away";
        let session = self.start(title, Until::Over(outage), Cut::Later).await?;
        if session.end == End::Reached {
            let version = to.to_owned();
            return Err(Stopped::Fault(Fault::ConfirmedAlone { version }, session));
        }
        self.on_trial(session)?;
        let away = outage.as_secs();
        self.narrator.seen(format!("{to} on trial, its server away for {away} s: no confirmation"));
        let server = bench.serve(Some(address)).await?;
        self.install(&format!("the server is back, and {from} runs again")).await?;
        self.narrator.seen(format!("{from} runs again, and installs {to} once more"));

        let session = self.start("on trial", Until::Confirmed, Cut::Later).await?;
        self.confirmed(session)?;
        self.narrator.seen(format!("{to} is on trial, reaches its server, and confirms itself"));
        let session = self.start("confirmed", Until::Settled, Cut::Later).await?;
        self.confirmed(session)?;
        self.narrator.seen(format!("after a power cut {to} runs from ota_1, settled"));
        server.shutdown().await;
        Ok(())
    }

    async fn start(&mut self, title: &str, until: Until, cut: Cut) -> Result<Session, Stopped> {
        self.narrator.begins(title);
        Ok(self.machine.power_on(title, until, cut).await?)
    }

    /// The old version starts and installs the new one.
    async fn install(&mut self, title: &str) -> Result<(), Stopped> {
        let Plan { from, to, .. } = self.plan;
        let session = self.start(title, Until::Installed, Cut::Later).await?;
        let slots = self.machine.slots()?;
        let fault = self.runs(&session, OLD, from);
        let fault = fault.or_else(|| self.late(&session, format!("{from} did not install {to}")));
        let fault = fault.or_else(|| {
            let (state, label) = entry(&slots);
            let is_offered = (state.as_str(), label.as_str()) == ("NEW", "install");
            (!is_offered).then(|| {
                Fault::Flash(format!(
                    "the entry of ota_1 says {state}, label `{label}`, not NEW, label `install`"
                ))
            })
        });
        judged(
            fault.or_else(|| holds(&slots, NEW, to)).or_else(|| wrong_choice(&slots, NEW)),
            session,
        )
    }

    /// The new version has started and armed its trial.
    fn on_trial(&mut self, session: Session) -> Result<(), Stopped> {
        let slots = self.machine.slots()?;
        let fault = self.runs(&session, NEW, self.plan.to);
        let fault = fault.or_else(|| not_armed(&slots, session.end, self.machine.seconds()));
        judged(fault.or_else(|| wrong_choice(&slots, OLD)), session)
    }

    /// The new version has started, and the power went at that moment: its entry says that it is on
    /// trial, or nothing any more. The bootloader passes over both.
    fn cut(&mut self, session: Session) -> Result<(), Stopped> {
        let slots = self.machine.slots()?;
        let to = self.plan.to;
        let fault = self.runs(&session, NEW, to);
        let fault = fault.or_else(|| self.late(&session, format!("{to} did not arm its trial")));
        judged(fault.or_else(|| wrong_choice(&slots, OLD)), session)
    }

    /// The new version has started, and is there to stay.
    fn confirmed(&mut self, session: Session) -> Result<(), Stopped> {
        let to = self.plan.to;
        let slots = self.machine.slots()?;
        let fault = self.runs(&session, NEW, to);
        let fault = fault.or_else(|| self.late(&session, format!("{to} did not confirm itself")));
        let fault = fault.or_else(|| {
            let (state, label) = entry(&slots);
            let is_confirmed = (state.as_str(), label.as_str()) == ("VALID", "ok");
            (!is_confirmed).then(|| {
                Fault::Flash(format!(
                    "the entry of ota_1 says {state}, label `{label}`, not VALID, label `ok`"
                ))
            })
        });
        judged(
            fault.or_else(|| holds(&slots, NEW, to)).or_else(|| wrong_choice(&slots, NEW)),
            session,
        )
    }

    /// Whether the bootloader started something else, or another version says that it runs.
    fn runs(&self, session: &Session, expected: Target, version: &str) -> Option<Fault> {
        if let Some(fault) = not_started(session, expected) {
            return Some(fault);
        }
        let (found, _) = session.runs()?;
        (found != version)
            .then(|| Fault::OtherRuns { expected: version.to_owned(), found: found.to_owned() })
    }

    /// Whether what was waited for has not come.
    fn late(&self, session: &Session, what: String) -> Option<Fault> {
        match session.end {
            End::Reached => None,
            End::Reset => Some(Fault::Reset(what)),
            End::Deadline => Some(Fault::TooLate { what, seconds: self.machine.seconds() }),
        }
    }
}

fn judged(fault: Option<Fault>, session: Session) -> Result<(), Stopped> {
    fault.map_or(Ok(()), |fault| Err(Stopped::Fault(fault, session)))
}

/// Whether a slot does not hold a whole image of this version.
fn holds(slots: &SlotReport, target: Target, version: &str) -> Option<Fault> {
    let slot = slots.slots.iter().find(|slot| slot.name == target);
    let found = slot.and_then(|slot| slot.image.as_ref()).map(|image| image.version.as_str());
    (found != Some(version)).then(|| {
        let found = found.unwrap_or("no whole image");
        Fault::Flash(format!("{target} holds {found}, not {version}"))
    })
}
