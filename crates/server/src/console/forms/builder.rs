//! A form is built here: its fields in their order, each with a page of its own, and its settings. Each page saves a new version of the
//! document, by the version that it was read at.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use jackfield_core::form::{Access, FieldType, Form as Document, FormField};
use jackfield_core::{Environment, Error, FieldError, Result, Timestamp};
use jackfield_engine::Engine;
use jackfield_engine::automate::components::{BuiltView, ComponentPatch};
use jackfield_engine::automate::misfits::Misfit;

use super::field::{
    AS_IT_IS, GROUPS, Group, INPUTS, asks_for, at_inputs, field_of, inputs_of, kind_of, kind_word, put,
};
use super::limits;
use crate::console::applications::{Head, lines, path};
use crate::console::built::forbidden;
use crate::console::common::{People, mends, was_overtaken};
use crate::console::desk::{Desk, Frame, Sent};
use crate::console::form::{Field, Fields, Form, encoded};
use crate::console::hosted::{Face, button_of, colours_of};
use crate::console::parts;
use crate::console::runs::brief;
use crate::console::sheet::{Filled, Sheet, condition_words, defaults_of};

type Link = Path<(String, String)>;
type FieldLink = Path<(String, String, String)>;

/// The form as people see it, beside what makes it.
struct Preview {
    name: String,
    document: Document,
    sheet: Sheet,
    form: Form,
    /// where the organization's colour is
    colours: Option<String>,
    logo: Option<String>,
}

impl Preview {
    async fn of(engine: &Engine, desk: &Desk, link: &str, built: &BuiltView<Document>) -> Self {
        // Whoever builds it may not always fill it in: then it wears no colour.
        let hosted =
            engine.member_form(&desk.op, link, &built.link_name, Environment::Development).await.ok();
        let brand = hosted.map(|hosted| hosted.brand).unwrap_or_default();
        Self {
            name: built.name.clone(),
            sheet: Sheet::of(&built.definition),
            form: Form::new(defaults_of(&built.definition)),
            document: built.definition.clone(),
            colours: colours_of(&brand),
            logo: brand.logo,
        }
    }

    fn face(&self) -> Face<'_> {
        Face { name: &self.name, document: &self.document, preview: true }
    }

    fn asked(&self) -> Filled<'_> {
        self.sheet.asked(&self.form)
    }

    fn button(&self) -> &str {
        button_of(&self.document)
    }
}

/// A field as the list tells of it.
struct Asked {
    title: String,
    name: String,
    kind: &'static str,
    required: bool,
    unique: bool,
    limits: String,
}

#[derive(Template)]
#[template(path = "console/form.html")]
struct Show<'a> {
    frame: &'a Frame,
    now: Timestamp,
    head: Head,
    built: BuiltView<Document>,
    by: String,
    fields: Vec<Asked>,
    preview: Preview,
    /// where everybody finds it once production serves it
    public: Option<String>,
    groups: &'static [Group],
}

impl Show<'_> {
    fn path(&self) -> String {
        self.head.path(&format!("forms/{}", self.built.link_name))
    }
}

pub(super) async fn show(State(engine): State<Engine>, Path((link, form)): Link, desk: Desk) -> Response {
    let page = find(&engine, &desk, &link, &form).await;
    desk.show(page)
}

async fn find<'a>(engine: &Engine, desk: &'a Desk, link: &str, form: &str) -> Result<Show<'a>> {
    let head = Head::read(engine, desk, link, "forms").await?;
    let built = engine.read_built::<Document>(&desk.op, link, form).await?;
    let people = People::of(engine, desk).await?;
    let document = &built.definition;
    let asked = |field: &FormField| Asked {
        title: field.title().to_owned(),
        name: field.name.clone(),
        kind: kind_word(&field.kind),
        required: field.required,
        unique: field.unique,
        limits: limits(document, field),
    };
    let public = (document.access == Access::Public).then(|| {
        let home = &engine.settings().public_url;
        format!("{home}/f/{}/{}/{}", desk.op.organization, encoded(link), encoded(form))
    });
    Ok(Show {
        frame: &desk.frame,
        now: desk.op.now,
        head,
        by: people.name(&built.created_by).to_owned(),
        fields: document.fields.iter().map(asked).collect(),
        preview: Preview::of(engine, desk, link, &built).await,
        public,
        groups: &GROUPS,
        built,
    })
}

