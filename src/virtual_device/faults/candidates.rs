//! Everything that can go wrong from one place: each flash operation of the update, seen once
//! without a fault, gets cut.

use super::board::Board;
use super::case::{App, Case, Fault, Place};
use super::family::Family;
use super::network::{File, Lie, NetworkFault};
use super::plan::evenly;
use super::player::Player;
use super::start::Start;
use super::subject::Subject;
use super::trace::Area;
use crate::virtual_device::flash::{Cut, Moment, Operation};
use crate::virtual_device::tear::{Noise, Tear};

/// Second cuts for each first one.
pub(super) const SECOND_CUTS: usize = 16;
/// Places in a file at which the network lies about it.
const PLACES_IN_FILE: u32 = 16;

/// What is possible from one place, by family.
pub(super) struct Candidates {
    place: Place,
    /// First cuts that get a second one, for each app.
    first_cuts: usize,
    pub(super) cases: Vec<(Family, Case)>,
}

impl Candidates {
    /// Collects them, on this board.
    pub(super) fn of(
        subject: &Subject,
        start: &Start,
        place: Place,
        board: &impl Board,
        first_cuts: usize,
    ) -> Self {
        let mut candidates = Self { place, first_cuts, cases: Vec::new() };
        let mut player = Player::new(subject, start, board);
        for app in App::ALL {
            candidates.of_app(&mut player, app);
        }
        candidates.of_network(subject);
        candidates.of_flash(subject);
        candidates
    }

    fn add(&mut self, family: Family, app: App, fault: Fault) {
        self.cases.push((family, Case { place: self.place, app, fault }));
    }

    fn add_cut(&mut self, family: Family, app: App, operation: u64, moment: Moment) {
        let seed = if moment == Moment::Inside { operation } else { 0 };
        self.add(family, app, Fault::Power(Cut { operation, moment, seed }, None));
    }

    /// Cuts of the update, with one image under test.
    fn of_app(&mut self, player: &mut Player<'_, impl Board>, app: App) {
        let whole = Case { place: self.place, app, fault: Fault::None };
        self.add(Family::Whole, app, Fault::None);
        player.play(&whole);
        let log: Vec<Operation> = player.flash().with(|flash| flash.log().to_vec());
        for (number, (operation, next)) in
            (0..).zip(log.iter().zip(log.iter().skip(1).map(Some).chain([None])))
        {
            match player.area(operation) {
                Area::Otadata => self.otadata(app, number, operation),
                Area::Store | Area::Other => self.store(app, number, operation),
                // Until otadata is written, no image under test has run: one is enough.
                Area::Slot(_) if app == App::Good => {
                    let is_edge = operation.is_erase
                        || next.is_none_or(|next| {
                            next.is_erase || player.area(next) != player.area(operation)
                        });
                    let family = if is_edge { Family::ImageEdges } else { Family::Image };
                    for moment in [Moment::Before, Moment::Inside, Moment::After] {
                        self.add_cut(family, app, number, moment);
                    }
                }
                Area::Slot(_) => {}
            }
        }
        if app != App::Rejects {
            self.double(player, app, &log);
        }
    }

    fn otadata(&mut self, app: App, number: u64, operation: &Operation) {
        for moment in [Moment::Before, Moment::Inside, Moment::After] {
            self.add_cut(Family::Otadata, app, number, moment);
        }
        for seed in 0..8 {
            self.add_cut(Family::Otadata, app, number, Moment::Torn(Tear::Bits(seed)));
        }
        if app == App::Rejects || operation.changes == 0 {
            return;
        }
        for words in 1..=254 {
            self.add_cut(Family::TornWords, app, number, Moment::Torn(Tear::Words(words)));
        }
        for nth in 0..operation.changes {
            self.add_cut(Family::TornBits, app, number, Moment::Torn(Tear::AllBut(nth)));
            self.add_cut(Family::TornBits, app, number, Moment::Torn(Tear::Only(nth)));
        }
    }

