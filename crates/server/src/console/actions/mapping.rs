//! Where each value comes from: the table of a service's fields (or those of the record), with a source for each, and what is proposed for
//! those that nobody has said anything about. A field is a [`Target`]; what is proposed, [`propose`] says.

use std::collections::BTreeMap;

use askama::Template;
use askama::filters::HtmlSafe;
use jackfield_core::form::{Form as Document, FormField};
use jackfield_core::workflow::{Integration, Lookup, Mapped, RECORD_FACTS};
use jackfield_core::{Error, FieldError};
use serde_json::{Value, json};

mod propose;
mod target;

use crate::console::applications::lines;
use crate::console::form::{Fields, id_of};
use crate::console::forms::field::kind_word;

use self::propose::propose;
pub(super) use self::target::{Target, type_word};

/// Fields that stand below the others, folded: those of which nothing is said and that nobody requires, where they are more than this.
const UNFOLDED: usize = 6;

/// Fields that a service described and nobody has mapped: more make no page. A document can name them.
const SHOWN: usize = 300;

/// What a source may be taken from.
pub(super) struct Sources<'a> {
    /// the form that sets it off
    pub form: Option<&'a Document>,
    /// every form of the application: link name, name and document
    pub forms: &'a [(String, String, Document)],
    /// whether there is no record
    pub is_timed: bool,
    /// whether there are datasources
    pub has_rows: bool,
    /// names that expressions know beside the fields of the form
    pub known: &'a [&'a str],
}

/// The options of a choice, under a heading.
pub(super) struct Options {
    heading: &'static str,
    /// value and words
    items: Vec<(String, String)>,
}

/// One field and the source of its value.
pub(super) struct Row {
    index: usize,
    target: Target,
    from: Vec<Options>,
    chosen: String,
    /// the value, text or expression
    what: String,
    /// of a lookup: form and field by which a record is found, what is looked for, form and field that is taken
    by: String,
    is: String,
    take: String,
    proposed: bool,
    errors: Vec<String>,
}

impl Row {
    fn input(&self, part: &str) -> String {
        format!("map.{}.{part}", self.index)
    }

    fn id(&self, part: &str) -> String {
        id_of(&self.input(part))
    }

    fn is_chosen(&self, value: &str) -> bool {
        self.chosen == value
    }

    /// What the service told of a field that it described, which the form sends back: part and value of each input.
    fn told(&self) -> Vec<(&'static str, String)> {
        let Some(field) = self.target.told() else { return Vec::new() };
        let shape = field.shape.as_ref().map(|shape| ("shape", shape.to_string()));
        [("type", field.kind.as_str().to_owned())].into_iter().chain(shape).collect()
    }

    /// Whether it can wait below.
    fn waits(&self) -> bool {
        self.chosen.is_empty() && !self.target.required && self.errors.is_empty()
    }
}

/// `{{ table }}` in a template.
#[derive(Template)]
#[template(path = "console/parts/mapping.html")]
pub(super) struct Table {
    /// `Vendor at Acme QuickBooks`, or `Vendors`
    of: String,
    rows: Vec<Row>,
    /// those that can wait, and whether they are shown all the same
    rest: Vec<Row>,
    is_open: bool,
    /// how many more the service described
    unseen: usize,
    /// ways to look a record up: heading, and value and words of each
    ways: Vec<(String, Vec<(String, String)>)>,
    takes: Vec<(String, Vec<(String, String)>)>,
    expressions: Vec<String>,
    proposed: usize,
}

impl HtmlSafe for Table {}

/// What stands in the inputs of a row.
#[derive(Default, Clone, PartialEq)]
struct Inputs {
    from: String,
    what: String,
    by: String,
    is: String,
    take: String,
}

impl Inputs {
    fn of(target: &Target, mapped: &Mapped) -> Self {
        let text =
            |from: &str, what: &str| Self { from: from.to_owned(), what: what.to_owned(), ..Self::default() };
        match mapped {
            Mapped::Field(name) => text(&format!("field:{name}"), ""),
            Mapped::Expression(what) => text("expression", what),
            Mapped::Text(what) => text("text", what),
            Mapped::Value(value) => {
                let plain = match value {
                    Value::String(plain) => plain.clone(),
                    other => other.to_string(),
                };
                if target.choices.iter().any(|(choice, _)| *choice == plain) {
                    text(&format!("choice:{plain}"), "")
                } else {
                    text("value", &plain)
                }
            }
            // Written as a document: which columns it has is known once it was pulled.
            Mapped::Lookup(lookup) if lookup.datasource.is_some() => {
                text("row", &serde_json::to_string(lookup).unwrap_or_default())
            }
            Mapped::Lookup(lookup) => Self {
                from: "lookup".to_owned(),
                by: format!("{}.{}", lookup.form, lookup.by),
                is: lookup.is.clone(),
                take: format!("{}.{}", lookup.form, lookup.take),
                ..Self::default()
            },
        }
    }

