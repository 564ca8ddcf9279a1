//! Datasources of an application: what each pulls, and its rows as a table that can be sorted, looked through and taken along.

use std::collections::BTreeMap;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use jackfield_core::datasource::{ChangeKind, Column, ColumnKind, Datasource};
use jackfield_core::workflow::Grounds;
use jackfield_core::{Code, FieldError, Result, Timestamp};
use jackfield_engine::automate::charts::{Drawn, Figure};
use jackfield_engine::automate::components::BuiltView;
use jackfield_engine::automate::datasources::{
    DatasourceView, PullRequest, PullingView, RowView, RowsQuery, TableView, at, shown,
};
use jackfield_engine::automate::records::RecordPlace;
use jackfield_engine::{Engine, Page};
use serde_json::json;

use super::actions::connections;
use super::applications::{Head, next, path};
use super::built::pages::{ask_to_change, ask_to_delete, ask_to_make, change, end, make};
use super::built::{Words, Written};
use super::charts::{RowsChart, field_of, figure_of};
use super::common::{People, asked_page};
use super::desk::{Desk, Frame, Sent};
use super::fields::{self, How, Part, TIMES, ask};
use super::form::{Fields, Form, with_query};
use super::parts::{self, Status};
use super::pictures::grouped;
use super::runs::brief;

const WORDS: Words = Words {
    tab: "datasources",
    one: "datasource",
    lead: "What a service lists, as a table: which operation is asked, what tells one item from another, and when it is pulled. Development serves it at once; stage and production when you publish.",
    ends: &[
        "Its rows in development are deleted. What was pulled is still at the service.",
        "Schedules and workflows that pull it fail.",
        "A datasource that stage or production serves is not deleted: publish there without it first.",
    ],
};

/// Columns that the table shows at most.
const COLUMNS: usize = 12;

pub(super) fn routes() -> Router<Engine> {
    Router::new()
        .route("/console/applications/{link}/datasources", get(list))
        .route(
            "/console/applications/{link}/datasources/new-datasource",
            get(ask_to_make::<Datasource>).post(make::<Datasource>),
        )
        .route(
            "/console/applications/{link}/datasources/new-fields",
            get(fields::ask_to_make::<Datasource>).post(fields::make::<Datasource>),
        )
        .route("/console/applications/{link}/datasources/{datasource}", get(show))
        .route(
            "/console/applications/{link}/datasources/{datasource}/fields",
            get(fields::ask_to_change::<Datasource>).post(fields::change::<Datasource>),
        )
        .route(
            "/console/applications/{link}/datasources/{datasource}/edit",
            get(ask_to_change::<Datasource>).post(change::<Datasource>),
        )
        .route("/console/applications/{link}/datasources/{datasource}/pull", post(pull))
        .route("/console/applications/{link}/datasources/{datasource}/rows.csv", get(export))
        .route(
            "/console/applications/{link}/datasources/{datasource}/delete",
            get(ask_to_delete::<Datasource>).post(end::<Datasource>),
        )
}

struct Line {
    link_name: String,
    name: String,
    /// what it lists
    lists: String,
    /// link name and name of the connection
    connection: (String, String),
    /// when it is pulled by itself
    words: Option<String>,
    next: Option<Timestamp>,
}

fn named(connections: &BTreeMap<String, String>, link: &str) -> (String, String) {
    (link.to_owned(), connections.get(link).map_or(link, String::as_str).to_owned())
}

fn words(datasource: &Datasource) -> Option<String> {
    datasource.at.as_ref().filter(|_| datasource.enabled).map(jackfield_core::schedule::Timing::words)
}

#[derive(Template)]
#[template(path = "console/datasources.html")]
struct List<'a> {
    frame: &'a Frame,
    now: Timestamp,
    head: Head,
    lines: Vec<Line>,
    next: Option<String>,
}

async fn list(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = find(&engine, &desk, &link).await;
    desk.show(page)
}

