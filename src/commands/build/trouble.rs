//! What a toolchain lacks, read from what cargo, rustc and rustup say when a build fails.
//!
//! Their words stand on standard error as they are; these are what to do about them. The phrases
//! are those of Rust 1.95, rustup 1.29 and CMake 4. One that changes is a failed build without our
//! help line.

use std::fmt;

/// Something that is not installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The core library for the target.
    Core {
        /// The compiler target.
        target: String,
        /// Whether there is one to download; else it is built from source.
        is_downloadable: bool,
    },
    /// The toolchain that the project names.
    Toolchain(String),
    /// The source of the standard library, which was to be built.
    LibrarySource {
        /// The command that rustc's own words recommend.
        remedy: Option<String>,
    },
    /// The linker.
    Linker(String),
    /// What a build script needs to compile C: cmake, ninja, clang.
    Tool(String),
}

/// The name of the toolchain that espup installs.
const ESPUP: &str = "esp";

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core { target, .. } => {
                write!(f, "the toolchain has no core library for `{target}`")
            }
            Self::Toolchain(name) => write!(f, "the toolchain `{name}` is not installed"),
            Self::LibrarySource { .. } => {
                write!(f, "the toolchain has no source of the standard library to build")
            }
            Self::Linker(name) => write!(f, "there is no linker `{name}`"),
            Self::Tool(name) => write!(f, "there is no `{name}`, which a build script needs"),
        }
    }
}

impl Trouble {
    /// What to do about it.
    pub(super) fn help(&self) -> String {
        const INSTALL_ESP: &str = "`cargo install espup --locked`, then `espup install`";
        match self {
            Self::Core { target, .. } if target.starts_with("xtensa") => format!(
                "Xtensa chips need the toolchain of espup ({INSTALL_ESP}), with `channel = \
                 \"{ESPUP}\"` in `rust-toolchain.toml` and `build-std = [\"core\", \"alloc\"]` below \
                 `[unstable]` in `.cargo/config.toml`"
            ),
            Self::Core { target, is_downloadable: true } => format!(
                "run `rustup target add {target}` in the project; without rustup, build the \
                 library from source with `-Z build-std=core,alloc`"
            ),
            Self::Core { is_downloadable: false, .. } => {
                "build the library from source: `cargo esp-ota build -- -Z build-std=core,alloc`, \
                 with a nightly toolchain and its component `rust-src`"
                    .into()
            }
            Self::Toolchain(name) if name == ESPUP => format!("install it: {INSTALL_ESP}"),
            Self::Toolchain(name) => {
                format!("install it with `rustup toolchain install {name}`")
            }
            Self::LibrarySource { remedy: Some(remedy) } => {
                format!("run `{remedy}`, or install the source beside a toolchain without rustup")
            }
            Self::LibrarySource { remedy: None } => {
                "run `rustup component add rust-src`, or install the source beside a toolchain \
                 without rustup"
                    .into()
            }
            Self::Linker(name) if name.starts_with("xtensa") => {
                "run `. ~/export-esp.sh`, which `espup install` wrote, in this shell".into()
            }
            Self::Linker(name) if name == "rust-lld" => {
                "take a toolchain from rustup, which brings it; with another one install LLVM's \
                 lld and name `ld.lld` as `linker` of the target in `.cargo/config.toml`"
                    .into()
            }
            Self::Tool(_) => {
                "install it; Mbed TLS with a clock (`tls-clock`) is compiled with clang, cmake and \
                 ninja"
                    .into()
            }
            Self::Linker(_) => {
                "install it, or name another as `linker` of the target in `.cargo/config.toml`"
                    .into()
            }
        }
    }
}

/// Listens to standard error line by line.
#[derive(Debug, Default)]
pub(super) struct Listener {
    found: Option<Trouble>,
    told: Told,
}

/// What the line before announced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Told {
    #[default]
    Nothing,
    /// A library is missing; notes follow.
    NoLibrary,
    /// The source is missing; a remedy follows.
    NoSource,
    /// CMake misses a compiler; its name follows.
    NoCompiler,
    /// A library is missing for this target; how to get it follows.
    NoTarget(String),
}

