//! Help: the documents of `docs/`, as they are in the binary, and the links to them. Nothing is fetched from elsewhere, and they are those
//! of this very version.
//!
//! What makes pages of them knows the Markdown that they are written in, and no more; a test sees that they use no other.

use std::fmt::Write as _;

use askama::Template;
use askama::filters::HtmlSafe;
use axum::Router;
use axum::extract::Path;
use axum::response::Response;
use axum::routing::get;
use jackfield_core::Error;

use super::desk::{Desk, Frame};

/// The documents, by the words in their addresses.
const PAGES: &[(&str, &str)] = &[
    ("console", include_str!("../../../../docs/console.md")),
    ("words", include_str!("../../../../docs/words.md")),
    ("connectors", include_str!("../../../../docs/connectors.md")),
    ("templates", include_str!("../../../../docs/templates.md")),
    ("workflows", include_str!("../../../../docs/workflows.md")),
    ("schedules", include_str!("../../../../docs/schedules.md")),
    ("datasources", include_str!("../../../../docs/datasources.md")),
    ("payments", include_str!("../../../../docs/payments.md")),
    ("members", include_str!("../../../../docs/members.md")),
    ("permissions", include_str!("../../../../docs/permissions.md")),
    ("errors", include_str!("../../../../docs/errors.md")),
    ("events", include_str!("../../../../docs/reference/events.md")),
    ("settings", include_str!("../../../../docs/reference/settings.md")),
];

pub(super) fn routes() -> Router<jackfield_engine::Engine> {
    Router::new().route("/console/help/{page}", get(show))
}

/// A small link to a place in a document: `{{ help::link("connectors", "test") }}`. A test sees that each leads somewhere.
#[derive(Template)]
#[template(
    source = r#"<a class="help-link" href="/console/help/{{ page }}{% if !at.is_empty() %}#{{ at }}{% endif %}">Help</a>"#,
    ext = "html"
)]
pub(crate) struct Link {
    page: &'static str,
    at: &'static str,
}

impl HtmlSafe for Link {}

pub(crate) fn link(page: &'static str, at: &'static str) -> Link {
    Link { page, at }
}

/// A document as HTML; everything in it was escaped.
struct Html(String);

impl HtmlSafe for Html {}

impl std::fmt::Display for Html {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Template)]
#[template(path = "console/help.html")]
struct Page<'a> {
    frame: &'a Frame,
    title: &'static str,
    here: &'static str,
    others: Vec<(&'static str, &'static str)>,
    content: Html,
}

impl Page<'_> {
    fn is_here(&self, page: &str) -> bool {
        self.here == page
    }
}

/// The first heading.
fn title(text: &'static str) -> &'static str {
    text.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or("Help")
}

async fn show(Path(page): Path<String>, desk: Desk) -> Response {
    let found = PAGES.iter().find(|(name, _)| *name == page);
    let found = found.ok_or_else(|| Error::not_found(format_args!("help about {page:?}")));
    desk.show(found.map(|(name, text)| Page {
        frame: &desk.frame,
        title: title(text),
        here: name,
        others: PAGES.iter().map(|(name, text)| (*name, title(text))).collect(),
        content: Html(html(text)),
    }))
}

fn escaped(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
}

/// What a heading is called in an address, as the usual renderers make it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).flat_map(char::to_lowercase).collect()
}

/// Where a link leads: to a place of a document that is here; else it is no link.
fn address(target: &str) -> Option<String> {
    let (file, at) = target.split_once('#').unwrap_or((target, ""));
    let at = if at.is_empty() { String::new() } else { format!("#{at}") };
    if file.is_empty() {
        return Some(at);
    }
    let name = file.rsplit('/').next()?.strip_suffix(".md")?;
    PAGES.iter().any(|(page, _)| *page == name).then(|| format!("/console/help/{name}{at}"))
}