async fn find<'a>(engine: &Engine, desk: &'a Desk, link: &str) -> Result<List<'a>> {
    let head = Head::read(engine, desk, link, "datasources").await?;
    let page: Page<BuiltView<Datasource>> = engine.list_built(&desk.op, link, &asked_page(desk)).await?;
    let connections = connections(engine, &desk.op, link).await?;
    let next = next(desk, &head.path("datasources"), &page);
    let line = |one: BuiltView<Datasource>| Line {
        lists: format!("{} → {}", one.definition.module, one.definition.operation),
        connection: named(&connections, &one.definition.connection),
        words: words(&one.definition),
        next: one.next.and_then(|next| next.first().copied()),
        link_name: one.link_name,
        name: one.name,
    };
    let lines = page.items.into_iter().map(line).collect();
    Ok(List { frame: &desk.frame, now: desk.op.now, head, lines, next })
}

/// A column of the table, with the address that sorts by it.
struct Heading {
    name: String,
    number: bool,
    /// `ascending`, `descending` or `none`, as `aria-sort` has it
    sorted: &'static str,
    address: String,
}

struct RowLine {
    key: String,
    cells: Vec<(String, String)>,
    updated_at: Timestamp,
}

#[derive(Template)]
#[template(path = "console/datasource.html")]
struct Show<'a> {
    frame: &'a Frame,
    now: Timestamp,
    head: Head,
    view: DatasourceView,
    by: String,
    lists: String,
    connection: (String, String),
    words: Option<String>,
    /// what the chosen environment has
    here: Option<TableView>,
    headings: Vec<Heading>,
    /// columns that the table has no room for
    more_columns: usize,
    rows: Vec<RowLine>,
    total: i64,
    form: Form,
    next: Option<String>,
    filtered: bool,
    /// whether the environment serves it
    served: bool,
    /// what the chart shows, where one is asked for
    drawn: Option<(Figure, Drawn)>,
}

impl Show<'_> {
    fn chart<'a>(&'a self, columns: &'a [Column], path: &'a str) -> RowsChart<'a> {
        RowsChart::of(&self.form, columns, path, self.drawn.clone())
    }

    fn path(&self) -> String {
        self.head.path(&format!("datasources/{}", self.view.built.link_name))
    }

    fn grouped(&self, number: &i64) -> String {
        grouped(*number)
    }

    fn pulling(&self, pulling: &PullingView) -> String {
        pulling_words(pulling)
    }

    fn change(&self, change: &ChangeKind) -> &'static str {
        change_word(change)
    }

    fn kind(&self, kind: &ColumnKind) -> &'static str {
        kind_word(kind)
    }

    fn incremental(&self) -> bool {
        self.view.built.definition.incremental.is_some()
    }
}

fn pulling_words(pulling: &PullingView) -> String {
    let rows = usize::try_from(pulling.rows).unwrap_or(usize::MAX);
    let pages = usize::try_from(pulling.pages).unwrap_or(usize::MAX);
    let so_far = format!("{} on {}", parts::count(rows, "row", "rows"), parts::count(pages, "page", "pages"));
    match (pulling.total, pulling.percent) {
        (Some(total), Some(percent)) => format!("{so_far}, of {total}: {percent} %"),
        _ => so_far,
    }
}

fn change_word(change: &ChangeKind) -> &'static str {
    match change {
        ChangeKind::New => "is new",
        ChangeKind::Gone => "is gone",
        ChangeKind::Type => "is of another type",
    }
}

fn kind_word(kind: &ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Unknown => "Always empty",
        ColumnKind::Text => "Text",
        ColumnKind::Whole => "Whole number",
        ColumnKind::Decimal => "Number",
        ColumnKind::Flag => "Yes or no",
        ColumnKind::Date => "Day",
        ColumnKind::DateTime => "Moment",
        ColumnKind::List => "List",
        ColumnKind::Object => "Object",
        ColumnKind::Mixed => "Of several types",
    }
}

async fn show(
    State(engine): State<Engine>,
    Path((link, datasource)): Path<(String, String)>,
    desk: Desk,
) -> Response {
    let page = read(&engine, &desk, &link, &datasource).await;
    desk.show(page)
}