    fn sent(sent: &Fields, index: usize) -> Self {
        let part = |part: &str| sent.get(&format!("map.{index}.{part}")).to_owned();
        Self {
            from: part("from"),
            what: lines(&part("what")),
            by: part("by"),
            is: part("is"),
            take: part("take"),
        }
    }

    /// What is missing, before the engine looks at the rest: which part, and the mend.
    fn lacks(&self) -> Option<(&'static str, &'static str)> {
        let form = |of: &str| of.split_once('.').map(|(form, _)| form.to_owned());
        match self.from.as_str() {
            "expression" if self.what.trim().is_empty() => {
                Some(("", "Write an expression, such as record.id."))
            }
            "lookup" => match (form(&self.by), form(&self.take)) {
                (Some(_), Some(_)) if self.is.trim().is_empty() => {
                    Some((".lookup.is", "Say what it is looked up by, such as record.email."))
                }
                (Some(by), Some(take)) if by != take => {
                    Some((".lookup.take", "Take a field of the form in which the record is looked up."))
                }
                (Some(_), Some(_)) => None,
                _ => Some((".lookup.by", "Choose what is taken, and by which field the record is found.")),
            },
            _ => None,
        }
    }

    /// What they say; nothing where it is left out.
    fn mapped(&self, target: &Target) -> Option<Mapped> {
        let halves = |text: &str| {
            text.split_once('.').map_or_else(
                || (text.to_owned(), String::new()),
                |(form, field)| (form.to_owned(), field.to_owned()),
            )
        };
        Some(match self.from.as_str() {
            "" => return None,
            "value" => Mapped::Value(target.value(&self.what)),
            "text" => Mapped::Text(self.what.clone()),
            "expression" => Mapped::Expression(self.what.trim().to_owned()),
            "lookup" => {
                let ((form, by), (_, take)) = (halves(&self.by), halves(&self.take));
                Mapped::Lookup(Lookup { form, by, is: self.is.trim().to_owned(), take, datasource: None })
            }
            // What cannot be read names a datasource that nobody has, which the check says.
            "row" => Mapped::Lookup(
                serde_json::from_str(&self.what)
                    .unwrap_or_else(|_| Lookup { datasource: Some(self.what.clone()), ..Lookup::default() }),
            ),
            other => match other.split_once(':') {
                Some(("choice", value)) => Mapped::Value(target.value(value)),
                Some((_, field)) => Mapped::Field(field.to_owned()),
                None => return None,
            },
        })
    }
}

/// The fields of which a form says something, with what the service told of them.
pub(super) fn told_in(sent: &Fields) -> Vec<Target> {
    let told = |(index, name): (usize, String)| {
        let part = |part: &str| sent.get(&format!("map.{index}.{part}"));
        let kind = serde_json::from_value(json!(part("type"))).ok();
        Target::unconfirmed(&name, kind, serde_json::from_str(part("shape")).ok())
    };
    names_in(sent).enumerate().map(told).collect()
}

/// The fields that a push maps, with what the service told of them.
pub(super) fn told_of(push: &Integration) -> Vec<Target> {
    let told = |name: &String| {
        Target::unconfirmed(name, push.types.get(name).copied(), push.shapes.get(name).cloned())
    };
    push.mapping.keys().map(told).collect()
}

/// What a form maps to fixed values: with it the service can be asked.
pub(super) fn given_in(sent: &Fields) -> BTreeMap<String, String> {
    let fixed = names_in(sent).enumerate().filter_map(|(index, name)| {
        let inputs = Inputs::sent(sent, index);
        let value = match inputs.from.as_str() {
            "value" => inputs.what,
            other => other.strip_prefix("choice:")?.to_owned(),
        };
        Some((name, value))
    });
    fixed.collect()
}

/// What a form says of its fields, as far as it matters to proposals: which are left alone, and which fields of the record have a place.
fn said_in(sent: &Fields) -> BTreeMap<String, Mapped> {
    let said = names_in(sent).enumerate().map(|(index, name)| {
        let from = Inputs::sent(sent, index).from;
        let field = from.strip_prefix("field:").map(|field| Mapped::Field(field.to_owned()));
        (name, field.unwrap_or(Mapped::Value(Value::Null)))
    });
    said.collect()
}