/// Code, emphasis and links in a line.
fn inline(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find(['`', '*', '[', '\\']) {
        let (before, from) = rest.split_at(at);
        escaped(before, out);
        let between = |mark: &'static str| {
            let inside = from.strip_prefix(mark)?;
            inside.split_once(mark).filter(|(inside, _)| !inside.is_empty() && !inside.starts_with(' '))
        };
        if let Some((code, after)) = between("`") {
            out.push_str("<code>");
            escaped(&code.replace("\\|", "|"), out);
            out.push_str("</code>");
            rest = after;
        } else if let Some((strong, after)) = between("**") {
            out.push_str("<b>");
            inline(strong, out);
            out.push_str("</b>");
            rest = after;
        } else if let Some((emphasis, after)) = between("*") {
            out.push_str("<em>");
            inline(emphasis, out);
            out.push_str("</em>");
            rest = after;
        } else if let Some((words, target, after)) = from
            .strip_prefix('[')
            .and_then(|inside| inside.split_once("]("))
            .and_then(|(words, inside)| inside.split_once(')').map(|(target, after)| (words, target, after)))
            .filter(|(words, _, _)| !words.contains(['[', ']']))
        {
            match address(target) {
                Some(address) => {
                    out.push_str("<a href=\"");
                    escaped(&address, out);
                    out.push_str("\">");
                    inline(words, out);
                    out.push_str("</a>");
                }
                None => inline(words, out),
            }
            rest = after;
        } else {
            let mut characters =
                from.strip_prefix('\\').filter(|rest| rest.starts_with('|')).unwrap_or(from).chars();
            escaped(&characters.next().map(String::from).unwrap_or_default(), out);
            rest = characters.as_str();
        }
    }
    escaped(rest, out);
}

/// The cells of a row; `\|` is no border.
fn cells(row: &str) -> Vec<String> {
    let row = row.trim().trim_start_matches('|');
    let row = row.strip_suffix('|').unwrap_or(row);
    row.replace("\\|", "\u{0}").split('|').map(|cell| cell.trim().replace('\u{0}', "\\|")).collect()
}

fn table(rows: &[&str], out: &mut String) {
    out.push_str("<div class=\"wide\" tabindex=\"0\"><table class=\"table\">");
    for (number, row) in rows.iter().enumerate().filter(|(number, _)| *number != 1) {
        let head = number == 0;
        out.push_str(if head { "<thead><tr>" } else { "<tr>" });
        for cell in cells(row) {
            // A corner with nothing in it heads no column.
            let heads = head && !cell.is_empty();
            let tag = if heads { "th" } else { "td" };
            let scope = if heads { " scope=\"col\"" } else { "" };
            let _ = write!(out, "<{tag}{scope}>");
            inline(&cell, out);
            let _ = write!(out, "</{tag}>");
        }
        out.push_str(if head { "</tr></thead><tbody>" } else { "</tr>" });
    }
    out.push_str("</tbody></table></div>");
}

/// The mark of an entry of a list, and what it says.
fn entry(line: &str) -> Option<(bool, &str)> {
    if let Some(text) = line.strip_prefix("- ") {
        return Some((false, text));
    }
    let (number, text) = line.split_once(". ")?;
    (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())).then_some((true, text))
}

