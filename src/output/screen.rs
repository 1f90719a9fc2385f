//! How wide the streams are, and which characters they show.

use std::io::{self, IsTerminal};

/// Columns where no terminal says otherwise.
const WIDTH: usize = 80;

/// What a picture may take up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    /// Columns.
    pub width: usize,
    /// Whether block characters are shown. Only on a terminal whose locale has them: whatever reads
    /// a file or a pipe gets ASCII.
    pub is_unicode: bool,
}

impl Screen {
    /// Of standard output.
    pub fn of_answer() -> Self {
        Self::of(io::stdout().is_terminal())
    }

    /// Of standard error.
    pub fn of_status() -> Self {
        Self::of(io::stderr().is_terminal())
    }

    /// `COLUMNS` outweighs the terminal.
    fn of(is_terminal: bool) -> Self {
        let asked = variable("COLUMNS").and_then(|columns| columns.parse().ok());
        let terminal = || terminal_size::terminal_size().map(|(width, _)| width.0.into());
        let width = asked.or_else(|| terminal().filter(|_| is_terminal)).unwrap_or(WIDTH);
        Self { width, is_unicode: is_terminal && (cfg!(windows) || is_utf8(variable)) }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// As POSIX orders the variables of the locale: the first that says anything counts.
fn is_utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| variable(name).filter(|value| !value.is_empty()));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_says_something_decides() {
        let with = |set: &[(&str, &str)]| {
            let find = |name: &str| set.iter().find(|(key, _)| *key == name);
            is_utf8(|name| find(name).map(|(_, value)| (*value).to_owned()))
        };
        assert!(with(&[("LANG", "de_DE.UTF-8")]));
        assert!(with(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8"), ("LANG", "C")]));
        assert!(!with(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]));
        assert!(!with(&[]));
    }
}
