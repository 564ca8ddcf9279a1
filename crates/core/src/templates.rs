//! Application templates: ready applications to start from. Each is a file in `templates/`, with what it asks for and the definitions of its
//! parts, in which two things are filled in: connections, by the names of needs, and `[[answers]]`.
//!
//! What fits a need is not decided by the name of a connector: every part is checked against it as when it is saved, so that a connector of
//! the organization's own that can do the same fits as well.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::connector::{Connector, built_in};
use crate::datasource::Datasource;
use crate::error::FieldError;
use crate::form::Form;
use crate::money;
use crate::schedule::Schedule;
use crate::workflow::{Grounds, Workflow};

/// Longest answer, in characters.
const ANSWER_MAX: usize = 200;

macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        /// Link name and text of every file.
        const FILES: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../../templates/", $name, ".toml")))),*];
    };
}

templates!("vendor_onboarding", "lead_form", "ticket_form", "order_form", "nightly_report");

static ALL: LazyLock<Vec<ApplicationTemplate>> = LazyLock::new(|| {
    // A test reads every file in full.
    let read = |(name, text): &(&str, &str)| ApplicationTemplate::read(name, text).ok();
    FILES.iter().filter_map(read).collect()
});

/// All templates, in the order in which they are shown.
pub fn all() -> &'static [ApplicationTemplate] {
    &ALL
}

/// The template of this name.
pub fn get(link_name: &str) -> Option<&'static ApplicationTemplate> {
    ALL.iter().find(|template| template.link_name == link_name)
}

/// A ready application.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplicationTemplate {
    /// name of its file
    #[serde(skip)]
    pub link_name: String,
    pub name: String,
    pub description: String,
    /// what to do once it is made
    pub next: String,
    /// whether it sends mail, for which the installation has to have a server
    #[serde(default)]
    pub mail: bool,
    pub needs: Vec<Need>,
    #[serde(default)]
    pub questions: Vec<Question>,
    #[serde(default)]
    datasources: Vec<Part>,
    #[serde(default)]
    forms: Vec<Part>,
    #[serde(default)]
    workflows: Vec<Part>,
    #[serde(default)]
    schedules: Vec<Part>,
}

/// A connection that a template needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TemplateNeed)]
pub struct Need {
    /// by which the connection is given
    pub name: String,
    /// what people read
    pub label: String,
    /// what it is used for, a sentence
    pub purpose: String,
    /// link names of the connectors that it was written for; another that can do the same fits as well
    pub connectors: Vec<String>,
}

/// Something that a template asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TemplateQuestion)]
pub struct Question {
    /// by which the answer is given
    pub name: String,
    /// what people read
    pub label: String,
    pub help: String,
    pub kind: AnswerKind,
    /// the answer, unless told
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// an answer that could be given
    #[serde(rename = "sample")]
    pub example: String,
}

/// What an answer looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TemplateAnswerKind)]
pub enum AnswerKind {
    /// a line of text
    Text,
    /// an amount of money, such as 12.50
    Amount,
    /// a code of ISO 4217
    Currency,
    /// e-mail addresses with commas between them
    Emails,
    /// 0 to 23
    Hour,
}

/// A component of a template, with what is filled in still open.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    link_name: String,
    name: String,
    /// the need, and the connector for which it is served: only then this part is taken
    #[serde(default)]
    only: BTreeMap<String, String>,
    definition: Value,
}

/// What serves a need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// link name of the connection
    pub connection: String,
    /// the connector of [`Need::connectors`] whose parts are taken
    pub variant: String,
}

/// A part with everything filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Made<D> {
    pub link_name: String,
    pub name: String,
    pub definition: D,
}

/// The parts of a template with everything filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Components {
    pub datasources: Vec<Made<Datasource>>,
    pub forms: Vec<Made<Form>>,
    pub workflows: Vec<Made<Workflow>>,
    pub schedules: Vec<Made<Schedule>>,
}

