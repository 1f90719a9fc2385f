//! `$NAME` and `${NAME}` in a line of CSV, as Python's `os.path.expandvars` fills them in.

use std::collections::BTreeMap;

/// How many characters the variables may add to a line. A value is meant to be a number or a
/// name; without a limit a file of `$A` lines could ask for the square of its size.
const MOST_ADDED: usize = 64 * 1024;

/// A line after expansion. Each character knows the column it came from, counted from 1, so that
/// a finding points at what the user typed.
pub(crate) type Expanded = Vec<(char, usize)>;

/// Why a line cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unexpandable {
    /// The line begins with a variable that has no value.
    Unknown(String),
    /// The values of its variables are longer than a line may become.
    TooLong,
}

/// Fills in the variables of a line. What has no value stays as it is.
///
/// # Errors
///
/// Unknown variables are an error at the beginning of a line only: gen_esp32part.py looks for them
/// with `re.match`, which is anchored. Elsewhere the `$` remains, and a number field refuses it.
pub(crate) fn expand(
    line: &str,
    variables: &BTreeMap<String, String>,
) -> Result<Expanded, Unexpandable> {
    let mut rest: &str = line;
    let mut column: usize = 1;
    let mut done = Expanded::new();
    let mut braces = true;
    let most = line.chars().count().saturating_add(MOST_ADDED);

    while let Some((before, after)) = rest.split_once('$') {
        done.extend(before.chars().zip(column..));
        column = column.saturating_add(before.chars().count());

        let (reference, name) = reference(after, &mut braces);
        match name.and_then(|name| variables.get(name)) {
            Some(value) => done.extend(value.chars().map(|letter| (letter, column))),
            None => done.extend(std::iter::once('$').chain(reference.chars()).zip(column..)),
        }
        if done.len() > most {
            return Err(Unexpandable::TooLong);
        }
        column = column.saturating_add(reference.chars().count()).saturating_add(1);
        rest = after.strip_prefix(reference).unwrap_or_default();
    }
    done.extend(rest.chars().zip(column..));
    check(done)
}

/// What belongs to a reference after its `$`, and the name in it. `braces` says whether a closing
/// brace may still come, so that a line of nothing but `${` is not searched again for each.
fn reference<'a>(after: &'a str, braces: &mut bool) -> (&'a str, Option<&'a str>) {
    if let Some(inside) = after.strip_prefix('{') {
        if *braces && let Some((name, rest)) = inside.split_once('}') {
            return (after.strip_suffix(rest).unwrap_or(after), Some(name));
        }
        // An open brace refers to nothing and hides nothing behind it.
        *braces = false;
        return ("", None);
    }
    let end = after.find(|letter| !is_word(letter)).unwrap_or(after.len());
    let name = after.get(..end).unwrap_or_default();
    (name, Some(name).filter(|name| !name.is_empty()))
}

fn check(done: Expanded) -> Result<Expanded, Unexpandable> {
    let mut letters = done.iter().map(|(letter, _)| *letter);
    if letters.next() != Some('$') {
        return Ok(done);
    }
    let name: String = letters.take_while(|letter| is_word(*letter)).collect();
    if name.starts_with(|first: char| first == '_' || first.is_ascii_alphabetic()) {
        return Err(Unexpandable::Unknown(name));
    }
    Ok(done)
}

fn is_word(letter: char) -> bool {
    letter == '_' || letter.is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> BTreeMap<String, String> {
        let pairs = [("A", "one"), ("B_2", "$A"), ("", "empty"), ("1x", "digit"), ("a b", "space")];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn text(line: &str) -> Result<String, Unexpandable> {
        expand(line, &variables())
            .map(|expanded| expanded.into_iter().map(|(letter, _)| letter).collect())
    }

    #[test]
    fn variables_are_filled_in_once() {
        assert_eq!(text("x$A,${A}y$A").unwrap(), "xone,oneyone");
        assert_eq!(text(" $B_2").unwrap(), " $A");
        assert_eq!(text("-$1x-${a b}-${}").unwrap(), "-digit-space-empty");
        assert_eq!(text("-$$A").unwrap(), "-$one");
        assert_eq!(text("$$A"), Err(Unexpandable::Unknown("one".into())));
    }

    #[test]
    fn what_has_no_value_stays_except_at_the_beginning_of_a_line() {
        assert_eq!(text(" $C,${C},$").unwrap(), " $C,${C},$");
        assert_eq!(text("${C}").unwrap(), "${C}");
        assert_eq!(text("$C,x"), Err(Unexpandable::Unknown("C".into())));
        assert_eq!(text("$B_2"), Err(Unexpandable::Unknown("A".into())));
        assert_eq!(text("$9").unwrap(), "$9");
    }

    #[test]
    fn an_unclosed_brace_hides_nothing_behind_it() {
        assert_eq!(text("-${A $A").unwrap(), "-${A one");
        assert_eq!(text("-${$A-$").unwrap(), "-${one-$");
    }

    #[test]
    fn columns_are_those_of_the_file() {
        let columns: Vec<_> = expand("a$A,b", &variables()).unwrap();
        let comma = columns.iter().find(|(letter, _)| *letter == ',').unwrap();
        assert_eq!(comma.1, 4);
        assert_eq!(columns[1..4].iter().map(|(_, column)| *column).collect::<Vec<_>>(), [2, 2, 2]);
    }

    #[test]
    fn a_line_cannot_grow_without_bound() {
        let variables = [("A".to_owned(), "x".repeat(1000))].into_iter().collect();
        assert_eq!(expand(&"$A ".repeat(100), &variables), Err(Unexpandable::TooLong));
        assert_eq!(expand(&"${$A".repeat(100), &variables), Err(Unexpandable::TooLong));
        assert!(expand(&"$A ".repeat(10), &variables).is_ok());
    }
}