/// The form that is built here, for those who may build.
async fn read(engine: &Engine, desk: &Desk, link: &str, form: &str) -> Result<BuiltView<Document>> {
    let built = engine.read_built::<Document>(&desk.op, link, form).await?;
    if desk.frame.sees_all() { Ok(built) } else { Err(forbidden()) }
}

/// Where a field stands in its form; a name that is none of it is a page that is not there.
fn position(document: &Document, name: &str) -> Result<usize> {
    let found = document.fields.iter().position(|field| field.name == name);
    found.ok_or_else(|| Error::not_found(format_args!("field {name:?}")))
}

/// Saves a form; what was done, and which workflows it leaves behind.
async fn save(
    engine: &Engine,
    desk: &Desk,
    link: &str,
    form: &str,
    sent: &Fields,
    name: Option<String>,
    definition: Document,
) -> Result<String> {
    let misfits = engine.misfits(&desk.op, link, form, &definition).await?;
    let version = sent.get("version").parse().ok();
    let patch = ComponentPatch { name, definition: Some(definition), version };
    let saved = engine.update_built(&desk.op, link, form, patch).await?;
    let saved = format!("Saved as version {}.", saved.version);
    // It goes into a cookie: names may be long, and many.
    let more = misfits.len().saturating_sub(1);
    Ok(match (misfits.first().map(|one| brief(&one.name)), more) {
        (None, _) => format!("{saved} Development serves it."),
        (Some(one), 0) => format!("{saved} The workflow {one} does not fit it any more."),
        (Some(one), more) => format!(
            "{saved} The workflow {one} and {} do not fit it any more.",
            parts::count(more, "other", "others")
        ),
    })
}

#[derive(Template)]
#[template(path = "console/form_field.html")]
struct Edit<'a> {
    frame: &'a Frame,
    head: Head,
    link: String,
    /// name of the form
    of: String,
    version: i64,
    /// name and title of one that is there
    there: Option<(String, String)>,
    kind: FieldType,
    form: Form,
    /// name and title of the fields before
    before: Vec<(String, String)>,
    /// a condition that is more than a sentence, in words
    as_it_is: Option<String>,
    overtaken: bool,
    preview: Preview,
}

impl Edit<'_> {
    fn others(&self) -> Vec<String> {
        self.form.other_errors(&INPUTS)
    }

    fn path(&self) -> String {
        self.head.path(&format!("forms/{}", self.link))
    }

    fn word(&self) -> &'static str {
        kind_word(&self.kind)
    }

    fn kinds(&self) -> Field<'_> {
        let all = GROUPS.iter().flat_map(|group| group.kinds);
        // The words stand in memory for good; the choice is made by them.
        let choices: Vec<(&str, &str)> = all.map(|kind| (kind_word(kind), kind_word(kind))).collect();
        self.form.select("as", "Type", &choices)
    }

    fn when(&self) -> Field<'_> {
        let mut choices = vec![("", "always")];
        if let Some(words) = &self.as_it_is {
            choices.push((AS_IT_IS, words));
        }
        let before = self.before.iter();
        choices.extend(before.map(|(name, title)| (name.as_str(), title.as_str())));
        self.form.select("visible_if.field", "Show it", &choices)
    }

    fn how(&self) -> Field<'_> {
        let choices = [("is", "is"), ("is_not", "is not"), ("filled", "is filled in"), ("empty", "is empty")];
        self.form.select("visible_if.how", "Comparison", &choices)
    }

    fn can_be_unique(&self) -> bool {
        self.kind.can_be_unique()
    }

    /// The type of the input of a default or a bound.
    fn input(&self) -> &'static str {
        match self.kind {
            FieldType::Date => "date",
            FieldType::Time => "time",
            _ => "text",
        }
    }

    fn is(&self, kinds: &str) -> bool {
        match kinds {
            "choice" => self.kind.is_choice(),
            "ordered" => self.kind.is_ordered(),
            "text" => self.kind.is_text(),
            "pattern" => self.kind.is_text() && self.kind != FieldType::MultiLine,
            "amount" => matches!(self.kind, FieldType::Decimal | FieldType::Currency),
            "currency" => self.kind == FieldType::Currency,
            "box" => self.kind == FieldType::Checkbox,
            "lines" => matches!(self.kind, FieldType::MultiLine | FieldType::MultiSelect),
            "object" => self.kind.is_object() || self.kind == FieldType::File,
            "file" => self.kind == FieldType::File,
            _ => false,
        }
    }
}

