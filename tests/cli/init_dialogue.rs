//! `init` on a terminal: a real pseudo-terminal, where people type and press Ctrl-C.

use std::collections::BTreeMap;
use std::process::Command;

use rexpect::process::{Signal, WaitStatus};
use rexpect::session::{PtySession, spawn_command};

use crate::certificates;
use crate::harness::Project;
use crate::material;
use crate::redact::redact;

/// Far more than any answer of the program takes, in milliseconds.
const PATIENCE: u64 = 60_000;

const CHIP: &str = "Which chip? [esp32c3] ";
const URL: &str = "URL that devices will read releases from? [later] ";
const ROOT: &str = "Root certificate of that server, a file or an https URL? [later] ";

/// A run whose three streams are one terminal.
pub(crate) struct Terminal<'a> {
    project: &'a Project,
    session: PtySession,
    before: BTreeMap<String, Option<Vec<u8>>>,
}

impl<'a> Terminal<'a> {
    pub(crate) fn open(project: &'a Project, arguments: &[&str]) -> Self {
        let mut command = with_control_c(project.command(arguments.iter().copied()));
        command.env("NO_COLOR", "1");
        let before = project.everything();
        Self { project, session: spawn_command(command, Some(PATIENCE)).unwrap(), before }
    }

    /// What comes before the question, and the question is exactly this.
    #[track_caller]
    pub(crate) fn asks(mut self, question: &str) -> Self {
        match self.session.exp_string(question) {
            Ok(before) => assert_eq!(before, "", "before `{question}`"),
            Err(error) => panic!("no `{question}`: {error}"),
        }
        self
    }

    #[track_caller]
    pub(crate) fn says(mut self, text: &str) -> Self {
        let text = text.replace('\n', "\r\n");
        if let Err(error) = self.session.exp_string(&text) {
            panic!("no `{text}`: {error}");
        }
        self
    }

    pub(crate) fn types(mut self, line: &str) -> Self {
        self.session.send_line(line).unwrap();
        self
    }

    fn presses_control(mut self, key: char) -> Self {
        self.session.send_control(key).unwrap();
        self
    }

    /// The rest of what is shown, redacted, and how the program ended.
    pub(crate) fn ends(mut self) -> (String, WaitStatus) {
        let rest = self.session.exp_eof().unwrap().replace("\r\n", "\n");
        let status = self.session.process().wait().unwrap();
        (redact(&rest, &self.project.around("")), status)
    }

    /// It ends with this code and these words, and wrote nothing.
    #[track_caller]
    pub(crate) fn gives_up(self, code: i32, words: &str) {
        let (project, before) = (self.project, self.before.clone());
        let (rest, status) = self.ends();
        assert_eq!(rest, words);
        assert!(matches!(status, WaitStatus::Exited(_, found) if found == code), "{status:?}");
        assert_eq!(project.everything(), before);
    }
}

/// A shell that runs the tests in the background has them ignore Ctrl-C, and whatever they start
/// does so, too, unless told otherwise.
fn with_control_c(command: Command) -> Command {
    if !cfg!(target_os = "linux") {
        return command;
    }
    let mut wrapped = Command::new("env");
    wrapped.arg("--default-signal=INT").arg(command.get_program()).args(command.get_args());
    wrapped.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    wrapped.current_dir(command.get_current_dir().unwrap());
    wrapped
}

