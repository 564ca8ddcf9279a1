use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use rustix::io::retry_on_intr;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, waitid};
use zeroize::Zeroizing;

use super::{KeyProvider, unusable};
use crate::{KeyError, Keyring};

/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How long its output may stay open after it has ended and its process group was ended.
const GRACE: Duration = Duration::from_secs(2);
/// More output than this is no keyring.
const LARGEST: usize = 64 * 1024;
/// How much of standard error is looked at, and how much of that is shown.
const LARGEST_COMPLAINT: usize = 4 * 1024;
const SHOWN: usize = 200;
/// Runs of letters this long may be a key (43 letters of base64, 64 of hex), and are masked.
const SUSPECT: usize = 32;

/// The keyring is what a command prints, such as `vault kv get -field=key secret/jackfield`.
///
/// Runs as `sh -c COMMAND` with no input, in a process group of its own, for 10 seconds at most; then the
/// whole group is ended. It must end with status 0 and print what `JACKFIELD_KEY` may hold: see
/// [`super::EnvironmentProvider`]. Processes it leaves in its group are ended with it.
pub struct CommandProvider {
    /// For the shell. May hold secrets, and is never shown.
    pub command: String,
}

impl CommandProvider {
    /// As in `JACKFIELD_KEY_PROVIDER`.
    pub const NAME: &'static str = "command";
    /// The setting that holds the command.
    pub const SETTING: &'static str = "JACKFIELD_KEY_COMMAND";

    fn load_within(&self, limit: Duration) -> Result<Option<Keyring>, KeyError> {
        self.read_within(limit).map(Some).map_err(|cause| {
            unusable(
                self,
                "Run it by hand: it must print the key this store was made with, and end with status 0 within 10 seconds",
                cause,
            )
        })
    }

    fn read_within(&self, limit: Duration) -> Result<Keyring, KeyError> {
        if self.command.trim().is_empty() {
            return Err(KeyError::Command { problem: "is empty".to_owned() });
        }
        let output = run(&self.command, limit)?;
        Keyring::parse_value(Keyring::text_of(&output)?)
    }
}

impl KeyProvider for CommandProvider {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn setting(&self) -> &'static str {
        Self::SETTING
    }

    fn describe(&self) -> String {
        "the output of this command".to_owned()
    }

    fn load(&self) -> Result<Option<Keyring>, KeyError> {
        self.load_within(LIMIT)
    }

    fn store_new(&self, _: &Keyring) -> Result<(), KeyError> {
        Err(unusable(self, "Put a key where the command finds it", KeyError::ReadOnly))
    }

    fn store_rotated(&self, _: &Keyring) -> Result<(), KeyError> {
        Err(unusable(
            self,
            "Put the new key before the old one where the command finds them, and start again",
            KeyError::ReadOnly,
        ))
    }
}

/// Ends the command and all it started, however this function is left.
///
/// A process that left the group on purpose (`setsid`) is out of reach. It can hold the output open, but
/// nothing here waits for it.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        let _ = kill_process_group(self.0, Signal::KILL);
    }
}

