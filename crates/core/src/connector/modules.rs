//! Modules and operations: what can be done at a service, as data.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::document::{Choice, Expect, Method, Place};
use super::more::MoreFields;

/// A resource of the service, such as a vendor or an invoice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectorModule)]
pub struct Module {
    /// What people read. Absent: the module's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Fields of the resource, for every operation that lists none of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
    /// What can be done: name → operation.
    pub operations: BTreeMap<String, Operation>,
}

/// One thing that can be done to a resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectorOperation)]
pub struct Operation {
    /// What people read. Absent: the operation's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Method of the call.
    #[serde(default)]
    pub method: Method,
    /// Path joined to `base_url`, a template; a name that is one of the operation's fields is filled from that field, and a list
    /// operation has `{page.number}`, `{page.offset}`, `{page.size}` and `{page.cursor}`.
    pub path: String,
    /// Query parameters, as templates like `path`. Left out while a value is not known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// Headers, as templates like `path`. Left out while a value is not known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Headers that hold a JSON object, such as Dropbox's `Dropbox-API-Arg`: the object by the name of the header. Its texts are templates; one
    /// that is a single `{field}` is the field's value as it is typed. A member whose value is not known is left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub json_headers: BTreeMap<String, Map<String, Value>>,
    /// How the body is written.
    #[serde(default)]
    pub body_encoding: BodyEncoding,
    /// Body to start from; fields are placed into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// JSON pointer to where the fields go in the body. Absent: the root.
    #[serde(default)]
    pub body_at: String,
    /// Fields of this operation. Absent: those of the module that are named in the path, and for POST, PUT and PATCH all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
    /// JSON pointer to the id of what was made or changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// What a success looks like. Absent: any status from 200 to 299.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
    /// JSON pointer to the message of an answer that is not a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// JSON pointer to the list in the answer. Its presence makes this a list operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<String>,
    /// How further pages are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pagination: Option<Pagination>,
    /// Where the service takes a key by which it recognizes a repeated request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<Idempotency>,
    /// Whether the request may be sent again without a second effect, as an upsert may. Absent: true for GET, HEAD, PUT and DELETE
    /// (RFC 9110 §9.2.2), else false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeatable: Option<bool>,
    /// How to find what an earlier request made whose answer was lost, where the service takes no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub find: Option<Find>,
    /// Where the service itself says which further fields there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_fields: Option<MoreFields>,
}

/// How a body is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ConnectorBodyEncoding)]
pub enum BodyEncoding {
    /// JSON.
    #[default]
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `multipart/form-data`: each member is a part, a file an object with `filename`, `content_type` and `base64`.
    Multipart,
    /// The text of the one field that goes into the body, as it is. `headers` may say its `Content-Type`.
    Text,
    /// The bytes that the one field that goes into the body gives as base64 (RFC 4648 §4), such as the content of a file.
    Base64,
    /// An e-mail as it travels (RFC 5322), made of the fields `from`, `to`, `cc`, `bcc`, `reply_to`, `subject`, `text` and `html`.
    Mail,
}

impl BodyEncoding {
    /// The word for it, as it stands in a document and in a call.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Form => "form",
            Self::Multipart => "multipart",
            Self::Text => "text",
            Self::Base64 => "base64",
            Self::Mail => "mail",
        }
    }

    /// Whether the body is what one field says, and nothing else.
    pub const fn is_one_field(self) -> bool {
        matches!(self, Self::Text | Self::Base64)
    }
}

