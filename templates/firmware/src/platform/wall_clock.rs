//! The clock that Mbed TLS holds the dates of certificates against.
//!
//! It has no time before [`set`]: until then every certificate counts as out of its dates.

use core::sync::atomic::{AtomicU32, Ordering};

use embassy_time::Instant;
use mbedtls_rs::sys::hook::timer::{MbedtlsTimer, hook_timer};
use mbedtls_rs::sys::hook::wall_clock::{MbedtlsWallClock, hook_wall_clock};
use mbedtls_rs::sys::tm;
use time::OffsetDateTime;

/// Unix seconds at the chip's start, until 2106. 0 where nobody has said.
static START: AtomicU32 = AtomicU32::new(0);
static CLOCK: Clock = Clock;

struct Clock;

impl MbedtlsTimer for Clock {
    fn now(&self) -> i64 {
        i64::try_from(Instant::now().as_millis()).unwrap_or(i64::MAX)
    }
}

impl MbedtlsWallClock for Clock {
    fn instant(&self) -> Option<tm> {
        let now = OffsetDateTime::from_unix_timestamp(i64::try_from(now()?).ok()?).ok()?;
        Some(tm {
            tm_sec: now.second().into(),
            tm_min: now.minute().into(),
            tm_hour: now.hour().into(),
            tm_mday: now.day().into(),
            tm_mon: i32::from(u8::from(now.month())) - 1,
            tm_year: now.year() - 1900,
            tm_wday: now.weekday().number_days_from_sunday().into(),
            tm_yday: i32::from(now.ordinal()) - 1,
            tm_isdst: 0,
        })
    }
}

/// Lets Mbed TLS ask this clock. Call it before anything else of Mbed TLS.
#[expect(unsafe_code, reason = "the hooks of Mbed TLS are global")]
pub fn install() {
    // SAFETY: Mbed TLS is not in use yet, and `CLOCK` lives for ever.
    unsafe {
        hook_timer(Some(&CLOCK));
        hook_wall_clock(Some(&CLOCK));
    }
}

/// What time it is, in Unix seconds, once somebody has said so.
pub fn now() -> Option<u64> {
    let start = Some(START.load(Ordering::Relaxed)).filter(|start| *start > 0)?;
    u64::from(start).checked_add(Instant::now().as_secs())
}

/// Says what time it is now, in Unix seconds.
pub fn set(now: u64) {
    let start = now.saturating_sub(Instant::now().as_secs());
    START.store(u32::try_from(start).unwrap_or(u32::MAX), Ordering::Relaxed);
}
