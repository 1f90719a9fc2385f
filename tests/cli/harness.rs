//! Throw-away projects, the program run in them, and exact expectations of what it did.
//!
//! Each project is a temporary folder with a home of its own, outside any git work tree, and the
//! program starts with an empty environment: nothing of whoever runs the tests leaks in. Around
//! every run the folder is listed, so that "nothing was written" is a fact and not a hope.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use cargo_esp_ota::error::Exit;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::TempDir;

use crate::material;
use crate::redact::redact;
use crate::shape::Failed;

/// Variables that a program cannot run without on some platform, and that say nothing to ours.
const KEPT: [&str; 4] = ["PATH", "SystemRoot", "CARGO_HOME", "RUSTUP_HOME"];

/// A folder to run in.
pub(crate) struct Project {
    root: TempDir,
    environment: Vec<(&'static str, OsString)>,
    input: Vec<u8>,
    output: Option<fn() -> Stdio>,
}

impl Project {
    /// An empty folder, which is no project yet.
    pub(crate) fn new() -> Self {
        let root = tempfile::Builder::new().prefix("esp-ota-test-").tempdir().unwrap();
        for folder in ["work", "home", "configuration", "scratch"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        Self { root, environment: Vec::new(), input: Vec::new(), output: None }
    }

    /// What `init`, `ca add` and `keys new` leave: a whole project of the product `thermostat`,
    /// with its keys in the user's configuration folder.
    pub(crate) fn made() -> Self {
        static MADE: OnceLock<TempDir> = OnceLock::new();
        let made = MADE.get_or_init(|| {
            let root = material::bench_root();
            let project = Self::new().file("root.pem", &root);
            project
                .run(["init", "--product", "thermostat", "--url", "https://updates.test/t"])
                .exits(0)
                .stderr("");
            project.run(["ca", "add", "root.pem", "--yes"]).exits(0).stderr("");
            fs::remove_file(project.path("root.pem")).unwrap();
            project.root
        });
        let project = Self::new();
        copy(made.path(), project.root.path());
        project
    }

    /// Writes a file, and its folders.
    pub(crate) fn file(self, path: &str, contents: impl AsRef<[u8]>) -> Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
        self
    }

    /// Makes an empty folder.
    pub(crate) fn folder(self, path: &str) -> Self {
        fs::create_dir_all(self.path(path)).unwrap();
        self
    }

    /// Removes a file.
    pub(crate) fn without(self, path: &str) -> Self {
        fs::remove_file(self.path(path)).unwrap();
        self
    }

    /// Replaces text in a file, which must be there.
    #[track_caller]
    pub(crate) fn edit(self, path: &str, from: &str, to: &str) -> Self {
        let text = fs::read_to_string(self.path(path)).unwrap();
        assert!(text.contains(from), "`{path}` has no `{from}`:\n{text}");
        self.file(path, text.replace(from, to))
    }

    /// Sets a variable for the runs that follow.
    pub(crate) fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// Gives the runs that follow something to read.
    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// Gives the runs that follow another standard output.
    pub(crate) fn output(mut self, output: fn() -> Stdio) -> Self {
        self.output = Some(output);
        self
    }

    /// A path below the folder that the program runs in.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join("work").join(path)
    }

    /// A path below the temporary folder that belongs to this project alone: `home`,
    /// `configuration` and `scratch` are in it.
    pub(crate) fn around(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// Every file and folder there is, with what the files hold.
    pub(crate) fn everything(&self) -> BTreeMap<String, Option<Vec<u8>>> {
        listing(self.root.path())
    }

    /// The program, ready to start.
    pub(crate) fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-esp-ota"));
        command
            .args(arguments)
            .current_dir(self.path(""))
            .env_clear()
            .envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .env("HOME", self.around("home"))
            .env("XDG_CONFIG_HOME", self.around("configuration"))
            .env("APPDATA", self.around("configuration"))
            .env("TMPDIR", self.around("scratch"))
            .env("TMP", self.around("scratch"))
            .envs(toolchain_folders())
            .envs(self.environment.iter().cloned());
        command
    }

    /// Starts the program and waits for its first line, as those print that go on.
    #[track_caller]
    pub(crate) fn start<'a>(
        &self,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> (Child, String) {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "no answer: {}", said(&mut child));
        (child, line)
    }

    /// Runs it in both formats: the same refusal, of this command, and an untouched project.
    #[track_caller]
    pub(crate) fn refuses<'a>(
        &self,
        command: &str,
        arguments: impl IntoIterator<Item = &'a str>,
        (code, stderr): (i32, &str),
    ) {
        let arguments: Vec<&str> = arguments.into_iter().collect();
        self.run(arguments.clone()).exits(code).stdout("").stderr(stderr).wrote_nothing();
        self.run(arguments.into_iter().chain(["--format", "json"]))
            .exits(code)
            .json(|failed: Failed| assert_eq!(failed.command, command))
            .stderr(stderr)
            .wrote_nothing();
    }

    /// Runs the program to its end.
    #[track_caller]
    #[must_use = "a run without expectations proves nothing"]
    pub(crate) fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Ran {
        let arguments: Vec<&str> = arguments.into_iter().collect();
        let input = self.around("input");
        fs::write(&input, &self.input).unwrap();
        let before = listing(self.root.path());
        let mut command = self.command(arguments.iter().copied());
        command.stdin(fs::File::open(input).unwrap()).stderr(Stdio::piped());
        command.stdout(self.output.map_or_else(Stdio::piped, |output| output()));
        let done = command.spawn().unwrap().wait_with_output().unwrap();
        let after = listing(self.root.path());
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran {
            arguments: arguments.join(" "),
            code: done.status.code(),
            stdout: text(done.stdout),
            stderr: text(done.stderr),
            changed: difference(&before, &after),
            root: self.root.path().to_owned(),
        }
    }
}