impl Listener {
    /// Takes a line, without its end. Colour in it is passed over.
    pub(super) fn line(&mut self, line: &str) {
        if self.found.is_some() {
            return;
        }
        let line = without_colour(line);
        let line = line.trim_end();
        self.told = match std::mem::take(&mut self.told) {
            Told::NoLibrary => {
                match quoted(line, '`').filter(|_| line.contains("target may not be installed")) {
                    Some(target) => Told::NoTarget(target.to_owned()),
                    None if line.contains("may not support") || line.is_empty() => Told::Nothing,
                    None => Told::NoLibrary,
                }
            }
            Told::NoTarget(target) => {
                let is_downloadable = line.contains("rustup target add");
                self.found = Some(Trouble::Core { target, is_downloadable });
                return;
            }
            Told::NoSource => {
                let remedy = line.trim_start();
                let remedy = remedy.starts_with("rustup ").then(|| remedy.to_owned());
                self.found = Some(Trouble::LibrarySource { remedy });
                return;
            }
            Told::NoCompiler if line.trim().is_empty() => Told::NoCompiler,
            Told::NoCompiler => {
                let name = line.trim();
                // Another line can follow here, such as the path of one that does not work.
                self.found = (!name.contains([' ', '/'])).then(|| Trouble::Tool(name.to_owned()));
                return;
            }
            Told::Nothing => Told::Nothing,
        };
        if line.starts_with("error[E0463]: can't find crate for `core`")
            || line.starts_with("error[E0463]: can't find crate for `std`")
        {
            self.told = Told::NoLibrary;
        } else if line.contains("unable to build with the standard library") {
            self.told = Told::NoSource;
        } else if line.trim() == "The CMAKE_C_COMPILER:" {
            self.told = Told::NoCompiler;
        } else if let Some(rest) = line.strip_prefix("error: ") {
            self.found = missing(rest);
        } else {
            self.found = missing_tool(line);
        }
    }

    /// What was found, if anything, at the end.
    pub(super) fn finish(self) -> Option<Trouble> {
        match self.told {
            Told::NoTarget(target) => {
                self.found.or(Some(Trouble::Core { target, is_downloadable: false }))
            }
            Told::NoSource => self.found.or(Some(Trouble::LibrarySource { remedy: None })),
            Told::Nothing | Told::NoLibrary | Told::NoCompiler => self.found,
        }
    }
}

/// Errors of one line: "toolchain 'esp' is not installed", "linker `rust-lld` not found".
fn missing(error: &str) -> Option<Trouble> {
    if error.starts_with("linker `") && error.contains("not found") {
        return quoted(error, '`').map(|name| Trouble::Linker(name.to_owned()));
    }
    let is_toolchain = error.starts_with("toolchain '") || error.starts_with("custom toolchain '");
    if is_toolchain && error.contains("is not install") {
        return quoted(error, '\'').map(|name| Trouble::Toolchain(name.to_owned()));
    }
    None
}

/// What the crates `cmake` and `bindgen`, and CMake itself, say in a build script.
fn missing_tool(line: &str) -> Option<Trouble> {
    let name = if line.ends_with("` not installed?") {
        quoted(line, '`')?
    } else if line.contains("Unable to find libclang") {
        "libclang"
    } else if line.contains("unable to find a build program corresponding to \"Ninja\"") {
        "ninja"
    } else {
        return None;
    };
    Some(Trouble::Tool(name.to_owned()))
}

/// The text between the first two of these quotes.
fn quoted(line: &str, quote: char) -> Option<&str> {
    let (_, rest) = line.split_once(quote)?;
    rest.split_once(quote).map(|(name, _)| name)
}