async fn read<'a>(engine: &Engine, desk: &'a Desk, link: &str, name: &str) -> Result<Show<'a>> {
    let head = Head::read(engine, desk, link, "datasources").await?;
    let view = engine.read_datasource(&desk.op, link, name).await?;
    let connections = connections(engine, &desk.op, link).await?;
    let people = People::of(engine, desk).await?;
    let environment = desk.frame.environment.as_str();
    let mut query = RowsQuery {
        environment: Some(environment.to_owned()),
        q: desk.query.given("q"),
        filter: desk.query.given("filter"),
        sort: desk.query.given("sort"),
        limit: None,
        cursor: desk.query.given("cursor"),
    };
    let mut form = Form::new(desk.query.clone());
    let mut served = true;
    let found = match engine.look_through(&desk.op, link, name, &query).await {
        Err(error) if error.code == Code::NotFound => {
            served = false;
            (Page { items: Vec::new(), next_cursor: None }, 0)
        }
        Err(error) if error.code == Code::InvalidInput => {
            // What was asked for cannot be read: that is said at its field, above all rows.
            form = form.with_errors(&error);
            query = RowsQuery { environment: query.environment, ..RowsQuery::default() };
            engine.look_through(&desk.op, link, name, &query).await?
        }
        other => other?,
    };
    let drawn = match figure_of(&desk.query).filter(|_| served) {
        None => None,
        Some(figure) => match engine.draw_rows(&desk.op, link, name, &query, &figure).await {
            Ok(drawn) => Some((figure, drawn)),
            Err(error) if error.code == Code::InvalidInput => {
                let wrong = error.fields.into_iter();
                let here = wrong
                    .filter_map(|one| Some(FieldError { field: field_of(&one.field)?.to_owned(), ..one }));
                form = form.with(here.collect());
                None
            }
            Err(error) => return Err(error),
        },
    };
    let (page, total) = found;
    let here = view.tables.iter().find(|table| table.environment == environment).cloned();
    let columns = here.as_ref().map(|table| table.columns.as_slice()).unwrap_or_default();
    let at_path = head.path(&format!("datasources/{name}"));
    let sort = query.sort.as_deref().unwrap_or("");
    let heading = |column: &Column| {
        let (up, down) = (sort == column.name, sort.strip_prefix('-') == Some(&column.name));
        let by = if up { format!("-{}", column.name) } else { column.name.clone() };
        let fields =
            Fields::default().with("q", desk.query.get("q")).with("filter", desk.query.get("filter"));
        Heading {
            name: column.name.clone(),
            number: column.kind.is_number(),
            sorted: if up {
                "ascending"
            } else if down {
                "descending"
            } else {
                "none"
            },
            address: with_query(&at_path, &fields, "sort", &by),
        }
    };
    let headings: Vec<Heading> = columns.iter().take(COLUMNS).map(heading).collect();
    let line = |row: RowView| {
        let data = row.data.as_object().cloned().unwrap_or_default();
        let cells =
            headings.iter().map(|heading| (heading.name.clone(), brief(&shown(at(&data, &heading.name)))));
        RowLine { cells: cells.collect(), key: row.key, updated_at: row.updated_at }
    };
    Ok(Show {
        frame: &desk.frame,
        now: desk.op.now,
        by: people.name(&view.built.created_by).to_owned(),
        lists: format!("{} → {}", view.built.definition.module, view.built.definition.operation),
        connection: named(&connections, &view.built.definition.connection),
        words: words(&view.built.definition),
        next: page.next_cursor.as_ref().map(|cursor| with_query(&at_path, &desk.query, "cursor", cursor)),
        rows: page.items.into_iter().map(line).collect(),
        more_columns: columns.len().saturating_sub(COLUMNS),
        filtered: query.q.is_some() || query.filter.is_some(),
        headings,
        here,
        total,
        form,
        served,
        drawn,
        head,
        view,
    })
}