/// The page of a field: of one that is there, or of a new one; with what was typed, if something was.
async fn field_page<'a>(
    engine: &Engine,
    desk: &'a Desk,
    link: &str,
    form: &str,
    field: Option<&str>,
    typed: Option<(Fields, &Error)>,
) -> Result<Edit<'a>> {
    let head = Head::read(engine, desk, link, "forms").await?;
    let built = read(engine, desk, link, form).await?;
    let document = &built.definition;
    let at = field.map(|name| position(document, name)).transpose()?;
    let present = at.and_then(|at| document.fields.get(at));
    let kind = kind_asked(desk, present);
    let before = document.fields.iter().take(at.unwrap_or(document.fields.len()));
    let before: Vec<(String, String)> =
        before.map(|field| (field.name.clone(), format!("only when {}", field.title()))).collect();
    let complex = present.and_then(|field| {
        let inputs = inputs_of(document, field);
        let condition = field.visible_if.as_ref().filter(|_| inputs.get("visible_if.field") == AS_IT_IS)?;
        Some(format!("only if {}", condition_words(document, condition)))
    });
    let overtaken = typed.as_ref().is_some_and(|(_, error)| was_overtaken(error));
    let filled = match (typed, present) {
        (Some((fields, error)), _) => Form::refused(fields.with("as", kind_word(&kind)), error),
        (None, Some(field)) => Form::new(inputs_of(document, field).with("as", kind_word(&kind))),
        (None, None) => Form::new(Fields::default().with("as", kind_word(&kind))),
    };
    Ok(Edit {
        frame: &desk.frame,
        head,
        link: built.link_name.clone(),
        of: built.name.clone(),
        version: built.version,
        there: present.map(|field| (field.name.clone(), field.title().to_owned())),
        kind,
        form: filled,
        before,
        as_it_is: complex,
        overtaken,
        preview: Preview::of(engine, desk, link, &built).await,
    })
}

/// The type of the field: as the address says, else as it is.
fn kind_asked(desk: &Desk, present: Option<&FormField>) -> FieldType {
    let by_word = |word: &str| {
        GROUPS.iter().flat_map(|group| group.kinds).find(|kind| kind_word(kind) == word).copied()
    };
    kind_of(desk.query.get("type"))
        .or_else(|| by_word(desk.query.get("as")))
        .or_else(|| present.map(|field| field.kind))
        .unwrap_or_default()
}

pub(super) async fn ask_field(
    State(engine): State<Engine>,
    Path((link, form)): Link,
    desk: Desk,
) -> Response {
    let page = field_page(&engine, &desk, &link, &form, None, None).await;
    desk.show(page)
}

pub(super) async fn edit_field(
    State(engine): State<Engine>,
    Path((link, form, field)): FieldLink,
    desk: Desk,
) -> Response {
    let page = field_page(&engine, &desk, &link, &form, Some(&field), None).await;
    desk.show(page)
}

pub(super) async fn add(State(engine): State<Engine>, Path((link, form)): Link, sent: Sent) -> Response {
    put_field(&engine, sent, &link, &form, None).await
}

pub(super) async fn change(
    State(engine): State<Engine>,
    Path((link, form, field)): FieldLink,
    sent: Sent,
) -> Response {
    put_field(&engine, sent, &link, &form, Some(&field)).await
}

