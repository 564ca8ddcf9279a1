//! Publication of an application: what each environment serves, what the next step would change, and former releases.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use jackfield_core::{Code, Environment, Error, Result, Timestamp};
use jackfield_engine::automate::publish::{
    DeploymentView, OpenPoint, Preflight, PreflightQuery, Publication, ReleaseView,
};
use jackfield_engine::{Engine, Page};

use super::applications::{Head, lines, next, path};
use super::common::{People, asked_page, mends};
use super::desk::{Desk, Frame, Sent};
use super::form::{Fields, Form};
use super::parts;

pub(super) fn routes() -> Router<Engine> {
    Router::new()
        .route("/console/applications/{link}/publish", get(show).post(publish))
        .route("/console/applications/{link}/publish/{release}", get(ask_back))
}

/// One component that a step would change.
struct Change {
    word: &'static str,
    name: String,
    component: String,
    versions: String,
}

/// What a step would change; what stays the same is not told.
fn changes(preflight: &Preflight) -> Vec<Change> {
    let changes = preflight.components.iter().filter_map(|part| {
        let (word, versions) = match (part.version, part.served) {
            (Some(new), None) => ("New", format!("version {new}")),
            (Some(new), Some(served)) if new != served => {
                ("Changed", format!("version {served} becomes {new}"))
            }
            (None, Some(served)) => ("Removed", format!("version {served}")),
            _ => return None,
        };
        Some(Change { word, name: part.name.clone(), component: part.component.clone(), versions })
    });
    changes.collect()
}

/// A step from one environment to the next.
struct Step {
    to: Environment,
    from: Environment,
    changes: Vec<Change>,
    open: Vec<OpenPoint>,
    /// why nothing can be weighed
    barred: Option<String>,
    /// whether it is the one to take now
    primary: bool,
}

impl Step {
    fn to_word(&self) -> String {
        parts::environment_word(&self.to).to_lowercase()
    }

    fn source_word(&self) -> &'static str {
        parts::environment_word(&self.from)
    }

    /// Nothing was built yet, which is said among what is not ready.
    fn is_bare(&self) -> bool {
        self.open.iter().any(|point| point.code == "empty")
    }

    fn may_publish(&self) -> bool {
        self.barred.is_none() && !self.changes.is_empty()
    }
}

/// Where somebody mends a point, and what that is called.
fn mending(head: &Head, point: &OpenPoint, to: &Environment) -> Option<(String, &'static str)> {
    let connection = point.connection.as_deref()?;
    let place = format!("/console/connections/{connection}");
    Some(match point.code.as_str() {
        "not_connected" | "reauthorization_required" => {
            (format!("{place}/authorize?environment={to}"), "Authorize")
        }
        "application_not_allowed" => (head.path("allowed"), "Allow it"),
        _ => (place, "Open the connection"),
    })
}

/// What an environment serves, in words.
struct Served {
    environment: Environment,
    release: Option<i64>,
    /// who published it there, by name, and when
    by: Option<(String, Timestamp)>,
}

fn served(deployments: &[DeploymentView], people: &People) -> Vec<Served> {
    let one = |environment: &Environment| {
        let found = deployments.iter().find(|one| one.environment == *environment);
        Served {
            environment: *environment,
            release: found.map(|one| one.release),
            by: found.map(|one| (people.name(&one.deployed_by).to_owned(), one.deployed_at)),
        }
    };
    Environment::ALL.iter().map(one).collect()
}

#[derive(Template)]
#[template(path = "console/publish.html")]
struct Show<'a> {
    frame: &'a Frame,
    now: Timestamp,
    head: Head,
    form: Form,
    served: Vec<Served>,
    steps: Vec<Step>,
    page: Page<ReleaseView>,
    next: Option<String>,
    people: People,
}

impl Show<'_> {
    /// Where a release is not served and could be.
    fn elsewhere(&self, release: &ReleaseView) -> Vec<Environment> {
        let all = [Environment::Stage, Environment::Production];
        all.into_iter().filter(|one| !release.environments.contains(one)).collect()
    }

    fn components(release: &ReleaseView) -> String {
        parts::count(release.components.len(), "component", "components")
    }
}

async fn show(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = find(&engine, &desk, &link, Form::default()).await;
    desk.show(page)
}

