//! `slots`: what a device boots next and why, and another choice.

mod change;
mod expect;
mod known;
mod show;
mod source;

use super::Context;
use crate::error::{Exit, Failure};
pub(super) use change::target;
pub use expect::ExpectError;
pub(super) use known::images;
pub(super) use show::seconds;
pub(super) use source::LARGEST_DUMP;

/// Show the slots of a device, or choose another: what boots next, and why
///
/// Over a cable this resets the chip into its serial loader, and starts it again at the end. An
/// image on trial falls back at that reset, as at any other.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Slots {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    show: show::Show,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Show(show::Show),
    Expect(expect::Expect),
    Switch(change::Switch),
    Repair(change::Repair),
}

impl Slots {
    /// The word that JSON reports carry as `command`.
    pub fn name(&self) -> &'static str {
        match &self.command {
            None | Some(Command::Show(_)) => "slots",
            Some(Command::Expect(_)) => "slots expect",
            Some(Command::Switch(_)) => "slots switch",
            Some(Command::Repair(_)) => "slots repair",
        }
    }

    /// Reads the device or the dump.
    pub fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self.command {
            None => self.show.run(context),
            Some(Command::Show(show)) => show.run(context),
            Some(Command::Expect(expect)) => expect.run(context),
            Some(Command::Switch(switch)) => switch.run(context),
            Some(Command::Repair(repair)) => repair.run(context),
        }
    }
}
