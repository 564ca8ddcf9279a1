//! Schedules of an application, read as sentences: when they run, what is done then, and what the next month looks like.

use std::collections::BTreeMap;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use jackfield_core::schedule::{Local, Misfire, Overlap, Schedule, Timing};
use jackfield_core::workflow::{Grounds, RunState, WorkflowAction};
use jackfield_core::{Result, Timestamp};
use jackfield_engine::automate::components::{BuiltView, ComponentPatch};
use jackfield_engine::automate::records::RecordPlace;
use jackfield_engine::automate::runs::{RunQuery, RunView};
use jackfield_engine::automate::schedules::{ScheduleView, ScheduledView};
use jackfield_engine::{Engine, Page};
use serde_json::json;

use super::actions::{self, Act, Acting, Doing, acts, connections, doing};
use super::applications::{Head, next, path};
use super::built::pages::{ask_to_change, ask_to_delete, ask_to_make, change, end, make};
use super::built::{Words, Written};
use super::common::{People, asked_page};
use super::desk::{Desk, Frame, Sent};
use super::fields::{self, How, Part, TIMES, ask};
use super::form::Fields;
use super::parts::{self, Status};
use super::runs::{Called, Runnable};

const WORDS: Words = Words {
    tab: "schedules",
    one: "schedule",
    lead: "When it runs, and what is done then. Nobody is there at that time: it knows no record, and where each person has his own account at a service, it calls with the primary one. Development serves it at once; stage and production when you publish.",
    ends: &[
        "Nothing runs by it in development any more. Runs that wait fail, and the others stay in the history.",
        "The connections that it uses can be deleted, if nothing else uses them.",
        "A schedule that stage or production serves is not deleted: switch it off, publish, then delete it.",
    ],
};

/// Runs that its page shows.
const RUNS: u32 = 5;
/// Ticks that are drawn into a month at most.
const DRAWN: usize = 2000;
/// Months that are drawn.
const MONTHS: usize = 2;

pub(super) fn routes() -> Router<Engine> {
    Router::new()
        .route("/console/applications/{link}/schedules", get(list))
        .route(
            "/console/applications/{link}/schedules/new-schedule",
            get(ask_to_make::<Schedule>).post(make::<Schedule>),
        )
        .route(
            "/console/applications/{link}/schedules/new-fields",
            get(fields::ask_to_begin::<Schedule>).post(fields::begin::<Schedule>),
        )
        .route(
            "/console/applications/{link}/schedules/new-action",
            get(actions::page::ask_first::<Schedule>).post(actions::page::make::<Schedule>),
        )
        .route("/console/applications/{link}/schedules/{schedule}", get(show))
        .route(
            "/console/applications/{link}/schedules/{schedule}/actions/new-action",
            get(actions::page::ask_another::<Schedule>).post(actions::page::add::<Schedule>),
        )
        .route(
            "/console/applications/{link}/schedules/{schedule}/actions/{action}",
            get(actions::page::ask_to_change::<Schedule>).post(actions::page::change::<Schedule>),
        )
        .route(
            "/console/applications/{link}/schedules/{schedule}/actions/{action}/move",
            post(actions::page::shift::<Schedule>),
        )
        .route(
            "/console/applications/{link}/schedules/{schedule}/actions/{action}/remove",
            get(actions::page::ask_to_remove::<Schedule>).post(actions::page::remove::<Schedule>),
        )
        .route(
            "/console/applications/{link}/schedules/{schedule}/edit",
            get(ask_to_change::<Schedule>).post(change::<Schedule>),
        )
        .route(
            "/console/applications/{link}/schedules/{schedule}/fields",
            get(fields::ask_to_change::<Schedule>).post(fields::change::<Schedule>),
        )
        .route("/console/applications/{link}/schedules/{schedule}/enabled", post(switch))
        .route("/console/applications/{link}/schedules/{schedule}/run", post(run))
        .route(
            "/console/applications/{link}/schedules/{schedule}/delete",
            get(ask_to_delete::<Schedule>).post(end::<Schedule>),
        )
}

/// A moment on the clocks of the schedule's time zone.
struct There {
    exact: Timestamp,
    words: String,
}

fn there(timing: &Timing, moment: Timestamp) -> There {
    let words = timing.local(moment).map_or_else(
        || moment.to_string(),
        |local| format!("{} {:02}:{:02}", local.date(), local.hour, local.minute),
    );
    There { exact: moment, words }
}

