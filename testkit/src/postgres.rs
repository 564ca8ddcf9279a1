//! A private PostgreSQL for tests: made in a temporary folder, reached on loopback only, gone afterwards.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

/// Stops the server and removes its folder as soon as its input ends: when we drop the other end, and just as well
/// when our process is killed. `$1` is the folder, `$2` the tool; the rest is the command to run it with.
const WATCHDOG: &str = r#"
trap '' INT TERM HUP
while read -r _; do :; done
folder=$1 tool=$2
shift 2
"$@" "$tool" -D "$folder/data" -m immediate -w stop
rm -rf -- "$folder"
"#;

/// The same for a server that many processes share: it goes when the one that runs them has ended, whose id is `$1`.
/// Nothing says when that is, so it is looked for.
const RUN_WATCHDOG: &str = r#"
trap '' INT TERM HUP
run=$1 folder=$2 tool=$3 note=$4
shift 4
while kill -0 "$run" 2>/dev/null; do sleep 1; done
"$@" "$tool" -D "$folder/data" -m immediate -w stop
rm -rf -- "$folder" "$note"
"#;

/// What nextest calls a run; each of its tests is a process of its own.
const RUN: &str = "NEXTEST_RUN_ID";

/// How long the server may take to start.
const START_SECONDS: &str = "30";

/// A running server. Dropping it stops it.
pub struct Postgres {
    /// Stops the server when it drops; none for a server that other processes use too.
    watchdog: Option<Watchdog>,
    programs: PathBuf,
    port: u16,
    databases: AtomicU32,
}

struct Watchdog {
    process: Child,
    input: Option<ChildStdin>,
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.input = None;
        // It does its work without us as well.
        let _ = self.process.wait();
    }
}

impl Postgres {
    /// The server that all tests share: those of a run of nextest, else those of this process. It ends with them,
    /// however they end.
    pub fn shared() -> Result<&'static Self, String> {
        static SHARED: OnceLock<Result<Postgres, String>> = OnceLock::new();
        #[allow(clippy::disallowed_methods, reason = "not a setting of ours")]
        let run = std::env::var(RUN);
        let shared = SHARED.get_or_init(|| match run {
            Ok(run) => Self::of_run(&run),
            Err(_) => Self::start(),
        });
        shared.as_ref().map_err(Clone::clone)
    }

    /// Starts a server of its own. It takes about two seconds.
    pub fn start() -> Result<Self, String> {
        Self::start_watched(|programs, folder, root| watch(programs, folder, root).map(Some))
    }

    /// The server of a run: the first of its tests that comes here starts it, the others read in a note where it is.
    fn of_run(run: &str) -> Result<Self, String> {
        let run: String = run.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        let path = std::env::temp_dir().join(format!("jackfield-postgres-{run}.note"));
        let complaint = |e: io::Error| format!("{}: {e}", path.display());
        let mut note = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let note = note.as_mut().map_err(|e| format!("{}: {e}", path.display()))?;
        note.lock().map_err(complaint)?;
        let mut text = String::new();
        note.read_to_string(&mut text).map_err(complaint)?;
        if let Ok(port) = text.trim().parse() {
            return Ok(Self { watchdog: None, programs: programs()?, port, databases: AtomicU32::new(0) });
        }
        let server = Self::start_watched(|programs, folder, root| {
            watch_run(programs, folder, root, &path).map(|()| None)
        })?;
        note.rewind().map_err(complaint)?;
        write!(note, "{}", server.port).map_err(complaint)?;
        Ok(server)
    }

    fn start_watched(
        watch: impl FnOnce(&Path, &Path, bool) -> Result<Option<Watchdog>, String>,
    ) -> Result<Self, String> {
        let programs = programs()?;
        let root = is_root()?;
        let folder =
            TempDir::with_prefix("jackfield-postgres-").map_err(|e| format!("no temporary folder: {e}"))?;
        let path = folder.path().to_owned();
        if root {
            give_to_postgres(&path)?;
        }
        initialize(&programs, &path, root)?;
        let watchdog = watch(&programs, &path, root)?;
        // The folder is the watchdog's from here on.
        let _ = folder.keep();

        let mut last = String::new();
        // Between choosing a free port and using it, another may take it.
        for _ in 0..5 {
            let port = free_port().map_err(|e| format!("no free port: {e}"))?;
            match launch(&programs, &path, port, root) {
                Ok(()) => {
                    return Ok(Self { watchdog, programs, port, databases: AtomicU32::new(0) });
                }
                Err(e) => last = e,
            }
        }
        Err(format!("PostgreSQL does not start: {last}"))
    }

    /// Makes a new, empty database and returns its URL.
    pub fn database(&self) -> Result<String, String> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("jackfield_{}_{number}", std::process::id());
        if number == 0 && self.watchdog.is_none() {
            self.forget_the_dead()?;
        }
        // `template0` is the one template that nobody can be connected to.
        self.sql("postgres", &format!("create database {name} template template0"))?;
        Ok(self.url(&name))
    }

    /// Drops the databases of processes that have ended: a run makes hundreds, of 8 MB each.
    fn forget_the_dead(&self) -> Result<(), String> {
        let names =
            self.sql("postgres", "select datname from pg_database where datname like 'jackfield\\_%'")?;
        for name in names.lines() {
            let owner = name.split('_').nth(1).unwrap_or_default();
            if !Path::new("/proc").join(owner).is_dir() {
                // Another process may have come first.
                self.sql("postgres", &format!("drop database if exists {name} with (force)"))?;
            }
        }
        Ok(())
    }

    /// Runs SQL as the superuser in a database and returns what it prints, a line a row.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String, String> {
        let url = self.url(database);
        let mut command = Command::new(self.programs.join("psql"));
        run(command
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-v", "ON_ERROR_STOP=1"])
            .args(["--dbname", &url, "--command", sql]))
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

