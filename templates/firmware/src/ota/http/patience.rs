//! How long an answer may take: plain arithmetic, for whoever has a clock.

/// Longest silence, and what an answer may take beyond its bytes at the slowest rate, in
/// milliseconds. At the slowest rate that users report, 7 KB/s (esp-idf issue 12145), a TLS record
/// takes less than three seconds.
pub const GRACE_MS: u64 = 30_000;

/// Fewest bytes in a second, on average: a seventh of the slowest rate that users report. Without
/// this a server that sends a byte now and then would hold the device for ever.
pub const SLOWEST_RATE: u32 = 1024;

/// How long one answer may still take. Times are milliseconds of any clock that only goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    grace_ms: u64,
    slowest_rate: u32,
    asked_at: u64,
    bytes: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self::new(GRACE_MS, SLOWEST_RATE)
    }
}

impl Patience {
    /// Patience with other limits than the usual ones. A rate of 0 is no limit on the rate.
    #[must_use]
    pub fn new(grace_ms: u64, slowest_rate: u32) -> Self {
        Self { grace_ms, slowest_rate, asked_at: 0, bytes: 0 }
    }

    /// A request was sent: an answer begins to be waited for. For each piece of a request again.
    pub fn asked(&mut self, now: u64) {
        self.asked_at = now;
        self.bytes = 0;
    }

    /// So many bytes of the answer were received.
    pub fn received(&mut self, count: usize) {
        self.bytes = self.bytes.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// Bytes of the answer so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When to give up a read that begins now.
    #[must_use]
    pub fn deadline(&self, now: u64) -> u64 {
        let silence = now.saturating_add(self.grace_ms);
        let thousands = self.bytes.saturating_mul(1000);
        match thousands.checked_div(u64::from(self.slowest_rate)) {
            Some(earned) => {
                silence.min(self.asked_at.saturating_add(self.grace_ms).saturating_add(earned))
            }
            None => silence,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_its_grace_and_a_second_for_each_kibibyte() {
        let mut patience = Patience::default();
        patience.asked(5_000);
        assert_eq!(patience.deadline(5_000), 35_000);
        assert_eq!(patience.deadline(20_000), 35_000, "waiting earns nothing");
        patience.received(1024);
        assert_eq!(patience.deadline(20_000), 36_000);
        patience.received(1023);
        assert_eq!((patience.deadline(20_000), patience.bytes()), (36_999, 2047));
    }

    #[test]
    fn a_fast_answer_may_not_fall_silent_for_all_that_it_earned() {
        let mut patience = Patience::default();
        patience.asked(0);
        patience.received(1_000_000);
        assert_eq!(patience.deadline(10_000), 40_000);
    }

    #[test]
    fn a_new_request_begins_anew() {
        let mut patience = Patience::default();
        patience.asked(0);
        patience.received(1_000_000);
        patience.asked(100_000);
        assert_eq!((patience.deadline(100_000), patience.bytes()), (130_000, 0));
    }

    #[test]
    fn no_rate_is_no_limit_and_nothing_overflows() {
        let mut patience = Patience::new(30, 0);
        assert_eq!(patience.deadline(1_000), 1_030);
        patience = Patience::new(u64::MAX, 1);
        patience.asked(u64::MAX);
        patience.received(usize::MAX);
        patience.received(usize::MAX);
        assert_eq!(patience.deadline(u64::MAX), u64::MAX);
    }
}