/// What a child that ended, or is about to, wrote to standard error.
pub(crate) fn said(child: &mut Child) -> String {
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    text
}

/// rustup and cargo find their folders by `HOME` where nothing else names them.
fn toolchain_folders() -> Vec<(&'static str, OsString)> {
    let is_set = |name: &str| std::env::var_os(name).is_some();
    let Some(home) = std::env::home_dir() else { return Vec::new() };
    [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")]
        .into_iter()
        .filter(|(name, _)| !is_set(name))
        .map(|(name, folder)| (name, home.join(folder)))
        .filter(|(_, folder)| folder.is_dir())
        .map(|(name, folder)| (name, folder.into_os_string()))
        .collect()
}

/// What a run did. Every run is asked for its exit code and both of its streams.
pub(crate) struct Ran {
    arguments: String,
    code: Option<i32>,
    stdout: String,
    stderr: String,
    changed: Vec<String>,
    root: PathBuf,
}

impl Ran {
    #[track_caller]
    #[must_use = "say what it printed, too"]
    pub(crate) fn exits(self, code: i32) -> Self {
        let Self { arguments, stdout, stderr, .. } = &self;
        assert_eq!(self.code, Some(code), "exit code of `{arguments}`\n{stdout}\n{stderr}");
        self
    }

    /// Standard output, redacted, is exactly this.
    #[track_caller]
    pub(crate) fn stdout(self, expected: &str) -> Self {
        same(&self.arguments, "stdout", &redact(&self.stdout, &self.root), expected);
        self
    }

    /// Standard error, redacted, is exactly this.
    #[track_caller]
    pub(crate) fn stderr(self, expected: &str) -> Self {
        same(&self.arguments, "stderr", &redact(&self.stderr, &self.root), expected);
        self
    }

    /// Standard output, redacted, for what is too long or too changeable to be compared whole.
    #[track_caller]
    pub(crate) fn stdout_is(self, judge: impl FnOnce(&str) -> bool) -> Self {
        let text = redact(&self.stdout, &self.root);
        assert!(judge(&text), "stdout of `{}`:\n{text}", self.arguments);
        self
    }

    /// Standard error likewise.
    #[track_caller]
    pub(crate) fn stderr_is(self, judge: impl FnOnce(&str) -> bool) -> Self {
        let text = redact(&self.stderr, &self.root);
        assert!(judge(&text), "stderr of `{}`:\n{text}", self.arguments);
        self
    }

    /// Standard output is exactly one JSON object and a newline, its envelope agrees with the exit
    /// code, and its shape is that of `T`.
    #[track_caller]
    pub(crate) fn json<T: DeserializeOwned>(self, judge: impl FnOnce(T)) -> Self {
        let Self { arguments, stdout, code, .. } = &self;
        let (line, rest) = stdout.split_once('\n').expect("a newline ends the object");
        assert_eq!(rest, "", "`{arguments}` prints more than one line");
        let value: Value = serde_json::from_str(line).expect("JSON");
        assert!(value.is_object(), "{line}");
        assert_eq!(value["schema"], 1, "{line}");
        assert_eq!(value["exit-code"].as_i64(), code.map(i64::from), "{line}");
        let by_code = |exit: &&Exit| code == &Some(i32::from(exit.code()));
        let expected = Exit::ALL.iter().find(by_code).map(|exit| exit.name());
        assert_eq!(value["outcome"].as_str(), expected, "{line}");
        // From the text, not from the value: a key that is there twice shows only here.
        match serde_json::from_str(line) {
            Ok(report) => judge(report),
            Err(error) => panic!("`{arguments}`: {error}\n{line}"),
        }
        self
    }

    /// No file was made, changed or removed: not in the project, not in the home.
    #[track_caller]
    pub(crate) fn wrote_nothing(self) -> Self {
        self.changed(&[])
    }

    /// Exactly these files were made, changed or removed; folders of new files are not named.
    #[track_caller]
    pub(crate) fn changed(self, expected: &[&str]) -> Self {
        let found: Vec<String> = self.changed.iter().map(|path| redact(path, &self.root)).collect();
        assert_eq!(found, expected, "files that `{}` changed", self.arguments);
        self
    }
}

#[track_caller]
fn same(arguments: &str, stream: &str, found: &str, expected: &str) {
    assert!(
        found == expected,
        "{stream} of `{arguments}` is\n{found}\nand should be\n{expected}\n({found:?})"
    );
}

/// Every file and folder below `root`: `None` for folders, else the contents.
fn listing(root: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().display().to_string().replace('\\', "/");
            if path.is_dir() {
                found.insert(name, None);
                folders.push(path);
                continue;
            }
            match fs::read(path) {
                Ok(bytes) => drop(found.insert(name, Some(bytes))),
                // A virtual board beside it is just replacing its file.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => panic!("{name}: {error}"),
            }
        }
    }
    found
}

/// The names of what differs; a new folder only where it stayed empty.
fn difference(
    before: &BTreeMap<String, Option<Vec<u8>>>,
    after: &BTreeMap<String, Option<Vec<u8>>>,
) -> Vec<String> {
    let is_full = |name: &str| {
        let inside = format!("{name}/");
        [before, after].iter().any(|list| list.keys().any(|key| key.starts_with(&inside)))
    };
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name) && !is_full(name))
        .map(|name| name.strip_prefix("work/").unwrap_or(name).to_owned())
        .collect()
}

/// Copies a folder into another one.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