#[test]
fn what_is_missing_is_asked_for_until_the_answer_is_one() {
    let project = Project::new()
        .file("root.pem", material::bench_root())
        .file("old.pem", certificates::expired("Old Root"));
    let (rest, status) = Terminal::open(&project, &["init", "kettle"])
        .asks(CHIP)
        .types("esp8266")
        .asks(
            "  `esp8266` is not a known chip; there is esp32, esp32s2, esp32s3, esp32c2, esp32c3, \
             esp32c5, esp32c6, esp32c61\r\n",
        )
        .asks(CHIP)
        .types("esp32h2")
        .asks("  `esp32h2` has no Wi-Fi, which the firmware would update over\r\n")
        .asks(CHIP)
        .types("ESP32-C6")
        .asks("Name of the product? [kettle] ")
        .types("A Kettle")
        .says("with a letter or digit\n")
        .asks("Name of the product? [kettle] ")
        .types("")
        .asks(URL)
        .types("http://updates.test")
        .asks("  it does not begin with `https://`; write `https://host/path`, without user, query or fragment\r\n")
        .asks(URL)
        .types("https://updates.test/k")
        .asks(ROOT)
        .types("none.pem")
        .says("  `none.pem` could not be read: ")
        .says("\n")
        .asks(ROOT)
        .types("old.pem")
        .says("  `CN=Old Root` in `old.pem` cannot be a pinned root: it ended on ")
        .says("\n")
        .asks(ROOT)
        .types("root.pem")
        .says("\n  SHA-256 ")
        .says(", ends ")
        .says("\nPin it? [y/N] ")
        .types("n")
        .asks(ROOT)
        .types("root.pem")
        .says("\n  SHA-256 ")
        .says(", ends ")
        .says("\nPin it? [y/N] ")
        .types("y")
        .ends();
    assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?}");
    assert!(rest.starts_with("project kettle for esp32c6 in `kettle`\n"), "{rest}");
    let next = "cd kettle\n  cargo esp-ota build\n  cargo esp-ota flash\n  cargo esp-ota publish\n";
    assert!(rest.ends_with(&format!("next:\n  {next}")), "{rest}");
    let settings = project.read("kettle/esp-ota.toml");
    for line in
        ["chip = \"esp32c6\"", "roots = [\"certs/root.pem\"]", "url = \"https://updates.test/k\""]
    {
        assert!(settings.contains(line), "{settings}");
    }
}

#[test]
fn what_was_said_is_not_asked_for() {
    let project = Project::new();
    let arguments =
        ["init", "a", "--no-keys", "--chip", "esp32", "--product", "b", "--url", "https://c.test"];
    let (rest, _) = Terminal::open(&project, &arguments).asks(ROOT).types("").ends();
    assert!(rest.starts_with("project b for esp32 in `a`\n"), "{rest}");
    for arguments in [
        &["init", "c", "--no-keys", "--yes"][..],
        &["init", "d", "--no-keys", "-q"],
        &["init", "e", "--no-keys", "--format", "json"],
        &["init", "f", "--no-keys", "--format", "github"],
    ] {
        let (rest, status) = Terminal::open(&project, arguments).ends();
        assert!(matches!(status, WaitStatus::Exited(_, 0)), "{arguments:?}: {status:?}");
        assert!(!rest.contains('?'), "{rest}");
    }
}

#[test]
fn the_root_of_a_live_host_is_shown_before_it_is_pinned() {
    let (project, host) = crate::init_root_url::scene();
    let url = format!("https://{}/k", host.address);
    let first = ["init", "--no-keys", "--product", "b", "--chip", "esp32", "--url", &url];
    let with_candidates = ["--candidates", "candidates.pem", "--root-ca", &url];
    let shown = "CN=Live Root\n  SHA-256 ";
    let ask = |folder| {
        let arguments: Vec<&str> =
            first.into_iter().chain(with_candidates).chain([folder]).collect();
        Terminal::open(&project, &arguments)
            .says("asking 127.0.0.1:")
            .says(shown)
            .says(", ends ")
            .says("\nPin it? [y/N] ")
    };
    ask("a")
        .types("")
        .gives_up(1, "error: nothing was pinned: the fingerprint was not confirmed\n");
    let (rest, _) = ask("a").types("y").ends();
    assert!(rest.contains("\n  certs/root.pem\n"), "{rest}");
    // Typed at the question, a host that Mozilla's set does not anchor is not taken.
    let arguments: Vec<&str> = first.into_iter().chain(["c"]).collect();
    let (rest, _) = Terminal::open(&project, &arguments)
        .asks(ROOT)
        .types(&url)
        .says("  no root in Mozilla's set anchors `127.0.0.1:")
        .says("\n")
        .asks(ROOT)
        .types("")
        .ends();
    assert!(!rest.contains("certs/root.pem"), "{rest}");
}

#[test]
fn a_home_folder_may_be_written_with_a_tilde() {
    let project = Project::new();
    std::fs::write(project.around("home/root.pem"), material::bench_root()).unwrap();
    let arguments = ["init", "a", "--no-keys", "--chip", "esp32", "--product", "b"];
    let (rest, _) = Terminal::open(&project, &arguments)
        .asks(URL)
        .types("")
        .asks(ROOT)
        .types("~/root.pem")
        .says("Pin it? [y/N] ")
        .types("yes")
        .ends();
    assert!(rest.contains("\n  certs/root.pem\n"), "{rest}");
}

