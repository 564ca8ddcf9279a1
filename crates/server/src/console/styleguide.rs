//! Every token and part of the pages by the real templates, in development builds: what a change of the stylesheet does is seen here.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use jackfield_core::{Environment, FieldError, Timestamp};
use jackfield_engine::Engine;
use jackfield_engine::govern::overview::{CallRates, HALF_HOURS, HalfHour};

use super::desk::{Desk, Frame};
use super::form::{Fields, Form};
use super::parts::{self, Status};
use super::pictures::{CallsChart, RefreshTicks};

pub(super) fn routes() -> Router<Engine> {
    if cfg!(debug_assertions) { Router::new().route("/console/styleguide", get(show)) } else { Router::new() }
}

const COLOURS: [(&str, &str); 13] = [
    ("paper", "Paper"),
    ("sheet", "Sheet, fields"),
    ("wash", "Wash, code and hover"),
    ("rule", "Hairline"),
    ("edge", "Edge of a control"),
    ("ink-3", "Ink 3, hints"),
    ("ink-2", "Ink 2, help"),
    ("ink", "Ink"),
    ("accent", "Accent, what acts"),
    ("good", "Good"),
    ("warn", "Warn"),
    ("bad", "Bad"),
    ("idle", "Idle"),
];
const SPACES: [(&str, u32); 9] = [
    ("s1", 4),
    ("s2", 8),
    ("s3", 12),
    ("s4", 16),
    ("s5", 24),
    ("s6", 32),
    ("s7", 48),
    ("s8", 64),
    ("s9", 96),
];
const STATUSES: [Status; 5] =
    [Status::Connected, Status::Attention, Status::NotConnected, Status::Disabled, Status::Failed];
const NAMES: [&str; 9] =
    ["QuickBooks", "Zoho CRM", "Slack", "Dropbox", "Trello", "OpenWeather", "Jira", "Stripe", "Acme tracker"];

#[derive(Template)]
#[template(path = "console/styleguide.html")]
struct Guide<'a> {
    frame: &'a Frame,
    form: Form,
    colours: [(&'static str, &'static str); 13],
    spaces: [(&'static str, u32); 9],
    statuses: [Status; 5],
    names: [&'static str; 9],
    chart: CallsChart,
    nothing: CallsChart,
    ticks: RefreshTicks,
    now: Timestamp,
    before: Timestamp,
}

/// A day such as offices have.
fn day() -> CallRates {
    let half_hours = (0_i64..).take(HALF_HOURS).map(|n| {
        let from_noon = (n - 24).abs();
        HalfHour {
            calls: 1560 - from_noon * from_noon * 2,
            failed: [0, 0, 3, 0, 58].get(usize::try_from(n - 40).unwrap_or(9)).copied().unwrap_or(0),
        }
    });
    CallRates {
        from: Timestamp::from_micros(0),
        half_hours: half_hours.collect(),
        median: Some(208_000),
        split: Some((205_000, 2_900)),
    }
}

async fn show(State(_engine): State<Engine>, desk: Desk) -> Response {
    let wrong = FieldError::new("link_name", "taken", "Taken by another connection. Try quickbooks_uk.");
    let fields = Fields::default().with("link_name", "quickbooks_main").with("level", "admin");
    let form = Form::refused(fields, &jackfield_core::Error::invalid(vec![wrong]));
    let history: Vec<_> = (0..60).map(|n| (Timestamp::from_micros(n), n % 23 != 7)).collect();
    desk.show(Ok(Guide {
        frame: &desk.frame,
        form,
        colours: COLOURS,
        spaces: SPACES,
        statuses: STATUSES,
        names: NAMES,
        chart: CallsChart::of(&day(), Environment::Production),
        nothing: CallsChart::of(
            &CallRates { half_hours: Vec::new(), median: None, split: None, ..day() },
            Environment::Production,
        ),
        ticks: RefreshTicks::of(&history),
        now: desk.op.now,
        before: Timestamp::from_micros(desk.op.now.micros() - 47 * 60_000_000),
    }))
}
