//! Files in records (product U4). The bytes are sealed and stand beside the record; the record holds a reference.
//!
//! | what can be lost | what follows |
//! |---|---|
//! | the process, while a record with a file is written | record and file are one transaction: both are there or neither |
//! | the record | its files go in the transaction that deletes it |

use base64::Engine as _;
use jackfield_core::form::{
    FieldType, Form, FormField, Mode, clean_filename, clean_media_type, file_id, file_reference, is_upload,
    too_large,
};
use jackfield_core::id::Prefix;
use jackfield_core::{Action, Error, FieldError, Result, Timestamp};
use jackfield_store::{Record, RecordFile};
use jackfield_vault::Context;
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

use crate::automate::records::{RecordPlace, data_of, faults};
use crate::clock::new_id;
use crate::work::Work;
use crate::{Engine, Op};

/// Members of a file that is sent.
const PARTS: [&str; 3] = ["filename", "content_type", "base64"];

/// A file that was sent, sealed for the record that it will stand in.
pub(crate) struct Sealed {
    field: String,
    id: String,
    content: Vec<u8>,
}

/// What a form has accepted.
pub(crate) struct Accepted {
    pub data: Map<String, Value>,
    /// the files that were sent for it
    pub files: Vec<Sealed>,
}

/// A file as it was sent.
struct Upload {
    field: String,
    id: String,
    bytes: Vec<u8>,
}

/// A file of a record.
#[derive(Debug)]
pub struct FileContent {
    pub filename: String,
    pub content_type: String,
    pub bytes: Vec<u8>,
}

/// Where the bytes of a file stand; sealed, they open nowhere else.
fn context<'a>(organization: &'a str, id: &'a str) -> Context<'a> {
    Context { organization, table: "record_files", record: id, field: "content" }
}

/// A file that was sent, and the reference that takes its place.
fn upload(
    field: &FormField,
    given: &Value,
    most: u64,
    now: Timestamp,
) -> Result<(Upload, Value), FieldError> {
    let wrong = |part: &str, code: &'static str, why: String| {
        let path = if part.is_empty() { field.name.clone() } else { format!("{}.{part}", field.name) };
        FieldError::new(path, code, why)
    };
    if let Some(other) =
        given.as_object().and_then(|members| members.keys().find(|part| !PARTS.contains(&part.as_str())))
    {
        let why = "Leave this out; a file has filename, content_type and base64.";
        return Err(wrong(other, "unknown", why.to_owned()));
    }
    let text = |part: &str| match given.get(part) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text.as_str()),
        Some(_) => Err(wrong(part, "wrong_type", "Write text.".to_owned())),
    };
    let (filename, content_type) =
        (clean_filename(text("filename")?), clean_media_type(text("content_type")?));
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text("base64")?)
        .map_err(|_| wrong("base64", "invalid", "This is not base64 (RFC 4648, section 4).".to_owned()))?;
    // What the field itself allows is checked with the reference.
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if size > most {
        return Err(wrong("", "too_large", too_large(size, most)));
    }
    let id = new_id(Prefix::File, now);
    let reference = file_reference(&id, &filename, &content_type, bytes.len());
    Ok((Upload { field: field.name.clone(), id, bytes }, reference))
}

impl Engine {
    /// What a form accepts, with the files that are sent in it. Files are sealed here, before any transaction: that takes its time.
    ///
    /// A reference is taken only where it stands already: nobody gets at the file of another record by naming it.
    pub(crate) fn accepted(
        &self,
        organization: &str,
        form: &Form,
        mut input: Map<String, Value>,
        mode: Mode<'_>,
        now: Timestamp,
    ) -> Result<Accepted> {
        let former = |name: &str| match mode {
            Mode::New => None,
            Mode::Edit { former } => former.get(name),
        };
        let most = u64::try_from(self.settings().file_limit).unwrap_or(u64::MAX);
        let (mut uploads, mut wrong) = (Vec::new(), Vec::new());
        for field in form.fields.iter().filter(|field| field.kind == FieldType::File) {
            let Some(given) = input.get_mut(&field.name).filter(|given| !given.is_null()) else { continue };
            if is_upload(given) {
                match upload(field, given, most, now) {
                    Ok((sent, reference)) => {
                        uploads.push(sent);
                        *given = reference;
                    }
                    Err(fault) => wrong.push((field.name.as_str(), fault)),
                }
            } else if given.is_object() && former(&field.name) != Some(given) {
                let why = "Send the file itself: its filename, content_type and base64.";
                wrong.push((field.name.as_str(), FieldError::new(&field.name, "invalid", why)));
            }
        }
        for (name, _) in &wrong {
            input.insert((*name).to_owned(), Value::Null);
        }
        let accepted = form.accept(&input, mode);
        if !wrong.is_empty() {
            // That it is missing besides is not said: something was sent.
            let others = accepted.err().unwrap_or_default().into_iter();
            let others =
                others.filter(|fault| wrong.iter().all(|(name, _)| *name != fault.field)).collect::<Vec<_>>();
            return Err(faults(wrong.into_iter().map(|(_, fault)| fault).chain(others).collect()));
        }
        let data = accepted.map_err(faults)?;
        // Of a field that is not shown nothing is kept.
        uploads.retain(|sent| data.get(&sent.field).and_then(file_id) == Some(sent.id.as_str()));
        let seal = |sent: Upload| {
            let content = self
                .keyring()
                .seal(&context(organization, &sent.id), &sent.bytes)
                .map_err(Error::internal)?;
            Ok(Sealed { field: sent.field, id: sent.id, content })
        };
        Ok(Accepted { files: uploads.into_iter().map(seal).collect::<Result<_>>()?, data })
    }

