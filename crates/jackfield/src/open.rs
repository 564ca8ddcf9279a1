//! Opens a store together with the key that belongs to it, and touches neither where they do not go together.
//!
//! The order matters:
//! 1. The key is read. A key that is there but cannot be used ends everything.
//! 2. The store is looked at without being made or migrated. One that was sealed needs exactly its key.
//! 3. Only for a new store, once it is known that it can be made, a key is made too. It is on the disk before the store takes it.
//! 4. The tables are made or brought up to date, under the serving lock where it is SQLite.
//! 5. A new store takes the key. Of several nodes that begin at once with different keys, one wins.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use jackfield_engine::{Engine, KEY_CHECK, KeyMismatch, clock};
use jackfield_store::{ServingLock, Store, StoreError};
use jackfield_vault::{CommandProvider, EnvironmentProvider, FileProvider, KeyError, KeyProvider, Keyring};
use tokio::time::{Instant, sleep};

use crate::failure::{Failure, Result, sentence};
use crate::settings::{KeySource, Settings};

/// How long a start waits for a former process, or for a command at work, to let go of the store.
const LOCK_WAIT: Duration = Duration::from_secs(2);

/// What a command wants of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To serve it; makes a new one.
    Serve,
    /// To set it up; makes a new one.
    SetUp,
    /// To work on one that is there.
    Use,
}

/// A store that is up to date, and its key.
pub struct Opened {
    pub store: Store,
    pub keyring: Keyring,
    /// held by whoever serves
    pub lock: Option<ServingLock>,
}

/// The provider that the settings name.
pub fn provider(source: &KeySource) -> Box<dyn KeyProvider> {
    match source.clone() {
        KeySource::File(path) => Box::new(FileProvider { path }),
        KeySource::Environment(value) => Box::new(EnvironmentProvider { value }),
        KeySource::Command(command) => Box::new(CommandProvider { command }),
    }
}

/// Reads the key, which may run a command.
pub async fn load_key(settings: &Settings) -> Result<Option<Keyring>> {
    let source = settings.key.clone();
    blocking(move || provider(&source).load()).await?.map_err(|e| key_failure(&e))
}

/// What the store says about its key: the value that proves it, or nothing where it is new.
pub async fn known_key(store: Option<&Store>) -> Result<Option<Vec<u8>>> {
    match store {
        Some(store) if !store.is_new().await? => Ok(store.installation(KEY_CHECK).await?),
        _ => Ok(None),
    }
}

/// Opens store and key. Refuses, and changes nothing, where they do not go together.
pub async fn open(settings: &Settings, purpose: Purpose) -> Result<Opened> {
    let loaded = load_key(settings).await?;
    let (url, options) = (&settings.database_url, settings.database());
    let found = Store::look(url, &options).await?;
    let known = known_key(found.as_ref()).await;
    if let Some(found) = found {
        found.close().await;
    }

    let keyring = match (known?, loaded) {
        (Some(known), Some(keyring)) => {
            keyring.verify_check(&known).map_err(|_| foreign(settings))?;
            Some(keyring)
        }
        (Some(_), None) => return Err(missing(settings)),
        (None, _) if purpose == Purpose::Use => {
            return Err(Failure::new(
                "There is no store yet. Make one with `jackfield init`, or start `jackfield serve` and open the link that it prints.",
            ));
        }
        (None, keyring) => keyring,
    };

    let store = Store::connect(url, &options).await?;
    let lock = if purpose == Purpose::Serve { Some(lock(&store).await?) } else { None };
    let made = keyring.is_none();
    let keyring = match keyring {
        Some(keyring) => keyring,
        None => make_key(settings).await?,
    };
    if !store.is_current().await? {
        // Nobody's tables are changed under him. PostgreSQL sees to it that one node migrates at a time.
        let _held = if lock.is_none() { Some(lock_briefly(&store).await?) } else { None };
        store.migrate(clock::now()).await?;
    }
    match Engine::check_key(&store, &keyring).await {
        Ok(()) => Ok(Opened { store, keyring, lock }),
        Err(KeyMismatch::Store(error)) => Err(error.into()),
        Err(KeyMismatch::Foreign) => {
            // Another node was faster with another key. The one made here has sealed nothing and would only mislead.
            if made && let KeySource::File(path) = &settings.key {
                let _ = std::fs::remove_file(path);
                return Err(missing(settings));
            }
            Err(foreign(settings))
        }
    }
}

async fn make_key(settings: &Settings) -> Result<Keyring> {
    let source = settings.key.clone();
    blocking(move || {
        if let KeySource::File(path) = &source {
            make_folder_of(path)?;
        }
        let provider = provider(&source);
        let keyring = Keyring::generate();
        match provider.store_new(&keyring) {
            Ok(()) => Ok(keyring),
            // Another command was faster: its key is as good.
            Err(KeyError::Unusable { cause, .. }) if matches!(*cause, KeyError::Exists) => provider
                .load()
                .map_err(|e| key_failure(&e))?
                .ok_or_else(|| Failure::new("The key file was taken away while it was being made.")),
            Err(error) => Err(key_failure(&error)),
        }
    })
    .await?
}

/// Makes the folder of a file, for its owner alone. One that exists stays as it is.
fn make_folder_of(path: &Path) -> Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.exists() => {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| {
                Failure::new(format!(
                    "The folder {} cannot be made: {e}. Make it, or name another with JACKFIELD_DATA_DIR.",
                    folder.display()
                ))
            })
        }
        _ => Ok(()),
    }
}

async fn lock(store: &Store) -> Result<ServingLock> {
    let until = Instant::now() + LOCK_WAIT;
    loop {
        match store.lock_for_serving() {
            Err(StoreError::AlreadyServed { .. }) if Instant::now() < until => {
                sleep(Duration::from_millis(50)).await;
            }
            locked => return Ok(locked?),
        }
    }
}

/// Keeps anybody from serving an old store while it is brought up to date. Somebody who serves it already may just be about to do that.
async fn lock_briefly(store: &Store) -> Result<Option<ServingLock>> {
    let until = Instant::now() + LOCK_WAIT;
    loop {
        match store.lock_for_serving() {
            Ok(lock) => return Ok(Some(lock)),
            Err(StoreError::AlreadyServed { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        if store.is_current().await? {
            return Ok(None);
        }
        if Instant::now() >= until {
            return Err(Failure::new(
                "An older Jackfield serves this store. Stop it first, so that its tables can be brought up to date.",
            ));
        }
        sleep(Duration::from_millis(50)).await;
    }
}

fn missing(settings: &Settings) -> Failure {
    let provider = provider(&settings.key);
    Failure::new(format!(
        "{}: {} is not there, and the store exists. Put back the key that the store was made with; other nodes of it have it too. \
         A new key does not help: what is sealed opens only with the key that sealed it. Nothing was changed.",
        provider.setting(),
        provider.describe()
    ))
}

fn foreign(settings: &Settings) -> Failure {
    let provider = provider(&settings.key);
    Failure::new(format!(
        "{}: {} is not the key of this store. Put back the key that the store was made with, or name the right store with \
         JACKFIELD_DATABASE_URL. Nothing was changed.",
        provider.setting(),
        provider.describe()
    ))
}

fn key_failure(error: &KeyError) -> Failure {
    Failure::new(sentence(&error.to_string()))
}

/// Runs what blocks where it may.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Failure::new(format!("Something failed inside Jackfield: {e}.")))
}
