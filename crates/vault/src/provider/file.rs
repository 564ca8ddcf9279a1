use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::{KeyProvider, unusable};
use crate::{KeyError, Keyring, token};

const RESTORE: &str = "Put the file back from your copy of it. A new key does not help: what is sealed opens only with the \
                       key that sealed it";
const WRITE: &str = "Check the folder, its owner and its free space";

/// Larger files are no key files; they are not read to their end.
const LARGEST: usize = 64 * 1024;

const HEAD: &str = "# Jackfield sealing keys, the current one first. Keep a copy apart from the database:\n\
                    # without this file nothing that is sealed can be opened again.\n";

/// The keyring stands in a file, in the text form of [`Keyring`].
///
/// Only its owner may read or write it (mode 0600 or 0400); a file that others can get at is refused, links
/// to it are followed. Secrets that an orchestrator mounts need a mode of 0400, or [`super::CommandProvider`]
/// with `cat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProvider {
    /// The key file. Its folder must exist before a key is stored.
    pub path: PathBuf,
}

impl FileProvider {
    /// As in `JACKFIELD_KEY_PROVIDER`.
    pub const NAME: &'static str = "file";
    /// The setting that holds the path.
    pub const SETTING: &'static str = "JACKFIELD_KEY_FILE";
}

impl KeyProvider for FileProvider {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn setting(&self) -> &'static str {
        Self::SETTING
    }

    fn describe(&self) -> String {
        format!("the key file {}", self.path.display())
    }

    fn load(&self) -> Result<Option<Keyring>, KeyError> {
        // What the path itself is comes first: a link to nothing is a secret that was not mounted, not a new
        // store.
        match fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            _ => {}
        }
        read(&self.path).map(Some).map_err(|cause| {
            let mend = match cause {
                KeyError::Permissions { .. } => {
                    "Others may have read it: think about rotating the key afterwards"
                }
                KeyError::Io { .. } | KeyError::NotAFile => "Check the path, and that this user may read it",
                _ => RESTORE,
            };
            unusable(self, mend, cause)
        })
    }

    fn store_new(&self, keyring: &Keyring) -> Result<(), KeyError> {
        create(&self.path, keyring).map_err(|cause| unusable(self, WRITE, cause))
    }

    fn store_rotated(&self, keyring: &Keyring) -> Result<(), KeyError> {
        replace(&self.path, keyring).map_err(|cause| unusable(self, WRITE, cause))
    }
}

fn failed(action: &'static str) -> impl FnOnce(io::Error) -> KeyError {
    move |cause| KeyError::Io { action, cause }
}

fn read(path: &Path) -> Result<Keyring, KeyError> {
    // Before opening: opening a pipe would wait for a writer.
    if !fs::metadata(path).map_err(failed("looking for it"))?.is_file() {
        return Err(KeyError::NotAFile);
    }
    let file = File::open(path).map_err(failed("opening it"))?;
    let mode = file.metadata().map_err(failed("reading its permissions"))?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Permissions { path: path.to_owned(), mode });
    }
    // Room for all of it: growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST + 1));
    file.take(LARGEST as u64).read_to_end(&mut bytes).map_err(failed("reading it"))?;
    Keyring::parse(Keyring::text_of(&bytes)?)
}

/// Whole or not at all, and never over another file: the text is on the disk under another name before it
/// gets its own, and a link, unlike a rename, replaces nothing. Of two starts at once one makes the key; the
/// other gets `Exists`.
fn create(path: &Path, keyring: &Keyring) -> Result<(), KeyError> {
    let folder = folder_of(path);
    let draft = draft_for(path);
    write_new(&draft, keyring)?;
    let linked = fs::hard_link(&draft, path);
    let removed = fs::remove_file(&draft);
    match linked {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(KeyError::Exists),
        // Some file systems know no links (FAT, shares of other machines). There the file is written in
        // place; who reads it meanwhile finds it malformed, and starts again.
        Err(_) => write_new(path, keyring)?,
    }
    removed.map_err(failed("removing its draft"))?;
    sync(&folder)
}

fn replace(path: &Path, keyring: &Keyring) -> Result<(), KeyError> {
    // A link stays a link; what it points to is replaced.
    let path = &fs::canonicalize(path).map_err(failed("looking for it"))?;
    let folder = folder_of(path);
    // Two rotations at once would each keep the old keys and drop the other's new one. Released when closed.
    let lock = File::open(&folder).map_err(failed("opening its folder"))?;
    lock.lock().map_err(failed("locking its folder"))?;

    let kept = keyring.ids();
    if let Some(lost) = read(path)?.ids().into_iter().find(|id| !kept.contains(id)) {
        return Err(KeyError::WouldLose(lost));
    }
    let draft = draft_for(path);
    write_new(&draft, keyring)?;
    if let Err(cause) = fs::rename(&draft, path) {
        let _ = fs::remove_file(&draft);
        return Err(KeyError::Io { action: "replacing it", cause });
    }
    sync(&folder)
}

