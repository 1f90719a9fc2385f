//! The time that is written into what is made, as opposed to the time by which things are judged.
//!
//! `SOURCE_DATE_EPOCH` fixes what is written, so that the same source gives the same bytes. It never
//! moves the clock by which certificates and metadata are judged: that would bring them back to life.
//! And it never lies in the future, because devices take the time of a build and of a signature for a
//! time that has been, and would find everything ended ever after.

use std::ffi::{OsStr, OsString};

use jiff::Timestamp;

use crate::error::{Exit, Explained};

/// The variable of reproducible builds, in seconds since 1970.
pub(super) const VARIABLE: &str = "SOURCE_DATE_EPOCH";

/// The time to write cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StampError {
    /// Not a number of seconds.
    #[error("`{VARIABLE}` in the environment is `{}`, not a number of seconds since 1970", .0.display())]
    NotSeconds(OsString),
    /// A time that has not been yet.
    #[error("`{VARIABLE}` in the environment is {stamp}, but it is only {now}")]
    Future {
        /// What it says, as a date where it is one.
        stamp: String,
        /// The clock of this computer.
        now: Timestamp,
    },
}

impl Explained for StampError {
    fn exit(&self) -> Exit {
        match self {
            Self::NotSeconds(_) | Self::Future { .. } => Exit::Project,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NotSeconds(_) => {
                Some(format!("unset `{VARIABLE}`, or take `$(git log -1 --format=%ct)`"))
            }
            Self::Future { .. } => Some(format!(
                "correct `{VARIABLE}` or this computer's clock: devices that are told a time to \
                 come would find all metadata expired"
            )),
        }
    }
}

/// The time to write: what the variable says, else now.
pub(super) fn stamp(variable: Option<&OsStr>, now: Timestamp) -> Result<Timestamp, StampError> {
    let Some(value) = variable else { return Ok(now) };
    let digits = value.to_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let seconds = digits.and_then(|text| text.parse::<u64>().ok());
    let seconds = seconds.ok_or_else(|| StampError::NotSeconds(value.to_owned()))?;
    let stamp = i64::try_from(seconds).ok().and_then(|it| Timestamp::from_second(it).ok());
    match stamp {
        Some(stamp) if stamp <= now => Ok(stamp),
        other => Err(StampError::Future {
            stamp: other.map_or_else(|| format!("{seconds} s"), |stamp| stamp.to_string()),
            now,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn stamped(text: &str) -> Result<Timestamp, StampError> {
        stamp(Some(text.as_ref()), at(1_800_000_000))
    }

    #[test]
    fn the_variable_says_what_is_written_and_without_it_the_clock() {
        assert_eq!(stamped("1700000000").unwrap(), at(1_700_000_000));
        assert_eq!(stamped("0").unwrap(), at(0));
        assert_eq!(stamped("1800000000").unwrap(), at(1_800_000_000));
        assert_eq!(stamp(None, at(1_800_000_000)).unwrap(), at(1_800_000_000));
    }

    #[test]
    fn what_is_no_number_of_seconds_is_refused() {
        for bad in ["", " 1", "1 ", "+1", "-1", "1.5", "0x10", "now", "99999999999999999999999"] {
            let error = stamped(bad).unwrap_err();
            assert!(matches!(&error, StampError::NotSeconds(value) if value == bad), "{bad}");
            assert_eq!(error.exit(), Exit::Project);
        }
    }

    #[test]
    fn a_time_to_come_is_refused_by_a_second() {
        let error = stamped("1800000001").unwrap_err();
        assert_eq!(error.exit(), Exit::Project);
        assert_eq!(
            error.to_string(),
            "`SOURCE_DATE_EPOCH` in the environment is 2027-01-15T08:00:01Z, but it is only \
             2027-01-15T08:00:00Z"
        );
        // Beyond the calendar, and beyond signed numbers.
        for far in ["999999999999999", "18446744073709551615"] {
            assert!(matches!(stamped(far), Err(StampError::Future { .. })), "{far}");
        }
    }
}
