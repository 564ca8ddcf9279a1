//! What is built in an application as a document: the page on which one is written, and the one on which it is deleted. Forms and workflows
//! share them.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use jackfield_core::form::Form as Document;
use jackfield_core::workflow::{Grounds, Workflow};
use jackfield_core::{Code, Error, Result};
use jackfield_engine::automate::components::{BuiltView, ComponentPatch, Definable, NewComponent};
use jackfield_engine::{Engine, Op};

use super::applications::{Head, lines, path};
use super::common::{check_typed, mends, was_overtaken};
use super::desk::{Desk, Frame, Sent};
use super::form::{Fields, Form};
use super::runs::Called;
use crate::input::{from_json, json_holds_nul};

/// The words of a kind of thing.
pub(super) struct Words {
    /// `forms`: the tab, and the word in addresses
    pub tab: &'static str,
    /// `form`
    pub one: &'static str,
    /// what stands under the heading of a new one
    pub lead: &'static str,
    /// what follows when one is deleted
    pub ends: &'static [&'static str],
}

/// A component that is built here.
#[derive(Clone)]
pub(super) struct Built {
    /// `workflow`
    pub kind: &'static str,
    pub name: String,
    pub path: String,
}

/// What is built in an application, by the names of components.
pub(super) struct Catalogue(BTreeMap<String, Built>);

impl Catalogue {
    pub async fn of(engine: &Engine, op: &Op, application: &str) -> Result<Self> {
        let mut all = BTreeMap::new();
        for (kind, tab, called) in [
            (Document::KIND, "forms", Called::of::<Document>(engine, op, application).await?),
            (Workflow::KIND, "workflows", Called::of::<Workflow>(engine, op, application).await?),
        ] {
            all.extend(called.all().map(|(link, name)| {
                let path = path(application, &format!("{tab}/{link}"));
                (format!("{kind}:{link}"), Built { kind, name: name.to_owned(), path })
            }));
        }
        Ok(Self(all))
    }

    /// Nothing of what an application declares itself.
    pub fn get(&self, component: &str) -> Option<&Built> {
        self.0.get(component)
    }

    /// `Workflow Push vendors`; the component's own name of what an application declares itself.
    pub fn words(&self, component: &str) -> String {
        let words = |built: &Built| format!("{} {}", super::parts::title(built.kind), built.name);
        self.get(component).map_or_else(|| component.to_owned(), words)
    }
}

/// A document is written.
#[derive(Template)]
#[template(path = "console/document.html")]
pub(super) struct Writing<'a> {
    frame: &'a Frame,
    head: Head,
    words: &'static Words,
    /// of one that is there: link name, name, version
    there: Option<(String, String, i64)>,
    form: Form,
    overtaken: bool,
}

impl Writing<'_> {
    fn others(&self) -> Vec<String> {
        self.form.other_errors(&["name", "link_name", "definition"])
    }

    fn back(&self) -> String {
        match &self.there {
            Some((link, _, _)) => self.head.path(&format!("{}/{link}", self.words.tab)),
            None => self.head.path(self.words.tab),
        }
    }
}

/// A document as a text, to be written on.
pub(super) fn text_of<D: Definable>(definition: &D) -> String {
    serde_json::to_string_pretty(definition).unwrap_or_default()
}

/// What was written, or what of it cannot be read: each fault under `definition`.
fn definition_of<D: Definable>(text: &str) -> Result<D> {
    if json_holds_nul(text.as_bytes()) {
        return Err(Error::field("definition", "invalid", "It holds the character U+0000. Leave it out."));
    }
    from_json(text).map_err(|mut error: Error| {
        if error.fields.is_empty() {
            return Error::field("definition", "invalid", error.detail.replace("The body", "The document"));
        }
        for wrong in &mut error.fields {
            wrong.field = match wrong.field.as_str() {
                "" | "body" => "definition".to_owned(),
                path => format!("definition.{path}"),
            };
        }
        error
    })
}

/// The page for a new one, with an example to begin with.
pub(super) async fn ask_new<'a>(
    engine: &Engine,
    desk: &'a Desk,
    link: &str,
    words: &'static Words,
    form: Form,
) -> Result<Writing<'a>> {
    let head = Head::read(engine, desk, link, words.tab).await?;
    if !desk.frame.sees_all() {
        return Err(forbidden());
    }
    Ok(Writing { frame: &desk.frame, head, words, there: None, form, overtaken: false })
}

