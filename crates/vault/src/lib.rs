//! The vault: whatever keeps a secret secret.
//!
//! - [`Keyring`]: the sealing keys of an installation. Seals and opens the credentials of the store
//!   ([`Context`] binds each to its record).
//! - [`provider`]: where a keyring comes from: a file, the environment, a command.
//! - [`token`]: random tokens, digests, comparison in constant time.
//! - [`api_key`]: keys `jfp_…` and `jfa_…` of Jackfield's own API.
//! - [`password`]: hashes of the passwords people sign in with.
//!
//! The vault knows no connection, no database and no HTTP, and imports no other crate of the workspace.
//!
//! # Rules
//!
//! - No secret leaves in a type that prints: interfaces carry [`secrecy`] types, [`Keyring`] has no `Debug`.
//! - No error text holds key material, a token, a password or a plaintext.
//! - Buffers that held a secret are overwritten when dropped.
//! - Random numbers come from AWS-LC's generator. Should it fail, the process aborts: whatever would be
//!   made without it would only look secret, and no caller has a better answer.
//!
//! Nothing here is `async`, and everything here but [`provider`] and [`password`] is fast enough to be called
//! from async code.

pub mod api_key;
mod keyring;
pub mod password;
pub mod provider;
mod random;
mod sealed;
pub mod token;

pub use api_key::{KeyKind, MalformedKey, ParsedKey};
pub use keyring::{KeyError, KeyId, Keyring};
pub use password::PasswordError;
pub use provider::{CommandProvider, EnvironmentProvider, FileProvider, KeyProvider};
pub use sealed::{Context, OVERHEAD, OpenError, ResealError, SealError, sealed_key_id};
