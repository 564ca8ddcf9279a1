//! Forms: what is asked, as data, and every rule about it and about the records that come of it.
//!
//! A [`Form`] is a document; [`Form::check`] names everything that is wrong with it. What somebody sends becomes a record by
//! [`Form::accept`], which also says whether it does not. A record is a JSON object, field name → value, without nulls: what is
//! empty is absent. How a value looks in a record depends on the field's type:
//!
//! | type | value |
//! |---|---|
//! | `single_line`, `multi_line`, `email`, `phone`, `url` | a string |
//! | `number` | an integer between -9,007,199,254,740,991 and 9,007,199,254,740,991 |
//! | `decimal`, `currency` | a string with an exact decimal and a fixed number of places, `"12.50"`; the field says the currency |
//! | `date`, `time` | `"2026-11-22"`, `"14:30"` |
//! | `date_time` | RFC 3339 in UTC, whole seconds: `"2026-11-22T14:30:00Z"` |
//! | `dropdown`, `radio` | the value of the choice |
//! | `multi_select` | a list of them, in the order of the choices |
//! | `checkbox` | true or false; never absent while the field is visible |
//! | `file` | `{"file", "filename", "content_type", "size"}`; `file` is the id under which it is kept |
//! | `name` | `{"prefix", "first", "last"}`, without a prefix when there is none |
//! | `address` | `{"line_1", "line_2", "city", "state", "postal_code", "country"}`, `line_1` and `city` at least |

mod accept;
mod check;
mod condition;
mod decimal;
mod document;
mod file;
mod text;
mod value;

pub use accept::{Mode, RECORD_MAX};
pub use check::FORM_MAX;
pub use document::{Access, Choice, ChoicesFrom, Condition, FieldType, Form, FormField};
pub use file::{FILENAME_MAX, clean_filename, clean_media_type, file_id, file_reference, is_upload};
pub use text::{guarded, unguarded};
pub use value::{bytes as size_words, too_large};

#[cfg(test)]
mod samples {
    use serde_json::{Value, json};

    /// A form with every type of field.
    pub(super) fn everything() -> Value {
        json!({
            "description": "All there is.\nReally.", "access": "public", "submit_label": "Send", "thanks": "Thank you!",
            "embed_origins": ["https://www.example", "http://localhost:3000"],
            "fields": [
                {"name": "title", "label": "Title", "required": true, "unique": true, "max_length": 20},
                {"name": "notes", "type": "multi_line", "help": "Anything."},
                {"name": "count", "type": "number", "min": -10, "max": 100, "default": 1},
                {"name": "weight", "type": "decimal", "decimals": 3, "min": 0},
                {"name": "price", "type": "currency", "currency": "EUR", "unique": true},
                {"name": "mail", "type": "email", "unique": true},
                {"name": "phone", "type": "phone", "unique": true},
                {"name": "web", "type": "url"},
                {"name": "day", "type": "date", "min": "2020-01-01"},
                {"name": "moment", "type": "date_time"},
                {"name": "clock", "type": "time", "min": "08:00", "max": "18:00"},
                {"name": "kind", "type": "dropdown", "choices": [{"value": "a", "label": "A"}, {"value": "=b"}], "default": "a"},
                {"name": "size", "type": "radio", "choices": [{"value": "S"}, {"value": "L; long"}]},
                {"name": "tags", "type": "multi_select", "choices": [{"value": "x"}, {"value": "y, z"}, {"value": "-1"}]},
                {"name": "agree", "type": "checkbox"},
                {"name": "photo", "type": "file", "accept": ["image/*"], "max_bytes": 1000},
                {"name": "who", "type": "name"},
                {"name": "home", "type": "address"},
                {
                    "name": "reason", "required": true, "pattern": "[^<>]+",
                    "visible_if": {"any": [{"field": "kind", "is": ["=b"]}, {"field": "tags", "is": ["x"]}]}
                },
                {"name": "more", "visible_if": {"field": "reason", "filled": true}}
            ]
        })
    }
}