impl Components {
    /// Everything that is wrong with them, each fault with its component before its path: `workflow:push.actions.0`.
    pub fn check(&self, connections: BTreeMap<String, Arc<Connector>>, region: &str) -> Vec<FieldError> {
        let grounds = self.grounds(connections, region);
        let mut wrong = Vec::new();
        let mut add = |kind: &str, name: &str, found: Result<(), Vec<FieldError>>| {
            let found = found.err().unwrap_or_default().into_iter();
            wrong.extend(
                found.map(|error| FieldError { field: format!("{kind}:{name}.{}", error.field), ..error }),
            );
        };
        for one in &self.datasources {
            add("datasource", &one.link_name, one.definition.check(&grounds));
        }
        for one in &self.forms {
            add("form", &one.link_name, one.definition.check());
        }
        for one in &self.workflows {
            add("workflow", &one.link_name, one.definition.check(&grounds));
        }
        for one in &self.schedules {
            add("schedule", &one.link_name, one.definition.check(&grounds));
        }
        wrong
    }

    /// What they are checked against.
    pub fn grounds(&self, connections: BTreeMap<String, Arc<Connector>>, region: &str) -> Grounds {
        let mut grounds = Grounds { connections, region: region.to_owned(), ..Grounds::default() };
        for form in &self.forms {
            grounds.form(&form.link_name, &form.definition);
        }
        grounds.datasources.extend(self.datasources.iter().map(|one| one.link_name.clone()));
        grounds
    }
}

impl Question {
    /// Whether an answer is such as it should be. `Err` is a sentence.
    pub fn check(&self, answer: &str) -> Result<(), String> {
        if answer.is_empty() {
            return Err("It is missing.".to_owned());
        }
        if answer.chars().count() > ANSWER_MAX || answer.chars().any(char::is_control) {
            return Err(format!("It is one line of at most {ANSWER_MAX} characters."));
        }
        // It stands in texts with expressions, and is none itself.
        if answer.contains("{{") || answer.contains("}}") {
            return Err("Leave out {{ and }}.".to_owned());
        }
        let fits = match self.kind {
            AnswerKind::Text => true,
            AnswerKind::Amount => money::minor(answer, 3).is_ok_and(|minor| minor > 0),
            AnswerKind::Currency => money::is_currency(answer),
            AnswerKind::Emails => answer.split(',').all(|one| is_address(one.trim())),
            AnswerKind::Hour => answer.parse::<u8>().is_ok_and(|hour| hour < 24),
        };
        match self.kind {
            _ if fits => Ok(()),
            AnswerKind::Amount => Err("Say an amount such as 12.50.".to_owned()),
            AnswerKind::Currency => Err("Say three capitals, such as EUR.".to_owned()),
            AnswerKind::Emails => Err("Say e-mail addresses, with commas between them.".to_owned()),
            AnswerKind::Hour => Err("Say 0 to 23.".to_owned()),
            AnswerKind::Text => Err("It does not fit.".to_owned()),
        }
    }
}

/// Whether a text looks like an e-mail address.
fn is_address(text: &str) -> bool {
    let parts = text.split_once('@');
    let good = |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c == '@');
    parts.is_some_and(|(name, host)| good(name) && good(host) && host.contains('.'))
}

impl ApplicationTemplate {
    fn read(link_name: &str, text: &str) -> Result<Self, toml::de::Error> {
        Ok(Self { link_name: link_name.to_owned(), ..toml::from_str(text)? })
    }

    /// Its need of this name.
    pub fn need(&self, name: &str) -> Option<&Need> {
        self.needs.iter().find(|need| need.name == name)
    }

    /// The answers of an example.
    pub fn examples(&self) -> BTreeMap<String, String> {
        self.questions.iter().map(|question| (question.name.clone(), question.example.clone())).collect()
    }

    /// Its parts with everything filled in. What is not answered stays open, for those who look at it. `Err` is a sentence about the template.
    pub fn components(
        &self,
        served: &BTreeMap<String, Served>,
        answers: &BTreeMap<String, String>,
    ) -> Result<Components, String> {
        Ok(Components {
            datasources: parts(&self.datasources, served, answers)?,
            forms: parts(&self.forms, served, answers)?,
            workflows: parts(&self.workflows, served, answers)?,
            schedules: parts(&self.schedules, served, answers)?,
        })
    }