struct Line {
    link_name: String,
    name: String,
    enabled: bool,
    words: String,
    next: Option<There>,
    zone: String,
    doings: Vec<Doing>,
}

#[derive(Template)]
#[template(path = "console/schedules.html")]
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
    let head = Head::read(engine, desk, link, "schedules").await?;
    let page: Page<BuiltView<Schedule>> = engine.list_built(&desk.op, link, &asked_page(desk)).await?;
    let connections = connections(engine, &desk.op, link).await?;
    let next = next(desk, &head.path("schedules"), &page);
    let line = |one: BuiltView<Schedule>| Line {
        words: one.definition.at.words(),
        next: one.next.as_ref().and_then(|next| next.first()).map(|tick| there(&one.definition.at, *tick)),
        zone: one.definition.at.zone().to_owned(),
        doings: one.definition.actions.iter().map(|action| doing(action, &connections, None)).collect(),
        enabled: one.definition.enabled,
        link_name: one.link_name,
        name: one.name,
    };
    let lines = page.items.into_iter().map(line).collect();
    Ok(List { frame: &desk.frame, now: desk.op.now, head, lines, next })
}

/// A day of a month: its number and how often it runs on it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Day {
    number: i8,
    /// times of the ticks, the first few
    times: Vec<String>,
    /// ticks of the day
    ticks: usize,
    today: bool,
}

impl Day {
    /// What stands in its cell below the number.
    fn said(&self) -> String {
        match self.times.as_slice() {
            [] => String::new(),
            [one] => one.clone(),
            [one, ..] if self.ticks <= 2 => format!("{one}, {}", self.times.last().unwrap_or(one)),
            [one, ..] => format!("{one} and {} more", self.ticks.saturating_sub(1)),
        }
    }
}

/// A month as a calendar draws it: weeks of seven days, some of which belong to other months.
struct Month {
    title: String,
    weeks: Vec<Vec<Option<Day>>>,
}

const MONTH_NAMES: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The ticks of a month by its days.
type Ticks = BTreeMap<i8, Vec<Local>>;

/// The months in which the next ticks are.
fn months(timing: &Timing, now: Timestamp) -> Vec<Month> {
    let Some(today) = timing.local(now) else { return Vec::new() };
    let mut by_month: BTreeMap<(i16, i8), (Local, Ticks)> = BTreeMap::new();
    for tick in timing.upcoming(now, DRAWN) {
        let Some(local) = timing.local(tick) else { continue };
        let month = (local.year, local.month);
        if !by_month.contains_key(&month) && by_month.len() == MONTHS {
            break;
        }
        by_month.entry(month).or_insert((local, BTreeMap::new())).1.entry(local.day).or_default().push(local);
    }
    by_month.into_values().map(|(any, days)| month(&any, &days, &today)).collect()
}

fn month(any: &Local, days: &Ticks, today: &Local) -> Month {
    let index = usize::try_from(any.month).unwrap_or(1).saturating_sub(1);
    let name = MONTH_NAMES.get(index).copied().unwrap_or_default();
    let day = |number: i8| {
        let ticks = days.get(&number).map(Vec::as_slice).unwrap_or_default();
        Day {
            number,
            times: ticks.iter().take(2).map(|at| format!("{:02}:{:02}", at.hour, at.minute)).collect(),
            ticks: ticks.len(),
            today: (today.year, today.month, today.day) == (any.year, any.month, number),
        }
    };
    let mut cells: Vec<Option<Day>> = (0..any.begins).map(|_| None).collect();
    cells.extend((1..=any.days).map(|number| Some(day(number))));
    while !cells.len().is_multiple_of(7) {
        cells.push(None);
    }
    Month { title: format!("{name} {}", any.year), weeks: cells.chunks(7).map(<[_]>::to_vec).collect() }
}

#[derive(Template)]
#[template(path = "console/schedule.html")]
struct Show<'a> {
    frame: &'a Frame,
    now: Timestamp,
    head: Head,
    view: ScheduleView,
    by: String,
    ticks: Vec<There>,
    months: Vec<Month>,
    acts: Vec<Act>,
    /// what of its times does not fit any more
    wrong: Vec<String>,
    /// what the chosen environment does of it
    here: Option<ScheduledView>,
    runs: Vec<RunView>,
    runnable: Runnable,
    forms: Called,
}

