//! The power goes before, inside and after every flash operation, at many fill levels of the store.
//!
//! What an operation that was torn leaves is made here, from the flash before it and after it: a
//! half of the changed bits, few of them, all but few, only the first or only the last of them.

use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use cargo_esp_ota::agent::layout::Region;
use cargo_esp_ota::virtual_device::flash::{Cut, Moment};

use crate::flash::Counted;
use crate::stores::Memory;
use crate::{REJECTED, STATE};

/// Writes of the state before the change, so that it meets the store at every fill level: a page
/// of NVS has room for 31 of them, and one of sequential-storage for 52.
const FILLS: usize = 60;
/// Every so many fill levels are tried.
const STEP: usize = 3;

/// How many cases there were, and how they ended.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) cases: u64,
    pub(crate) survived: u64,
    /// The first that did not survive, in words.
    pub(crate) first: Option<String>,
    /// All ways in which values were lost.
    ways: BTreeSet<&'static str>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.cases += other.cases;
        self.survived += other.survived;
        self.ways.extend(&other.ways);
        if self.first.is_none() {
            self.first.clone_from(&other.first);
        }
    }

    fn note(&mut self, result: Result<(), Lost>, case: impl FnOnce() -> String) {
        self.cases += 1;
        match result {
            Ok(()) => self.survived += 1,
            Err(Lost(way, what)) => {
                self.ways.insert(way);
                self.first.get_or_insert_with(|| format!("{}: {way}: {what}", case()));
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>8} cases, {} survived", self.cases, self.survived)?;
        if let Some(first) = &self.first {
            write!(f, "; ways {:?}; first: {first}", self.ways)?;
        }
        Ok(())
    }
}