/// A field of a resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectorField)]
pub struct Field {
    /// Name in field mappings and in the body.
    pub name: String,
    /// What people read. Absent: the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Kind of value.
    #[serde(default, rename = "type")]
    pub kind: FieldType,
    /// Must be given.
    #[serde(default)]
    pub required: bool,
    /// The only values accepted. Absent: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
    /// Where the value goes. Absent: the path when its template names the field, the query for GET, HEAD and DELETE, else the body.
    #[serde(default, rename = "in", skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Whether its texts go into cells of a spreadsheet: what would be taken there for a formula gets `'` in front, so that nobody who fills in a
    /// form can make the spreadsheet calculate, or tell others what stands in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cells: bool,
    /// What is sent of it in the body: JSON in which the text `{value}` stands for the value, as `{ select = { name = "{value}" } }`; a list
    /// whose only member holds that text has one member for each of a list. Absent: the value itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Value>,
    /// JSON pointer to its place in the body, below `body_at`. Absent: a member called `name`. Of an object the members are put there
    /// beside those that are there already, so that an empty `at` takes fields which the document does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// Kind of a field's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ConnectorFieldType)]
pub enum FieldType {
    /// A line of text.
    #[default]
    String,
    /// Text of several lines.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// A date, `2026-11-22`.
    Date,
    /// A moment, RFC 3339.
    DateTime,
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// A URL.
    Url,
    /// A JSON object.
    Object,
    /// A JSON list.
    List,
}

/// How a list operation asks for further pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = ConnectorPagination)]
pub enum Pagination {
    /// A page number.
    Page {
        /// Query parameter of the page number. Absent: the operation's templates use `{page.number}`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        page: Option<String>,
        /// Query parameter of the page size.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<String>,
        /// Items on a page.
        #[serde(default = "default_page_size")]
        page_size: u32,
        /// Number of the first page.
        #[serde(default = "default_first_page")]
        first: u32,
        /// JSON pointer to whether there is more. Absent: until a page is short.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        more: Option<String>,
    },
    /// The number of items to skip.
    Offset {
        /// Query parameter of the offset. Absent: the operation's templates use `{page.offset}`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        offset: Option<String>,
        /// Query parameter of the page size.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<String>,
        /// Items on a page.
        #[serde(default = "default_page_size")]
        page_size: u32,
        /// Offset of the first item.
        #[serde(default)]
        first: u32,
        /// JSON pointer to whether there is more. Absent: until a page is short.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        more: Option<String>,
    },
    /// A mark that the answer gives for the next page.
    Cursor {
        /// Query parameter of the mark; for POST a member of the body, or the JSON pointer to its place there. Absent: the operation's
        /// templates use `{page.cursor}`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
        /// JSON pointer to the mark in the answer; absent or empty there means the end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<String>,
        /// JSON pointer to the mark within the last item, where the answer has none of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last: Option<String>,
        /// Query parameter of the page size.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<String>,
        /// Items on a page.
        #[serde(default = "default_page_size")]
        page_size: u32,
        /// JSON pointer to whether there is more. Absent: while there is a mark.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        more: Option<String>,
    },
    /// The URL of the next page stands in the answer.
    NextUrl {
        /// JSON pointer to it; absent or empty there means the end. A relative one is resolved against the URL of this page.
        next: String,
    },
    /// The URL of the next page stands in the `Link` header (RFC 8288, `rel="next"`).
    LinkHeader {
        /// Query parameter of the page size.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<String>,
        /// Items on a page.
        #[serde(default = "default_page_size")]
        page_size: u32,
    },
}

const fn default_page_size() -> u32 {
    100
}

const fn default_first_page() -> u32 {
    1
}

/// Where the service takes a key by which it recognizes a repeated request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectorIdempotency)]
pub struct Idempotency {
    /// Where the key goes.
    #[serde(rename = "in")]
    pub place: Place,
    /// Name of the header, query parameter or member.
    pub name: String,
}

/// How to find what an earlier request made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectorFind)]
pub struct Find {
    /// A list operation of the same module. Its first page is looked through.
    pub operation: String,
    /// Its fields, filled by templates that name fields of the operation whose effect is looked for: `{DisplayName}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub with: BTreeMap<String, String>,
    /// What must be the same in an item: JSON pointer into the item → field of the operation whose effect is looked for. The first item in
    /// which all are the same is it.
    pub same: BTreeMap<String, String>,
    /// JSON pointer to the id within the item.
    pub id: String,
}

impl Module {
    /// The fields of an operation: its own, or those of the module that it can carry.
    pub fn fields_of<'a>(&'a self, operation: &'a Operation) -> Vec<&'a Field> {
        if !operation.fields.is_empty() {
            return operation.fields.iter().collect();
        }
        let has_body = matches!(operation.method, Method::Post | Method::Put | Method::Patch);
        let in_path = |field: &Field| operation.path.contains(&format!("{{{}}}", field.name));
        self.fields.iter().filter(|field| has_body || in_path(field)).collect()
    }
}
