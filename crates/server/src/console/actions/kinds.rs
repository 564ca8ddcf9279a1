//! The kinds of actions, as one table: what each is called, and what its page asks for. A kind whose members are texts, lists and choices
//! needs a row here and nothing else; its page, what is read from it and where its errors stand follow.

use jackfield_core::workflow::WorkflowAction;
use jackfield_core::{Error, FieldError};
use serde_json::{Map, Value, json};

use crate::console::applications::lines;
use crate::console::form::Fields;
use crate::console::inputs::{from_named_lines, named_lines, plain, source_of, source_text, whole};

/// A kind of action.
pub(in crate::console) struct Kind {
    /// the member of an action that says it: `mail`
    pub word: &'static str,
    pub title: &'static str,
    pub about: &'static str,
    /// what its action is called unless told
    pub name: &'static str,
    pub asks: &'static [Ask],
}

/// One member of a kind.
pub(in crate::console) struct Ask {
    /// where it is in an action, which is the name of its input: `mail.to`
    pub at: &'static str,
    pub label: &'static str,
    help: &'static str,
    /// the help where there is no record
    timed: Option<&'static str>,
    pub how: How,
    pub optional: bool,
}

/// How a member is written on a page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::console) enum How {
    /// a line of text
    Line,
    /// text of several lines
    Area,
    /// a list of texts, one on each line
    Lines,
    /// names and texts, `name: text` on each line
    Pairs,
    /// a document
    Json,
    /// a connection that the application may use
    Connection,
    /// one of these: value and words
    One(&'static [(&'static str, &'static str)]),
    /// yes, no, or nothing said
    Maybe,
    /// a whole number
    Whole,
    /// where a value comes from, as an expression; a field of the record is one as well
    Source,
    /// a code of three capitals, or where it comes from
    Code,
    /// the fields of an operation, chosen in steps before
    Mapping,
    /// the fields of the record
    Sets,
}

const fn ask(at: &'static str, label: &'static str, help: &'static str, how: How) -> Ask {
    Ask { at, label, help, timed: None, how, optional: false }
}

const fn maybe(at: &'static str, label: &'static str, help: &'static str, how: How) -> Ask {
    Ask { at, label, help, timed: None, how, optional: true }
}

impl Ask {
    /// With other help where there is no record.
    const fn timed(self, help: &'static str) -> Self {
        Self { timed: Some(help), ..self }
    }
}

const METHODS: How = How::One(&[
    ("GET", "GET"),
    ("POST", "POST"),
    ("PUT", "PUT"),
    ("PATCH", "PATCH"),
    ("DELETE", "DELETE"),
    ("HEAD", "HEAD"),
]);
const FIELDS: &str = "{{ record.field }} stands for what the record holds.";
const DATES: &str =
    "{{ date }} stands for the day, {{ results.name.body }} for what an action before has brought.";
const MAIL_TIMED: &str =
    "{{ date }} stands for the day, {{ rows.datasource|table('column') }} for rows of a datasource.";
const MAIL: &str = "{{ record.field }} stands for what the record holds, {{ rows.datasource|table('column') }} for rows of a datasource.";

