//! What time it is on a device without a battery: never below the floor, and one lie lasts one run.
//!
//! The floor is all that is remembered: the build time, or the `x-signed-at` of a timestamp that
//! passed every check. SNTP and the server's `Date` raise the clock until the run ends. If they
//! were stored, one far-future answer would expire all metadata for ever.

use core::fmt;

/// Where the time of a run came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// Nobody said anything later than the floor.
    #[default]
    Floor,
    /// The `Date` header of the run's first response.
    Date,
    /// The network time service.
    Sntp,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Floor => "floor",
            Self::Date => "date",
            Self::Sntp => "sntp",
        })
    }
}

/// The clock of one run. All times are Unix seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    now: u64,
    source: Source,
}

impl Clock {
    /// Starts at the build time, or at what SNTP said where that is later.
    #[must_use]
    pub fn new(build_time: u64, sntp: Option<u64>) -> Self {
        let mut clock = Self { now: build_time, source: Source::Floor };
        if let Some(time) = sntp {
            clock.raise(time, Source::Sntp);
        }
        clock
    }

    /// The time to judge expiry by.
    #[must_use]
    pub fn now(self) -> u64 {
        self.now
    }

    /// Where [`Clock::now`] came from, for the report.
    #[must_use]
    pub fn source(self) -> Source {
        self.source
    }

    /// Takes `time` if it is later. Nothing ever sets the clock back.
    pub(super) fn raise(&mut self, time: u64, source: Source) {
        if time > self.now {
            *self = Self { now: time, source };
        }
    }
}

/// Unix seconds of an RFC 3339 time in UTC, such as `2030-01-31T23:59:59Z`.
///
/// A fraction is read and dropped (`tough` may write one); an offset other than `Z` is not UTC as
/// TUF wants it (specification, section 4.2.1) and gives `None`, as does a day that does not exist
/// or lies before 1970.
#[must_use]
pub fn unix_seconds(text: &str) -> Option<u64> {
    let text = text.strip_suffix('Z')?;
    let text = match text.split_once('.') {
        Some((whole, fraction)) if is_digits(fraction) => whole,
        Some(_) => return None,
        None => text,
    };
    let (date, time) = text.split_once('T')?;
    let [year, month, day] = fields(date, '-', [4, 2, 2])?;
    seconds(days_since_1970(year, month, day)?, time)
}

