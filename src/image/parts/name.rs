//! Whose function or constant a symbol is: the crate and module in its demangled name.
//!
//! A method belongs to the crate of its type; where that is no crate of anybody (`u32`, `Vec`), to
//! the crate of its trait. Drop glue and an embassy task belong to what they drop and run.

/// Crates that come with the compiler.
pub(super) const COMPILER: [&str; 4] = ["core", "alloc", "std", "compiler_builtins"];

/// Paths that only wrap the type they are generic over: all that is in them is that type's.
const WRAPPERS: [&str; 3] =
    ["core::ptr::drop_in_place", "core::ptr::drop_glue", "embassy_executor::raw::TaskStorage"];

/// The path that says whose a Rust symbol is, such as `firmware::ota::tuf::client`, or `None`
/// where the name is not a Rust one.
pub(super) fn owner(symbol: &str) -> Option<String> {
    // `{:#}` leaves out hashes, which are no part of the path.
    let name = format!("{:#}", rustc_demangle::try_demangle(symbol).ok()?);
    Some(of_path(&name, 0).unwrap_or("core").to_owned())
}

/// The crate in a path.
pub(super) fn crate_of(path: &str) -> &str {
    path.split("::").next().unwrap_or(path)
}

/// Types in types are followed this deep; a name of a symbol can nest at will.
const DEEPEST: u32 = 8;

fn of_path(name: &str, depth: u32) -> Option<&str> {
    if depth > DEEPEST {
        return None;
    }
    let name = bare(name);
    let Some(inside) = name.strip_prefix('<').map(|rest| rest.get(..closing(rest)).unwrap_or(rest))
    else {
        return of_plain_path(name, depth);
    };
    let (self_type, its_trait) = match top_level(inside, " as ") {
        Some((self_type, its_trait)) => (self_type, Some(its_trait)),
        None => (inside, None),
    };
    let own = of_path(self_type, depth.saturating_add(1));
    let by_trait = its_trait.and_then(|path| of_path(path, depth.saturating_add(1)));
    let is_somebodys = |path: &&str| !COMPILER.contains(&crate_of(path));
    own.filter(is_somebodys).or(by_trait.filter(is_somebodys)).or(own).or(by_trait)
}

/// `a::b::C<D>::e`, without anything before it.
fn of_plain_path(name: &str, depth: u32) -> Option<&str> {
    let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    let (path, rest) = name.split_at_checked(end.unwrap_or(name.len()))?;
    let path = path.trim_end_matches(':');
    if WRAPPERS.contains(&path)
        && let Some(rest) = rest.strip_prefix('<')
    {
        let wrapped = rest.get(..closing(rest)).unwrap_or(rest);
        if let Some(wrapped) = of_path(wrapped, depth.saturating_add(1)) {
            return Some(wrapped);
        }
    }
    // Without a path it is a primitive type or a parameter: nobody's.
    path.contains("::").then_some(path)
}

/// A type without what stands before its name: references, pointers, slices, `dyn`.
fn bare(mut name: &str) -> &str {
    loop {
        let before = name;
        name = name.trim_start_matches(['&', '*', '[', '(', ' ']);
        for word in ["mut ", "const ", "dyn ", "impl ", "unsafe ", "extern \"C\" "] {
            name = name.strip_prefix(word).unwrap_or(name);
        }
        if name == before {
            return name;
        }
    }
}

/// Where the bracket that was open at the start of `text` closes. The arrow of `fn() -> T` closes
/// nothing.
fn closing(text: &str) -> usize {
    let mut open = 1u32;
    let mut last = ' ';
    for (at, letter) in text.char_indices() {
        match letter {
            '<' => open = open.saturating_add(1),
            '>' if last != '-' => open = open.saturating_sub(1),
            _ => {}
        }
        if open == 0 {
            return at;
        }
        last = letter;
    }
    text.len()
}