/// Keeps with a push what the service told of the fields that it maps.
pub(super) fn keep_told(push: &mut Integration, targets: &[Target], mapping: &BTreeMap<String, Mapped>) {
    let mapped = targets.iter().filter(|target| mapping.contains_key(&target.name));
    for field in mapped.filter_map(Target::told) {
        push.types.insert(field.name.clone(), field.kind);
        push.shapes.extend(field.shape.clone().map(|shape| (field.name.clone(), shape)));
    }
}

/// The fields of which a form says something, in its order.
fn names_in(sent: &Fields) -> impl Iterator<Item = String> + '_ {
    let inputs = (0..).map(|index| format!("map.{index}.name"));
    inputs.take_while(|input| sent.has(input)).map(|input| sent.get(&input).to_owned())
}

/// What was chosen for each field, in the order of the page.
pub(super) fn read(
    targets: &[Target],
    present: &BTreeMap<String, Mapped>,
    sent: &Fields,
) -> Result<BTreeMap<String, Mapped>, Error> {
    let mut mapping = BTreeMap::new();
    let mut wrong = Vec::new();
    for (index, name) in names_in(sent).enumerate() {
        let name = name.as_str();
        let gone = Target::gone(name);
        let target = targets.iter().find(|target| target.name == name).unwrap_or(&gone);
        let inputs = Inputs::sent(sent, index);
        if let Some((part, message)) = inputs.lacks() {
            wrong.push(FieldError::new(format!("{name}{part}"), "required", message));
        }
        // What was not touched stays as it was, however it was written.
        let same = present.get(name).filter(|mapped| Inputs::of(target, mapped) == inputs);
        if let Some(mapped) = same.cloned().or_else(|| inputs.mapped(target)) {
            mapping.insert(name.to_owned(), mapped);
        }
    }
    if wrong.is_empty() { Ok(mapping) } else { Err(Error::invalid(wrong)) }
}