    /// What serves each need in an example: the first connector for which it was written, under the name of the need.
    pub fn stand_ins(&self) -> BTreeMap<String, Served> {
        let stand_in = |need: &Need| {
            let variant = need.connectors.first()?.clone();
            Some((need.name.clone(), Served { connection: need.name.clone(), variant }))
        };
        self.needs.iter().filter_map(stand_in).collect()
    }

    /// For which of its connectors' sake a connector serves a need: the one of its own name, else the first that can do the same. `Err` is a
    /// sentence that says what is missing.
    pub fn fit<'n>(
        &self,
        need: &'n Need,
        connector: &Arc<Connector>,
        region: &str,
    ) -> Result<&'n str, String> {
        let own = connector.link_name.as_deref();
        let mut first = None;
        let mut variants: Vec<&str> = need.connectors.iter().map(String::as_str).collect();
        variants.sort_by_key(|variant| Some(*variant) != own);
        for variant in variants {
            match self.misfit(need, variant, connector, region) {
                None => return Ok(variant),
                Some(why) => first = first.or(Some(why)),
            }
        }
        Err(first.unwrap_or_else(|| "Nothing fits this need.".to_owned()))
    }

    /// Why a connector does not serve a need as this one of its connectors does.
    fn misfit(&self, need: &Need, variant: &str, connector: &Arc<Connector>, region: &str) -> Option<String> {
        let mut served = self.stand_ins();
        let mut connections = BTreeMap::new();
        for other in &self.needs {
            let stand_in = other.connectors.first().and_then(|name| built_in().get(name));
            if let Some(stand_in) = stand_in {
                connections.insert(other.name.clone(), Arc::clone(stand_in));
            }
        }
        connections.insert(need.name.clone(), Arc::clone(connector));
        served
            .insert(need.name.clone(), Served { connection: need.name.clone(), variant: variant.to_owned() });
        match self.components(&served, &self.examples()) {
            Err(why) => Some(why),
            Ok(made) => {
                // What a connector thinks of an example's currency is not what it can do.
                let mut wrong = made.check(connections, region).into_iter();
                wrong
                    .find(|error| !error.field.ends_with(".currency") && !error.field.ends_with(".amount"))
                    .map(|error| error.message)
            }
        }
    }

    /// An amount that its currency does not have, or that a service does not take in it: the question, and a sentence.
    pub fn clash<'c>(
        &self,
        answers: &BTreeMap<String, String>,
        connectors: impl IntoIterator<Item = &'c Connector>,
    ) -> Option<(&Question, String)> {
        let of = |kind: AnswerKind| {
            let question = self.questions.iter().find(|question| question.kind == kind)?;
            Some((question, answers.get(&question.name)?))
        };
        let ((question, amount), (_, currency)) = (of(AnswerKind::Amount)?, of(AnswerKind::Currency)?);
        let minor = match money::minor(amount, money::exponent(currency)) {
            Ok(minor) => minor,
            Err(why) => return Some((question, format!("In {currency} it {why}."))),
        };
        let tills = connectors.into_iter().filter_map(|one| Some((one, one.payment.as_ref()?)));
        // A currency that it does not take at all is said at the other question.
        let mut takers = tills.filter(|(one, payment)| payment.takes(&one.name, currency).is_ok());
        let why = takers.find_map(|(one, payment)| payment.amount(&one.name, minor, currency).err())?;
        Some((question, why))
    }

    /// What is wrong with an answer when everything else is as in the example.
    pub fn misanswer(
        &self,
        question: &Question,
        answer: &str,
        served: &BTreeMap<String, Served>,
        connections: &BTreeMap<String, Arc<Connector>>,
        region: &str,
    ) -> Option<String> {
        if let Err(why) = question.check(answer) {
            return Some(why);
        }
        let faults = |answers: &BTreeMap<String, String>| -> Vec<FieldError> {
            let made = self.components(served, answers);
            made.map(|made| made.check(connections.clone(), region)).unwrap_or_default()
        };
        let mut answers = self.examples();
        let before: BTreeSet<String> = faults(&answers).into_iter().map(|error| error.field).collect();
        answers.insert(question.name.clone(), answer.to_owned());
        // Where the example itself does not suit the connection, the answer need not be what is wrong.
        let wrong = faults(&answers).into_iter().find(|error| !before.contains(&error.field));
        wrong.map(|error| error.message)
    }
}

