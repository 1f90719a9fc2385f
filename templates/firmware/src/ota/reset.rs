//! Why the chip started this time: what the report of a failed trial says of its end.

/// Why the chip started, as far as its registers tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResetReason {
    /// The power came, or somebody pressed reset.
    PowerOn,
    /// The supply voltage had dropped too far.
    BrownOut,
    /// A watchdog had waited in vain: the code hung, or a trial ran into its deadline.
    Watchdog,
    /// The code asked for it: a panic ends so, too.
    Software,
    /// The chip woke up from deep sleep.
    DeepSleep,
    /// The registers do not say, or something else.
    #[default]
    Unknown,
}

impl ResetReason {
    const ALL: [Self; 6] = [
        Self::PowerOn,
        Self::BrownOut,
        Self::Watchdog,
        Self::Software,
        Self::DeepSleep,
        Self::Unknown,
    ];

    /// Kebab-case name for reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::PowerOn => "power-on",
            Self::BrownOut => "brown-out",
            Self::Watchdog => "watchdog",
            Self::Software => "software",
            Self::DeepSleep => "deep-sleep",
            Self::Unknown => "unknown",
        }
    }

    /// The byte that stands for it in the store.
    pub(super) fn byte(self) -> u8 {
        match self {
            Self::PowerOn => 0,
            Self::BrownOut => 1,
            Self::Watchdog => 2,
            Self::Software => 3,
            Self::DeepSleep => 4,
            Self::Unknown => 5,
        }
    }

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.byte() == byte)
    }
}
