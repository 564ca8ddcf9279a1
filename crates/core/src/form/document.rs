//! The form document as types. Doc comments become the descriptions in the API document.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A form: what is asked, of whom, and what is said afterwards.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// What it is for; stands above the fields. At most 5,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What is asked, in this order: 1 to 200 fields.
    pub fields: Vec<FormField>,
    /// Who may fill it in.
    #[serde(default)]
    pub access: Access,
    /// What stands on the button. Absent: the page chooses. At most 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submit_label: Option<String>,
    /// Shown when it was sent. Absent: the page chooses. At most 5,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thanks: Option<String>,
    /// Origins such as `https://www.example` whose pages may show the form in a frame; nobody else may. At most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub embed_origins: Vec<String>,
}

/// Who may fill in a form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = FormAccess)]
pub enum Access {
    /// Members who have access to the application.
    #[default]
    Members,
    /// Everybody who has the link.
    Public,
}

/// One thing that is asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FormField {
    /// Name in records: `[a-z0-9_]{1,64}`, unique in the form; not `id`, `created_at`, `updated_at`, `created_by` or `version`.
    pub name: String,
    /// What people read. Absent: the name. At most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// A hint beside the field. At most 1,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Kind of value.
    #[serde(default, rename = "type")]
    pub kind: FieldType,
    /// Must be given while the field is visible. A checkbox must be ticked.
    #[serde(default, skip_serializing_if = "is_false")]
    pub required: bool,
    /// No two records may have the same value. Not for `multi_line`, `multi_select`, `checkbox`, `file`, `name` and `address`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unique: bool,
    /// Taken for a new record in which the field is absent. Not for `file`, `name` and `address`, nor for a unique field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Smallest value accepted, written as a value of the field. For numbers, amounts, dates and times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Value>,
    /// Largest value accepted, written as a value of the field. For numbers, amounts, dates and times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Value>,
    /// Fewest characters. For text, e-mail addresses, telephone numbers and URLs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u32>,
    /// Most characters. Absent: 1,000 for `single_line`, 50,000 for `multi_line`, 254 for `email`, 50 for `phone`, 2,000 for `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u32>,
    /// Regular expression that the whole value matches. For `single_line`, `email`, `phone` and `url`. At most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// What can be chosen: 1 to 500. For `dropdown`, `radio` and `multi_select`, which need them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
    /// The choices are the rows of a datasource, instead of `choices`. For `dropdown`, `radio` and `multi_select`; without a default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices_from: Option<ChoicesFrom>,
    /// Places after the decimal point, 0 to 10. For `decimal` (absent: 2) and `currency` (absent: as the currency has).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimals: Option<u8>,
    /// ISO 4217 code such as `EUR`. For `currency`, which needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Largest file, in bytes. For `file`. Absent: as large as the operator allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// Media types and endings of names accepted, such as `application/pdf`, `image/*` or `.pdf`. For `file`. Absent: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<String>,
    /// When the field is visible. Absent: always. The value of a field that is not visible is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visible_if: Option<Condition>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Where choices come from: the first 1,000 rows, by their labels, that the environment has when the form is shown or sent in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FormChoicesFrom)]