pub(super) const KINDS: [Kind; 7] = [
    Kind {
        word: "integration",
        title: "Push to a service",
        about: "Makes or changes something at a service, such as a vendor, an invoice or a lead.",
        name: "push",
        asks: &[ask("integration.mapping", "Where the values come from", "", How::Mapping)],
    },
    Kind {
        word: "mail",
        title: "Send a mail",
        about: "By the mail server of this installation.",
        name: "mail",
        asks: &[
            ask(
                "mail.to",
                "To",
                "One address on each line. {{ submitter.email }} is who sent it in.",
                How::Lines,
            )
            .timed("One address on each line."),
            ask("mail.subject", "Subject", FIELDS, How::Line).timed(DATES),
            ask("mail.text", "Text", MAIL, How::Area).timed(MAIL_TIMED),
        ],
    },
    Kind {
        word: "update_record",
        title: "Change the record",
        about: "Keeps in the record what a service has answered, or what is computed.",
        name: "keep",
        asks: &[ask("update_record.set", "What is changed", "", How::Sets)],
    },
    Kind {
        word: "invoke",
        title: "Call a service",
        about: "Any request through a connection, for what is not described as a push.",
        name: "call",
        asks: &[
            ask("invoke.connection", "Connection", "", How::Connection),
            ask("invoke.method", "Method", "", METHODS),
            ask(
                "invoke.url",
                "Path",
                "Joined to the address of the service, such as /things/{{ record.id }}",
                How::Line,
            )
            .timed("Joined to the address of the service, such as /reports/{{ date }}"),
            maybe("invoke.query", "Query", "One on each line, as name: text", How::Pairs),
            maybe("invoke.headers", "Headers", "One on each line, as name: text", How::Pairs),
            maybe(
                "invoke.body",
                "Body",
                "JSON. A text that is one {{ expression }} gives its value as it is.",
                How::Json,
            ),
            maybe(
                "invoke.body_encoding",
                "How the body is written",
                "In parts, a member that is a file of the record, {{ record.field }}, is sent as that file.",
                How::One(&[
                    ("json", "As JSON"),
                    ("form", "As the fields of a form"),
                    ("multipart", "In parts, with files (multipart/form-data)"),
                ]),
            )
            .timed(""),
            maybe("invoke.repeatable", "May it be sent again where its answer was lost?", "", How::Maybe),
        ],
    },
    Kind {
        word: "payment",
        title: "Ask for a payment",
        about: "On a page of the payment service, to which whoever sent the form in is led. The workflow waits until it is paid.",
        name: "pay",
        asks: &[
            ask("payment.connection", "Connection", "Of a service that takes payments.", How::Connection),
            ask("payment.amount", "Amount", "A field or an expression, such as record.price.", How::Source),
            ask("payment.currency", "Currency", "A code such as EUR, or an expression.", How::Code),
            ask("payment.description", "What is paid for", FIELDS, How::Line),
            maybe(
                "payment.email",
                "E-mail of the payer",
                "An expression, such as record.email.",
                How::Source,
            ),
            maybe(
                "payment.reference",
                "Reference at the service",
                "The id of the record unless told.",
                How::Line,
            ),
            maybe("payment.expires_minutes", "Minutes to pay", "60 unless told.", How::Whole),
            maybe("payment.success_text", "What the payer reads when it is paid", "", How::Area),
            maybe(
                "payment.on_unpaid",
                "When it is not paid",
                "",
                How::One(&[
                    ("stop", "The run has failed"),
                    ("continue", "The next action is done all the same"),
                ]),
            ),
        ],
    },
    Kind {
        word: "webhook",
        title: "Send a webhook",
        about: "A signed request to an address of your own, without a connection.",
        name: "tell",
        asks: &[
            ask("webhook.url", "Address", "It begins with https:// and is a public one.", How::Line),
            ask(
                "webhook.body",
                "Body",
                "JSON. A text that is one {{ expression }} gives its value as it is.",
                How::Json,
            ),
            maybe("webhook.headers", "Headers", "One on each line, as name: text", How::Pairs),
        ],
    },
    Kind {
        word: "pull",
        title: "Pull a datasource",
        about: "Reads what a service lists into the table, and waits until that is done.",
        name: "pull",
        asks: &[
            ask("pull.datasource", "Datasource", "Its link name.", How::Line),
            maybe("pull.full", "Everything, though only what changed could be asked for?", "", How::Maybe),
        ],
    },
];

/// All kinds but those of these words.
pub(super) fn but(lacks: &[&str]) -> Vec<&'static Kind> {
    KINDS.iter().filter(|kind| !lacks.contains(&kind.word)).collect()
}

/// The kind of that word.
pub(super) fn kind(word: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.word == word)
}

