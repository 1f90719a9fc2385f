//! What somebody waits for.

use std::fmt;

use super::Event;

/// Ends the watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Until {
    /// An image confirms itself.
    Confirmed,
    /// A release did not prove itself, and the older one runs again.
    FellBack,
    /// A line has this text in it.
    Text(String),
}

/// The events that can be waited for.
const KEYWORDS: [&str; 2] = ["confirmed", "fell-back"];
/// How alike a text and a keyword are, from 0 to 1, where the keyword may be meant.
const ALIKE: f64 = 0.9;

/// How a watch ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was seen.
    Seen,
    /// The opposite was, in these words: it will not come any more.
    Opposite(String),
}

impl From<&str> for Until {
    fn from(text: &str) -> Self {
        match text {
            "confirmed" => Self::Confirmed,
            "fell-back" => Self::FellBack,
            other => Self::Text(other.to_owned()),
        }
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Confirmed => "confirmed",
            Self::FellBack => "fell-back",
            Self::Text(text) => text,
        })
    }
}

impl Until {
    /// The keyword that may be meant by a text.
    pub fn meant(&self) -> Option<&'static str> {
        let Self::Text(text) = self else { return None };
        let is_alike =
            |keyword: &&str| strsim::jaro_winkler(&text.to_lowercase(), keyword) >= ALIKE;
        KEYWORDS.into_iter().find(is_alike)
    }

    /// Judges an event.
    pub fn judge(&self, event: &Event) -> Option<Verdict> {
        match (self, event) {
            (Self::Confirmed, Event::Confirmed) | (Self::FellBack, Event::FellBack { .. }) => {
                Some(Verdict::Seen)
            }
            (Self::Confirmed, Event::FellBack { .. }) | (Self::FellBack, Event::Confirmed) => {
                Some(Verdict::Opposite(event.to_string()))
            }
            _ => None,
        }
    }

    /// Judges a line, or what has come of it.
    pub fn judge_text(&self, line: &str) -> Option<Verdict> {
        match self {
            Self::Text(text) if line.contains(text.as_str()) => Some(Verdict::Seen),
            Self::Text(_) | Self::Confirmed | Self::FellBack => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_comes_by_its_event_or_by_the_opposite() {
        let confirmed = Until::from("confirmed");
        let fell_back = Until::from("fell-back");
        let back = Event::FellBack { version: "1.2.0".into() };
        let words = "fell back: 1.2.0 did not prove itself".to_owned();
        assert_eq!(confirmed.judge(&Event::Confirmed), Some(Verdict::Seen));
        assert_eq!(confirmed.judge(&back), Some(Verdict::Opposite(words)));
        assert_eq!(fell_back.judge(&back), Some(Verdict::Seen));
        let words = "confirmed: this image stays".to_owned();
        assert_eq!(fell_back.judge(&Event::Confirmed), Some(Verdict::Opposite(words)));
        for event in [Event::Settled, Event::OnTrial { bootloader_rollback: false }] {
            assert_eq!(confirmed.judge(&event), None);
            assert_eq!(fell_back.judge(&event), None);
        }
    }

    #[test]
    fn a_text_that_is_almost_a_keyword_may_be_meant_as_one() {
        for keyword in KEYWORDS {
            assert_eq!(Until::from(keyword).to_string(), keyword);
            assert!(!matches!(Until::from(keyword), Until::Text(_)), "{keyword}");
        }
        for (text, meant) in [
            ("fellback", Some("fell-back")),
            ("fell back", Some("fell-back")),
            ("Confirmed", Some("confirmed")),
            ("confirm", Some("confirmed")),
            ("confirmed", None),
            ("fell-back", None),
            ("updates: confirmed", None),
            ("connected", None),
            ("sensors: ok", None),
        ] {
            assert_eq!(Until::from(text).meant(), meant, "{text}");
        }
    }

    #[test]
    fn a_text_is_a_part_of_a_line_and_no_event() {
        let text = Until::from("valve 8");
        assert_eq!(text.judge_text("valve 8 opens"), Some(Verdict::Seen));
        assert_eq!(text.judge_text("Valve 8"), None);
        assert_eq!(text.judge(&Event::Confirmed), None);
        assert_eq!(Until::from("confirmed").judge_text("updates: confirmed"), None);
    }
}
