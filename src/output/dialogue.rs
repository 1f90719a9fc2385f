//! Questions on the terminal: asked on standard error, answered on standard input.
//!
//! Whoever asks has written nothing yet, so Ctrl-C may end the process while a question waits.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use super::{Format, Output, Paint, Tone, Verbosity};

/// A person who can be asked.
#[derive(Clone, Copy, Debug)]
pub struct Dialogue {
    paint: Paint,
}

impl Output {
    /// Somebody to ask, where standard input and standard error are terminals and neither the
    /// format nor `-q` says that a program is reading.
    pub fn dialogue(&self) -> Option<Dialogue> {
        let is_for_people = self.format == Format::Human && self.verbosity >= Verbosity::Normal;
        let is_possible = is_for_people && io::stdin().is_terminal() && io::stderr().is_terminal();
        is_possible.then_some(Dialogue { paint: self.status })
    }
}

impl Dialogue {
    /// Asks, and gives the line that was typed, without spaces around it. `None` where the terminal
    /// ended instead.
    pub fn ask(self, question: impl Display) -> Option<String> {
        let mut terminal = io::stderr().lock();
        let question = self.paint.tone(Tone::Strong, question);
        write!(terminal, "{question} ").and_then(|()| terminal.flush()).ok()?;
        let mut answer = String::new();
        let length = io::stdin().read_line(&mut answer).ok()?;
        if length == 0 {
            // The cursor still stands behind the question.
            let _ = writeln!(terminal);
            return None;
        }
        Some(answer.trim().to_owned())
    }

    /// Asks for a secret, which is not shown while it is typed. `None` where nothing was typed, or the
    /// terminal ended instead.
    pub fn ask_hidden(self, question: impl Display) -> Option<String> {
        let mut terminal = io::stderr().lock();
        let question = self.paint.tone(Tone::Strong, question);
        write!(terminal, "{question} ").and_then(|()| terminal.flush()).ok()?;
        drop(terminal);
        let answer = console::Term::stderr().read_secure_line().ok()?;
        (!answer.is_empty()).then_some(answer)
    }

    /// Asks for a yes; every other answer is a no. `None` where the terminal ended instead.
    pub fn confirm(self, question: impl Display) -> Option<bool> {
        let answer = self.ask(format_args!("{question} [y/N]"))?;
        Some(matches!(answer.as_str(), "y" | "Y" | "yes"))
    }

    /// Says something between the questions.
    pub fn say(self, text: impl Display) {
        // Where standard error is gone, the next question finds out.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}