    /// A file of a record, for whoever may see the record.
    pub async fn read_record_file(
        &self,
        op: &Op,
        application: &str,
        form: &str,
        id: &str,
        field: &str,
        query: &RecordPlace,
    ) -> Result<FileContent> {
        let place = self.place(op, application, form, query.environment.as_deref()).await?;
        let (record, _) = self.held_record(op, &place, form, id, Action::See).await?;
        let data = data_of(&record)?;
        let missing = || Error::not_found(format_args!("file in {field:?} of this record"));
        let reference = data.get(field).ok_or_else(missing)?;
        self.file_of(&record.organization_id, &record.id, reference).await?.ok_or_else(missing)
    }

    /// The file that a record refers to; `None` where it is gone.
    async fn file_of(
        &self,
        organization: &str,
        record: &str,
        reference: &Value,
    ) -> Result<Option<FileContent>> {
        let Some(id) = file_id(reference) else { return Ok(None) };
        let Some(sealed) = self.store().record_file(organization, record, id).await? else { return Ok(None) };
        let opened = self.keyring().open(&context(organization, id), &sealed).map_err(Error::internal)?;
        let text = |part: &str| reference.get(part).and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Some(FileContent {
            filename: text("filename"),
            content_type: text("content_type"),
            bytes: opened.expose_secret().clone(),
        }))
    }

    /// The parts of a `multipart/form-data` body: a text or number as it is, a file of the record as a file; what is empty is left out. `Err`
    /// is the dotted path, and a sentence.
    pub(crate) async fn parts_of(
        &self,
        organization: &str,
        record: &str,
        body: Option<Value>,
    ) -> Result<Value, (String, String)> {
        let Some(Value::Object(members)) = body else {
            return Err((
                "body".to_owned(),
                "A multipart body is an object: a part for each member.".to_owned(),
            ));
        };
        let mut parts = Map::new();
        for (name, value) in members {
            let part = match value {
                Value::Null => continue,
                Value::Bool(_) | Value::Number(_) => Value::String(value.to_string()),
                Value::Object(_) if file_id(&value).is_some() => {
                    let path = || format!("body.{name}");
                    let found = self.file_of(organization, record, &value).await;
                    let file = found.map_err(|error| (path(), error.detail))?.ok_or_else(|| {
                        (path(), "The file is gone: its record was deleted or has another one.".to_owned())
                    })?;
                    let base64 = base64::engine::general_purpose::STANDARD.encode(&file.bytes);
                    json!({"filename": file.filename, "content_type": file.content_type, "base64": base64})
                }
                other => other,
            };
            parts.insert(name, part);
        }
        Ok(Value::Object(parts))
    }
}

/// Keeps the files that were sent for a record, in the transaction that writes it.
pub(crate) async fn keep_files(
    work: &mut Work<'_>,
    record: &Record,
    files: &[Sealed],
    now: Timestamp,
) -> Result<()> {
    for file in files {
        work.insert_record_file(RecordFile {
            organization: &record.organization_id,
            id: &file.id,
            application: &record.application,
            record: &record.id,
            field: &file.field,
            content: &file.content,
            created_at: now,
        })
        .await?;
    }
    Ok(())
}

/// Lets go of the files that a change has taken out of a record.
pub(crate) async fn drop_files(
    work: &mut Work<'_>,
    record: &Record,
    former: &Map<String, Value>,
    data: &Map<String, Value>,
) -> Result<()> {
    for id in former.values().filter_map(file_id) {
        if !data.values().any(|value| file_id(value) == Some(id)) {
            work.delete_record_file(&record.organization_id, &record.id, id).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_file_is_said_at_its_part() {
        let field = FormField { name: "photo".to_owned(), kind: FieldType::File, ..FormField::default() };
        let now = Timestamp::from_micros(1);
        let take = |given: Value| upload(&field, &given, 4, now);
        let (sent, reference) = take(
            json!({"filename": "C:\\x\\a\u{202e}b.png", "content_type": "Image/PNG; q", "base64": "AAEC"}),
        )
        .ok()
        .unwrap();
        assert_eq!((sent.bytes.as_slice(), sent.field.as_str()), (&[0, 1, 2][..], "photo"));
        assert_eq!(
            reference,
            json!({"file": sent.id, "filename": "ab.png", "content_type": "image/png", "size": 3})
        );
        let (_, plain) = take(json!({"base64": ""})).ok().unwrap();
        assert_eq!(
            (&plain["filename"], &plain["content_type"]),
            (&json!("file"), &json!("application/octet-stream"))
        );
        for (given, path, code) in [
            (json!({"base64": "!"}), "photo.base64", "invalid"),
            (json!({"base64": 1}), "photo.base64", "wrong_type"),
            (json!({"base64": "", "filename": []}), "photo.filename", "wrong_type"),
            (json!({"base64": "", "file": "fil_x"}), "photo.file", "unknown"),
            (json!({"base64": "AAECAwQ="}), "photo", "too_large"),
        ] {
            let fault = take(given).err().unwrap();
            assert_eq!((fault.field.as_str(), fault.code.as_str()), (path, code), "{}", fault.message);
        }
    }
}
