//! `cargo xtask test`: what CI runs, in order. The first failure ends it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::{browser, foreign, metadata, prerequisites, shell, tidy};

/// Runs each benchmark once, small, so that it does not rot. It measures nothing.
pub const SMOKE: &str = "benches/smoke.sh";

enum Outcome {
    Done,
    Skipped(&'static str),
}

struct Step {
    name: &'static str,
    run: fn(&mut Run) -> Result<Outcome, String>,
}

/// What one step leaves for the next.
struct Run {
    root: PathBuf,
    target: PathBuf,
    foreign: Option<PathBuf>,
}

/// What fails fast comes first. Clippy checks the dependencies and the tests build them: cargo keeps these apart, and
/// nothing else is done twice.
const STEPS: &[Step] = &[
    Step { name: "prerequisites", run: |run| prerequisites::provide(&run.root).map(done) },
    Step { name: "format", run: |run| run.cargo(&["fmt", "--all", "--check"]) },
    Step { name: "tidy", run: |run| tidy::run(&run.root).map(done) },
    Step { name: "dependencies", run: dependencies },
    Step {
        name: "clippy",
        run: |run| run.cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    },
    Step { name: "foreign servers", run: foreign_servers },
    Step { name: "tests", run: tests },
    Step { name: "documentation tests", run: documentation_tests },
    Step { name: "the console in a browser", run: console },
    Step { name: "benchmarks, once", run: smoke },
];

pub fn run(root: &Path) -> Result<(), String> {
    let target = metadata::read(root)?.target;
    let mut run = Run { root: root.to_owned(), target, foreign: None };
    walk(STEPS, &mut run)
}

fn walk(steps: &[Step], run: &mut Run) -> Result<(), String> {
    let began = Instant::now();
    let mut report = Vec::new();
    for (number, step) in (1..).zip(steps) {
        println!("── {number}/{} {}", steps.len(), step.name);
        let step_began = Instant::now();
        let outcome = (step.run)(run);
        let time = step_began.elapsed();
        let line = match outcome {
            Ok(Outcome::Done) => format!("{}: ok in {}", step.name, shell::duration(time)),
            Ok(Outcome::Skipped(why)) => format!("{}: skipped, {why}", step.name),
            Err(e) => return Err(failure(number, step.name, time, &e)),
        };
        println!("── {line}\n");
        report.push(line);
    }
    println!("{}\nall green in {}", report.join("\n"), shell::duration(began.elapsed()));
    Ok(())
}

fn failure(number: usize, step: &str, time: Duration, cause: &str) -> String {
    format!("\nFAILED in step {number}, {step}, after {}: {cause}", shell::duration(time))
}

fn done((): ()) -> Outcome {
    Outcome::Done
}

impl Run {
    fn cargo(&self, arguments: &[&str]) -> Result<Outcome, String> {
        self.run(shell::cargo().args(arguments))
    }

    fn run(&self, command: &mut Command) -> Result<Outcome, String> {
        if let Some(folder) = &self.foreign {
            command.env(foreign::VARIABLE, folder);
        }
        shell::run(command.current_dir(&self.root)).map(done)
    }
}

fn dependencies(run: &mut Run) -> Result<Outcome, String> {
    if !shell::answers(shell::cargo().args(["deny", "--version"])) {
        return Ok(Outcome::Skipped(
            "cargo-deny is not installed; `tidy` has checked who may depend on what",
        ));
    }
    // Not the advisories: they change by the day, and this must not turn red over night. `just advisories` asks them.
    run.cargo(&["deny", "check", "bans", "licenses", "sources"])
}

fn foreign_servers(run: &mut Run) -> Result<Outcome, String> {
    run.foreign = foreign::prepare(&run.root, &run.target)?;
    Ok(if run.foreign.is_some() { Outcome::Done } else { Outcome::Skipped("there is no testkit/foreign") })
}

fn nextest() -> bool {
    shell::answers(shell::cargo().args(["nextest", "--version"]))
}

fn tests(run: &mut Run) -> Result<Outcome, String> {
    if nextest() {
        run.cargo(&["nextest", "run", "--workspace"])
    } else {
        println!("   cargo-nextest is not installed; `cargo test` does the same, slower");
        run.cargo(&["test", "--workspace", "--no-fail-fast"])
    }
}

fn documentation_tests(run: &mut Run) -> Result<Outcome, String> {
    if nextest() {
        run.cargo(&["test", "--doc", "--workspace"])
    } else {
        Ok(Outcome::Skipped("`cargo test` has run them"))
    }
}

/// The tests have built the binary.
fn console(run: &mut Run) -> Result<Outcome, String> {
    if !run.root.join(browser::SOURCE).is_dir() {
        return Ok(Outcome::Skipped("there is no e2e"));
    }
    let Some(servers) = &run.foreign else {
        return Ok(Outcome::Skipped("there is no testkit/foreign"));
    };
    browser::drive(&run.root, &run.target, servers, &[]).map(done)
}

fn smoke(run: &mut Run) -> Result<Outcome, String> {
    if !run.root.join(SMOKE).is_file() {
        return Ok(Outcome::Skipped("there is no benches/smoke.sh"));
    }
    if !prerequisites::nginx() {
        return Ok(Outcome::Skipped("nginx is not installed"));
    }
    run.run(Command::new("bash").arg(SMOKE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> Run {
        Run { root: "/".into(), target: "/".into(), foreign: None }
    }

    #[test]
    fn the_first_failure_ends_it_and_names_the_step() {
        let steps = [
            Step { name: "first", run: |_| Ok(Outcome::Done) },
            Step { name: "second", run: |_| Err("it broke".to_owned()) },
            Step { name: "third", run: |_| panic!("must not run") },
        ];
        let failure = walk(&steps, &mut nothing()).unwrap_err();
        let last = failure.lines().last().unwrap();
        assert!(last.starts_with("FAILED in step 2, second, after "), "{last}");
        assert!(last.ends_with(": it broke"), "{last}");
    }

    #[test]
    fn a_skipped_step_is_no_failure() {
        assert!(
            walk(&[Step { name: "only", run: |_| Ok(Outcome::Skipped("not here")) }], &mut nothing()).is_ok()
        );
    }

    #[test]
    fn tests_are_told_where_the_foreign_servers_are() {
        let run = Run { foreign: Some("/elsewhere".into()), ..nothing() };
        let mut probe = Command::new("sh");
        probe.args(["-c", &format!("test \"${}\" = /elsewhere", foreign::VARIABLE)]);
        assert!(run.run(&mut probe).is_ok());
    }

    #[test]
    fn a_program_that_fails_fails_the_step() {
        assert!(nothing().run(Command::new("sh").args(["-c", "exit 1"])).is_err());
    }
}