/// As the engine says it when something is saved; a page that could save nothing is not shown.
pub(super) fn forbidden() -> Error {
    Error::new(Code::Forbidden, "Only the super admin, admins and developers build applications.")
}

pub(super) async fn create<D: Definable>(
    engine: &Engine,
    sent: Sent,
    link: &str,
    words: &'static Words,
) -> Response {
    let Sent { desk, form } = sent;
    let made = async {
        let new = NewComponent {
            name: form.get("name").trim().to_owned(),
            link_name: form.given("link_name"),
            definition: definition_of::<D>(form.get("definition"))?,
        };
        engine.create_built(&desk.op, link, new).await
    };
    match made.await {
        Ok(made) => {
            let to = path(link, &format!("{}/{}", words.tab, made.link_name));
            desk.done(&to, &format!("{} is made. Development serves it.", made.name))
        }
        Err(error) if mends(&error) => {
            let page = ask_new(engine, &desk, link, words, Form::refused(kept(&form), &error)).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

/// What was typed, with the line ends of this side.
fn kept(form: &Fields) -> Fields {
    Fields::default()
        .with("name", form.get("name"))
        .with("link_name", form.get("link_name"))
        .with("definition", lines(form.get("definition")))
}

/// The page for one that is there.
pub(super) async fn edit<'a, D: Definable>(
    engine: &Engine,
    desk: &'a Desk,
    link: &str,
    name: &str,
    words: &'static Words,
    refused: Option<(&Fields, &Error)>,
) -> Result<Writing<'a>> {
    let head = Head::read(engine, desk, link, words.tab).await?;
    let built: BuiltView<D> = engine.read_built(&desk.op, link, name).await?;
    if !desk.frame.sees_all() {
        return Err(forbidden());
    }
    let overtaken = refused.is_some_and(|(_, error)| was_overtaken(error));
    let form = match refused {
        Some((fields, error)) => Form::refused(kept(fields), error),
        None => Form::new(
            Fields::default()
                .with("name", built.name.as_str())
                .with("definition", text_of(&built.definition)),
        ),
    };
    let there = Some((built.link_name, built.name, built.version));
    Ok(Writing { frame: &desk.frame, head, words, there, form, overtaken })
}

pub(super) async fn update<D: Definable>(
    engine: &Engine,
    sent: Sent,
    link: &str,
    name: &str,
    words: &'static Words,
) -> Response {
    let Sent { desk, form } = sent;
    let saved = async {
        let patch = ComponentPatch {
            name: Some(form.get("name").trim().to_owned()),
            definition: Some(definition_of::<D>(form.get("definition"))?),
            version: form.get("version").parse().ok(),
        };
        engine.update_built(&desk.op, link, name, patch).await
    };
    match saved.await {
        Ok(saved) => {
            let news = format!("Saved as version {}. Development serves it.", saved.version);
            desk.done(&path(link, &format!("{}/{name}", words.tab)), &news)
        }
        Err(error) if mends(&error) => {
            let page = edit::<D>(engine, &desk, link, name, words, Some((&form, &error))).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

/// Whether it is really meant.
#[derive(Template)]
#[template(path = "console/document_delete.html")]
pub(super) struct Deleting<'a> {
    frame: &'a Frame,
    head: Head,
    words: &'static Words,
    link: String,
    name: String,
    form: Form,
}

pub(super) async fn ask_delete<'a, D: Definable>(
    engine: &Engine,
    desk: &'a Desk,
    link: &str,
    name: &str,
    words: &'static Words,
    form: Form,
) -> Result<Deleting<'a>> {
    let head = Head::read(engine, desk, link, words.tab).await?;
    let built: BuiltView<D> = engine.read_built(&desk.op, link, name).await?;
    if !desk.frame.sees_all() {
        return Err(forbidden());
    }
    Ok(Deleting { frame: &desk.frame, head, words, link: built.link_name, name: built.name, form })
}

pub(super) async fn delete<D: Definable>(
    engine: &Engine,
    sent: Sent,
    link: &str,
    name: &str,
    words: &'static Words,
) -> Response {
    let Sent { desk, form } = sent;
    let deleted = match check_typed(&form, name) {
        Ok(()) => engine.delete_built::<D>(&desk.op, link, name).await,
        Err(error) => Err(error),
    };
    match deleted {
        Ok(()) => desk.done(&path(link, words.tab), &format!("The {} {name} is deleted.", words.one)),
        Err(error) if mends(&error) => {
            let form = Form::refused(form, &error);
            let page = ask_delete::<D>(engine, &desk, link, name, words, form).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

/// What is written as a document and nothing else besides: its pages are the same, whatever it is.
pub(super) trait Written: Definable {
    /// the words of its kind
    const WORDS: &'static Words;

    /// What of it has an input of its own.
    const PARTS: &'static [super::fields::Part];
    /// What is said of the rest.
    const ASIDE: &'static str;

    /// What a new one begins with.
    fn example(grounds: &Grounds) -> Option<Self>;
}

/// The handlers of the pages of such a thing; a module that has some names them in its routes.
pub(super) mod pages {
    use super::{
        Desk, Engine, Fields, Form, Path, Response, Sent, State, Written, ask_delete, ask_new, create,
        delete, edit, text_of, update,
    };

    /// The text of the example.
    pub fn example<D: Written>(grounds: &super::Grounds) -> Fields {
        let text = D::example(grounds).as_ref().map(text_of).unwrap_or_default();
        Fields::default().with("definition", text)
    }

    pub async fn ask_to_make<D: Written>(
        State(engine): State<Engine>,
        Path(link): Path<String>,
        desk: Desk,
    ) -> Response {
        let page = async {
            let grounds = engine.read_grounds(&desk.op, &link).await?;
            ask_new(&engine, &desk, &link, D::WORDS, Form::new(example::<D>(&grounds))).await
        };
        desk.show(page.await)
    }

    pub async fn make<D: Written>(
        State(engine): State<Engine>,
        Path(link): Path<String>,
        sent: Sent,
    ) -> Response {
        create::<D>(&engine, sent, &link, D::WORDS).await
    }

    pub async fn ask_to_change<D: Written>(
        State(engine): State<Engine>,
        Path((link, name)): Path<(String, String)>,
        desk: Desk,
    ) -> Response {
        let page = edit::<D>(&engine, &desk, &link, &name, D::WORDS, None).await;
        desk.show(page)
    }

    pub async fn change<D: Written>(
        State(engine): State<Engine>,
        Path((link, name)): Path<(String, String)>,
        sent: Sent,
    ) -> Response {
        update::<D>(&engine, sent, &link, &name, D::WORDS).await
    }

    pub async fn ask_to_delete<D: Written>(
        State(engine): State<Engine>,
        Path((link, name)): Path<(String, String)>,
        desk: Desk,
    ) -> Response {
        let page = ask_delete::<D>(&engine, &desk, &link, &name, D::WORDS, Form::default()).await;
        desk.show(page)
    }

    pub async fn end<D: Written>(
        State(engine): State<Engine>,
        Path((link, name)): Path<(String, String)>,
        sent: Sent,
    ) -> Response {
        delete::<D>(&engine, sent, &link, &name, D::WORDS).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_said_under_its_path() {
        let fields = |text: &str| {
            let error = definition_of::<Document>(text).unwrap_err();
            error.fields.into_iter().map(|wrong| (wrong.field, wrong.message)).collect::<Vec<_>>()
        };
        let [(field, message)] = fields("{\"fields\": [").try_into().unwrap();
        assert_eq!(field, "definition");
        assert!(
            message.starts_with("The document is not valid JSON") && message.contains("line 1"),
            "{message}"
        );
        assert_eq!(fields("[]")[0].0, "definition");
        assert_eq!(fields("{\"felds\": []}")[0].0, "definition.felds");
        assert_eq!(fields("{\"fields\": [{\"name\": 1}]}")[0].0, "definition.fields.0.name");
        assert_eq!(fields("{\"fields\": [{\"name\": \"\\u0000\"}]}")[0].0, "definition");
    }
}
