//! Listens to a port until there is a reason to end.

use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::elf::{self, Elf};
use super::line::{End, Line, PortChange, PortEvent, When};
use super::{MonitorError, Options};
use crate::commands::Context;
use crate::commands::stop::Stop;
use crate::device::serial::{Chosen, Heard, Listener};
use crate::error::{Exit, Failure};
use crate::monitor::{
    Decoder, Frame, Lines, Piece, Symbols, Until, Verdict, addresses, plain, stack_dump,
};

/// A device that has been silent for so long has said what it wanted to say, end of line or not.
const SILENCE: Duration = Duration::from_millis(200);
/// Between two looks for a port that is gone.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// Bytes that are read at once.
const BUFFER: usize = 4096;

/// Watches the device at a port. The answer is what it says, then how the watch ended.
pub(in crate::commands) fn watch(
    context: &Context,
    chosen: &Chosen,
    options: &Options,
) -> Result<Exit, Failure> {
    let elf = elf::find(context, options)?;
    let symbols = elf.as_ref().map(|elf| symbols(context, elf)).transpose()?.flatten();
    let stop = Stop::new()?;
    let mut listener = Listener::open(chosen, options.baud)?;
    let is_reset = !options.no_reset && listener.reset();
    if !is_reset {
        // The system may have kept what was said before anybody listened.
        listener.forget()?;
    }
    context.output.status(format_args!("watching {} at {} baud", chosen.name, options.baud));
    if !is_reset && !options.no_reset {
        context.output.detail("no reset: the port has no DTR and RTS");
    }
    let until = options.until(context);
    let mut watch = Watch {
        context,
        options,
        symbols,
        until: until.clone(),
        stop,
        chosen: chosen.clone(),
        begin: Instant::now(),
        start: context.now(),
        lines: Lines::default(),
        decoder: Decoder::default(),
        count: 0,
        bytes: 0,
        is_read: true,
    };
    let ended = watch.listen(listener)?;
    let seconds = options.timeout.unwrap_or_default().as_secs();
    let seen = match (ended, until) {
        (Ended::Verdict(Verdict::Seen), Some(until)) => Some(until.to_string()),
        (Ended::Verdict(Verdict::Opposite(instead)), Some(until)) => {
            return Err(MonitorError::Opposite { until, instead }.into());
        }
        (Ended::TimeOver, Some(until)) => {
            let was_silent = watch.bytes == 0;
            return Err(MonitorError::NotSeen { until, seconds, was_silent }.into());
        }
        (Ended::Stopped, Some(until)) => return Err(MonitorError::Stopped(until).into()),
        (_, None) | (Ended::Unread, Some(_)) => None,
    };
    let end = End {
        port: watch.chosen.name.clone(),
        lines: watch.count,
        bytes: watch.bytes,
        elapsed_ms: u64::try_from(watch.begin.elapsed().as_millis()).unwrap_or(u64::MAX),
        seen,
    };
    context.output.answer(&end, Exit::Success)
}

/// The symbols of a program. One that nobody has named and that cannot be used is passed over.
fn symbols<'elf>(context: &Context, elf: &'elf Elf) -> Result<Option<Symbols<'elf>>, Failure> {
    let file = &elf.file;
    match Symbols::read(&elf.bytes) {
        Ok(symbols) => {
            let file = file.display();
            context.output.status(format_args!("addresses are looked up in `{file}`"));
            Ok(Some(symbols))
        }
        Err(source) if elf.is_named => {
            Err(MonitorError::Symbols { file: file.clone(), source }.into())
        }
        Err(error) => {
            let file = file.display();
            context.output.warn(format_args!("addresses are not looked up in `{file}`: {error}"));
            Ok(None)
        }
    }
}

/// Why there is nothing more to listen to.
#[derive(Debug)]
enum Ended {
    Verdict(Verdict),
    TimeOver,
    Stopped,
    /// Nobody reads the answer any more, or waits for anything.
    Unread,
}

/// A watch that goes on.
struct Watch<'a> {
    context: &'a Context,
    options: &'a Options,
    symbols: Option<Symbols<'a>>,
    until: Option<Until>,
    stop: Stop,
    chosen: Chosen,
    begin: Instant,
    start: Timestamp,
    lines: Lines,
    decoder: Decoder,
    count: u64,
    bytes: u64,
    is_read: bool,
}