/// An action as a document.
fn document(action: &WorkflowAction) -> Map<String, Value> {
    match serde_json::to_value(action) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// The kind of an action; nothing where this page does not know it.
pub(super) fn kind_of(action: &WorkflowAction) -> Option<&'static Kind> {
    let members = document(action);
    KINDS.iter().find(|kind| members.contains_key(kind.word))
}

impl Ask {
    /// What is said below its label.
    pub fn help(&self, is_timed: bool) -> &'static str {
        self.timed.filter(|_| is_timed).unwrap_or(self.help)
    }

    /// Its name among the members of its kind.
    pub fn member(&self) -> &'static str {
        self.at.split_once('.').map_or(self.at, |(_, member)| member)
    }

    /// What stands in its input.
    fn shown(&self, value: &Value) -> String {
        match (self.how, value) {
            (_, Value::Null) => String::new(),
            (How::Lines, Value::Array(items)) => items.iter().map(plain).collect::<Vec<_>>().join("\n"),
            (How::Pairs, Value::Object(members)) => named_lines(members, plain),
            (How::Json, value) => serde_json::to_string_pretty(value).unwrap_or_default(),
            (How::Source | How::Code, Value::Object(_)) => source_text(value),
            (_, value) => plain(value),
        }
    }

    /// What its input says; nothing where it says nothing.
    fn read(&self, text: &str) -> Result<Option<Value>, String> {
        let text = lines(text);
        let all = || text.lines().map(str::trim).filter(|line| !line.is_empty());
        let given = !text.trim().is_empty();
        Ok(match self.how {
            How::Lines => Some(json!(all().collect::<Vec<_>>())),
            How::Pairs => {
                let pairs = from_named_lines(&text)?.into_iter();
                let members: Map<String, Value> =
                    pairs.map(|(name, value)| (name.to_owned(), json!(value))).collect();
                (!members.is_empty()).then_some(Value::Object(members))
            }
            How::Json if given => Some(
                serde_json::from_str(&text).map_err(|_| "This is not JSON. Texts stand in double quotes.")?,
            ),
            How::Maybe => match text.as_str() {
                "true" => Some(json!(true)),
                "false" => Some(json!(false)),
                _ => None,
            },
            How::Whole if given => Some(whole(&text)?),
            How::Code if text.trim().len() == 3 && text.trim().bytes().all(|c| c.is_ascii_uppercase()) => {
                Some(json!(text.trim()))
            }
            How::Source | How::Code if given => Some(source_of(text.trim())),
            How::Area => Some(json!(text)).filter(|_| given || !self.optional),
            How::Whole | How::Source | How::Code | How::Json | How::Mapping | How::Sets => None,
            How::Line | How::Connection | How::One(_) => {
                Some(json!(text.trim())).filter(|_| given || !self.optional)
            }
        })
    }
}

/// What stands in the inputs of an action's page.
pub(super) fn inputs_of(kind: &Kind, action: &WorkflowAction) -> Fields {
    let members = document(action);
    let mut inputs = Fields::default()
        .with("name", action.name.as_str())
        .with("condition", action.condition.clone().unwrap_or_default())
        .with("on_failure", members.get("on_failure").and_then(Value::as_str).unwrap_or("stop"));
    let whole = members.get(kind.word);
    for ask in kind.asks {
        let value = whole.and_then(|whole| whole.get(ask.member())).unwrap_or(&Value::Null);
        if !matches!(ask.how, How::Mapping | How::Sets) {
            inputs = inputs.with(ask.at, ask.shown(value));
        }
    }
    inputs
}