impl Written for Datasource {
    const WORDS: &'static Words = &WORDS;
    const ASIDE: &'static str = "Everything of it stands here.";
    const PARTS: &'static [Part] = &[
        Part {
            title: "What is pulled",
            about: "",
            asks: &[
                ask("connection", "Connection", "", How::Connection),
                ask("module", "Module", "Of its connector, such as vendor.", How::Mono),
                ask("operation", "Operation", "One of the module that lists, such as list.", How::Mono),
                ask(
                    "with",
                    "With",
                    "Where the operation's fields have their values from, one on each line: kind: \"active\" or since: date",
                    How::Sources,
                ),
                ask(
                    "key",
                    "Key",
                    "JSON pointer to what tells an item from the others, within it: /id",
                    How::Mono,
                ),
                ask(
                    "total",
                    "Total",
                    "JSON pointer to how many there are, within an answer: /meta/total. Left empty where it does not say.",
                    How::Mono,
                ),
                ask("rows_max", "Rows at most", "A pull that finds more fails.", How::Whole),
            ],
        },
        Part {
            title: "Only what changed",
            about: "Both, or neither: then everything is pulled each time.",
            asks: &[
                ask(
                    "incremental.field",
                    "Last change of an item",
                    "JSON pointer to its moment or number: /updated_at",
                    How::Mono,
                ),
                ask(
                    "incremental.parameter",
                    "Field of the operation that takes it",
                    "Such as since.",
                    How::Mono,
                ),
            ],
        },
        Part { title: "When", about: "One of these, or none: then it is pulled by hand.", asks: &TIMES },
        Part {
            title: "Whether",
            about: "",
            asks: &[ask(
                "enabled",
                "Pulled by itself",
                "Off, it is pulled by hand and by schedules only.",
                How::Yes,
            )],
        },
    ];

    fn example(grounds: &Grounds) -> Option<Self> {
        example(grounds)
    }
}

/// What a new datasource begins with: the first list of the first connection that has one.
fn example(grounds: &Grounds) -> Option<Datasource> {
    let mut all = grounds.connections.iter().flat_map(|(link, connector)| {
        connector.modules.iter().flat_map(move |(module, known)| {
            known.operations.iter().map(move |(name, operation)| (link, module, known, name, operation))
        })
    });
    let listing = all.find(|(.., operation)| operation.lists());
    let datasource = match listing {
        Some((link, module, known, name, operation)) => {
            // What tells one from another is what reading one asks for.
            let id = known.operations.values().find_map(|one| one.result.clone());
            let required = known.fields_of(operation).into_iter().filter(|field| field.required);
            let with: serde_json::Map<String, serde_json::Value> =
                required.map(|field| (field.name.clone(), json!({"value": ""}))).collect();
            json!({"connection": link, "module": module, "operation": name, "with": with,
                "key": id.unwrap_or_else(|| "/id".to_owned())})
        }
        None => json!({"connection": "connection", "module": "module", "operation": "list"}),
    };
    serde_json::from_value(datasource).ok()
}

/// Now, in the environment that is chosen in the bar.
async fn pull(
    State(engine): State<Engine>,
    Path((link, datasource)): Path<(String, String)>,
    sent: Sent,
) -> Response {
    let Sent { desk, form } = sent;
    let environment = desk.frame.environment.as_str().to_owned();
    let asked = PullRequest { full: form.get("full") == "true", environment: Some(environment) };
    let pulled = engine.ask_pull(&desk.op, &link, &datasource, asked).await;
    desk.then(
        pulled,
        &path(&link, &format!("datasources/{datasource}")),
        "It is pulled now. Load this page again to see how far it is.",
    )
}

async fn export(
    State(engine): State<Engine>,
    Path((link, datasource)): Path<(String, String)>,
    desk: Desk,
) -> Response {
    let place = RecordPlace { environment: Some(desk.frame.environment.as_str().to_owned()) };
    match engine.export_rows(&desk.op, &link, &datasource, &place).await {
        Ok(export) => crate::api::datasources::table(engine, export, &datasource),
        Err(error) => desk.trouble(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_pull_is_is_said() {
        let mut pulling =
            PullingView { run: String::new(), full: true, pages: 1, rows: 50, total: None, percent: None };
        assert_eq!(pulling_words(&pulling), "50 rows on 1 page");
        (pulling.total, pulling.percent) = (Some(200), Some(25));
        assert_eq!(pulling_words(&pulling), "50 rows on 1 page, of 200: 25 %");
    }

    #[test]
    fn there_is_an_example() {
        let datasource = example(&Grounds::default()).unwrap();
        assert_eq!(datasource.key, "/id");
    }
}