/// The folder with `initdb` and its like, of the newest PostgreSQL there is.
fn programs() -> Result<PathBuf, String> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(version, bin)| *version >= 15 && bin.join("initdb").is_file())
        .collect();
    versions.sort();
    if let Some((_, bin)) = versions.pop() {
        return Ok(bin);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .find(|bin| bin.join("initdb").is_file() && bin.join("pg_ctl").is_file())
        .ok_or_else(|| {
            "these tests need PostgreSQL 15 or newer; on Debian and Ubuntu: apt-get install postgresql \
             (package `postgresql`)"
                .to_owned()
        })
}

/// `initdb` and `postgres` refuse to run as root.
fn is_root() -> Result<bool, String> {
    let me = fs::metadata("/proc/self").map_err(|e| format!("/proc/self: {e}"))?;
    Ok(me.uid() == 0)
}

/// What to put before a command so that it runs as the user of PostgreSQL.
fn prefix(root: bool) -> &'static [&'static str] {
    if root {
        &["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
    } else {
        &["env", "--"]
    }
}

fn as_postgres(program: &Path, root: bool) -> Command {
    let mut words = prefix(root).iter().copied();
    let mut command = Command::new(words.next().unwrap_or("env"));
    command.args(words).arg(program).current_dir("/");
    command
}

fn give_to_postgres(folder: &Path) -> Result<(), String> {
    let users = fs::read_to_string("/etc/passwd").map_err(|e| format!("/etc/passwd: {e}"))?;
    let ids = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, user, group) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        (name == "postgres").then_some((user.parse().ok()?, group.parse().ok()?))
    });
    let Some((user, group)) = ids else {
        return Err("as root, PostgreSQL is run as the user `postgres`, and there is none; \
             the Debian package `postgresql` makes it"
            .to_owned());
    };
    chown(folder, Some(user), Some(group))
        .and_then(|()| fs::set_permissions(folder, Permissions::from_mode(0o755)))
        .map_err(|e| format!("{}: {e}", folder.display()))
}

fn initialize(programs: &Path, folder: &Path, root: bool) -> Result<(), String> {
    run(as_postgres(&programs.join("initdb"), root)
        .args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--pgdata",
        ])
        .arg(folder.join("data")))
    .map(|_| ())
}

fn watch(programs: &Path, folder: &Path, root: bool) -> Result<Watchdog, String> {
    let mut process = Command::new("sh")
        .args(["-c", WATCHDOG, "watchdog"])
        .arg(folder)
        .arg(programs.join("pg_ctl"))
        .args(prefix(root))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        // A signal to our whole group is not for it.
        .process_group(0)
        .spawn()
        .map_err(|e| format!("sh: {e}"))?;
    let input = process.stdin.take();
    Ok(Watchdog { process, input })
}

/// Leaves a watchdog behind that waits for the end of the run whose child we are.
fn watch_run(programs: &Path, folder: &Path, root: bool, note: &Path) -> Result<(), String> {
    Command::new("sh")
        .args(["-c", RUN_WATCHDOG, "watchdog"])
        .arg(std::os::unix::process::parent_id().to_string())
        .arg(folder)
        .arg(programs.join("pg_ctl"))
        .arg(note)
        .args(prefix(root))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .process_group(0)
        .spawn()
        .map(|_| ())
        .map_err(|e| format!("sh: {e}"))
}

fn launch(programs: &Path, folder: &Path, port: u16, root: bool) -> Result<(), String> {
    // Its data need not outlive the machine, but a commit is a commit.
    let settings = format!(
        "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off \
         -c full_page_writes=off -c synchronous_commit=on -c max_connections=200 -c shared_buffers=32MB"
    );
    let log = folder.join("log");
    run(as_postgres(&programs.join("pg_ctl"), root)
        .arg("-D")
        .arg(folder.join("data"))
        .arg("-l")
        .arg(&log)
        .args(["-w", "-t", START_SECONDS, "-o", &settings, "start"]))
    .map(|_| ())
    .map_err(|e| format!("{e}\n{}", fs::read_to_string(&log).unwrap_or_default()))
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn run(command: &mut Command) -> Result<String, String> {
    // Our standard input is not for the server, nor our output: it would hold the pipe open after we have ended.
    let program = command.get_program().to_string_lossy().into_owned();
    let log = tempfile::tempfile().and_then(|file| Ok((file.try_clone()?, file.try_clone()?, file)));
    let (out, err, mut log) = log.map_err(|e| format!("no temporary file: {e}"))?;
    let status = command
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .status()
        .map_err(|e| format!("{program}: {e}"))?;
    let text = Seek::rewind(&mut log)
        .and_then(|()| io::read_to_string(&mut log))
        .map_err(|e| format!("{program}: {e}"))?;
    if status.success() { Ok(text) } else { Err(format!("{program}: {status}: {}", text.trim())) }
}
