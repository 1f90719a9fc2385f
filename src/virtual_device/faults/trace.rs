//! The flash operations of a replayed case, in words.

use super::board::Board;
use super::player::Player;
use crate::agent::layout::{Layout, Region, Running};
use crate::virtual_device::flash::Operation;

impl<B: Board> Player<'_, B> {
    /// Tells of operations, those of an image stream together: `first` is the number of the first.
    pub(super) fn tell_operations(&mut self, who: &str, first: usize, operations: &[Operation]) {
        let mut number = first;
        let mut rest = operations;
        while let Some(operation) = rest.first() {
            let place = self.place(operation.start);
            let is_alike = |other: &&Operation| {
                other.is_erase == operation.is_erase && self.place(other.start) == place
            };
            let alike = match place.starts_with("ota") && !place.starts_with("otadata") {
                true => rest.iter().take_while(is_alike).count(),
                false => 1,
            };
            let word = if operation.is_erase { "erases" } else { "programs" };
            let Operation { start, len, .. } = *operation;
            let last = number.saturating_add(alike).saturating_sub(1);
            self.say(|| match alike {
                1 => format!("flash {number}: {who} {word} {len} bytes of {place} at {start:#x}"),
                _ => format!("flash {number} to {last}: {who} {word} {place} from {start:#x}"),
            });
            number = last.saturating_add(1);
            rest = rest.get(alike..).unwrap_or_default();
        }
    }

    /// The partition at an address.
    fn place(&self, at: usize) -> String {
        self.area_at(at).name()
    }

    /// What an operation belongs to.
    pub(super) fn area(&self, operation: &Operation) -> Area {
        self.area_at(operation.start)
    }

    fn area_at(&self, at: usize) -> Area {
        let at = u32::try_from(at).unwrap_or(u32::MAX);
        Area::of(at, &self.start.hardware.table.layout, self.start.hardware.nvs)
    }
}

/// What a flash operation belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Area {
    /// The choice of the slot.
    Otadata,
    /// The agent's memory.
    Store,
    /// A slot.
    Slot(u32),
    /// Anything else.
    Other,
}

impl Area {
    /// What is at this address.
    pub(super) fn of(at: u32, layout: &Layout, nvs: Region) -> Self {
        let is_in =
            |region: Region| (region.start..region.start.saturating_add(region.len)).contains(&at);
        if is_in(Region { start: layout.otadata, len: 0x2000 }) {
            return Self::Otadata;
        }
        if is_in(nvs) {
            return Self::Store;
        }
        let slots = 0..u32::try_from(layout.slots.len()).unwrap_or(0);
        let slot =
            slots.into_iter().find(|slot| layout.region(Running::Slot(*slot)).is_some_and(is_in));
        slot.map_or(Self::Other, Self::Slot)
    }

    /// The name of the partition.
    pub(super) fn name(self) -> String {
        match self {
            Self::Otadata => "otadata".into(),
            Self::Store => "nvs".into(),
            Self::Slot(slot) => format!("ota_{slot}"),
            Self::Other => "flash".into(),
        }
    }
}