#[test]
fn the_end_of_the_terminal_leaves_nothing() {
    let unanswered = "\nerror: nothing was written: a question was not answered\n  \
                      help: `--yes` asks nothing, and takes what is offered\n";
    let project = Project::new().file("root.pem", material::bench_root());
    let open = || Terminal::open(&project, &["init", "kettle"]);
    open().asks(CHIP).presses_control('d').gives_up(1, unanswered);
    let at_url = || open().asks(CHIP).types("").asks("Name of the product? [kettle] ").types("");
    at_url().asks(URL).presses_control('d').gives_up(1, unanswered);
    let at_root = || at_url().asks(URL).types("").asks(ROOT);
    at_root().presses_control('d').gives_up(1, unanswered);
    let pin = at_root().types("root.pem").says("Pin it? [y/N] ");
    pin.presses_control('d').gives_up(1, unanswered);
}

#[test]
fn control_c_leaves_nothing() {
    let project = Project::new();
    let before = project.everything();
    for answers in 0..4 {
        let mut terminal = Terminal::open(&project, &["init", "kettle"]);
        for _ in 0..answers {
            terminal = terminal.says("] ").types("");
        }
        let (_, status) = terminal.says("] ").presses_control('c').ends();
        assert!(matches!(status, WaitStatus::Signaled(_, Signal::SIGINT, _)), "{status:?}");
        assert_eq!(project.everything(), before);
    }
}

fn existing() -> Project {
    let manifest = "[package]\nname = \"mine\"\nedition = \"2024\"\n\n[dependencies]\n\
                    esp-hal = { version = \"1.2\", features = [\"esp32c3\"] }\n";
    Project::new().file("Cargo.toml", manifest).file("src/main.rs", "#![no_std]\n")
}

const QUESTION: &str = "new: src/ota/: the update agent, [N] files\nnew: src/platform/: 8 files\nnew: src/updates/: 3 files\nChange and add these files? [y/N] ";

#[test]
fn nothing_is_asked_where_no_answer_would_help() {
    let project = existing().edit("Cargo.toml", "version = \"1.2\"", "version = \"1.1\"");
    Terminal::open(&project, &["init"]).gives_up(
        1,
        "error: `./Cargo.toml` does not fit the update agent's modules: `esp-hal` is `1.1` and has to \
         be `1.2`\n  help: change it to that, then run this again\n",
    );
}

#[test]
fn a_difference_is_shown_and_nothing_is_changed_without_a_yes() {
    let question = QUESTION.replace("[N]", &cargo_esp_ota::agent::sources().count().to_string());
    let project = existing();
    let arguments = ["init", "--url", "https://updates.test/k"];
    let open = || {
        Terminal::open(&project, &arguments)
            .asks("Name of the product? [mine] ")
            .types("")
            .asks(ROOT)
            .types("")
            .says("--- a/Cargo.toml\n+++ b/Cargo.toml\n@@ ")
            .says("\n+# The update agent and its modules\n")
            .says("\nnew: esp-ota.toml\n")
            .says(&question)
    };
    let refused = "error: nothing was written: the changes were not confirmed\n";
    open().types("").gives_up(1, refused);
    open().types("no").gives_up(1, refused);
    open().presses_control('d').gives_up(
        1,
        "\nerror: nothing was written: a question was not answered\n  \
         help: `--yes` asks nothing, and takes what is offered\n",
    );
    let before = project.everything();
    let (_, status) = open().presses_control('c').ends();
    assert!(matches!(status, WaitStatus::Signaled(_, Signal::SIGINT, _)), "{status:?}");
    assert_eq!(project.everything(), before);
    let (rest, status) = open().types("y").ends();
    assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?}");
    assert!(rest.contains("\n  Cargo.toml: changed\n"), "{rest}");
    // Now all is known, and there is nothing left to ask.
    let (rest, _) = Terminal::open(&project, &["init"]).ends();
    assert!(rest.contains("nothing was changed"), "{rest}");
}