/// The whole document but for its first heading, which the page has.
fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim().is_empty() || line.starts_with("# ") || line.starts_with("<!--") {
        } else if line.starts_with("```") {
            out.push_str("<pre class=\"code\" tabindex=\"0\">");
            for line in lines.by_ref().take_while(|line| !line.starts_with("```")) {
                escaped(line, &mut out);
                out.push('\n');
            }
            out.push_str("</pre>");
        } else if let Some(heading) = line.strip_prefix("## ").or_else(|| line.strip_prefix("### ")) {
            let tag = if line.starts_with("### ") { "h3" } else { "h2" };
            let _ = write!(out, "<{tag} id=\"{}\">", anchor(heading));
            inline(heading, &mut out);
            let _ = write!(out, "</{tag}>");
        } else if line.starts_with('|') {
            let mut rows = vec![line];
            while let Some(row) = lines.next_if(|line| line.starts_with('|')) {
                rows.push(row);
            }
            table(&rows, &mut out);
        } else if let Some((numbered, first)) = entry(line) {
            let tag = if numbered { "ol" } else { "ul" };
            let _ = write!(out, "<{tag}>");
            let mut words = first.to_owned();
            loop {
                // An entry goes on as long as its lines are set in.
                while let Some(more) = lines.next_if(|line| line.starts_with("  ")) {
                    words.push(' ');
                    words.push_str(more.trim());
                }
                out.push_str("<li>");
                inline(&words, &mut out);
                out.push_str("</li>");
                match lines.next_if(|line| entry(line).is_some()).and_then(entry) {
                    Some((_, next)) => next.clone_into(&mut words),
                    None => break,
                }
            }
            let _ = write!(out, "</{tag}>");
        } else {
            let mut words = line.trim().to_owned();
            let ends = |line: &&str| {
                line.trim().is_empty()
                    || line.starts_with(['#', '|', '`'])
                    || line.starts_with("```")
                    || entry(line).is_some()
            };
            while let Some(more) =
                lines.next_if(|line| !ends(line) || line.starts_with('`') && !line.starts_with("```"))
            {
                words.push(' ');
                words.push_str(more.trim());
            }
            out.push_str("<p>");
            inline(&words, &mut out);
            out.push_str("</p>");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_becomes_a_page() {
        let text = "# Title\n\nOne *two*\n`three` [four](#a-b) & <five>\n\n## A `b`!\n\n| a | b |\n|---|---|\n| `x \\| y` | \\| |\n\n\
            - one\n  more\n- [two](words.md#words), [none](../README.md)\n\n```toml\n# <x>\n```\n<!-- no -->\n1. **b**\n";
        let wanted = "<p>One <em>two</em> <code>three</code> <a href=\"#a-b\">four</a> &amp; &lt;five&gt;</p>\
            <h2 id=\"a-b\">A <code>b</code>!</h2>\
            <div class=\"wide\" tabindex=\"0\"><table class=\"table\"><thead><tr><th scope=\"col\">a</th><th scope=\"col\">b</th></tr></thead>\
            <tbody><tr><td><code>x | y</code></td><td>|</td></tr></tbody></table></div>\
            <ul><li>one more</li><li><a href=\"/console/help/words#words\">two</a>, none</li></ul>\
            <pre class=\"code\" tabindex=\"0\"># &lt;x&gt;\n</pre><ol><li><b>b</b></li></ol>";
        assert_eq!(html(text), wanted);
        assert!(!html("<script>alert(1)</script> [x](javascript:alert(1)) `<b>`").contains("<script"));
        assert!(!html("[x](javascript:alert(1))").contains("href"));
    }

    fn anchors(text: &str) -> Vec<String> {
        let fenced = |(inside, kept): (bool, Vec<String>), line: &str| {
            if line.starts_with("```") {
                return (!inside, kept);
            }
            let mut kept = kept;
            if !inside && line.starts_with("##") {
                kept.push(anchor(line.trim_start_matches('#').trim()));
            }
            (inside, kept)
        };
        text.lines().fold((false, Vec::new()), fenced).1
    }

    fn leads_somewhere(page: &str, at: &str) -> bool {
        let found = PAGES.iter().find(|(name, _)| *name == page);
        found.is_some_and(|(_, text)| at.is_empty() || anchors(text).iter().any(|found| found == at))
    }

    fn templates(folder: &std::path::Path, found: &mut Vec<(std::path::PathBuf, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                templates(&path, found);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }

    #[test]
    fn every_link_to_help_leads_somewhere() {
        let mut all = Vec::new();
        templates(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/templates")), &mut all);
        let mut links = 0;
        for (path, text) in all {
            for call in text.split("help::link(").skip(1) {
                let given: Vec<&str> = call.split(')').next().unwrap().split('"').collect();
                assert!(leads_somewhere(given[1], given[3]), "{}: {given:?}", path.display());
                links += 1;
            }
        }
        assert!(links > 15, "{links}");
        for code in jackfield_core::Code::ALL {
            assert!(leads_somewhere("errors", code.as_str()), "{}", code.as_str());
        }
        assert!(!leads_somewhere("errors", "no_such") && !leads_somewhere("no_such", ""));
    }

    #[test]
    fn every_link_within_the_documents_leads_somewhere_and_nothing_is_left_over() {
        for (name, text) in PAGES {
            let page = html(text);
            for link in page.split("<a href=\"").skip(1) {
                let target = link.split('"').next().unwrap();
                let (page, at) = target.split_once('#').unwrap_or((target, ""));
                let page = if page.is_empty() { name } else { page.strip_prefix("/console/help/").unwrap() };
                assert!(leads_somewhere(page, at), "{name}: {target}");
            }
            // What the renderer does not know would stand there as it is written.
            for left in ["**", "](", "<p>#", "<p>|", "<p>>", "```"] {
                assert!(!page.replace("<code>**</code>", "").contains(left), "{name}: {left}");
            }
            for tag in ["p", "code", "em", "b", "li", "ul", "ol", "td", "h2", "h3"] {
                let opened =
                    page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
                assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{name}: {tag}");
            }
        }
    }
}
