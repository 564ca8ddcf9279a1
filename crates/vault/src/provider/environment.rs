use secrecy::{ExposeSecret as _, SecretString};

use super::{KeyProvider, unusable};
use crate::{KeyError, Keyring};

/// The keyring stands in the environment variable `JACKFIELD_KEY`.
///
/// The value is the text form of [`Keyring`] (also on one line, with spaces or commas between the keys), or
/// one bare key of 32 bytes in base64 or base64url, as `openssl rand -base64 32` prints it.
///
/// Has no `Debug`, like all that holds a secret in the vault.
pub struct EnvironmentProvider {
    /// The value of the variable. Construct the provider only when the variable is set; an empty value is an
    /// error.
    pub value: SecretString,
}

impl EnvironmentProvider {
    /// As in `JACKFIELD_KEY_PROVIDER`.
    pub const NAME: &'static str = "environment";
    /// The variable.
    pub const SETTING: &'static str = "JACKFIELD_KEY";
}

impl KeyProvider for EnvironmentProvider {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn setting(&self) -> &'static str {
        Self::SETTING
    }

    fn describe(&self) -> String {
        "the value of this environment variable".to_owned()
    }

    fn load(&self) -> Result<Option<Keyring>, KeyError> {
        Keyring::parse_value(self.value.expose_secret()).map(Some).map_err(|cause| {
            unusable(
                self,
                "Set it to the key this store was made with, or unset it to use the key file; \
                 for a new store `openssl rand -base64 32` makes a key",
                cause,
            )
        })
    }

    fn store_new(&self, _: &Keyring) -> Result<(), KeyError> {
        Err(unusable(
            self,
            "Unset it to have a key file made, or set it to a key of your own",
            KeyError::ReadOnly,
        ))
    }

    fn store_rotated(&self, _: &Keyring) -> Result<(), KeyError> {
        Err(unusable(
            self,
            "Put the new key before the old one yourself, and start again",
            KeyError::ReadOnly,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(value: &str) -> Result<Option<Keyring>, KeyError> {
        EnvironmentProvider { value: value.into() }.load()
    }

    #[test]
    fn text_form_and_bare_key_are_read() {
        let keyring = Keyring::generate().with_new_current();
        let text = keyring.to_text();
        assert_eq!(load(text.expose_secret()).ok().flatten().unwrap().ids(), keyring.ids());
        let one_line = text.expose_secret().trim().replace('\n', " ");
        assert_eq!(load(&one_line).ok().flatten().unwrap().ids(), keyring.ids());
        let bare = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";
        assert_eq!(load(bare).ok().flatten().unwrap().current_id().to_string(), "2b937d28");
    }

    #[test]
    fn empty_and_malformed_values_are_errors_that_name_the_setting_and_the_mend_but_not_the_value() {
        for value in ["", "  ", "hunter2hunter2hunter2", "jfk1:00000000:hunter2hunter2hunter2"] {
            let error = load(value).err().unwrap();
            let shown = error.to_string();
            assert!(shown.starts_with("JACKFIELD_KEY: "), "{shown}");
            assert!(shown.contains("Set it to the key"), "{shown}");
            assert!(!format!("{shown} {error:?}").contains("hunter2"), "{shown}");
        }
        let KeyError::Unusable { cause, .. } = load(" ").err().unwrap() else { panic!() };
        assert!(matches!(*cause, KeyError::Empty));
    }

    #[test]
    fn nothing_can_be_stored() {
        let provider = EnvironmentProvider { value: "".into() };
        for result in [provider.store_new(&Keyring::generate()), provider.store_rotated(&Keyring::generate())]
        {
            let Err(KeyError::Unusable { cause, .. }) = result else { panic!() };
            assert!(matches!(*cause, KeyError::ReadOnly));
        }
    }
}