/// Writes a file of mode 0600 that was not there before, down to the disk. Leaves nothing behind on failure.
fn write_new(path: &Path, keyring: &Keyring) -> Result<(), KeyError> {
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|cause| {
            if cause.kind() == io::ErrorKind::AlreadyExists {
                KeyError::Exists
            } else {
                KeyError::Io { action: "creating it", cause }
            }
        })?;
    let written = file
        .write_all(HEAD.as_bytes())
        .and_then(|()| file.write_all(keyring.to_text().expose_secret().as_bytes()))
        .and_then(|()| file.sync_all());
    written.map_err(|cause| {
        let _ = fs::remove_file(path);
        KeyError::Io { action: "writing it", cause }
    })
}

/// The name of a file is on the disk only when its folder is.
fn sync(folder: &Path) -> Result<(), KeyError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("writing its folder to the disk"))
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// A hidden name beside `path` that nobody else uses.
fn draft_for(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{:016x}.new", u64::from_ne_bytes(token::random_bytes())));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyId;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use tempfile::TempDir;

    fn provider() -> (TempDir, FileProvider) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        (folder, FileProvider { path })
    }

    fn write(provider: &FileProvider, text: &str, mode: u32) {
        fs::write(&provider.path, text).unwrap();
        fs::set_permissions(&provider.path, Permissions::from_mode(mode)).unwrap();
    }

    fn cause(error: KeyError) -> KeyError {
        let shown = error.to_string();
        assert!(shown.starts_with("JACKFIELD_KEY_FILE: the key file /"), "{shown}");
        let KeyError::Unusable { cause, .. } = error else { panic!("{error}") };
        *cause
    }

    fn load_error(provider: &FileProvider) -> KeyError {
        cause(provider.load().err().unwrap())
    }

    fn load(provider: &FileProvider) -> Keyring {
        provider.load().unwrap_or_else(|error| panic!("{error}")).unwrap()
    }

    fn names(folder: &TempDir) -> Vec<OsString> {
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn what_is_stored_is_loaded_and_belongs_to_its_owner_only() {
        let (folder, provider) = provider();
        assert!(provider.load().unwrap_or_else(|error| panic!("{error}")).is_none());
        let keyring = Keyring::generate();
        provider.store_new(&keyring).unwrap();
        assert_eq!(load(&provider).ids(), keyring.ids());
        assert_eq!(fs::metadata(&provider.path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(names(&folder), ["key"], "no draft is left");
    }

    #[test]
    fn nothing_is_ever_overwritten() {
        let (folder, provider) = provider();
        let first = Keyring::generate();
        provider.store_new(&first).unwrap();
        assert!(matches!(cause(provider.store_new(&Keyring::generate()).unwrap_err()), KeyError::Exists));
        assert!(matches!(write_new(&provider.path, &Keyring::generate()).unwrap_err(), KeyError::Exists));
        assert_eq!(load(&provider).ids(), first.ids());
        assert_eq!(names(&folder), ["key"], "no draft is left");

        write(&provider, "", 0o600);
        assert!(matches!(cause(provider.store_new(&first).unwrap_err()), KeyError::Exists));
        assert_eq!(fs::read(&provider.path).unwrap(), b"");
    }

    #[test]
    fn of_many_starts_at_once_one_makes_the_key() {
        let (folder, provider) = provider();
        let made: Vec<KeyId> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let keyring = Keyring::generate();
                        let stored = provider.store_new(&keyring).is_ok();
                        // Whoever lost finds the key of the winner, and finds it whole.
                        (stored, keyring.current_id(), load(&provider).current_id())
                    })
                })
                .collect();
            let results: Vec<_> = starts.into_iter().map(|start| start.join().unwrap()).collect();
            assert!(results.iter().all(|(_, _, loaded)| *loaded == results[0].2));
            results.into_iter().filter(|(stored, ..)| *stored).map(|(_, made, _)| made).collect()
        });
        assert_eq!(made, load(&provider).ids());
        assert_eq!(names(&folder), ["key"]);
    }

    #[test]
    fn empty_damaged_and_binary_files_are_errors_and_not_a_new_store() {
        let (_folder, provider) = provider();
        let good = Keyring::generate().to_text();
        let good = good.expose_secret().trim();
        write(&provider, "", 0o600);
        assert!(matches!(load_error(&provider), KeyError::Empty));
        write(&provider, "# all lines lost\n", 0o600);
        assert!(matches!(load_error(&provider), KeyError::Empty));
        write(&provider, &format!("# key\n{}", &good[..50]), 0o600);
        assert!(matches!(load_error(&provider), KeyError::Malformed { line: 2, .. }));
        write(&provider, &format!("{good}\n{good}"), 0o600);
        assert!(matches!(load_error(&provider), KeyError::Duplicate { line: 2 }));
        write(&provider, &good.replace(&good[5..13], "00000000"), 0o600);
        assert!(matches!(load_error(&provider), KeyError::Mismatch { line: 1 }));
        fs::write(&provider.path, b"# key\n\n\xff\xfe").unwrap();
        assert!(matches!(load_error(&provider), KeyError::Malformed { line: 3, .. }));
        // A bare key is for the environment; in a file it is a line that lost its beginning.
        write(&provider, &good[14..], 0o600);
        let error = provider.load().err().unwrap();
        assert!(error.to_string().contains("Put the file back from your copy"), "{error}");
        assert!(!format!("{error} {error:?}").contains(&good[14..20]));
        assert!(matches!(cause(error), KeyError::Malformed { line: 1, .. }));
    }

    #[test]
    fn a_file_that_others_can_get_at_is_refused_with_the_mend() {
        let (_folder, provider) = provider();
        let text = Keyring::generate().to_text();
        for mode in [0o644, 0o640, 0o604, 0o620, 0o602, 0o610, 0o777] {
            write(&provider, text.expose_secret(), mode);
            let error = provider.load().err().unwrap();
            assert!(error.to_string().contains(&format!("chmod 600 {}", provider.path.display())), "{error}");
            assert!(error.to_string().contains(&format!("{mode:04o}")), "{error}");
            let KeyError::Permissions { mode: found, .. } = cause(error) else { panic!() };
            assert_eq!(found, mode);
        }
        for mode in [0o600, 0o400, 0o700] {
            fs::remove_file(&provider.path).unwrap();
            write(&provider, text.expose_secret(), mode);
            load(&provider);
        }
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let (folder, provider) = provider();
        fs::create_dir(&provider.path).unwrap();
        assert!(matches!(load_error(&provider), KeyError::NotAFile));
        fs::remove_dir(&provider.path).unwrap();

        // A pipe that nobody writes to must not make the start hang.
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &provider.path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        assert!(matches!(load_error(&provider), KeyError::NotAFile));
        fs::remove_file(&provider.path).unwrap();

        symlink(folder.path().join("not mounted"), &provider.path).unwrap();
        assert!(matches!(load_error(&provider), KeyError::Io { .. }));
        assert!(matches!(cause(provider.store_new(&Keyring::generate()).unwrap_err()), KeyError::Exists));

        let below_a_file = FileProvider { path: folder.path().join("file/key") };
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(matches!(load_error(&below_a_file), KeyError::Io { .. }));
    }

    #[test]
    fn a_missing_folder_is_named_and_not_made() {
        let (folder, _) = provider();
        let provider = FileProvider { path: folder.path().join("absent/key") };
        assert!(provider.load().unwrap_or_else(|error| panic!("{error}")).is_none());
        let error = provider.store_new(&Keyring::generate()).unwrap_err();
        assert!(
            error.to_string().contains("absent/key") && error.to_string().contains("Check the folder"),
            "{error}"
        );
        assert!(matches!(cause(error), KeyError::Io { .. }));
        assert!(names(&folder).is_empty());
    }

    #[test]
    fn rotation_replaces_the_file_and_loses_no_key() {
        let (folder, provider) = provider();
        let old = Keyring::generate();
        assert!(matches!(cause(provider.store_rotated(&old).unwrap_err()), KeyError::Io { .. }));
        assert!(names(&folder).is_empty());

        provider.store_new(&old).unwrap();
        let new = old.with_new_current();
        provider.store_rotated(&new).unwrap();
        assert_eq!(load(&provider).ids(), new.ids());
        assert_eq!(fs::metadata(&provider.path).unwrap().mode() & 0o7777, 0o600);

        // A rotation that started from the old file does not know the key of the first one.
        let late = old.with_new_current();
        let lost = new.current_id();
        assert!(
            matches!(cause(provider.store_rotated(&late).unwrap_err()), KeyError::WouldLose(id) if id == lost)
        );
        assert_eq!(load(&provider).ids(), new.ids());
        assert_eq!(names(&folder), ["key"], "no draft is left");
    }

    #[test]
    fn of_many_rotations_at_once_one_wins() {
        let (_folder, provider) = provider();
        let old = Keyring::generate();
        provider.store_new(&old).unwrap();
        let wins = std::thread::scope(|scope| {
            let rotations: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| provider.store_rotated(&old.with_new_current()).is_ok()))
                .collect();
            rotations.into_iter().map(|rotation| rotation.join().unwrap()).filter(|won| *won).count()
        });
        assert_eq!(wins, 1);
        assert_eq!(load(&provider).ids().len(), 2);
    }

    #[test]
    fn rotation_goes_through_a_link() {
        let (folder, provider) = provider();
        let real = FileProvider { path: folder.path().join("real") };
        let old = Keyring::generate();
        real.store_new(&old).unwrap();
        symlink(&real.path, &provider.path).unwrap();
        let new = old.with_new_current();
        provider.store_rotated(&new).unwrap();
        assert_eq!(load(&real).ids(), new.ids());
        assert!(fs::symlink_metadata(&provider.path).unwrap().is_symlink());
    }

    #[test]
    fn a_path_without_folder_is_in_the_current_one() {
        assert_eq!(folder_of(Path::new("key")), Path::new("."));
        assert_eq!(folder_of(Path::new("/key")), Path::new("/"));
        let draft = draft_for(Path::new("data/key"));
        assert_eq!(draft.parent(), Some(Path::new("data")));
        assert_ne!(draft, draft_for(Path::new("data/key")));
    }
}
