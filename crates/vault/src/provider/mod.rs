//! Where the keyring comes from.
//!
//! Everything here blocks: call it at the start, or where blocking is allowed.

mod command;
mod environment;
mod file;

pub use command::CommandProvider;
pub use environment::EnvironmentProvider;
pub use file::FileProvider;

use crate::{KeyError, Keyring};

/// A place that holds the keyring. The set is open: key services join it.
pub trait KeyProvider: Send + Sync {
    /// Short name, as in `JACKFIELD_KEY_PROVIDER`: `file`, `environment`, `command`.
    fn name(&self) -> &'static str;

    /// The setting that leads here, such as `JACKFIELD_KEY_FILE`.
    fn setting(&self) -> &'static str;

    /// One phrase for people, without secrets: "the key file /var/lib/jackfield/key".
    fn describe(&self) -> String;

    /// Reads the keyring. `None` only where there is nothing at all, so that a new store may make a key;
    /// a place that is empty or damaged is an error, for an existing store must not get another key.
    fn load(&self) -> Result<Option<Keyring>, KeyError>;

    /// Stores the keyring of a new store. Never overwrites anything ([`KeyError::Exists`]); on return the key
    /// is on the disk. Providers that are read only answer [`KeyError::ReadOnly`].
    fn store_new(&self, keyring: &Keyring) -> Result<(), KeyError>;

    /// Replaces the stored keyring by one that has all its keys and a new current one: a rotation. Refuses to
    /// lose a key ([`KeyError::WouldLose`]). Providers that are read only answer [`KeyError::ReadOnly`].
    fn store_rotated(&self, keyring: &Keyring) -> Result<(), KeyError>;
}

/// Wraps an error in what somebody needs who has to mend it.
fn unusable(provider: &dyn KeyProvider, mend: &'static str, cause: KeyError) -> KeyError {
    KeyError::Unusable {
        setting: provider.setting(),
        place: provider.describe(),
        cause: Box::new(cause),
        mend,
    }
}
