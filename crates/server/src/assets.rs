//! The stylesheet and the script of the pages, under names that change with their content, so that browsers keep them for good.

use std::sync::LazyLock;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use jackfield_engine::{Engine, digest};

const STYLE: &str = include_str!("../assets/console.css");
const SCRIPT: &str = include_str!("../assets/console.js");

static STYLE_PATH: LazyLock<String> = LazyLock::new(|| path("console", "css", STYLE));
static SCRIPT_PATH: LazyLock<String> = LazyLock::new(|| path("console", "js", SCRIPT));

fn path(name: &str, extension: &str, content: &str) -> String {
    let [a, b, c, d, ..] = digest(content.as_bytes());
    format!("/assets/{name}-{a:02x}{b:02x}{c:02x}{d:02x}.{extension}")
}

pub(crate) fn style_path() -> &'static str {
    &STYLE_PATH
}

pub(crate) fn script_path() -> &'static str {
    &SCRIPT_PATH
}

pub(crate) fn routes() -> Router<Engine> {
    Router::new()
        .route(style_path(), get(|| async { kept("text/css; charset=utf-8", STYLE) }))
        .route(script_path(), get(|| async { kept("text/javascript; charset=utf-8", SCRIPT) }))
}

fn kept(kind: &'static str, content: &'static str) -> Response {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "public, max-age=31536000, immutable")], content).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_of_the_stylesheet_is_closed_before_the_next() {
        let mut depth = 0;
        for (number, line) in STYLE.lines().enumerate() {
            // A layer within a layer would yield to it.
            assert!(!line.starts_with("@layer") || depth == 0, "line {}: {depth} open: {line}", number + 1);
            for byte in line.bytes() {
                depth += i32::from(byte == b'{') - i32::from(byte == b'}');
            }
        }
        assert_eq!(depth, 0);
    }
}