async fn put_field(engine: &Engine, sent: Sent, link: &str, form: &str, field: Option<&str>) -> Response {
    let Sent { desk, form: typed } = sent;
    let saved = async {
        let built = read(engine, &desk, link, form).await?;
        let document = &built.definition;
        let at = field.map(|name| position(document, name)).transpose()?;
        let place = at.unwrap_or(document.fields.len());
        let present = at.and_then(|at| document.fields.get(at));
        let before = document.fields.get(..place).unwrap_or_default();
        let made = field_of(document, before, present, kind_asked(&desk, present), &typed)?;
        let name = made.name.clone();
        let mut changed = document.clone();
        put(&mut changed, at, made);
        let news = save(engine, &desk, link, form, &typed, None, changed.clone()).await;
        news.map(|news| (name, news)).map_err(|error| at_inputs(&changed, place, error))
    };
    match saved.await {
        Ok((name, news)) => desk.done(&path(link, &format!("forms/{form}#field-{name}")), &news),
        Err(error) if mends(&error) => {
            let page = field_page(engine, &desk, link, form, field, Some((typed, &error))).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

/// One place up or down. A field may not stand before the one that decides whether it is shown: then the engine says so.
pub(super) async fn shift(
    State(engine): State<Engine>,
    Path((link, form, field)): FieldLink,
    sent: Sent,
) -> Response {
    let Sent { desk, form: typed } = sent;
    let moved = async {
        let built = read(&engine, &desk, &link, &form).await?;
        let mut document = built.definition;
        let at = position(&document, &field)?;
        let to = if typed.get("to") == "up" { at.saturating_sub(1) } else { at + 1 };
        if to < document.fields.len() {
            document.fields.swap(at, to);
        }
        let clear = |mut error: Error| {
            let lone = error.fields.first().filter(|_| error.fields.len() == 1).cloned();
            if let Some(wrong) = lone.filter(|wrong| wrong.field.contains("visible_if")) {
                let title =
                    document.fields.iter().find(|one| wrong.field.starts_with(&index_path(&document, one)));
                let title = title.map_or_else(String::new, |one| one.title().to_owned());
                error.fields.clear();
                error.detail = format!(
                    "{title} is shown only where a field before it says so: it has to stay behind that field."
                );
            }
            error
        };
        save(&engine, &desk, &link, &form, &typed, None, document.clone()).await.map_err(clear)
    };
    match moved.await {
        Ok(news) => desk.done(&path(&link, &format!("forms/{form}#field-{field}")), &news),
        Err(error) => desk.trouble(&error),
    }
}

fn index_path(document: &Document, field: &FormField) -> String {
    let at = document.fields.iter().position(|one| one.name == field.name).unwrap_or_default();
    format!("definition.fields.{at}.")
}

#[derive(Template)]
#[template(path = "console/form_field_remove.html")]
struct Remove<'a> {
    frame: &'a Frame,
    head: Head,
    built: BuiltView<Document>,
    name: String,
    title: String,
    /// what will not work without it
    misfits: Vec<Misfit>,
    /// titles of the fields that are shown where it says so
    shown_by: Vec<String>,
    /// it is the only one
    last: bool,
}

impl Remove<'_> {
    fn back(&self) -> String {
        self.head.path(&format!("forms/{}", self.built.link_name))
    }
}

/// A form without one of its fields. What is shown only where it says so is shown always.
fn without(document: &Document, name: &str) -> (Document, Vec<String>) {
    let mut rest = document.clone();
    rest.fields.retain(|field| field.name != name);
    let mut freed = Vec::new();
    for field in &mut rest.fields {
        if field.visible_if.as_ref().is_some_and(|condition| asks_for(condition, name)) {
            field.visible_if = None;
            freed.push(field.title().to_owned());
        }
    }
    (rest, freed)
}

pub(super) async fn ask_remove(
    State(engine): State<Engine>,
    Path((link, form, field)): FieldLink,
    desk: Desk,
) -> Response {
    let page = find_remove(&engine, &desk, &link, &form, &field).await;
    desk.show(page)
}

async fn find_remove<'a>(
    engine: &Engine,
    desk: &'a Desk,
    link: &str,
    form: &str,
    field: &str,
) -> Result<Remove<'a>> {
    let head = Head::read(engine, desk, link, "forms").await?;
    let built = read(engine, desk, link, form).await?;
    let at = position(&built.definition, field)?;
    let title = built.definition.fields.get(at).map_or_else(String::new, |field| field.title().to_owned());
    let (rest, shown_by) = without(&built.definition, field);
    Ok(Remove {
        frame: &desk.frame,
        head,
        misfits: engine.misfits(&desk.op, link, form, &rest).await?,
        shown_by,
        last: rest.fields.is_empty(),
        name: field.to_owned(),
        title,
        built,
    })
}