/// How something was lost, and what exactly.
struct Lost(&'static str, String);

/// What is in the store: before the change ones, after it twos.
const KEYS: [&str; 3] = ["tuf_root", "tuf_state", "rejected"];

fn value(key: &str, byte: u8, root: usize) -> Vec<u8> {
    match key {
        "tuf_root" => vec![byte; root],
        "tuf_state" => vec![byte; STATE],
        _ => vec![byte; REJECTED + 33 * usize::from(byte)],
    }
}

fn prepare<M: Memory>(region: Region, root: usize, fill: usize) -> Option<Vec<u8>> {
    let flash = Counted::new();
    let mut store = M::open(flash.clone(), region).ok()?;
    for key in KEYS {
        store.set(key, &value(key, 1, root)).ok()?;
    }
    for round in 0..fill {
        let byte = u8::try_from(round + 3).ok()?;
        store.set("tuf_state", &[byte; STATE]).ok()?;
    }
    store.set("tuf_state", &value("tuf_state", 1, root)).ok()?;
    Some(flash.contents())
}

/// A new root, the state that goes with it, and a rejection.
fn change<M: Memory>(flash: &Counted, region: Region, root: usize) -> Result<(), String> {
    let mut store = M::open(flash.clone(), region)?;
    KEYS.into_iter().try_for_each(|key| store.set(key, &value(key, 2, root)))
}

/// The flash after the change was cut at an operation; `None` where the change is done by then.
fn cut<M: Memory>(
    before: &[u8],
    region: Region,
    root: usize,
    operation: u64,
    moment: Moment,
) -> Vec<u8> {
    let flash = Counted::with_contents(before.to_vec());
    flash.cut_at(Cut { operation, moment, seed: 0 });
    let _ = change::<M>(&flash, region, root);
    flash.contents()
}

/// What a torn operation can leave.
const TORN: [fn(u64, usize, usize) -> u8; 7] = [
    |noise, _, _| byte(noise),
    |noise, _, _| byte(noise >> 8),
    |noise, _, _| byte(noise) & byte(noise >> 8) & byte(noise >> 16) & byte(noise >> 24),
    |noise, _, _| byte(noise) | byte(noise >> 8) | byte(noise >> 16) | byte(noise >> 24),
    |_, index, count| if index < count / 2 { 0xff } else { 0 },
    |_, index, count| if index < count / 2 { 0 } else { 0xff },
    |_, index, count| if index + 1 < count { 0xff } else { 0x0f },
];

fn byte(noise: u64) -> u8 {
    noise.to_le_bytes()[0]
}

/// SplitMix64: cases must replay.
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *seed;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// All that the flash can hold after a cut at this operation.
fn left_by_cut<M: Memory>(
    before: &[u8],
    region: Region,
    root: usize,
    operation: u64,
) -> Vec<Vec<u8>> {
    let without = cut::<M>(before, region, root, operation, Moment::Before);
    let with = cut::<M>(before, region, root, operation, Moment::After);
    let changed: Vec<usize> = (0..without.len()).filter(|at| without[*at] != with[*at]).collect();
    let mut seed = operation;
    let mut all: Vec<Vec<u8>> = TORN
        .iter()
        .map(|mask| {
            let mut torn = without.clone();
            for (index, at) in changed.iter().enumerate() {
                let mask = mask(next(&mut seed), index, changed.len());
                torn[*at] ^= (without[*at] ^ with[*at]) & mask;
            }
            torn
        })
        .collect();
    all.push(without);
    all.push(with);
    all
}

/// Every value is the old one or the new one, and the change can be made.
fn survives<M: Memory>(contents: &[u8], region: Region, root: usize) -> Result<(), Lost> {
    let flash = Counted::with_contents(contents.to_vec());
    let checked = catch_unwind(AssertUnwindSafe(|| {
        let mut store =
            M::open(flash.clone(), region).map_err(|error| Lost("does not open", error))?;
        for key in KEYS {
            let found = store.get(key).map_err(|error| Lost("cannot be read", error))?;
            let found = found.ok_or(Lost("is gone", key.into()))?;
            if ![1, 2].iter().any(|byte| found == value(key, *byte, root)) {
                return Err(Lost("is neither old nor new", format!("{key}, {}", found.len())));
            }
        }
        drop(store);
        change::<M>(&flash, region, root).map_err(|error| Lost("takes no value", error))?;
        let mut store =
            M::open(flash.clone(), region).map_err(|error| Lost("does not open", error))?;
        for key in KEYS {
            let found = store.get(key).map_err(|error| Lost("cannot be read", error))?;
            if found != Some(value(key, 2, root)) {
                return Err(Lost("lost the new value", key.into()));
            }
        }
        Ok(())
    }));
    checked.unwrap_or_else(|_| Err(Lost("panics", String::new())))
}

/// Cuts the change at every operation, and once more at some operation of what follows the cut.
pub(crate) fn run<M: Memory>(region: Region, root: usize) -> Tally {
    let mut tally = Tally::default();
    let mut seed = 1;
    for fill in (0..FILLS).step_by(STEP) {
        let Some(before) = prepare::<M>(region, root, fill) else {
            tally.note(Err(Lost("takes no value", "before the cut".into())), String::new);
            continue;
        };
        let whole = Counted::with_contents(before.clone());
        if let Err(error) = change::<M>(&whole, region, root) {
            tally.note(Err(Lost("takes no value", error)), || format!("fill {fill}, no cut"));
            continue;
        }
        for operation in 0..whole.operations() {
            let left = left_by_cut::<M>(&before, region, root, operation);
            for (kind, contents) in left.iter().enumerate() {
                let case = || format!("fill {fill}, operation {operation}, kind {kind}");
                tally.note(survives::<M>(contents, region, root), case);
            }
            // The second cut, after a first that was torn in the first way.
            let again = Counted::with_contents(left[0].clone());
            if change::<M>(&again, region, root).is_ok() && again.operations() > 0 {
                let second = next(&mut seed) % again.operations();
                let left = left_by_cut::<M>(&left[0], region, root, second);
                for (kind, contents) in left.iter().enumerate() {
                    let case = || {
                        format!("fill {fill}, operation {operation}, then {second}, kind {kind}")
                    };
                    tally.note(survives::<M>(contents, region, root), case);
                }
            }
        }
    }
    tally
}