fn parts<D: DeserializeOwned>(
    parts: &[Part],
    served: &BTreeMap<String, Served>,
    answers: &BTreeMap<String, String>,
) -> Result<Vec<Made<D>>, String> {
    let taken = |part: &&Part| {
        part.only.iter().all(|(need, variant)| served.get(need).is_some_and(|one| one.variant == *variant))
    };
    let make = |part: &Part| {
        let mut definition = part.definition.clone();
        fill(&mut definition, served, answers);
        let definition =
            serde_json::from_value(definition).map_err(|error| format!("{}: {error}", part.link_name))?;
        Ok(Made { link_name: part.link_name.clone(), name: part.name.clone(), definition })
    };
    parts.iter().filter(taken).map(make).collect()
}

/// Fills in connections and answers.
fn fill(value: &mut Value, served: &BTreeMap<String, Served>, answers: &BTreeMap<String, String>) {
    match value {
        Value::String(text) => {
            for (name, answer) in answers {
                let place = format!("[[{name}]]");
                if text.contains(&place) {
                    *text = text.replace(&place, answer);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, served, answers)),
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(need) if name == "connection" => {
                        if let Some(one) = served.get(need.as_str()) {
                            one.connection.clone_into(need);
                        }
                    }
                    value => fill(value, served, answers),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The folder, read in full.
    #[test]
    fn every_file_is_listed_and_right() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../templates");
        let on_disk: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| {
                entry.unwrap().file_name().to_str().unwrap().strip_suffix(".toml").unwrap().to_owned()
            })
            .collect();
        let listed: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(listed, on_disk, "the list in templates.rs is not the folder templates/");
        for (name, text) in FILES {
            let template =
                ApplicationTemplate::read(name, text).unwrap_or_else(|error| panic!("{name}: {error}"));
            crate::names::link_name(name).unwrap();
            assert!(!template.needs.is_empty(), "{name}");
            for question in &template.questions {
                assert_eq!(question.check(&question.example), Ok(()), "{name} {}", question.name);
                let default = question.default.as_deref().unwrap_or(&question.example);
                assert_eq!(question.check(default), Ok(()), "{name} {}", question.name);
                assert!(
                    text.contains(&format!("[[{}]]", question.name)),
                    "{name}: nobody uses {}",
                    question.name
                );
            }
            // Whoever fits each need, the whole is right, and nothing is left open.
            let region = "in";
            for need in &template.needs {
                assert!(
                    text.contains(&format!("connection = \"{}\"", need.name)),
                    "{name}: nobody uses {}",
                    need.name
                );
                for variant in &need.connectors {
                    let connector =
                        built_in().get(variant).unwrap_or_else(|| panic!("{name}: no connector {variant}"));
                    assert_eq!(
                        template.fit(need, connector, region),
                        Ok(variant.as_str()),
                        "{name} {variant}"
                    );
                    let mut served = template.stand_ins();
                    let mut connections: BTreeMap<String, Arc<Connector>> = served
                        .iter()
                        .map(|(need, one)| {
                            (format!("my_{need}"), Arc::clone(built_in().get(&one.variant).unwrap()))
                        })
                        .collect();
                    served.insert(
                        need.name.clone(),
                        Served { connection: String::new(), variant: variant.clone() },
                    );
                    for (name, one) in &mut served {
                        one.connection = format!("my_{name}");
                    }
                    connections.insert(format!("my_{}", need.name), Arc::clone(connector));
                    let made = template.components(&served, &template.examples()).unwrap();
                    assert_eq!(made.check(connections, region), [], "{name} {variant}");
                    let whole = format!("{made:?}");
                    assert!(!whole.contains("[["), "{name} {variant} leaves something open: {whole}");
                    assert!(made.workflows.len() + made.schedules.len() > 0, "{name} {variant}");
                    let all = made
                        .workflows
                        .iter()
                        .map(|one| &one.link_name)
                        .chain(made.schedules.iter().map(|one| &one.link_name));
                    let names: Vec<_> = all.collect();
                    assert_eq!(
                        names.iter().collect::<BTreeSet<_>>().len(),
                        names.len(),
                        "{name} {variant}: a name twice"
                    );
                }
            }
        }
        assert_eq!(all().len(), 5);
    }

    fn custom(of: &str, change: impl Fn(&mut Value)) -> Arc<Connector> {
        let mut document = built_in().get(of).unwrap().to_json();
        document["link_name"] = "our_own".into();
        change(&mut document);
        Arc::new(Connector::from_json(document).unwrap())
    }

    #[test]
    fn what_can_do_the_same_fits() {
        let template = get("vendor_onboarding").unwrap();
        let need = template.need("books").unwrap();
        assert_eq!(template.fit(need, &custom("quickbooks", |_| ()), "eu"), Ok("quickbooks"));
        let less = custom("quickbooks", |document| {
            document["modules"].as_object_mut().unwrap().remove("vendor");
        });
        let why = template.fit(need, &less, "eu").unwrap_err();
        assert!(why.contains("module"), "{why}");
        assert!(template.fit(need, built_in().get("slack").unwrap(), "eu").is_err());
        // One of several that it was written for is taken by its name, though the first could be served as well.
        let leads = get("lead_form").unwrap();
        let crm = leads.need("crm").unwrap();
        assert_eq!(leads.fit(crm, built_in().get("hubspot").unwrap(), "eu"), Ok("hubspot"));
        assert_eq!(leads.fit(crm, &custom("salesforce", |_| ()), "eu"), Ok("salesforce"));
        // Where a service takes no payments, it does not fit.
        let order = get("order_form").unwrap();
        let till = order.need("till").unwrap();
        assert!(order.fit(till, built_in().get("razorpay").unwrap(), "eu").is_err());
        assert_eq!(order.fit(till, built_in().get("razorpay").unwrap(), "in"), Ok("razorpay"));
    }

    #[test]
    fn answers_are_checked() {
        let order = get("order_form").unwrap();
        let served = BTreeMap::from([(
            "till".to_owned(),
            Served { connection: "pay".to_owned(), variant: "paypal".to_owned() },
        )]);
        let connections = BTreeMap::from([("pay".to_owned(), Arc::clone(built_in().get("paypal").unwrap()))]);
        let wrong = |name: &str, answer: &str| {
            let question = order.questions.iter().find(|one| one.name == name).unwrap();
            order.misanswer(question, answer, &served, &connections, "eu").is_some()
        };
        assert!(!wrong("item", "Tea & cake") && !wrong("price", "0.50") && !wrong("currency", "USD"));
        for (name, answer) in [
            ("item", ""),
            ("item", "{{ record.email }}"),
            ("item", "a\nb"),
            ("price", "'|upper"),
            ("price", "0"),
            ("price", "12,50"),
            ("currency", "euro"),
            ("currency", "XAF"),
        ] {
            assert!(wrong(name, answer), "{name} {answer}");
        }
        let both = |price: &str, currency: &str| {
            let all = [("price", price), ("currency", currency)];
            let all = all.map(|(name, answer)| (name.to_owned(), answer.to_owned()));
            let paypal = built_in().get("paypal").unwrap();
            order.clash(&BTreeMap::from(all), [&**paypal]).map(|(question, _)| question.name.as_str())
        };
        assert_eq!((both("12.50", "EUR"), both("12", "JPY")), (None, None));
        assert_eq!((both("12.505", "EUR"), both("12.50", "JPY")), (Some("price"), Some("price")));
        // PayPal takes these without cents, though ISO 4217 has some.
        for currency in ["HUF", "TWD"] {
            assert_eq!((both("12.50", currency), both("12", currency)), (Some("price"), None), "{currency}");
        }
        let report = get("nightly_report").unwrap();
        let zone = report.questions.iter().find(|one| one.name == "time_zone").unwrap();
        let served = report.stand_ins();
        let connections =
            BTreeMap::from([("source".to_owned(), Arc::clone(built_in().get("quickbooks").unwrap()))]);
        assert_eq!(report.misanswer(zone, "Europe/Berlin", &served, &connections, "eu"), None);
        assert!(report.misanswer(zone, "Europe/Nowhere", &served, &connections, "eu").is_some());
        let to = report.questions.iter().find(|one| one.name == "to").unwrap();
        assert!(to.check("a@b.example, c@d.example").is_ok() && to.check("a@b.example,").is_err());
    }
}