pub(super) async fn remove(
    State(engine): State<Engine>,
    Path((link, form, field)): FieldLink,
    sent: Sent,
) -> Response {
    let Sent { desk, form: typed } = sent;
    let removed = async {
        let built = read(&engine, &desk, &link, &form).await?;
        position(&built.definition, &field)?;
        let (rest, _) = without(&built.definition, &field);
        save(&engine, &desk, &link, &form, &typed, None, rest).await
    };
    match removed.await {
        Ok(news) => desk.done(&path(&link, &format!("forms/{form}")), &news),
        Err(error) => desk.trouble(&error),
    }
}

#[derive(Template)]
#[template(path = "console/form_settings.html")]
struct Settings<'a> {
    frame: &'a Frame,
    head: Head,
    link: String,
    of: String,
    version: i64,
    form: Form,
    overtaken: bool,
}

/// The inputs of the settings.
const SET: [&str; 6] = ["name", "description", "access", "submit_label", "thanks", "embed_origins"];

impl Settings<'_> {
    fn others(&self) -> Vec<String> {
        self.form.other_errors(&SET)
    }

    fn path(&self) -> String {
        self.head.path(&format!("forms/{}", self.link))
    }
}

async fn settings_page<'a>(
    engine: &Engine,
    desk: &'a Desk,
    link: &str,
    form: &str,
    typed: Option<(Fields, &Error)>,
) -> Result<Settings<'a>> {
    let head = Head::read(engine, desk, link, "forms").await?;
    let built = read(engine, desk, link, form).await?;
    let overtaken = typed.as_ref().is_some_and(|(_, error)| was_overtaken(error));
    let filled = if let Some((fields, error)) = typed {
        Form::refused(fields, error)
    } else {
        let document = &built.definition;
        let access = if document.access == Access::Public { "public" } else { "members" };
        Form::new(
            Fields::default()
                .with("name", built.name.as_str())
                .with("description", document.description.clone().unwrap_or_default())
                .with("access", access)
                .with("submit_label", document.submit_label.clone().unwrap_or_default())
                .with("thanks", document.thanks.clone().unwrap_or_default())
                .with("embed_origins", document.embed_origins.join("\n")),
        )
    };
    let (link, of, version) = (built.link_name, built.name, built.version);
    Ok(Settings { frame: &desk.frame, head, link, of, version, form: filled, overtaken })
}

pub(super) async fn ask_settings(
    State(engine): State<Engine>,
    Path((link, form)): Link,
    desk: Desk,
) -> Response {
    let page = settings_page(&engine, &desk, &link, &form, None).await;
    desk.show(page)
}

pub(super) async fn set(State(engine): State<Engine>, Path((link, form)): Link, sent: Sent) -> Response {
    let Sent { desk, form: typed } = sent;
    let saved = async {
        let built = read(&engine, &desk, &link, &form).await?;
        let text = |name: &str| typed.given(name).map(|text| lines(&text));
        let origins = lines(typed.get("embed_origins"));
        let document = Document {
            description: text("description"),
            access: if typed.get("access") == "public" { Access::Public } else { Access::Members },
            submit_label: text("submit_label"),
            thanks: text("thanks"),
            embed_origins: origins
                .lines()
                .map(str::trim)
                .filter(|one| !one.is_empty())
                .map(str::to_owned)
                .collect(),
            ..built.definition
        };
        let name = Some(typed.get("name").trim().to_owned());
        save(&engine, &desk, &link, &form, &typed, name, document).await
    };
    match saved.await {
        Ok(news) => desk.done(&path(&link, &format!("forms/{form}")), &news),
        Err(mut error) if mends(&error) => {
            let place = |wrong: FieldError| {
                let Some(rest) = wrong.field.strip_prefix("definition.") else { return wrong };
                let first = rest.split('.').next().unwrap_or(rest).to_owned();
                FieldError { field: first, ..wrong }
            };
            error.fields = error.fields.into_iter().map(place).collect();
            let page = settings_page(&engine, &desk, &link, &form, Some((typed, &error))).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_hung_on_a_field_that_goes_is_shown_always() {
        let document: Document = serde_json::from_value(json!({"fields": [
            {"name": "a"}, {"name": "b", "visible_if": {"field": "a", "filled": true}}, {"name": "c"},
        ]}))
        .unwrap();
        let (rest, freed) = without(&document, "a");
        rest.check().unwrap();
        assert_eq!((rest.fields.len(), freed), (2, vec!["b".to_owned()]));
        assert!(position(&document, "d").is_err());
    }
}