impl Show<'_> {
    fn path(&self) -> String {
        self.head.path(&format!("schedules/{}", self.view.built.link_name))
    }

    fn version(&self) -> i64 {
        self.view.built.version
    }

    fn definition(&self) -> &Schedule {
        &self.view.built.definition
    }

    fn overlap(&self) -> &'static str {
        match self.definition().overlap {
            Overlap::Skip => "While the run before is not over, a tick is left out.",
            Overlap::Queue => "While the run before is not over, the next one waits for it.",
        }
    }

    fn misfire(&self) -> String {
        match self.definition().misfire {
            Misfire::Once => {
                "Ticks that pass while Jackfield does not run are made up for by one run.".to_owned()
            }
            Misfire::Skip => {
                let minutes = parts::count(
                    usize::try_from(self.definition().grace_minutes).unwrap_or(0),
                    "minute",
                    "minutes",
                );
                format!("A tick that is more than {minutes} late is left out.")
            }
        }
    }
}

async fn show(
    State(engine): State<Engine>,
    Path((link, schedule)): Path<(String, String)>,
    desk: Desk,
) -> Response {
    let page = read(&engine, &desk, &link, &schedule).await;
    desk.show(page)
}

async fn read<'a>(engine: &Engine, desk: &'a Desk, link: &str, name: &str) -> Result<Show<'a>> {
    let head = Head::read(engine, desk, link, "schedules").await?;
    let view = engine.read_schedule(&desk.op, link, name).await?;
    let grounds = engine.read_grounds(&desk.op, link).await?;
    let connections = connections(engine, &desk.op, link).await?;
    let people = People::of(engine, desk).await?;
    let environment = desk.frame.environment.as_str();
    let query = RunQuery {
        environment: Some(environment.to_owned()),
        component: Some(format!("schedule:{name}")),
        limit: Some(RUNS),
        ..RunQuery::default()
    };
    let runs = engine.list_runs(&desk.op, link, &query).await?.items;
    let schedule = &view.built.definition;
    let (acts, wrong) = acts(schedule, &grounds, None, &connections);
    let next = view.built.next.as_deref().unwrap_or_default();
    Ok(Show {
        frame: &desk.frame,
        now: desk.op.now,
        by: people.name(&view.built.created_by).to_owned(),
        ticks: next.iter().map(|tick| there(&schedule.at, *tick)).collect(),
        months: if schedule.enabled { months(&schedule.at, desk.op.now) } else { Vec::new() },
        acts,
        wrong,
        here: view.environments.iter().find(|one| one.environment == environment).cloned(),
        runs,
        runnable: Runnable::of(engine, &desk.op, link).await?,
        forms: Called::none(),
        head,
        view,
    })
}

impl Written for Schedule {
    const WORDS: &'static Words = &WORDS;
    const ASIDE: &'static str = "What it does then has pages of its own, one for each action.";
    const PARTS: &'static [Part] = &[
        Part { title: "When", about: "One of these.", asks: &TIMES },
        Part {
            title: "What becomes of a tick that comes at a bad time",
            about: "",
            asks: &[
                ask(
                    "overlap",
                    "While the run before is not over",
                    "",
                    How::One(&[("skip", "It is left out"), ("queue", "It waits")]),
                ),
                ask(
                    "misfire",
                    "After Jackfield did not run for a while",
                    "",
                    How::One(&[
                        ("once", "One run makes up for all that passed"),
                        ("skip", "What is too late is left out"),
                    ]),
                ),
                ask("grace_minutes", "Too late, in minutes", "For what is left out.", How::Whole),
            ],
        },
        Part {
            title: "Whether",
            about: "",
            asks: &[ask("enabled", "Switched on", "Off, nothing runs by itself.", How::Yes)],
        },
    ];

    fn example(grounds: &Grounds) -> Option<Self> {
        example(grounds)
    }
}