pub struct ChoicesFrom {
    /// link name of a datasource of the application
    pub datasource: String,
    /// the column whose value is kept in the record
    pub value: String,
    /// the column that people read; that of the value unless told
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// Kind of a field's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = FormFieldType)]
pub enum FieldType {
    /// A line of text.
    #[default]
    SingleLine,
    /// Text of several lines.
    MultiLine,
    /// A whole number.
    Number,
    /// A number with a fixed number of places after the decimal point.
    Decimal,
    /// An amount of the field's currency.
    Currency,
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// A link: http, https or mailto.
    Url,
    /// A day of the calendar.
    Date,
    /// A moment.
    DateTime,
    /// A time of day, hours and minutes.
    Time,
    /// One choice, from a list that opens.
    Dropdown,
    /// One choice, all of them in view.
    Radio,
    /// Any number of choices.
    MultiSelect,
    /// Yes or no.
    Checkbox,
    /// A file.
    File,
    /// The name of a person.
    Name,
    /// A postal address.
    Address,
}

impl FieldType {
    /// Every type, in the order of the documentation.
    pub const ALL: &'static [Self] = &[
        Self::SingleLine,
        Self::MultiLine,
        Self::Number,
        Self::Decimal,
        Self::Currency,
        Self::Email,
        Self::Phone,
        Self::Url,
        Self::Date,
        Self::DateTime,
        Self::Time,
        Self::Dropdown,
        Self::Radio,
        Self::MultiSelect,
        Self::Checkbox,
        Self::File,
        Self::Name,
        Self::Address,
    ];

    /// The parts of a value that is an object of texts: those of a name or an address, else none.
    pub const fn parts(self) -> &'static [&'static str] {
        match self {
            Self::Name => &["prefix", "first", "last"],
            Self::Address => &["line_1", "line_2", "city", "state", "postal_code", "country"],
            _ => &[],
        }
    }

    /// Whether the value is one of the field's choices, or a list of them.
    pub const fn is_choice(self) -> bool {
        matches!(self, Self::Dropdown | Self::Radio | Self::MultiSelect)
    }

    /// Whether one value can be smaller than another.
    pub const fn is_ordered(self) -> bool {
        matches!(
            self,
            Self::Number | Self::Decimal | Self::Currency | Self::Date | Self::DateTime | Self::Time
        )
    }

    /// Whether the value is a text that people write: it has a length.
    pub const fn is_text(self) -> bool {
        matches!(self, Self::SingleLine | Self::MultiLine | Self::Email | Self::Phone | Self::Url)
    }

    /// Whether the value is an object.
    pub const fn is_object(self) -> bool {
        matches!(self, Self::File | Self::Name | Self::Address)
    }

    /// Whether records can be told apart by such a value.
    pub const fn can_be_unique(self) -> bool {
        !matches!(self, Self::MultiLine | Self::MultiSelect | Self::Checkbox) && !self.is_object()
    }
}

/// One thing that can be chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FormChoice)]
pub struct Choice {
    /// What stands in the record: 1 to 200 characters; without a semicolon in a `multi_select`.
    pub value: String,
    /// What people read. Absent: the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// When a field is visible. Exactly one of: `field` with `is`, `field` with `is_not`, `field` with `filled`, `all`, `any`.
///
/// `field` stands before the field that has the condition, so that no circle can come about. A field that is not visible counts
/// as empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FormCondition)]
pub struct Condition {
    /// Name of the field that decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Its value is one of these; of a `multi_select`: at least one of these is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is: Option<Vec<Value>>,
    /// Its value is none of these, or it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_not: Option<Vec<Value>>,
    /// Whether it has a value; whether a checkbox is ticked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filled: Option<bool>,
    /// All of these hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion)]
    pub all: Option<Vec<Condition>>,
    /// At least one of these holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion)]
    pub any: Option<Vec<Condition>>,
}

impl Form {
    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&FormField> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl FormField {
    /// What people read.
    pub fn title(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.name)
    }

    /// Places after the decimal point that a `decimal` or `currency` has.
    pub fn places(&self) -> u8 {
        let of_currency = || self.currency.as_deref().map_or(2, crate::money::exponent);
        self.decimals.unwrap_or_else(of_currency)
    }

    /// Most characters that a text may have; 0 for what is no text.
    pub fn longest(&self) -> u32 {
        self.max_length.unwrap_or(match self.kind {
            FieldType::SingleLine => 1_000,
            FieldType::MultiLine => 50_000,
            FieldType::Email => 254,
            FieldType::Phone => 50,
            FieldType::Url => 2_000,
            _ => 0,
        })
    }
}