/// The action that was described; `inner` is what the steps and the table said.
pub(super) fn action_of(
    kind: &Kind,
    name: &str,
    sent: &Fields,
    mut inner: Map<String, Value>,
) -> Result<WorkflowAction, Error> {
    let mut wrong = Vec::new();
    for ask in kind.asks {
        match ask.read(sent.get(ask.at)) {
            Ok(Some(value)) => {
                inner.insert(ask.member().to_owned(), value);
            }
            Ok(None) => {}
            Err(why) => wrong.push(FieldError::new(ask.at, "invalid", why)),
        }
    }
    if !wrong.is_empty() {
        return Err(Error::invalid(wrong));
    }
    let mut action = json!({"name": name, kind.word: inner});
    if let Some(members) = action.as_object_mut() {
        if let Some(condition) = sent.given("condition") {
            members.insert("condition".to_owned(), json!(condition));
        }
        if sent.get("on_failure") == "continue" {
            members.insert("on_failure".to_owned(), json!("continue"));
        }
    }
    crate::input::from_json(&action.to_string())
}

/// The inputs of a page, but those of tables, so that every other error is said above.
pub(super) fn inputs(kind: &Kind) -> Vec<&'static str> {
    let asks = kind.asks.iter().filter(|ask| !matches!(ask.how, How::Mapping | How::Sets));
    ["name", "condition", "on_failure"].into_iter().chain(asks.map(|ask| ask.at)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_comes_back_from_its_page_as_it_was() {
        for action in [
            json!({"name": "tell", "condition": "record.a", "on_failure": "continue",
                "mail": {"to": ["a@b.example", "{{ submitter.email }}"], "subject": "S", "text": "One\n\nTwo"}}),
            json!({"name": "call", "invoke": {"connection": "c", "method": "POST", "url": "/x", "query": {"a": "b: c"},
                "headers": {"x-a": "1"}, "body": {"n": "{{ record.n }}"}, "repeatable": false}}),
            json!({"name": "pay", "payment": {"connection": "c", "amount": {"field": "price"}, "currency": "EUR", "description": "A fee",
                "email": {"expression": "submitter.email"}, "expires_minutes": 30, "on_unpaid": "continue"}}),
            json!({"name": "pay", "payment": {"connection": "c", "amount": {"value": "12.50"}, "currency": {"expression": "record.a ~ ''"},
                "description": "A fee", "email": {"text": "{{ record.a }}"}, "success_text": "Thank\nyou"}}),
            json!({"name": "tell", "webhook": {"url": "https://a.example", "body": {"n": "{{ record.n }}"}, "headers": {"x-a": "1"}}}),
            json!({"name": "rates", "pull": {"datasource": "rates", "full": true}}),
            json!({"name": "send", "invoke": {"connection": "c", "method": "POST", "url": "/x", "body": {"file": "{{ record.cv }}"},
                "body_encoding": "multipart"}}),
            json!({"name": "look", "invoke": {"connection": "c", "method": "GET", "url": "/x"}}),
        ] {
            let action: WorkflowAction = serde_json::from_value(action).unwrap();
            let kind = kind_of(&action).unwrap();
            let sent = inputs_of(kind, &action);
            assert_eq!(action_of(kind, &action.name, &sent, Map::new()).unwrap(), action);
        }
    }

    #[test]
    fn what_cannot_be_read_is_said_at_its_input() {
        let kind = kind("invoke").unwrap();
        let sent = Fields::default().with("invoke.query", "no colon").with("invoke.body", "{");
        let error = action_of(kind, "x", &sent, Map::new()).unwrap_err();
        let at: Vec<&str> = error.fields.iter().map(|wrong| wrong.field.as_str()).collect();
        assert_eq!(at, ["invoke.query", "invoke.body"]);
        assert!(inputs(kind).contains(&"invoke.body"));
    }

    #[test]
    fn every_kind_of_the_definition_has_a_page() {
        // What this version of the document can say: a kind that is added there is asked for here.
        let none =
            serde_json::from_value::<WorkflowAction>(json!({"name": "x", "no_such_kind": {}})).unwrap_err();
        let known = none.to_string();
        for kind in &KINDS {
            assert!(known.contains(&format!("`{}`", kind.word)), "{known}");
        }
    }
}