/// Splits at the first `word` that is in no brackets.
fn top_level<'a>(text: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let mut open = 0u32;
    let mut last = ' ';
    for (at, letter) in text.char_indices() {
        match letter {
            '<' | '(' | '[' => open = open.saturating_add(1),
            '>' if last == '-' => {}
            '>' | ')' | ']' => open = open.saturating_sub(1),
            _ if open == 0 => {
                let (before, rest) = text.split_at_checked(at)?;
                if let Some(after) = rest.strip_prefix(word) {
                    return Some((before, after));
                }
            }
            _ => {}
        }
        last = letter;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_manglings_name_the_crate() {
        for (symbol, expected) in [
            // Legacy: `nm` on what Rust 1.95 makes.
            (
                "_ZN8firmware3ota3tuf6client5fetch17h0123456789abcdefE",
                "firmware::ota::tuf::client::fetch",
            ),
            ("_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write"),
            (
                "_ZN60_$LT$alloc..string..String$u20$as$u20$core..fmt..Display$GT$3fmt17h0123456789abcdefE",
                "alloc::string::String",
            ),
            (
                "_ZN4core3ptr40drop_in_place$LT$mbedtls_rs..Session$GT$17h0123456789abcdefE",
                "mbedtls_rs::Session",
            ),
            // v0: the examples of RFC 2603.
            ("_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar"),
            ("_RNvCs15kBYyAo9fc_7mycrate7example", "mycrate::example"),
            ("_RNvMCs1234_7mycrateNtB2_3Foo3bar", "mycrate::Foo"),
            ("_RNvXCs1234_7mycrateNtB2_3FooNtNtC4core3fmt5Debug3fmt", "mycrate::Foo"),
        ] {
            assert_eq!(owner(symbol).as_deref(), Some(expected), "{symbol}");
        }
        for symbol in ["mbedtls_ssl_read", "_start", "__udivdi3", "", "_ZN", "_R"] {
            assert_eq!(owner(symbol), None, "{symbol}");
        }
    }

    #[test]
    fn a_method_on_nobody_s_type_is_the_trait_s() {
        for (name, expected) in [
            ("<u32 as embedded_io::Read>::read", Some("embedded_io::Read")),
            (
                "<core::option::Option<u8> as serde::de::Deserialize>::deserialize",
                Some("serde::de::Deserialize"),
            ),
            ("<core::option::Option<u8> as core::fmt::Debug>::fmt", Some("core::option::Option")),
            (
                "<&mut [smoltcp::wire::Ipv4Address] as core::fmt::Debug>::fmt",
                Some("smoltcp::wire::Ipv4Address"),
            ),
            (
                "<fn(u8) -> esp_hal::Gpio as core::ops::FnOnce<()>>::call_once",
                Some("core::ops::FnOnce"),
            ),
            ("<dyn esp_radio::Controller>::scan", Some("esp_radio::Controller")),
            ("<T as core::convert::Into<U>>::into", Some("core::convert::Into")),
            ("<str>::len", None),
            ("core::fmt::num::<impl core::fmt::Display for u32>::fmt", Some("core::fmt::num")),
        ] {
            assert_eq!(of_path(name, 0), expected, "{name}");
        }
    }

    #[test]
    fn a_task_and_drop_glue_are_those_of_what_they_hold() {
        let task = "<embassy_executor::raw::TaskStorage<firmware::net::run::{closure#0}>>::poll";
        assert_eq!(of_path(task, 0), Some("firmware::net::run"));
        let glue = "core::ptr::drop_in_place::<embassy_net::Stack>";
        assert_eq!(of_path(glue, 0), Some("embassy_net::Stack"));
        assert_eq!(of_path("core::ptr::drop_in_place::<u8>", 0), Some("core::ptr::drop_in_place"));
        let legacy = "<embassy_executor::raw::TaskStorage<F>>::poll";
        assert_eq!(of_path(legacy, 0), Some("embassy_executor::raw::TaskStorage"));
    }

    #[test]
    fn nested_types_come_to_an_end() {
        let deep = format!("{}core::fmt::Write{}", "<&[".repeat(500), "]>".repeat(500));
        assert_eq!(of_path(&deep, 0), None);
        assert_eq!(of_path("<<<<", 0), None);
        assert_eq!(of_path("<a as <b", 0), None);
    }
}
