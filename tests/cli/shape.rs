//! The JSON reports, mirrored strictly: a field that is added, renamed or lost fails a test.

#![expect(dead_code, reason = "the shape is the expectation, whoever reads a field")]

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Failed {
    pub(crate) schema: u32,
    pub(crate) command: String,
    pub(crate) outcome: String,
    pub(crate) exit_code: u8,
    pub(crate) error: Trouble,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Trouble {
    pub(crate) message: String,
    pub(crate) caused_by: Vec<String>,
    pub(crate) help: Option<String>,
    pub(crate) location: Option<Location>,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Location {
    pub(crate) file: String,
    pub(crate) line: Option<usize>,
    pub(crate) column: Option<usize>,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ChangedFile {
    pub(crate) file: String,
    pub(crate) difference: String,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ByHand {
    pub(crate) file: String,
    pub(crate) lines: Vec<String>,
}

/// Makes the mirror of a report: the envelope, and the fields given.
macro_rules! reports {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub(crate) struct $name {
            pub(crate) schema: u32,
            pub(crate) command: String,
            pub(crate) outcome: String,
            pub(crate) exit_code: u8,
            $(pub(crate) $field: $kind,)*
        }
    )*};
}

reports! {
    Init {
        folder: String, product: String, chip: String, base: String, files: Vec<String>,
        kept: Vec<String>, changed: Vec<ChangedFile>, firmware: bool, keys: Option<String>,
        pinned: usize, by_hand: Vec<ByHand>, next: Vec<String>,
    }
    Generate {
        chip: Option<String>, flash_size: u32, table_offset: u32, preset: Option<String>,
        output: Option<String>, changed: bool, rows: Vec<Row>, slots: Vec<GeneratedSlot>,
        image: Option<SlotImage>, unused: u64, findings: Vec<Finding>, csv: String,
    }
    Show {
        file: String, flash_size: Option<u32>, table_offset: u32, rows: Vec<Row>,
        unused: Option<u64>, complete: bool, findings: Vec<Finding>, accepted_by: AcceptedBy,
    }
    Diff {
        old: String, new: String, verdict: String, over_the_air: bool, loses: Vec<String>,
        largest_image: Option<u32>, obstacles: Vec<String>, rows: Vec<DiffRow>,
    }
    Partitions { findings: Vec<Finding>, accepted_by: AcceptedBy, images: Vec<Measured>, }
    Convert {
        input: String, output: Option<String>, to: String, rows: usize, size: usize, changed: bool,
        csv: Option<String>,
    }
    Explain { codes: Vec<Listed>, page: Option<String>, }
    CaAdd {
        added: Vec<Root>, already: Vec<Root>, files: Vec<String>, pinned: usize, generated: Vec<String>,
        server: Option<LiveServer>,
    }
    CaList { roots: Vec<ListedRoot>, }
    CaCheck {
        url: String, address: Option<String>, tls: Vec<String>, chain: Vec<ShownLink>,
        roots: Vec<CheckedRoot>, releases: Option<CheckedReleases>, checks: Vec<HostCheck>,
    }
    CaPlan {
        new: Vec<Root>, read_from: String, releases: Vec<PlannedRelease>,
        rehearsal: Option<Vec<HostCheck>>, steps: Vec<PlannedStep>, safe: bool,
    }
    CaRemove {
        removed: Vec<GoneRoot>, files: Vec<String>, pinned: usize, generated: Vec<String>,
    }
    CaEmbed { pinned: usize, generated: Vec<String>, changed: bool, }
    Keys { folder: String, roles: Vec<String>, root: String, }
    KeysList {
        product: String, file: String, root: u64, newest: u64, folder: String,
        roles: Vec<RoleKeys>, others: Vec<OtherKey>,
    }
    KeysRotate {
        dry_run: bool, roots: Vec<u64>, expires: String, file: String, store: String,
        url: Option<String>, signed_again: bool, releases: Vec<SignedRelease>,
        changed: Vec<ChangedKey>, dropped: Vec<DroppedKey>, finished: bool,
        waiting_for: Option<String>, devices: Vec<Walk>,
    }
    KeysExport {
        version: u64, expires: String, sha256: String, file: Option<String>,
        root: Option<String>, roles: Vec<ExportedRole>,
    }
    Build {
        file: String, version: String, size: u32, smallest_slot: String, slot_size: u32, free: u32,
        slots: Vec<BuildSlot>, sections: Vec<Section>, published: Option<PublishedImage>,
        not_compared: Option<String>, parts: Option<Vec<Part>>, certificate_dates: String,
    }
    Inspect {
        file: String, kind: String, evidence: Vec<String>, publishable: bool,
        chip: Option<String>, expected_chip: Option<String>, size: usize, sha256: String,
        image: Option<InspectedImage>, elf: Option<Elf>, flash: Option<Flash>, slots: Vec<FreeRoom>,
        problems: Vec<Problem>, notes: Vec<Remark>,
    }
    Rehearse {
        product: String, chip: String, channel: String, read_from: String, staged: bool,
        release: Option<Aimed>, halted: Vec<Aimed>, device: String, starts: Vec<Start>,
        model: Model,
    }
    RehearseEmulator {
        product: String, chip: String, emulator: String, program: String, program_version: String,
        boot: EmulatedPart, update: Option<EmulatedPart>, serial_log: String,
    }
    Publish {
        dry_run: bool, product: String, channel: String, version: String, reproduced: Option<bool>,
        published: bool, images: Vec<PublishImage>, rehearsed: Vec<Rehearsed>, not_rehearsed: Vec<NotRehearsed>,
        rehearsed_with_own_agent: bool,
        store: String, verified_from: Option<String>, live_at_url: Option<bool>, withdrawn: Vec<Withdrawn>, archived: Vec<String>,
    }
    PublishPreview {
        dry_run: bool, product: String, channel: String, version: Option<String>, publishes: bool,
        images: Vec<PublishImage>, metadata: MetadataNumbers, files: Vec<PlannedFile>,
        updates: Vec<PlannedUpdate>, withdrawn: Vec<Withdrawn>, store: String,
        verified_from: Option<String>,
    }
    PublishRefresh {
        product: String, roles: Vec<SignedRole>, store: String, verified_from: Option<String>,
        live_at_url: Option<bool>,
    }
    Serve {
        url: String, address: String, folder: String, root_ca: String, root_sha256: String,
        leaf_ends: String, init: String,
    }
    Slots {
        port: Option<String>, chip: Option<String>, security: Option<Security>,
        bootloader: Option<SecondStage>, next_boot: NextBoot, table: Table, entries: Vec<Entry>,
        slots: Vec<Slot>, running: Option<String>, trial: String, next_update: Option<NextUpdate>,
    }
    Flashed { devices: Vec<FlashedDevice>, }
    Changed {
        dry_run: bool, boots: String, boots_with_rollback: String, changes: Vec<WrittenEntry>,
    }
    VirtualDevice { port: String, chip: String, flash_size: usize, image: Option<String>, }
    Check { checks: Vec<Line>, }
    Demo { steps: Vec<Step>, passed: bool, kept: Option<String>, }
    Completions { script: String, }
}

/// Makes the mirror of a part of a report.
macro_rules! parts {
    ($($name:ident { $($field:ident: $kind:ty,)* })*) => {$(
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub(crate) struct $name {
            $(pub(crate) $field: $kind,)*
        }
    )*};
}

parts! {
    PlannedRelease {
        version: String, chip: String, channels: Vec<String>, rollout_percent: u8, has_new: bool,
        has_other: bool, current_in: Vec<String>,
        retired: bool, staged: Option<Reached>,
    }
    Reached {
        reaches: String, by: Option<Vec<String>>, pinned: Option<Vec<String>>,
        unknown: Option<Vec<String>>,
    }
    PlannedStep { step: String, progress: String, message: String, command: Option<String>, }
    ShownLink {
        subject: String, issuer: String, key: Option<String>, not_after: String, days_left: i64,
        size: usize,
    }
    CheckedRoot {
        subject: String, sha256: String, not_after: String, days_left: i64, anchors: bool,
        reason: Option<String>,
    }
    CheckedReleases { read_from: String, list: Vec<CheckedRelease>, }
    CheckedRelease {
        version: String, chip: String, channels: Vec<String>, rollout_percent: u8, retired: bool, reaches: String,
        by: Option<Vec<String>>, pinned: Option<Vec<String>>, unknown: Option<Vec<String>>,
    }
    HostCheck {
        check: String, outcome: String, message: String, findings: Vec<HostFinding>,
    }
    HostFinding {
        code: String, severity: String, message: String, help: String, allowed: bool,
    }
    ListedRoot {
        file: String, subject: String, sha256: String, key: Option<String>, not_after: String,
        days_left: i64, refused: Option<String>,
    }
    GoneRoot { subject: String, sha256: String, }
    LiveServer { host: String, chain: Vec<String>, spares: Vec<Root>, }
    BuildSlot { name: String, size: u32, free: u32, }
    Section { section: String, bytes: u64, }
    PublishedImage { version: String, size: u64, change: i64, sections: Option<Vec<Change>>, }
    Change { section: String, change: i64, }
    Part { part: String, bytes: u64, origins: Vec<Origin>, }
    Origin { name: String, bytes: u64, }
    InspectedImage {
        length: Option<u64>, header: ImageHeader, segments: Vec<Segment>,
        checksum: Option<CheckedSum>, digest: Option<CheckedDigest>,
        descriptor: Option<Descriptor>, bootloader: Option<Bootloader>,
    }
    ImageHeader {
        chip_id: u16, segment_count: u8, entry: u32, flash_mode: Option<String>,
        flash_size: Option<String>, flash_frequency: Option<String>, min_chip_revision: u16,
        max_chip_revision: u16, hash_appended: bool,
    }
    Segment { address: u32, length: u32, offset: u64, memory: String, }
    CheckedSum { stored: u8, computed: u8, valid: bool, }
    CheckedDigest { stored: String, computed: String, valid: bool, }
    Descriptor {
        project: String, version: String, built: String, idf_version: String, secure_version: u32,
        elf_sha256: String, min_efuse_block_revision: u16, max_efuse_block_revision: u16,
        mmu_page_size: Option<u32>,
    }
    Bootloader { version: u32, idf_version: String, built: String, }
    Elf {
        architecture: String, bits: Option<u8>, program: bool, firmware: bool, chips: Vec<String>,
        descriptor: Option<Descriptor>,
    }
    Flash {
        base: u32, bootloader: Option<u32>, table: u32, rows: usize, apps: Vec<AppPartition>,
    }
    AppPartition {
        name: String, address: u32, size: u32, offset: Option<u64>, content: String,
        project: Option<String>, version: Option<String>, image_size: Option<u32>,
    }
    FreeRoom { name: String, size: u32, free: i64, }
    Problem { code: String, message: String, help: Option<String>, }
    Remark { code: String, message: String, }
    RoleKeys { role: String, threshold: u64, expires: Option<String>, keys: Vec<ListedKey>, }
    ListedKey { id: String, place: Option<String>, }
    OtherKey { file: String, id: Option<String>, }
    ChangedKey {
        role: String, old: Vec<String>, new: Option<String>, file: String,
        retired: Option<String>, variable: Option<String>,
    }
    DroppedKey { role: String, key: String, }
    SignedRelease { version: String, chip: String, sha256: String, }
    Walk {
        embedded: u64, roots: Vec<u64>, reads_releases: Option<bool>, in_any_order: bool,
    }
    ExportedRole { role: String, threshold: u64, keys: Vec<String>, }
    Aimed { version: String, size: u64, sha256: String, agent: String, rollout_percent: u8, }
    Start {
        from: Option<String>, outcome: String, to: Option<String>, slot: Option<u32>,
        reason: Option<String>, error: Option<StartTrouble>, rehearsed_with_own_agent: bool,
        chip_revision: u16, unknown_roots: usize, steps: Vec<serde_json::Value>, wire: Wire,
        flash: Effort, device_time: DeviceTime,
    }
    StartTrouble {
        message: String, caused_by: Vec<String>, help: Option<String>, location: Option<Location>,
        exit_code: u8,
    }
    EmulatedPart {
        image: Option<String>, from: Option<String>, version: String, size: u64, sha256: String,
        passed: bool, steps: Vec<EmulatedStep>, fault: Option<EmulatedFault>, flash: String,
    }
    EmulatedStep { what: String, seconds: u64, }
    EmulatedFault { code: String, message: String, serial: Vec<String>, }
    Wire { requests: u32, bytes: u64, files: WireFiles, }
    WireFiles {
        root: Transferred, timestamp: Transferred, snapshot: Transferred, targets: Transferred,
        image: Transferred,
    }
    Transferred { requests: u32, bytes: u64, }
    Effort {
        operations: u64, erases: u64, blocks: u64, programs: u64, most_erases: u32,
        worn: Vec<Worn>,
    }
    Worn { offset: u64, sectors: u64, erases: u32, }
    DeviceTime { flash_ms: u64, network_fast_ms: u64, network_slow_ms: u64, }
    Model {
        sector_erase_us: u64, block_erase_us: u64, page_program_us: u64,
        fast_bytes_per_second: u64, slow_bytes_per_second: u64,
    }
    Finding {
        code: String, severity: String, line: Option<usize>, column: Option<usize>,
        message: String, help: Option<String>, allowed: bool,
    }
    Measured { file: String, size: usize, slots: Vec<Room>, }
    Room { name: String, size: u32, free: i64, free_percent: f64, }
    Listed { code: String, severity: String, summary: String, }
    Row { name: String, r#type: String, subtype: String, offset: u32, size: u32, flags: String, }
    GeneratedSlot {
        name: String, offset: u32, size: u32, free: Option<i64>, free_percent: Option<f64>,
    }
    SlotImage { file: String, size: u32, }
    DiffRow {
        name: String, changes: Vec<String>, old: Option<Row>, new: Option<Row>, over_the_air: bool,
        obstacle: Option<String>, loss: Option<String>,
    }
    AcceptedBy { esp_idf: bool, espflash: bool, esp_bootloader_esp_idf: bool, ota: bool, }
    Root { subject: String, sha256: String, key: String, not_after: String, }
    PublishImage {
        chip: String, size: u32, sha256: String, published: bool, rollout_percent: u8,
        plain: Option<String>,
    }
    Withdrawn { version: String, chip: String, }
    Rehearsed {
        chip: String, channel: String, from: Option<String>, version: String, slot: Option<u32>,
        flash_operations: u64, rehearsed_with_own_agent: bool,
    }
    MetadataNumbers { targets: Option<u64>, snapshot: Option<u64>, timestamp: Option<u64>, }
    PlannedFile { path: String, size: u64, action: String, }
    PlannedUpdate { chip: String, channel: String, from: Option<String>, to: Option<String>, }
    SignedRole { role: String, version: Option<u64>, expires: Option<String>, }
    NotRehearsed { chip: String, channel: String, from: Option<String>, reason: String, }
    NextBoot {
        without_rollback: String, with_rollback: String, proven: bool, because: Vec<String>,
        because_with_rollback: Option<Vec<String>>,
    }
    Table { offset: u32, rows: usize, }
    Entry {
        seq: Option<u32>, state: String, label: String, crc: String, selects: Option<String>,
        raw: String,
    }
    Slot {
        name: String, label: String, offset: u32, size: u32, image: Option<Image>, proof: String,
        reason: Option<String>,
    }
    Image {
        project: String, version: String, secure_version: u32, elf_sha256: String, built: String,
        size: u32, sha256: String, known: Option<String>,
    }
    Security { flash_encryption: bool, secure_boot: bool, secure_download: bool, }
    SecondStage {
        offset: u32, reason: Option<String>, size: Option<u32>, sha256: Option<String>,
        esp_idf: Option<String>, known: Option<String>, rollback: String, rollback_because: String,
    }
    NextUpdate { slot: String, entry: usize, seq: Option<u32>, }
    WrittenEntry {
        entry: usize, offset: u32, before: String, after: String, seq: Option<u32>,
    }
    Line {
        check: String, outcome: String, message: String, caused_by: Option<Vec<String>>,
        help: Option<String>, location: Option<Location>,
    }
    Step {
        title: String, command: Option<String>, output: Vec<String>, exit_code: u8,
        expected_exit_code: u8, result: String, passed: bool,
    }
}

/// The verdict of `slots` inside another report: the same fields without the envelope.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct SlotVerdict {
    pub(crate) port: Option<String>,
    pub(crate) chip: Option<String>,
    pub(crate) security: Option<Security>,
    pub(crate) bootloader: Option<SecondStage>,
    pub(crate) next_boot: NextBoot,
    pub(crate) table: Table,
    pub(crate) entries: Vec<Entry>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) running: Option<String>,
    pub(crate) trial: String,
    pub(crate) next_update: Option<NextUpdate>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct FlashedDevice {
    pub(crate) port: Option<String>,
    pub(crate) image: Option<String>,
    pub(crate) chip: Option<String>,
    pub(crate) mac: Option<String>,
    pub(crate) dry_run: bool,
    pub(crate) slot: Option<String>,
    pub(crate) parts: Vec<FlashedPart>,
    pub(crate) settings: Vec<String>,
    pub(crate) erased: Option<String>,
    pub(crate) otadata: Vec<FlashedEntry>,
    pub(crate) notes: Vec<String>,
    pub(crate) slots: Option<SlotVerdict>,
    pub(crate) error: Option<Trouble>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct FlashedPart {
    pub(crate) what: String,
    pub(crate) offset: usize,
    pub(crate) size: usize,
    pub(crate) written: bool,
    pub(crate) milliseconds: Option<u64>,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct FlashedEntry {
    pub(crate) entry: usize,
    pub(crate) seq: Option<u32>,
}
