//! How a command fails: in plain words with the mend, and with an exit code.

use std::fmt::{self, Write as _};

use jackfield_core::{Code, Error};
use jackfield_store::StoreError;

pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// What is printed on standard error before the command ends with `code`.
#[derive(Debug)]
pub struct Failure {
    pub message: String,
    /// 1: it did not work. 2: it was called wrongly.
    pub code: u8,
}

impl Failure {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1 }
    }

    /// The command was called wrongly.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 2 }
    }

    /// Ends the command with a code, after everything was said.
    pub fn silent(code: u8) -> Self {
        Self { message: String::new(), code }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// An error of the engine. Whoever types commands on the machine itself is the operator: he is told the cause as well.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut message = if error.fields.is_empty() {
            match (&error.cause, error.code) {
                (Some(cause), Code::Internal) => {
                    sentence(&format!("Something failed inside Jackfield: {cause}"))
                }
                (Some(cause), Code::Unavailable) => {
                    format!("{} {}", error.detail, sentence(&cause.to_string()))
                }
                _ => error.detail,
            }
        } else {
            error.code.title().to_owned() + "."
        };
        for field in &error.fields {
            // Writing into a string does not fail.
            let _ = write!(message, "\n  {}: {}", field.field, field.message);
        }
        Self::new(message)
    }
}

/// An error of the store, before there is an engine.
impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(match error {
            StoreError::Unavailable { why, .. } => format!(
                "JACKFIELD_DATABASE_URL: the database cannot be reached: {} Check that it is there and takes connections.",
                sentence(&why)
            ),
            StoreError::Busy { why, .. } => {
                format!("The database is busy: {} Nothing was changed; try again.", sentence(&why))
            }
            StoreError::Address(why) => format!(
                "JACKFIELD_DATABASE_URL: {} Say for example sqlite:/var/lib/jackfield/jackfield.db or \
                 postgres://user:password@host/database.",
                sentence(&why)
            ),
            StoreError::AlreadyServed { path } => format!(
                "{path} is being served by another process. Stop that one first, or give this one a folder of its own \
                 (JACKFIELD_DATA_DIR). Several nodes share a PostgreSQL."
            ),
            StoreError::Migration { version, why } => {
                format!(
                    "The store cannot be brought to this program's version: migration {version}: {}",
                    sentence(&why)
                )
            }
            error => format!(
                "The store cannot be used: {} Is JACKFIELD_DATABASE_URL the address of a Jackfield store?",
                sentence(&error.to_string())
            ),
        })
    }
}

/// With a full stop at its end.
pub fn sentence(text: &str) -> String {
    let text = text.trim_end();
    if text.ends_with(['.', '?', '!']) { text.to_owned() } else { format!("{text}.") }
}
