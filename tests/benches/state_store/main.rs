//! The two places that the agent's memory could be in, through the same work and the same cuts.
//!
//! `cargo bench --bench state_store` prints the figures of decision 0003. It fails where the store
//! that was chosen loses anything.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "what is wrong here ends the benchmark"
)]

mod cuts;
mod flash;
mod stores;

use cargo_esp_ota::agent::layout::Region;
use peak_alloc::PeakAlloc;

use cuts::Tally;
use flash::Counted;
use stores::{InNvs, InSequential, Memory};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes of a flash sector.
const SECTOR: u32 = 0x1000;
/// Where the partition starts, with other sectors before it.
const START: u32 = 0x9000;
/// A root with one key for each role, and the largest that the agent takes.
const ROOTS: [usize; 2] = [1600, 7 * 1024];
/// Versions, fingerprint and time; eight rejected releases.
const STATE: usize = 65;
const REJECTED: usize = 8 * 33;
/// Updates in a device's life, as the workload has them.
const UPDATES: usize = 1000;

fn region(sectors: u32) -> Region {
    Region { start: START, len: sectors * SECTOR }
}

/// What one store costs.
struct Cost {
    sectors: u32,
    operations: u64,
    erases: Vec<u32>,
    opened: (u64, usize),
    root: (u64, usize),
    set: usize,
}

/// What remains of a device's life: each update changes the state, each tenth is rejected, each
/// hundredth brings a new root.
fn life<M: Memory>(sectors: u32, root: usize) -> Option<Counted> {
    let flash = Counted::new();
    let mut store = M::open(flash.clone(), region(sectors)).ok()?;
    store.set("tuf_root", &vec![0; root]).ok()?;
    for update in 0..UPDATES {
        let byte = u8::try_from(update % 251).unwrap_or_default();
        store.set("tuf_state", &[byte; STATE]).ok()?;
        if update % 10 == 0 {
            store.set("rejected", &[byte; REJECTED]).ok()?;
        }
        if update % 100 == 0 {
            store.set("tuf_root", &vec![byte; root]).ok()?;
        }
    }
    Some(flash)
}

/// Bytes of heap at once while `work` runs.
fn heap_of<R>(work: impl FnOnce() -> R) -> (R, usize) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let result = work();
    (result, MEMORY.peak_usage().saturating_sub(before))
}

fn cost<M: Memory>() -> Option<Cost> {
    let [_, largest] = ROOTS;
    let (sectors, flash) = (2..16).find_map(|count| Some((count, life::<M>(count, largest)?)))?;
    let first = usize::try_from(START / SECTOR).ok()?;
    let count = usize::try_from(sectors).ok()?;
    let (operations, erases) = flash.wear();
    let erases = erases[first..first + count].to_vec();

    flash.forget_reads();
    let (store, heap) = heap_of(|| M::open(flash.clone(), region(sectors)));
    let mut store = store.ok()?;
    let opened = (flash.bytes_read(), heap);
    flash.forget_reads();
    let (_, heap) = heap_of(|| store.get("tuf_root"));
    let root = (flash.bytes_read(), heap);
    let (_, set) = heap_of(|| store.set("tuf_root", &vec![9; largest]));
    Some(Cost { sectors, operations, erases, opened, root, set: set - largest })
}

fn report<M: Memory>(out: &mut impl std::io::Write) -> std::io::Result<Tally> {
    writeln!(out, "{}", M::NAME)?;
    let Some(cost) = cost::<M>() else {
        writeln!(out, "  does not do the work in any size")?;
        return Ok(Tally::default());
    };
    let updates = u64::try_from(UPDATES).unwrap_or(u64::MAX);
    let total: u32 = cost.erases.iter().sum();
    let per_update = cost.operations * 100 / updates;
    let (open_read, open_heap) = cost.opened;
    let (root_read, root_heap) = cost.root;
    writeln!(out, "  smallest partition          {:>8} bytes", cost.sectors * SECTOR)?;
    writeln!(
        out,
        "  erases and programs         {:>8} for {UPDATES} updates ({}.{:02} each)",
        cost.operations,
        per_update / 100,
        per_update % 100
    )?;
    writeln!(out, "  erases                      {total:>8}, by sector {:?}", cost.erases)?;
    writeln!(out, "  opening                     {open_read:>8} bytes read, {open_heap} of heap")?;
    writeln!(out, "  reading a root of 7 KiB     {root_read:>8} bytes read, {root_heap} of heap")?;
    writeln!(out, "  writing one                 {:>8} bytes of heap beside it", cost.set)?;
    let mut tally = Tally::default();
    for root in ROOTS {
        let result = cuts::run::<M>(region(cost.sectors), root);
        writeln!(out, "  cuts, root of {root:>4} bytes    {result}")?;
        tally.add(&result);
    }
    Ok(tally)
}

fn main() -> std::io::Result<()> {
    // `cargo test --all-targets` runs benchmarks too; the test of this is in `virtual_device`.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let mut out = std::io::stdout().lock();
    let nvs = report::<InNvs>(&mut out)?;
    report::<InSequential>(&mut out)?;
    let first = nvs.first.as_deref().unwrap_or_default();
    assert_eq!(nvs.survived, nvs.cases, "the agent's memory was lost: {first}");
    Ok(())
}