/// Without ANSI escape sequences: from ESC to a letter.
fn without_colour(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        if letter == '\u{1b}' {
            for letter in letters.by_ref() {
                if letter.is_ascii_alphabetic() {
                    break;
                }
            }
        } else {
            text.push(letter);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(text: &str) -> Option<Trouble> {
        let mut listener = Listener::default();
        for line in text.lines() {
            listener.line(line);
        }
        listener.finish()
    }

    fn core(target: &str, is_downloadable: bool) -> Option<Trouble> {
        Some(Trouble::Core { target: target.to_owned(), is_downloadable })
    }

    #[test]
    fn rustc_and_cargo_1_95_say_what_is_missing() {
        let no_core = "   Compiling a v0.1.0 (/a)\nerror[E0463]: can't find crate for `core`\n  |\n  \
             = note: the `riscv32imc-unknown-none-elf` target may not be installed\n  \
             = help: consider downloading the target with `rustup target add riscv32imc-unknown-none-elf`\n";
        assert_eq!(heard(no_core), core("riscv32imc-unknown-none-elf", true));
        let coloured =
            no_core.replace("error[E0463]", "\u{1b}[1m\u{1b}[91merror[E0463]\u{1b}[0m\u{1b}[1m");
        assert_eq!(heard(&coloured), core("riscv32imc-unknown-none-elf", true));
        let xtensa = "error[E0463]: can't find crate for `core`\n  |\n  \
             = note: the `xtensa-esp32-none-elf` target may not be installed\n  \
             = help: consider building the standard library from source with `cargo build -Zbuild-std`\n";
        assert_eq!(heard(xtensa), core("xtensa-esp32-none-elf", false));
        assert_eq!(
            heard(
                "error: \"/t/library/Cargo.lock\" does not exist, unable to build with the \
                 standard library, try:\n        rustup component add rust-src --toolchain nightly\n"
            ),
            Some(Trouble::LibrarySource {
                remedy: Some("rustup component add rust-src --toolchain nightly".into())
            })
        );
        assert_eq!(
            heard("error: linker `rust-lld` not found\n  |\n  = note: No such file or directory\n"),
            Some(Trouble::Linker("rust-lld".into()))
        );
    }

    #[test]
    fn rustup_1_29_says_what_is_missing() {
        for text in [
            "error: toolchain 'esp' is not installed",
            "error: custom toolchain 'esp' specified in override file '/a/rust-toolchain.toml' is \
             not installed",
        ] {
            assert_eq!(heard(text), Some(Trouble::Toolchain("esp".into())));
        }
    }

    #[test]
    fn build_scripts_say_what_they_lack() {
        let tool = |name: &str| Some(Trouble::Tool(name.to_owned()));
        assert_eq!(
            heard(
                "  failed to execute command: No such file or directory (os error 2)\n  is `cmake` \
                 not installed?\n"
            ),
            tool("cmake")
        );
        let no_clang = "  CMake Error at CMakeLists.txt:48 (project):\n    The CMAKE_C_COMPILER:\n\n      \
             clang\n\n    is not a full path and was not found in the PATH.\n";
        assert_eq!(heard(no_clang), tool("clang"));
        assert_eq!(heard(&no_clang.replace("clang", "/opt/clang")), None);
        assert_eq!(heard("  Unable to find libclang: \"couldn't find any\"\n"), tool("libclang"));
        assert_eq!(
            heard(
                "  CMake Error: CMake was unable to find a build program corresponding to \"Ninja\".\n"
            ),
            tool("ninja")
        );
    }

    #[test]
    fn an_error_of_the_program_is_none_of_the_toolchain() {
        for text in [
            "error[E0463]: can't find crate for `serde`\n --> src/main.rs:1:1\n",
            // The target is installed, and has no `std`.
            "error[E0463]: can't find crate for `std`\n  |\n  = note: the `riscv32imc-unknown-none-elf` \
             target may not support the standard library\n",
            "error: could not compile `a` (bin \"a\") due to 1 previous error",
            "  error: linker `x` not found is what a test prints",
            "warning: the target may not be installed\n",
        ] {
            assert_eq!(heard(text), None, "{text}");
        }
    }

    #[test]
    fn words_that_are_cut_off_still_say_something() {
        let cut = "error[E0463]: can't find crate for `core`\n = note: the `a-b` target may not be installed";
        assert_eq!(heard(cut), core("a-b", false));
        assert_eq!(heard("error[E0463]: can't find crate for `core`"), None);
        assert_eq!(
            heard("error: x does not exist, unable to build with the standard library, try:"),
            Some(Trouble::LibrarySource { remedy: None })
        );
    }

    #[test]
    fn every_remedy_names_what_is_missing() {
        let help = |trouble: Option<Trouble>| trouble.unwrap().help();
        assert!(help(core("xtensa-esp32-none-elf", false)).contains("espup install"));
        assert!(help(core("a-b", true)).contains("rustup target add a-b"));
        assert!(Trouble::Toolchain("esp".into()).help().contains("espup install"));
        assert!(Trouble::Toolchain("1.80".into()).help().contains("rustup toolchain install 1.80"));
        assert!(Trouble::Linker("xtensa-esp32-elf-gcc".into()).help().contains("export-esp.sh"));
    }
}