impl Acting for Schedule {
    const TAB: &'static str = "schedules";
    const ONE: &'static str = "schedule";
    const BEGIN: &'static str = "new-fields";
    const CARRIED: &'static [&'static str] =
        &["at.cron", "at.time_zone", "at.every", "at.once", "overlap", "misfire", "grace_minutes", "enabled"];
    const LACKS: &'static [&'static str] = &["update_record", "payment"];
    const KNOWN: &'static [&'static str] = &["date", "tick", "event", "environment", "application"];

    fn begun(asked: &Fields) -> Result<Self> {
        fields::document_of(Self::PARTS, json!({"actions": []}), asked)
    }

    fn actions(&self) -> &[WorkflowAction] {
        &self.actions
    }

    fn actions_mut(&mut self) -> &mut Vec<WorkflowAction> {
        &mut self.actions
    }

    fn form(&self) -> Option<&str> {
        None
    }

    fn when(&self, _form: &str) -> String {
        self.at.words()
    }
}

/// What a new schedule begins with.
fn example(grounds: &Grounds) -> Option<Schedule> {
    let call = grounds
        .connections
        .keys()
        .next()
        .map(|link| json!({"name": "look", "invoke": {"connection": link, "method": "GET", "url": "/"}}));
    let mail = json!({"name": "tell", "mail": {"to": ["somebody@example.com"], "subject": "It is {{ date }}",
        "text": "This is sent from {{ application }}, {{ environment }}, on working days at six."}});
    let schedule = json!({"at": {"cron": "0 6 * * 1-5", "time_zone": "Europe/Berlin"}, "actions": [call.unwrap_or(mail)]});
    serde_json::from_value(schedule).ok()
}

/// On or off: the same definition with one word changed.
async fn switch(
    State(engine): State<Engine>,
    Path((link, schedule)): Path<(String, String)>,
    sent: Sent,
) -> Response {
    let Sent { desk, form } = sent;
    let enabled = form.get("enabled") == "true";
    let switched = async {
        let built = engine.read_built::<Schedule>(&desk.op, &link, &schedule).await?;
        let patch = ComponentPatch {
            name: None,
            definition: Some(Schedule { enabled, ..built.definition }),
            version: form.get("version").parse().ok(),
        };
        engine.update_built(&desk.op, &link, &schedule, patch).await
    };
    let news = if enabled {
        "It is on in development. Publish it to have it on elsewhere."
    } else {
        "It is off in development: nothing more runs by it there. Publish it to have it off elsewhere."
    };
    desk.then(switched.await, &path(&link, &format!("schedules/{schedule}")), news)
}

/// Now, in the environment that is chosen in the bar.
async fn run(
    State(engine): State<Engine>,
    Path((link, schedule)): Path<(String, String)>,
    sent: Sent,
) -> Response {
    let desk = sent.desk;
    let place = RecordPlace { environment: Some(desk.frame.environment.as_str().to_owned()) };
    match engine.run_schedule(&desk.op, &link, &schedule, &place).await {
        Ok(run) => desk.done(&path(&link, &format!("runs/{}", run.id)), "It runs now."),
        Err(error) => desk.trouble(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        serde_json::from_value(json!(text)).unwrap()
    }

    #[test]
    fn a_month_is_drawn_as_a_calendar_has_it() {
        // November 2026 begins on a Sunday.
        let drawn = months(&Timing::cron("0 6 * * 1-5", "Europe/Berlin"), at("2026-11-27T12:00:00Z"));
        let titles: Vec<&str> = drawn.iter().map(|month| month.title.as_str()).collect();
        assert_eq!(titles, ["November 2026", "December 2026"]);
        let november = &drawn[0].weeks;
        assert_eq!(november.len(), 6);
        assert!(november.iter().all(|week| week.len() == 7));
        assert_eq!(november[0].iter().flatten().map(|day| day.number).collect::<Vec<_>>(), [1]);
        let last = november[5][0].as_ref().unwrap();
        assert_eq!((last.number, last.said().as_str()), (30, "06:00"));
        let friday = november[4][4].as_ref().unwrap();
        assert!(friday.number == 27 && friday.ticks == 0 && friday.today, "it is past, and today");
        // More than fit are counted.
        let often = months(&Timing::cron("0 * * * *", "UTC"), at("2026-11-29T23:30:00Z"));
        assert_eq!(often[0].weeks[5][0].as_ref().unwrap().said(), "00:00 and 23 more");
        assert!(
            months(&Timing { every: Some("x".to_owned()), ..Timing::default() }, at("2026-11-27T12:00:00Z"))
                .is_empty()
        );
    }

    #[test]
    fn there_is_an_example() {
        let schedule = example(&Grounds::default()).unwrap();
        assert_eq!(schedule.check(&Grounds::default()), Ok(()));
    }
}
