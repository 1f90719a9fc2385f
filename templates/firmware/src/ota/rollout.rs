//! Which devices a staged release reaches: decided by each device alone, and the same way here.

use sha2::{Digest, Sha256};

/// Whether a release with this `seed` that is out to `percent` of the devices reaches `device`.
///
/// The first 8 bytes, big-endian, of `SHA-256(seed ‖ device)`, modulo 100, lie below `percent`.
/// Raising the percentage only ever adds devices; another seed draws anew.
#[must_use]
pub fn includes(percent: u8, seed: &str, device: &str) -> bool {
    let digest = Sha256::new().chain_update(seed).chain_update(device).finalize();
    digest.first_chunk().is_some_and(|first| u64::from_be_bytes(*first) % 100 < u64::from(percent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn nobody_at_zero_and_everybody_at_a_hundred() {
        for device in 0..500 {
            let device = format!("{device:012x}");
            assert!(!includes(0, "seed", &device));
            assert!(includes(100, "seed", &device));
        }
    }

    #[test]
    fn raising_the_percentage_only_adds_devices() {
        let reached =
            |percent| (0..500).filter(|n| includes(percent, "1.2.0", &format!("{n:012x}"))).count();
        assert!((0..100).all(|percent| reached(percent) <= reached(percent + 1)));
        assert!((150..350).contains(&reached(50)), "{}", reached(50));
    }

    /// Python: `int.from_bytes(sha256(b"seed" + b"240ac4123456").digest()[:8]) % 100` is 16.
    #[test]
    fn the_rule_is_the_documented_one_to_the_last_percent() {
        assert!(!includes(REACHED_FROM - 1, "seed", "240ac4123456"));
        assert!(includes(REACHED_FROM, "seed", "240ac4123456"));
    }

    const REACHED_FROM: u8 = 17;
}