async fn find<'a>(engine: &Engine, desk: &'a Desk, link: &str, form: Form) -> Result<Show<'a>> {
    let head = Head::read(engine, desk, link, "publish").await?;
    let mut steps = Vec::new();
    for (from, to) in
        [(Environment::Development, Environment::Stage), (Environment::Stage, Environment::Production)]
    {
        let query = PreflightQuery { to: to.as_str().to_owned(), release: None };
        let mut step = Step { to, from, changes: Vec::new(), open: Vec::new(), barred: None, primary: false };
        match engine.preflight(&desk.op, link, &query).await {
            Ok(preflight) => {
                step.changes = changes(&preflight);
                step.open = preflight.open;
            }
            Err(error) if error.code == Code::StateConflict => step.barred = Some(error.detail),
            Err(error) => return Err(error),
        }
        step.primary = step.may_publish() && !steps.iter().any(|one: &Step| one.primary);
        steps.push(step);
    }
    let deployments = engine.list_deployments(&desk.op, link).await?;
    let people = People::of(engine, desk).await?;
    let page = engine.list_releases(&desk.op, link, &asked_page(desk)).await?;
    Ok(Show {
        frame: &desk.frame,
        now: desk.op.now,
        next: next(desk, &head.path("publish"), &page),
        served: served(&deployments, &people),
        head,
        form,
        steps,
        page,
        people,
    })
}

/// What a form asks for.
fn asked(form: &Fields) -> Result<Publication> {
    let to = Environment::parse(form.get("to"));
    Ok(Publication {
        to: to.ok_or_else(|| Error::field("to", "invalid", "Publish to stage or to production."))?,
        release: form.given("release").map(|text| number(&text)).transpose()?,
        note: form.given("note").map(|note| lines(&note)),
        anyway: form.has("anyway"),
    })
}

fn number(text: &str) -> Result<i64> {
    text.parse().map_err(|_| Error::not_found(format_args!("release {text:?}")))
}

async fn publish(State(engine): State<Engine>, Path(link): Path<String>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let published = async {
        let asked = asked(&form)?;
        let to = asked.to;
        Ok((to, engine.publish(&desk.op, &link, asked).await?))
    };
    match published.await {
        Ok((to, release)) => {
            let place = parts::environment_word(&to);
            let news = format!("{place} serves release {} from now on.", release.number);
            desk.done(&path(&link, "publish"), &news)
        }
        Err(error) if mends(&error) => {
            let refused = Form::refused(form.clone(), &error);
            if let Some(release) = form.given("release") {
                let page = find_back(&engine, &desk, &link, &release, form.get("to"), refused).await;
                return desk.again(&error, page);
            }
            let page = find(&engine, &desk, &link, refused).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

#[derive(Template)]
#[template(path = "console/roll_back.html")]
struct Back<'a> {
    frame: &'a Frame,
    head: Head,
    form: Form,
    to: Environment,
    release: i64,
    /// the release that is served there now
    present: Option<i64>,
    changes: Vec<Change>,
    open: Vec<OpenPoint>,
}

impl Back<'_> {
    fn word(&self) -> String {
        parts::environment_word(&self.to).to_lowercase()
    }
}

async fn ask_back(
    State(engine): State<Engine>,
    Path((link, release)): Path<(String, String)>,
    desk: Desk,
) -> Response {
    let page = find_back(&engine, &desk, &link, &release, desk.query.get("to"), Form::default()).await;
    desk.show(page)
}

async fn find_back<'a>(
    engine: &Engine,
    desk: &'a Desk,
    link: &str,
    release: &str,
    to: &str,
    form: Form,
) -> Result<Back<'a>> {
    let head = Head::read(engine, desk, link, "publish").await?;
    let release = number(release)?;
    let to = Environment::parse(to).unwrap_or(Environment::Production);
    let query = PreflightQuery { to: to.as_str().to_owned(), release: Some(release) };
    let preflight = engine.preflight(&desk.op, link, &query).await.map_err(|error| {
        // The number stands in the address: a page that is not there.
        if error.fields.iter().any(|wrong| wrong.field == "release") {
            return Error::not_found(format_args!("release {release}"));
        }
        error
    })?;
    let deployments = engine.list_deployments(&desk.op, link).await?;
    Ok(Back {
        frame: &desk.frame,
        head,
        form,
        to,
        release,
        present: deployments.iter().find(|one| one.environment == to).map(|one| one.release),
        changes: changes(&preflight),
        open: preflight.open,
    })
}

#[cfg(test)]
mod tests {
    use jackfield_engine::automate::publish::PreflightComponent;

    use super::*;

    #[test]
    fn only_what_changes_is_told() {
        let part = |component: &str, version, served| PreflightComponent {
            component: component.to_owned(),
            name: component.to_owned(),
            version,
            served,
        };
        let preflight = Preflight {
            to: Environment::Stage,
            release: None,
            components: vec![
                part("form:a", Some(1), None),
                part("form:b", Some(2), Some(2)),
                part("form:c", Some(3), Some(2)),
                part("form:d", None, Some(4)),
            ],
            open: Vec::new(),
        };
        let told: Vec<(&str, String)> =
            changes(&preflight).into_iter().map(|change| (change.word, change.versions)).collect();
        assert_eq!(
            told,
            [
                ("New", "version 1".to_owned()),
                ("Changed", "version 2 becomes 3".to_owned()),
                ("Removed", "version 4".to_owned())
            ]
        );
    }
}