fn run(command: &str, limit: Duration) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(command)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(could_not("starting the shell"))?;
    let pid = Pid::from_child(&child);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());

    // Of the order of these two: the group is ended first, then its leader may be reaped. As long as the
    // leader is not reaped, its number cannot become that of a stranger, whom the signal would hit instead.
    let (may_reap, reaper) = mpsc::channel::<()>();
    let group = Group(pid);

    let (tell, ended) = mpsc::channel();
    aside(move || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let _ = tell.send(retry_on_intr(|| waitid(WaitId::Pid(pid), options)));
        let _ = reaper.recv();
        let _ = child.wait();
    })?;
    let stdout = collect(stdout, LARGEST)?;
    let stderr = collect(stderr, LARGEST_COMPLAINT)?;

    let ended = ended.recv_timeout(limit);
    drop(group);
    drop(may_reap);

    let status = match ended {
        Ok(Ok(Some(status))) => status,
        Ok(Ok(None)) | Err(mpsc::RecvTimeoutError::Disconnected) => return Err(failed("was lost sight of")),
        Ok(Err(cause)) => return Err(could_not("waiting for the command")(cause.into())),
        Err(mpsc::RecvTimeoutError::Timeout) => return Err(KeyError::TimedOut { limit }),
    };
    if status.exit_status() != Some(0) {
        let complaint =
            stderr.recv_timeout(GRACE).map(|collected| excerpt(&collected.bytes)).unwrap_or_default();
        return Err(KeyError::Command { problem: format!("{}{complaint}", ending(&status)) });
    }
    let output =
        stdout.recv_timeout(GRACE).map_err(|_| failed("left a process behind that holds its output open"))?;
    if let Some(cause) = output.failure {
        return Err(could_not("reading its output")(cause));
    }
    if output.too_long {
        return Err(failed("printed more than 64 KiB"));
    }
    Ok(output.bytes)
}

fn failed(problem: &str) -> KeyError {
    KeyError::Command { problem: problem.to_owned() }
}

fn could_not(action: &'static str) -> impl FnOnce(io::Error) -> KeyError {
    move |cause| KeyError::Io { action, cause }
}

/// `thread::spawn` would panic where the system has no thread left.
fn aside(work: impl FnOnce() + Send + 'static) -> Result<(), KeyError> {
    thread::Builder::new()
        .name("key command".to_owned())
        .spawn(work)
        .map(drop)
        .map_err(could_not("starting a thread"))
}

struct Collected {
    bytes: Zeroizing<Vec<u8>>,
    too_long: bool,
    failure: Option<io::Error>,
}

/// Reads a pipe to its end on a thread of its own, and keeps the first `most` bytes. What follows is read as
/// well: otherwise the command would wait for it to be read, and look hung.
fn collect(pipe: Option<impl Read + Send + 'static>, most: usize) -> Result<Receiver<Collected>, KeyError> {
    let (send, receive) = mpsc::channel();
    aside(move || {
        // Of its final size from the start: growing would leave copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(most));
        let mut part = Zeroizing::new([0; 4096]);
        let (mut too_long, mut failure) = (false, None);
        if let Some(mut pipe) = pipe {
            loop {
                match pipe.read(part.as_mut_slice()) {
                    Ok(0) => break,
                    Ok(length) => {
                        let kept = length.min(most - bytes.len());
                        too_long |= kept < length;
                        bytes.extend(part.iter().take(kept));
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        failure = Some(error);
                        break;
                    }
                }
            }
        }
        let _ = send.send(Collected { bytes, too_long, failure });
    })?;
    Ok(receive)
}