impl Watch<'_> {
    /// Listens, over unplug and replug.
    fn listen(&mut self, mut listener: Listener) -> Result<Ended, Failure> {
        let mut buffer = [0; BUFFER];
        let mut heard = self.begin;
        loop {
            if let Some(ended) = self.is_over() {
                // What has come of the last line has come in time.
                return Ok(self.finish_line()?.map_or(ended, Ended::Verdict));
            }
            let pieces = match listener.read(&mut buffer) {
                Heard::Bytes(count) => {
                    heard = Instant::now();
                    let bytes = buffer.get(..count).unwrap_or_default();
                    self.bytes =
                        self.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                    self.lines.take(bytes, self.begin.elapsed())
                }
                Heard::Silence if heard.elapsed() >= SILENCE => {
                    self.lines.rest().into_iter().collect()
                }
                Heard::Silence => continue,
                Heard::Gone(error) => {
                    self.context.output.detail(format_args!("{}: {error}", self.chosen.name));
                    drop(listener);
                    if let Some(verdict) = self.finish_line()? {
                        return Ok(Ended::Verdict(verdict));
                    }
                    match self.wait_for_port()? {
                        Ok(back) => listener = back,
                        Err(ended) => return Ok(ended),
                    }
                    continue;
                }
            };
            for piece in pieces {
                if let Some(verdict) = self.tell(&piece)? {
                    let is_late = self.is_time_over();
                    return Ok(if is_late { Ended::TimeOver } else { Ended::Verdict(verdict) });
                }
            }
        }
    }

    fn is_over(&self) -> Option<Ended> {
        if self.stop.is_pressed() {
            return Some(Ended::Stopped);
        }
        if self.is_time_over() {
            return Some(Ended::TimeOver);
        }
        // Whoever waits for something wants the exit code, whether or not somebody reads along.
        (!self.is_read && self.until.is_none()).then_some(Ended::Unread)
    }

    fn is_time_over(&self) -> bool {
        self.options.timeout.is_some_and(|limit| self.begin.elapsed() >= limit)
    }

    /// Shows what has come of a line that will not go on.
    fn finish_line(&mut self) -> Result<Option<Verdict>, Failure> {
        match self.lines.rest() {
            Some(piece) => self.tell(&piece),
            None => Ok(None),
        }
    }

    /// Shows a line, with what it means, and judges it.
    fn tell(&mut self, piece: &Piece) -> Result<Option<Verdict>, Failure> {
        self.count = self.count.saturating_add(u64::from(piece.ends));
        let text = plain(&piece.line);
        let event = piece.is_told.then(|| self.decoder.event(&text)).flatten();
        let frames = if piece.is_told { self.frames(&text) } else { Vec::new() };
        let by_event = self.until.as_ref().zip(event.as_ref());
        let verdict = by_event
            .and_then(|(until, event)| until.judge(event))
            .or_else(|| self.until.as_ref()?.judge_text(&text));
        let when = When::new(self.start, piece.at);
        let line = Line::new(piece, when, self.options.timestamps, event, frames);
        self.is_read = self.context.output.part(&line)?;
        Ok(verdict)
    }

    fn frames(&self, text: &str) -> Vec<Frame> {
        let Some(symbols) = &self.symbols else { return Vec::new() };
        match stack_dump(text) {
            Some(words) => symbols.calls(&words),
            None => addresses(text).into_iter().flat_map(|it| symbols.frames(it)).collect(),
        }
    }

    /// Waits until the device is back.
    fn wait_for_port(&mut self) -> Result<Result<Listener, Ended>, Failure> {
        self.port_change(PortEvent::PortGone { port: self.chosen.name.clone() })?;
        // What was said before is of another connection.
        self.lines = Lines::default();
        loop {
            if let Some(ended) = self.is_over() {
                return Ok(Err(ended));
            }
            let back = self.chosen.again();
            let opened = back.and_then(|chosen| {
                let listener = Listener::open(&chosen, self.options.baud).ok()?;
                Some((chosen, listener))
            });
            if let Some((chosen, listener)) = opened {
                self.chosen = chosen;
                self.port_change(PortEvent::PortBack { port: self.chosen.name.clone() })?;
                return Ok(Ok(listener));
            }
            thread::sleep(BETWEEN_LOOKS);
        }
    }

    fn port_change(&mut self, event: PortEvent) -> Result<(), Failure> {
        let when = When::new(self.start, self.begin.elapsed());
        let timestamps = self.options.timestamps;
        self.is_read = self.context.output.part(&PortChange { when, event, timestamps })?;
        Ok(())
    }
}
