//! Running other programs, and saying so.

use std::process::{Command, Stdio};
use std::time::Duration;

/// The program that is said before it runs; its output goes where ours goes.
pub fn run(command: &mut Command) -> Result<(), String> {
    let line = line(command);
    println!("   $ {line}");
    let status = command.stdin(Stdio::null()).status().map_err(|e| format!("`{line}` cannot be run: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{line}` ended with {status}")) }
}

/// What the program prints, or `None` when it is missing or fails.
pub fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether the program is there and answers.
pub fn answers(command: &mut Command) -> bool {
    output(command).is_some()
}

/// The cargo that runs us, without what it told us about ourselves: a nested cargo would take that for its own and
/// build again what is built.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let about_us = name.to_str().is_some_and(|name| {
            ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
        });
        if about_us {
            cargo.env_remove(name);
        }
    }
    cargo
}

fn line(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    std::iter::once(name)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// `12 min 3 s`, `3 s`, `0.4 s`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds >= 60 {
        format!("{} min {} s", seconds / 60, seconds % 60)
    } else if seconds >= 10 {
        format!("{seconds} s")
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_by_people() {
        assert_eq!(duration(Duration::from_secs(723)), "12 min 3 s");
        assert_eq!(duration(Duration::from_secs(59)), "59 s");
        assert_eq!(duration(Duration::from_millis(420)), "0.4 s");
    }

    #[test]
    fn a_failing_program_is_named_with_its_arguments() {
        let failure = run(Command::new("sh").args(["-c", "exit 7"])).unwrap_err();
        assert_eq!(failure, "`sh -c exit 7` ended with exit status: 7");
        assert!(run(&mut Command::new("no-such-program-here")).unwrap_err().contains("cannot be run"));
        assert!(!answers(Command::new("sh").args(["-c", "exit 7"])));
    }
}
