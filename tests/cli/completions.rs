//! `completions`.

use std::io::Write;

use crate::harness::Project;
use crate::shape::Completions;

#[test]
fn every_shell_gets_a_script_that_knows_the_commands() {
    let project = Project::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        project
            .run(["completions", shell])
            .exits(0)
            .stdout_is(|text| {
                ["cargo-esp-ota", "publish", "partitions", "flash-size"]
                    .iter()
                    .all(|word| text.contains(word))
            })
            .stderr("")
            .wrote_nothing();
    }
}

#[test]
fn in_json_the_script_is_a_string() {
    Project::new()
        .run(["completions", "fish", "--format", "json"])
        .exits(0)
        .json(|report: Completions| assert!(report.script.starts_with("# Print")))
        .stderr("");
}

#[test]
fn bash_takes_its_script() {
    let project = Project::new();
    let script = project.command(["completions", "bash"]).output().unwrap().stdout;
    std::fs::write(project.path("script"), script).unwrap();
    let bash = std::process::Command::new("bash").arg("-n").arg(project.path("script")).output();
    match bash {
        Ok(done) => assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr)),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "skipped: no bash ({error})");
        }
    }
}
