//! One case from its first power-on to the verdict.

use super::board::Board;
use super::case::{App, Case, Fault};
use super::invariant::{Broken, Invariant};
use super::network::{File, Lie, Network, NetworkFault};
use super::player::{Player, Session, Stop};
use crate::agent::trial::Boot;
use crate::virtual_device::flash::{Cut, VirtualFlash};

/// Power-ons in which a healthy device finishes what a fault interrupted: install, trial, look back,
/// and one more for each write that the fault may have lost.
const ENOUGH: usize = 8;
/// Polls that a fault of the network or of a flash cell lasts for.
const POLLS: usize = 2;
/// Resets after which the last confirmed image runs, if the new one never confirms.
const MOST_RESETS: usize = 2;

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The device lives on as it should.
    Survived,
    /// A rule is broken.
    Lost(Broken),
    /// The planned fault was never reached: the seed is not of this project.
    Unreached,
}

impl<B: Board> Player<'_, B> {
    /// Plays a case on a device that is put back to its start first.
    pub(super) fn play(&mut self, case: &Case) -> Verdict {
        self.rewind();
        match self.stage(case) {
            Ok(verdict) => verdict,
            Err(Stop::Broken(broken)) => Verdict::Lost(broken),
            Err(Stop::PowerCut) => Verdict::Unreached,
        }
    }

    fn stage(&mut self, case: &Case) -> Result<Verdict, Stop> {
        let app = case.app;
        if !self.is_within_its_file(case.fault) {
            return Ok(Verdict::Unreached);
        }
        match case.fault {
            Fault::None => self.update(app)?,
            Fault::Power(first, second) => {
                self.plan_cut(first);
                if !self.is_cut(Self::update, app)? {
                    return Ok(Verdict::Unreached);
                }
                if let Some(second) = second {
                    let operation = self.operations().saturating_add(second.operation);
                    self.plan_cut(Cut { operation, ..second });
                    if !self.is_cut(Self::recover, app)? {
                        return Ok(Verdict::Unreached);
                    }
                }
                self.recover(app)?;
            }
            Fault::Network(fault) => {
                self.bad_weather(app, fault)?;
                self.update(app)?;
            }
            Fault::Worn(at) => {
                self.wear_out(at);
                for _ in 0..POLLS {
                    self.online(app, None)?;
                }
                self.flash().with(VirtualFlash::heal);
                self.update(app)?;
            }
        }
        Ok(Verdict::Survived)
    }

    /// Whether a fault at a byte of a file is before its end.
    fn is_within_its_file(&self, fault: Fault) -> bool {
        let (file, at) = match fault {
            Fault::Network(NetworkFault {
                file,
                lie: Lie::Truncated(at) | Lie::Corrupted(at) | Lie::Stalled(at),
            }) => (file, at),
            Fault::Worn(at) => (File::Image, at),
            Fault::None | Fault::Power(..) | Fault::Network(_) => return true,
        };
        self.subject.file(file).is_some_and(|length| at < length)
    }

    fn operations(&self) -> u64 {
        self.flash().with(|flash| flash.operations())
    }

    fn plan_cut(&mut self, cut: Cut) {
        self.flash().with(|flash| {
            flash.power_on();
            flash.cut_at(cut);
        });
    }

    /// Runs something that the planned cut should strike; switches the power on again.
    fn is_cut(
        &mut self,
        what: impl Fn(&mut Self, App) -> Result<(), Stop>,
        app: App,
    ) -> Result<bool, Stop> {
        match what(self, app) {
            Ok(()) => Ok(false),
            Err(Stop::PowerCut) => {
                self.say(|| "the power goes away".into());
                self.flash().with(VirtualFlash::power_on);
                Ok(true)
            }
            Err(broken) => Err(broken),
        }
    }

    /// The update with nothing in its way, until it is over.
    pub(super) fn update(&mut self, app: App) -> Result<(), Stop> {
        match app {
            App::Good => self.complete(app),
            App::Rejects => self.complete(app),
            App::Hangs => {
                let mut installed = false;
                for _ in 0..ENOUGH {
                    if self.online(app, None)?.installed() {
                        installed = true;
                        break;
                    }
                }
                if !installed {
                    return Err(incomplete("the release is never installed"));
                }
                self.fall_back(app)
            }
        }
    }

    /// What has to work after a power cut.
    pub(super) fn recover(&mut self, app: App) -> Result<(), Stop> {
        if app != App::Hangs {
            return self.complete(app);
        }
        self.fall_back(app)?;
        // The release is offered again, and the way back is there again.
        self.online(app, None)?;
        self.fall_back(app)
    }

    /// Until a good release runs confirmed, or a bad one is left alone.
    fn complete(&mut self, app: App) -> Result<(), Stop> {
        let release = &self.subject.release().version;
        for _ in 0..ENOUGH {
            let session = self.online(app, None)?;
            if session.is_up_to_date() && (session.version == *release) == (app == App::Good) {
                return Ok(());
            }
        }
        Err(incomplete(&match app {
            App::Good => format!("{release} does not run confirmed after {ENOUGH} power-ons"),
            App::Rejects | App::Hangs => {
                format!("{release} rejects itself and is taken again and again")
            }
        }))
    }

    /// Without a network: the last confirmed image has to run after two resets, and to stay.
    fn fall_back(&mut self, app: App) -> Result<(), Stop> {
        for resets in 0..=MOST_RESETS.saturating_add(1) {
            let mut offline = Network::new(None, &self.subject.before, None);
            self.say(|| format!("power on, reset {resets}, no network"));
            let session = self.power_on(app, &mut offline)?;
            if resets >= MOST_RESETS && !self.was_confirmed_last(&session.version) {
                let Session { version, .. } = session;
                let detail = format!("after {resets} resets {version} runs, which never confirmed");
                return Err(Stop::Broken(Broken::new(Invariant::FallsBack, detail)));
            }
        }
        Ok(())
    }

    /// Polls while the network fails.
    fn bad_weather(&mut self, app: App, fault: NetworkFault) -> Result<(), Stop> {
        for _ in 0..POLLS {
            self.online(app, Some(fault))?;
        }
        Ok(())
    }

    /// One power-on with a network.
    fn online(&mut self, app: App, fault: Option<NetworkFault>) -> Result<Session, Stop> {
        self.say(|| "power on".into());
        let (after, before) = (&self.subject.after, &self.subject.before);
        let session = self.power_on(app, &mut Network::new(Some(after), before, fault))?;
        let is_confirmed = session.boot == Some(Boot::Settled);
        if app != App::Good && is_confirmed && session.version == self.subject.release().version {
            let detail = format!("{} counts as confirmed, which it never was", session.version);
            return Err(Stop::Broken(Broken::new(Invariant::FallsBack, detail)));
        }
        Ok(session)
    }

    /// Wears out a cell that the release will need: a bit that has to be 1.
    fn wear_out(&mut self, at: u32) {
        let Some(slot) = self.start.next_slot() else { return };
        let Some(byte) =
            usize::try_from(at).ok().and_then(|at| self.subject.release().bytes.get(at))
        else {
            return;
        };
        let bit = byte & byte.wrapping_neg();
        let at = usize::try_from(slot.start.saturating_add(at)).unwrap_or(usize::MAX);
        self.flash().with(|flash| flash.wear_out(at, bit));
    }
}

fn incomplete(detail: &str) -> Stop {
    Stop::Broken(Broken::new(Invariant::Completes, detail))
}