fn ending(status: &WaitIdStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(127), _) => "ended with status 127 (not found)".to_owned(),
        (Some(status), _) => format!("ended with status {status}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// The first line of a complaint, shortened, with every run of letters masked that is long enough for a key:
/// a command that fails halfway may print what it has already got.
fn excerpt(stderr: &[u8]) -> String {
    let text = Zeroizing::new(String::from_utf8_lossy(stderr).into_owned());
    let Some(line) = text.lines().map(str::trim).find(|line| !line.is_empty()) else { return String::new() };
    let mut shown = String::from(": ");
    let mut run = Zeroizing::new(String::with_capacity(line.len()));
    for letter in line.chars() {
        if letter.is_ascii_alphanumeric() || "+/-_=:".contains(letter) {
            run.push(letter);
            continue;
        }
        flush(&mut run, &mut shown);
        shown.push(if letter.is_control() { ' ' } else { letter });
    }
    // Where reading stopped, a key may have been cut to a harmless length.
    if stderr.len() < LARGEST_COMPLAINT {
        flush(&mut run, &mut shown);
    }
    // Shortened after masking, not before: the part of a key that remains would be too short to be masked.
    if shown.chars().count() > SHOWN { shown.chars().take(SHOWN).chain(['…']).collect() } else { shown }
}

fn flush(run: &mut Zeroizing<String>, shown: &mut String) {
    if run.len() < SUSPECT {
        shown.push_str(run);
    } else {
        shown.push_str("[masked]");
    }
    run.clear();
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, Mode, OFlags, fcntl_setfl, mknodat, open};
    use secrecy::ExposeSecret as _;
    use std::fs::File;

    /// Long enough for whatever is expected to end by itself on a busy machine.
    const AMPLE: Duration = Duration::from_mins(1);

    fn load(command: impl Into<String>, limit: Duration) -> Result<Keyring, KeyError> {
        CommandProvider { command: command.into() }.load_within(limit).map(Option::unwrap)
    }

    fn cause(command: impl Into<String>, limit: Duration) -> KeyError {
        let error = load(command, limit).err().unwrap();
        let shown = error.to_string();
        assert!(shown.starts_with("JACKFIELD_KEY_COMMAND: "), "{shown}");
        assert!(shown.contains("Run it by hand"), "{shown}");
        let KeyError::Unusable { cause, .. } = error else { panic!("{error}") };
        *cause
    }

    fn problem(command: impl Into<String>) -> String {
        match cause(command, AMPLE) {
            KeyError::Command { problem } => problem,
            other => panic!("{other}"),
        }
    }

    fn line(keyring: &Keyring) -> String {
        keyring.to_text().expose_secret().trim().to_owned()
    }

    /// A named pipe that tells whether a process lives: it reads as ended once nobody holds it open for
    /// writing.
    struct Witness {
        _folder: tempfile::TempDir,
        path: String,
        end: File,
    }

    impl Witness {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("witness").to_str().unwrap().to_owned();
            mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
            // Without waiting for a writer, so that a command that never came to open it does not hang the
            // test.
            let end =
                open(&path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).unwrap();
            Self { _folder: folder, path, end: end.into() }
        }

        /// What was written, once all that had it open are gone. Hangs as long as one lives.
        fn wait_for_the_end(mut self) -> String {
            fcntl_setfl(&self.end, OFlags::empty()).unwrap();
            let mut text = String::new();
            self.end.read_to_string(&mut text).unwrap();
            text
        }
    }

    #[test]
    fn the_output_is_the_keyring() {
        let keyring = Keyring::generate().with_new_current();
        let text = keyring.to_text();
        assert_eq!(
            load(format!("echo '{}'", text.expose_secret()), AMPLE).ok().unwrap().ids(),
            keyring.ids()
        );
        let bare = "printf BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc; echo noise >&2";
        assert_eq!(load(bare, AMPLE).ok().unwrap().current_id().to_string(), "2b937d28");
        let provider = CommandProvider { command: format!("echo '{}'", line(&keyring)) };
        assert!(provider.load().ok().flatten().is_some());
    }

    #[test]
    fn no_output_and_bad_output_are_errors() {
        assert!(matches!(cause("true", AMPLE), KeyError::Empty));
        assert!(matches!(cause("echo", AMPLE), KeyError::Empty));
        assert!(matches!(cause("echo; echo jfk1:nonsense", AMPLE), KeyError::Malformed { line: 1, .. }));
        assert!(matches!(cause("printf '#\\n\\377'", AMPLE), KeyError::Malformed { line: 2, .. }));
        assert_eq!(problem("  "), "is empty");
        assert_eq!(problem("head -c 70000 /dev/zero"), "printed more than 64 KiB");
    }

    #[test]
    fn a_failure_is_told_with_the_beginning_of_the_complaint() {
        assert_eq!(problem("exit 3"), "ended with status 3");
        assert_eq!(
            problem("echo; echo 'no  access' >&2; echo more >&2; exit 4"),
            "ended with status 4: no  access"
        );
        assert_eq!(problem("kill -KILL $$"), "was ended by signal 9");
        assert!(problem("no-such-program-anywhere").starts_with("ended with status 127 (not found): "));
        let long = problem("yes 'no access' | head -c 300000 | tr '\\n' ' ' >&2; exit 1");
        assert!(long.ends_with('…') && long.len() < 300, "{long}");
        // What it printed does not count when it failed.
        assert_eq!(problem(format!("echo '{}'; exit 5", line(&Keyring::generate()))), "ended with status 5");
    }

    #[test]
    fn no_error_shows_any_part_of_a_key_or_of_the_command() {
        let text = line(&Keyring::generate());
        let key = &text[14..];
        let commands = [
            format!("echo '{text}' >&2; exit 1"),
            format!("echo 'got {text}, then failed' >&2; exit 1"),
            // The key lies across the place where the complaint is cut.
            format!("echo '{}{key}' >&2; exit 1", "x ".repeat(88)),
            // Or across the place up to which it is read at all.
            format!("printf '%{}s{key}' '' | tr ' ' '\\n' >&2; exit 1", LARGEST_COMPLAINT - 20),
            format!("echo '{text}'; exit 1"),
            format!("echo '{text}x'"),
            format!("echo '{key}' '{key}'"),
            format!("echo '{text}'; echo '{text}'"),
            format!("echo '{text}'; kill -KILL $$"),
        ];
        for command in commands {
            let error = load(command.as_str(), AMPLE).err().unwrap();
            let shown = format!("{error} {error:?}");
            let leaked =
                key.as_bytes().windows(6).any(|part| shown.contains(std::str::from_utf8(part).unwrap()));
            assert!(!leaked && !shown.contains("exit 1"), "{shown}");
        }
    }

    #[test]
    fn at_the_time_limit_the_command_ends_with_all_it_started() {
        let witness = Witness::new();
        // Both the shell and what it started hold the witness, and the output.
        let command = format!("exec 3>'{}'; sleep 100000 & sleep 100000", witness.path);
        let limit = Duration::from_secs(1);
        assert!(matches!(cause(command, limit), KeyError::TimedOut { limit: told } if told == limit));
        witness.wait_for_the_end();
    }

    #[test]
    fn a_grandchild_that_holds_the_output_does_not_make_a_good_command_hang() {
        let witness = Witness::new();
        let keyring = Keyring::generate();
        let command =
            format!("exec 3>'{}'; echo here >&3; sleep 100000 & echo '{}'", witness.path, line(&keyring));
        assert_eq!(load(command, AMPLE).ok().unwrap().ids(), keyring.ids());
        assert_eq!(witness.wait_for_the_end(), "here\n");
    }

    #[test]
    fn a_grandchild_out_of_reach_makes_an_error_and_no_hang() {
        // `setsid` leaves the group. It ends when the test drops its pipe, so that nothing stays behind:
        // `cat` reads from it.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hold").to_str().unwrap().to_owned();
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let hold = File::options().read(true).write(true).open(&path).unwrap();
        // The shell goes on only when `cat` runs in its own session, with the pipe open.
        let command = format!(
            "setsid sh -c 'exec 4<\"{path}\"; echo ready >&3; exec cat <&4' 3>'{path}.ready' & read ready <'{path}.ready'; echo '{}'",
            line(&Keyring::generate())
        );
        mknodat(CWD, format!("{path}.ready"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert_eq!(problem(command), "left a process behind that holds its output open");
        drop(hold);
    }

    #[test]
    fn nothing_can_be_stored() {
        let provider = CommandProvider { command: "true".into() };
        for result in [provider.store_new(&Keyring::generate()), provider.store_rotated(&Keyring::generate())]
        {
            let Err(KeyError::Unusable { cause, .. }) = result else { panic!() };
            assert!(matches!(*cause, KeyError::ReadOnly));
        }
    }
}