/// Unix seconds of an HTTP date in its only current form, such as `Sun, 06 Nov 1994 08:49:37 GMT`
/// (RFC 9110, section 5.6.7). The two older forms have not been written for decades.
#[must_use]
pub fn http_date(text: &str) -> Option<u64> {
    let (weekday, text) = text.strip_suffix(" GMT")?.split_once(", ")?;
    let (date, time) = text.rsplit_once(' ')?;
    let (day, rest) = date.split_once(' ')?;
    let (month, year) = rest.split_once(' ')?;
    let [day] = fields(day, ' ', [2])?;
    let [year] = fields(year, ' ', [4])?;
    let before = MONTHS.iter().position(|name| *name == month)?;
    let month = u64::try_from(before).ok()?.checked_add(1)?;
    let days = days_since_1970(year, month, day)?;
    // 1970 began on a Thursday.
    let of_week = usize::try_from(days.checked_add(4)?.checked_rem(7)?).ok()?;
    (WEEKDAYS.get(of_week) == Some(&weekday)).then(|| seconds(days, time)).flatten()
}

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Unix seconds of a time of day, `HH:MM:SS`.
fn seconds(days: u64, time: &str) -> Option<u64> {
    let [hour, minute, second] = fields(time, ':', [2, 2, 2])?;
    // RFC 3339, section 5.7: second 60 is a leap second, counted here as the second after it.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    days.checked_mul(24)?
        .checked_add(hour)?
        .checked_mul(60)?
        .checked_add(minute)?
        .checked_mul(60)?
        .checked_add(second)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Numbers of fixed widths with `separator` between them.
fn fields<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Option<[u64; N]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; N];
    for (number, width) in numbers.iter_mut().zip(widths) {
        let part = parts.next().filter(|part| part.len() == width && is_digits(part))?;
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let february = if is_leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = usize::try_from(month).ok()?.checked_sub(1)?;
    let length = *lengths.get(before)?;
    if year < 1970 || day == 0 || day > length {
        return None;
    }
    // Leap days of the Gregorian calendar in the years 1 to `year`.
    let leap_days = |year: u64| {
        (year / 4).checked_sub(year / 100).and_then(|days| days.checked_add(year / 400))
    };
    year.checked_sub(1970)?
        .checked_mul(365)?
        .checked_add(leap_days(year.checked_sub(1)?)?)?
        .checked_sub(leap_days(1969)?)?
        .checked_add(lengths.iter().take(before).sum())?
        .checked_add(day.checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_raised_and_never_set_back() {
        let mut clock = Clock::new(1_000, Some(900));
        assert_eq!((clock.now(), clock.source()), (1_000, Source::Floor));
        clock.raise(1_000, Source::Date);
        assert_eq!(clock.source(), Source::Floor, "the same time is no news");
        clock.raise(1_001, Source::Date);
        assert_eq!((clock.now(), clock.source()), (1_001, Source::Date));
        clock.raise(5, Source::Floor);
        assert_eq!((clock.now(), clock.source()), (1_001, Source::Date));
        assert_eq!(Clock::new(0, Some(7)).source(), Source::Sntp);
    }

    /// Answers from `date --utc --date=TEXT +%s`.
    #[test]
    fn times_are_those_of_the_calendar() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1999-12-31T23:59:59Z", 946_684_799),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("2024-02-29T00:00:00Z", 1_709_164_800),
            ("2026-08-15T10:20:30Z", 1_786_789_230),
            ("2026-08-15T10:20:30.987654Z", 1_786_789_230),
            ("2038-01-19T03:14:08Z", 2_147_483_648),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ] {
            assert_eq!(unix_seconds(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_time_in_utc_is_none() {
        for text in [
            "",
            "Z",
            "2026-08-15",
            "2026-08-15T10:20:30",
            "2026-08-15T10:20:30+00:00",
            "2026-08-15 10:20:30Z",
            "2026-8-15T10:20:30Z",
            "2026-08-15T10:20Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-32T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:61Z",
            "1969-12-31T23:59:59Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.1.2Z",
            "+026-01-01T00:00:00Z",
            "2026-01-01-T00:00:00Z",
            "20260-01-01T00:00:00Z",
        ] {
            assert_eq!(unix_seconds(text), None, "{text}");
        }
    }

    /// Answers from `date --utc --date=TEXT +%s`; the first is the example of RFC 9110.
    #[test]
    fn a_date_header_is_a_time_of_the_calendar() {
        for (text, seconds) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Thu, 29 Feb 2024 23:59:59 GMT", 1_709_251_199),
            ("Tue, 01 Jun 2027 00:00:00 GMT", 1_811_808_000),
            ("Fri, 31 Dec 9999 23:59:60 GMT", 253_402_300_800),
        ] {
            assert_eq!(http_date(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_header_is_none() {
        for text in [
            "",
            " GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 06 Nov 1994 8:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994  08:49:37 GMT",
            "Wed, 31 Dec 1969 23:59:59 GMT",
            "Thu, 30 Feb 2023 00:00:00 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "1994-11-06T08:49:37Z",
        ] {
            assert_eq!(http_date(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_date_header_is_read_as_httpdate_reads_it(
            seconds in 0..253_402_300_800_u64,
            odd in "(Sun|Mon|Tue), [0-3][0-9] (Jan|Feb|Nov) [12][0-9]{3} [0-2][0-9]:[0-6][0-9]:[0-6][0-9] GMT",
        ) {
            let since = std::time::Duration::from_secs(seconds);
            let time = std::time::UNIX_EPOCH.checked_add(since).unwrap();
            assert_eq!(http_date(&httpdate::fmt_http_date(time)), Some(seconds));
            if let Some(ours) = http_date(&odd).filter(|_| !odd.contains(":60 ")) {
                let other = httpdate::parse_http_date(&odd).unwrap();
                let other = other.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
                assert_eq!(ours, other, "{odd}");
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,30}", near in "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z") {
            let _ = unix_seconds(&text);
            let _ = unix_seconds(&near);
            let _ = http_date(&text);
        }
    }
}
