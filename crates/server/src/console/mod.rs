//! The console: pages for people, made on the server from the same engine functions as the API.
//!
//! A page is a struct with a template; a handler reads what it shows by engine functions and gives it to the [`desk`]. Forms go by POST and
//! end in a redirect, or in the same page with what is wrong; everything works without JavaScript, and `console.js` makes it pleasant.

// Askama hands values to functions by reference, and calls a page's methods on the page.
#![allow(clippy::trivially_copy_pass_by_ref, clippy::unused_self)]

mod accounts;
mod actions;
mod applications;
mod audit;
mod builder;
mod built;
mod charts;
pub(crate) mod common;
mod connect;
pub(crate) mod connections;
mod connectors;
mod datasources;
pub(crate) mod desk;
mod details;
pub(crate) mod door;
mod draft;
mod drafts;
mod fields;
pub(crate) mod form;
mod forms;
pub(crate) mod help;
mod hosted;
mod imports;
mod inputs;
mod journey;
mod members;
mod overview;
pub(crate) mod parts;
mod payers;
mod payments;
pub(crate) mod pictures;
mod playground;
mod publish;
mod records;
mod runs;
mod schedules;
mod settings;
mod sheet;
mod styleguide;
mod templates;
mod told;
pub(crate) mod trial;
mod versions;
mod workflows;

use axum::Router;
use axum::routing::{get, post};
use jackfield_engine::Engine;

pub(crate) fn routes() -> Router<Engine> {
    Router::new()
        .route("/", get(|| async { desk::see_other("/console") }))
        .route("/signin", get(door::show).post(door::enter))
        .route("/signout", post(door::leave))
        .route("/password-forgotten", get(door::forgotten).post(door::ask_reset))
        .route("/console/view", post(desk::choose_view))
        .route("/console/{*rest}", get(desk::nothing))
        .merge(overview::routes())
        .merge(connections::routes())
        .merge(journey::routes())
        .merge(connect::routes())
        .merge(hosted::routes())
        .merge(payers::routes())
        .merge(payments::routes())
        .merge(details::routes())
        .merge(playground::routes())
        .merge(applications::routes())
        .merge(templates::routes())
        .merge(forms::routes())
        .merge(records::routes())
        .merge(imports::routes())
        .merge(workflows::routes())
        .merge(schedules::routes())
        .merge(datasources::routes())
        .merge(publish::routes())
        .merge(runs::routes())
        .merge(members::routes())
        .merge(settings::routes())
        .merge(accounts::routes())
        .merge(audit::routes())
        .merge(connectors::routes())
        .merge(versions::routes())
        .merge(drafts::routes())
        .merge(builder::routes())
        .merge(trial::routes())
        .merge(help::routes())
        .merge(styleguide::routes())
}
