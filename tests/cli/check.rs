//! `check`: one exit code for all of them.

use crate::certificates;
use crate::harness::Project;
use crate::material;
use crate::shape::Check;

const CHECKS: [&str; 6] =
    ["partitions", "roots", "embedded-roots", "settings", "agent", "repository"];

fn project() -> Project {
    Project::made()
}

#[test]
fn a_new_project_passes_and_what_cannot_be_checked_is_said() {
    project()
        .run(["check"])
        .exits(0)
        .stdout(
            "partitions: ok: 2 slots, sound\n\
             roots: ok: 1 pinned, the first ends [TIME]\n\
             embedded-roots: ok: the generated source holds the pinned roots\n\
             settings: ok: the firmware is built with the settings of `esp-ota.toml`\n\
             agent: ok: the project has this tool's own agent\n\
             repository: skipped: nothing is published in dir:dist\n",
        )
        .stderr("")
        .wrote_nothing();
}

#[test]
fn a_published_project_passes_whole() {
    let project = project().file("a.bin", material::image("1.0.0"));
    project.run(["publish", "a.bin", "-q"]).exits(0).stderr("");
    project
        .run(["check", "--format", "json"])
        .exits(0)
        .json(|report: Check| {
            let names: Vec<_> = report.checks.iter().map(|line| line.check.as_str()).collect();
            assert_eq!(names, CHECKS);
            assert!(report.checks.iter().all(|line| line.outcome == "ok"));
        })
        .stderr("")
        .wrote_nothing();
}

/// The outcome of every check, and the exit code of all.
#[track_caller]
fn outcomes(project: &Project, code: i32) -> [String; 6] {
    let mut outcomes = Vec::new();
    project
        .run(["check", "--format", "json"])
        .exits(code)
        .json(|report: Check| {
            for line in report.checks {
                if line.outcome == "failed" {
                    assert!(line.help.is_some(), "{} fails without a remedy", line.check);
                }
                outcomes.push(line.outcome);
            }
        })
        .stderr("")
        .wrote_nothing();
    project.run(["check"]).exits(code).stderr("").wrote_nothing();
    outcomes.try_into().unwrap()
}

#[test]
fn one_failure_does_not_hide_the_others() {
    assert_eq!(
        outcomes(&project().file("src/roots.rs", "// by hand\n"), 1),
        ["ok", "ok", "failed", "ok", "ok", "skipped"]
    );
    assert_eq!(
        outcomes(&project().file("partitions.csv", "noise\n"), 3),
        ["failed", "ok", "ok", "ok", "ok", "skipped"]
    );
    assert_eq!(
        outcomes(&project().without("partitions.csv").without("trust/root.json"), 3),
        ["failed", "ok", "ok", "ok", "ok", "failed"]
    );
    assert_eq!(
        outcomes(&project().edit("esp-ota.toml", "\"certs/root.pem\"", ""), 3),
        ["ok", "failed", "skipped", "ok", "ok", "skipped"]
    );
    assert_eq!(
        outcomes(&project().edit("esp-ota.toml", "dir:dist", "ftp://a"), 3),
        ["ok", "ok", "ok", "ok", "ok", "failed"]
    );
}

#[test]
fn a_breach_of_trust_outweighs_everything_else() {
    let project = project()
        .file("certs/root.pem", certificates::expired("Old"))
        .file("partitions.csv", "noise\n")
        .without("trust/root.json");
    assert_eq!(outcomes(&project, 6), ["failed", "failed", "failed", "ok", "ok", "failed"]);
}

#[test]
fn a_repository_that_somebody_changed_fails_the_check() {
    let project = project().file("a.bin", material::image("1.0.0"));
    project.run(["publish", "a.bin", "-q"]).exits(0).stderr("");
    let metadata = "dist/metadata/1.targets.json";
    let text = project.read(metadata).replace("1.0.0", "9.9.9");
    let project = project.file(metadata, text);
    assert_eq!(outcomes(&project, 6), ["ok", "ok", "ok", "ok", "ok", "failed"]);
}

#[test]
fn an_agent_of_one_s_own_is_a_warning_and_none_is_skipped() {
    let project = project();
    let agent = project.read("src/ota/agent.rs");
    let project = project.file("src/ota/agent.rs", agent + "// mine\n");
    assert_eq!(outcomes(&project, 0), ["ok", "ok", "ok", "ok", "warning", "skipped"]);
    std::fs::remove_dir_all(project.path("src/ota")).unwrap();
    assert_eq!(outcomes(&project, 0), ["ok", "ok", "ok", "ok", "skipped", "skipped"]);
}

#[test]
fn on_github_each_failure_is_on_its_file() {
    project()
        .file("src/roots.rs", "// by hand\n")
        .file("partitions.csv", "nvs, data, nvs, 0x9000, 0x5000\nnoise\n")
        .run(["check", "--format", "github"])
        .exits(3)
        .stdout_is(|text| {
            let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("::")).collect();
            lines.len() == 2
                && lines[0].starts_with("::error file=partitions.csv,line=2,")
                && lines[0].contains(",title=partitions::cannot use the partition table: ")
                && lines[1]
                    == "::error file=src/roots.rs,title=embedded-roots::`src/roots.rs` does not \
                        hold the roots that are pinned now%0Ahelp: run `cargo esp-ota ca embed`"
        })
        .stderr("");
}

#[test]
fn what_ends_soon_is_a_warning_long_before_devices_refuse_it() {
    let signed = |days| {
        let project = project();
        let release = crate::releases::Release::new("1.0.0", material::image("1.0.0"));
        release.signed_days_ago(days).publish(&project);
        project
    };
    let said = |project: &Project, outcome: &str, words: &str| {
        project
            .run(["check", "--format", "json"])
            .exits(0)
            .json(|report: Check| {
                let line = report.checks.last().unwrap();
                assert_eq!(line.outcome, outcome, "{}", line.message);
                assert!(line.message.contains(words), "{}", line.message);
            })
            .stderr("")
            .wrote_nothing();
    };
    said(&signed(59), "ok", "signed and current");
    let project = signed(61);
    said(&project, "warning", "the timestamp metadata ends in 28 days, on ");
    said(&project, "warning", ": sign it again with `cargo esp-ota publish --refresh`");
    // What is signed now is good; the list of images is the older one.
    let project = signed(340);
    let key = "configuration/esp-ota/keys/thermostat/targets.pem";
    std::fs::remove_file(project.around(key)).unwrap();
    project.run(["publish", "--refresh", "-qq"]).exits(0).stdout_is(|_| true).stderr("");
    said(&project, "warning", "the targets metadata ends in 24 days, on ");
}