/// What the table begins with.
pub(super) enum Begins<'a> {
    /// with what is mapped already
    Mapped(&'a BTreeMap<String, Mapped>),
    /// with proposals, beside what is kept of another operation; the words are noise in names: those of the module and the form
    Proposed(&'a BTreeMap<String, Mapped>, &'a [&'a str]),
    /// with what was typed
    Sent(&'a Fields),
    /// with what was typed when the service was asked for more fields, which are shown; with the noise, proposals for them
    Asked(&'a Fields, Option<&'a [&'a str]>),
}

/// The table. `errors` stand under the names of the fields: `DisplayName.lookup.by`.
pub(super) fn table(
    of: String,
    targets: Vec<Target>,
    begins: &Begins<'_>,
    sources: &Sources<'_>,
    errors: &[FieldError],
) -> Table {
    let proposals = match begins {
        Begins::Proposed(kept, noise) => {
            sources.form.map(|form| propose(&targets, form, kept, noise)).unwrap_or_default()
        }
        Begins::Asked(sent, Some(noise)) => {
            sources.form.map(|form| propose(&targets, form, &said_in(sent), noise)).unwrap_or_default()
        }
        _ => BTreeMap::new(),
    };
    let named: Vec<String> = match begins {
        Begins::Mapped(mapped) => mapped.keys().cloned().collect(),
        Begins::Proposed(..) => Vec::new(),
        Begins::Sent(sent) | Begins::Asked(sent, _) => names_in(sent).collect(),
    };
    let proposal = |target: &Target| {
        proposals
            .get(&target.name)
            .map(|field| Inputs { from: format!("field:{field}"), ..Inputs::default() })
    };
    let mut targets = targets;
    for name in &named {
        if !targets.iter().any(|target| target.name == *name) {
            targets.push(Target::gone(name));
        }
    }
    let mut rows: Vec<Row> = Vec::new();
    for target in targets {
        let mut proposed = false;
        let inputs = match begins {
            Begins::Mapped(mapped) => mapped.get(&target.name).map(|mapped| Inputs::of(&target, mapped)),
            Begins::Proposed(kept, _) => {
                let kept = kept.get(&target.name).map(|mapped| Inputs::of(&target, mapped));
                kept.or_else(|| {
                    let inputs = proposal(&target);
                    proposed = inputs.is_some();
                    inputs
                })
            }
            Begins::Sent(sent) | Begins::Asked(sent, _) => {
                let typed = named.iter().position(|name| *name == target.name);
                let typed = typed.map(|index| Inputs::sent(sent, index));
                typed.or_else(|| {
                    let inputs = proposal(&target);
                    proposed = inputs.is_some();
                    inputs
                })
            }
        }
        .unwrap_or_default();
        let within = format!("{}.", target.name);
        let at_it =
            errors.iter().filter(|error| error.field == target.name || error.field.starts_with(&within));
        rows.push(Row {
            index: 0,
            from: options(&target, sources, &inputs.from),
            chosen: inputs.from,
            what: inputs.what,
            by: inputs.by,
            is: inputs.is,
            take: inputs.take,
            proposed,
            errors: at_it.map(|error| error.message.clone()).collect(),
            target,
        });
    }
    let (mut first, mut rest): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| !row.waits());
    if first.len() + rest.len() <= UNFOLDED {
        first.append(&mut rest);
    }
    let (mut many, mut unseen) = (0, 0);
    rest.retain(|row| {
        many += usize::from(row.target.further);
        let kept = !row.target.further || many <= SHOWN;
        unseen += usize::from(!kept);
        kept
    });
    for (index, row) in first.iter_mut().chain(&mut rest).enumerate() {
        row.index = index;
    }
    Table {
        of,
        proposed: first.iter().filter(|row| row.proposed).count(),
        rows: first,
        rest,
        is_open: matches!(begins, Begins::Asked(..)),
        unseen,
        ways: of_forms(sources, |field| field.unique, true),
        takes: of_forms(sources, |_| true, false),
        expressions: sources
            .form
            .iter()
            .flat_map(|form| &form.fields)
            .map(|field| format!("record.{}", field.name))
            .chain(sources.known.iter().map(|name| (*name).to_owned()))
            .collect(),
    }
}

/// The fields of each form that are of this kind, as a choice of `form.field`.
fn of_forms(
    sources: &Sources<'_>,
    fits: impl Fn(&FormField) -> bool,
    by_id: bool,
) -> Vec<(String, Vec<(String, String)>)> {
    let one = |(link, name, form): &(String, String, Document)| {
        let id = by_id.then(|| (format!("{link}.id"), "Id of the record".to_owned()));
        let fields = form.fields.iter().filter(|field| fits(field));
        let fields = fields.map(|field| (format!("{link}.{}", field.name), field.title().to_owned()));
        (name.clone(), fields.chain(id).collect())
    };
    sources.forms.iter().map(one).collect()
}

fn fact_word(fact: &str) -> &'static str {
    match fact {
        "id" => "Id of the record",
        "created_at" => "When it was sent in",
        "updated_at" => "When it was changed last",
        "created_by" => "Id of who sent it in",
        _ => "Its version",
    }
}

/// What can be chosen as a source.
fn options(target: &Target, sources: &Sources<'_>, chosen: &str) -> Vec<Options> {
    let mut all = vec![Options {
        heading: "",
        items: vec![(String::new(), if target.required { "Choose…" } else { "Leave out" }.to_owned())],
    }];
    let mut known = false;
    let mut put = |heading: &'static str, items: Vec<(String, String)>| {
        known |= items.iter().any(|(value, _)| value == chosen);
        if !items.is_empty() {
            all.push(Options { heading, items });
        }
    };
    let fields = sources.form.map_or(&[][..], |form| &form.fields);
    let item = |field: &FormField| {
        (
            format!("field:{}", field.name),
            format!("{} ({})", field.title(), kind_word(&field.kind).to_lowercase()),
        )
    };
    put("Fields of the form", fields.iter().filter(|field| target.suits(field)).map(item).collect());
    let items = target.choices.iter().map(|(value, words)| (format!("choice:{value}"), words.clone()));
    put("Always", items.collect());
    let text = if sources.is_timed { "Text with values in it" } else { "Text with fields in it" };
    let mut other = vec![
        ("text".to_owned(), text.to_owned()),
        ("value".to_owned(), "A fixed value".to_owned()),
        ("expression".to_owned(), "An expression".to_owned()),
    ];
    if !sources.forms.is_empty() {
        let words = if sources.is_timed { "From a record" } else { "From another record" };
        other.push(("lookup".to_owned(), words.to_owned()));
    }
    if sources.has_rows {
        other.push(("row".to_owned(), "From a row of a datasource".to_owned()));
    }
    put("Something else", other);
    if !sources.is_timed {
        let facts = RECORD_FACTS.iter().map(|fact| (format!("field:{fact}"), fact_word(fact).to_owned()));
        put("About the record", facts.collect());
    }
    put("Fields of another kind", fields.iter().filter(|field| !target.suits(field)).map(item).collect());
    if !known && !chosen.is_empty() {
        // What is not there any more stays chosen, and is said to be wrong.
        let name = chosen.split_once(':').map_or(chosen, |(_, name)| name);
        all.push(Options {
            heading: "Not there any more",
            items: vec![(chosen.to_owned(), name.to_owned())],
        });
    }
    all
}

#[cfg(test)]
mod tests;