    fn store(&mut self, app: App, number: u64, operation: &Operation) {
        for moment in [Moment::Before, Moment::Inside, Moment::After] {
            self.add_cut(Family::Store, app, number, moment);
        }
        let words = u16::try_from(operation.len / 4).unwrap_or(u16::MAX).min(8);
        for word in 1..words {
            let bytes = word.saturating_mul(4);
            self.add_cut(Family::Store, app, number, Moment::Torn(Tear::First(bytes)));
        }
    }

    /// Second cuts during the recovery from a first one.
    fn double(&mut self, player: &mut Player<'_, impl Board>, app: App, log: &[Operation]) {
        for number in chosen(player, log, self.first_cuts) {
            let mut noise = Noise(number);
            let first = Cut { operation: number, moment: Moment::Inside, seed: noise.word() };
            player.play(&Case { place: self.place, app, fault: Fault::Power(first, None) });
            let from = usize::try_from(number).unwrap_or(usize::MAX).saturating_add(1);
            let recovery: Vec<Operation> =
                player.flash().with(|flash| flash.log().get(from..).unwrap_or_default().to_vec());
            for operation in chosen(player, &recovery, SECOND_CUTS) {
                let draw = noise.word();
                let (moment, seed) = match draw % 3 {
                    0 => (Moment::Before, 0),
                    1 => (Moment::After, 0),
                    _ => (Moment::Inside, draw),
                };
                let second = Cut { operation, moment, seed };
                self.add(Family::Double, app, Fault::Power(first, Some(second)));
            }
        }
    }

    fn of_network(&mut self, subject: &Subject) {
        for file in File::ALL {
            let length = subject.file(file);
            let mut lies = vec![Lie::Replayed, Lie::Swapped, Lie::Endless];
            lies.extend([301, 302, 307, 308, 401, 429, 500, 503].map(Lie::Status));
            if file == File::Image {
                lies.extend([4, 4096].map(Lie::Shifted));
                lies.extend([1000, 4096, 65_536].map(Lie::Dropped));
            }
            if let Some(length) = length {
                for part in 0..PLACES_IN_FILE {
                    let at = length.saturating_mul(part) / PLACES_IN_FILE;
                    lies.extend([Lie::Truncated(at), Lie::Corrupted(at), Lie::Stalled(at)]);
                }
                let last = length.saturating_sub(1);
                lies.extend([Lie::Truncated(last), Lie::Corrupted(last), Lie::Stalled(last)]);
            }
            for lie in lies {
                self.add(Family::Network, App::Good, Fault::Network(NetworkFault { file, lie }));
            }
        }
    }

    fn of_flash(&mut self, subject: &Subject) {
        let length = u32::try_from(subject.release().bytes.len()).unwrap_or(u32::MAX);
        for part in 0..PLACES_IN_FILE {
            let at = length.saturating_mul(part) / PLACES_IN_FILE;
            // A cell that reads 0 is noticed only where the image has a 1.
            let bytes =
                subject.release().bytes.iter().zip(0..).skip(usize::try_from(at).unwrap_or(0));
            let set = bytes.filter(|(byte, _)| **byte != 0).map(|(_, at): (_, u32)| at).next();
            self.add(Family::Worn, App::Good, Fault::Worn(set.unwrap_or(at)));
        }
    }
}

/// The numbers of at most `count` operations: mostly of those that decide over a device, some of
/// those that write the image.
fn chosen(player: &Player<'_, impl Board>, log: &[Operation], count: usize) -> Vec<u64> {
    let is_image = |operation: &Operation| matches!(player.area(operation), Area::Slot(_));
    let (image, rest): (Vec<_>, Vec<_>) =
        (0..).zip(log).partition(|(_, operation)| is_image(operation));
    let image = evenly(&image, count / 4);
    let rest = evenly(&rest, count.saturating_sub(count / 4));
    rest.chain(image).map(|(number, _): &(u64, _)| *number).collect()
}
