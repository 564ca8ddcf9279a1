//! Pictures made of numbers, on the server: calls of a day, refreshes of a month, who uses what. Each says in words what it shows.

use askama::Template;
use askama::filters::HtmlSafe;
use jackfield_core::{ConnectionStatus, Environment, Level, Result, Timestamp};
use jackfield_engine::govern::overview::{CallRates, HALF_HOURS, UsageMap};
use jackfield_engine::{Engine, Op};

use super::parts::environment_word;

/// Width and foot of the bars, and what hangs below, in the units of the picture.
const STEP: i64 = 20;
const FOOT: i64 = 150;
const TALL: i64 = 125;
const DEEP: i64 = 34;
/// Applications and services that a map draws at most.
const NODES: usize = 14;
/// Refreshes that are drawn at most: the last.
const TICKS: usize = 120;

/// `35,557`.
pub(crate) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if number < 0 { format!("-{out}") } else { out }
}

/// `14:05`, in UTC: the server does not know where its reader is.
fn clock(at: Timestamp) -> String {
    at.to_string().get(11..16).unwrap_or("").to_owned()
}

/// Tenths as a coordinate.
fn tenths(number: i64) -> String {
    format!("{}.{}", number / 10, (number % 10).abs())
}

/// A number with its unit and what it is.
struct Number {
    value: String,
    unit: &'static str,
    label: String,
}

struct Bar {
    class: &'static str,
    x: i64,
    y: String,
    height: String,
}

/// The calls of the last day: `{{ chart }}` in a template.
#[derive(Template)]
#[template(path = "console/parts/calls.html")]
pub(crate) struct CallsChart {
    numbers: Vec<Number>,
    bars: Vec<Bar>,
    lines: Vec<String>,
    label: String,
    axis: Vec<String>,
    scale: String,
    failures: String,
    environment: &'static str,
}

impl HtmlSafe for CallsChart {}

/// The largest of 1, 2, 5, 10, 20… that is no more than `most`.
fn round(most: i64) -> i64 {
    let mut step = 1;
    for next in [2, 5, 10].into_iter().cycle().zip(0..54) {
        let (factor, turn) = next;
        let power = 10_i64.checked_pow(turn / 3).unwrap_or(i64::MAX);
        let candidate = power.saturating_mul(factor);
        if candidate > most {
            break;
        }
        step = candidate;
    }
    step
}

/// A share in hundredths of a percent, as `0.42`.
fn percent(part: i64, whole: i64) -> String {
    let hundredths = part.saturating_mul(10_000).checked_div(whole).unwrap_or(0);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

fn duration(micros: i64) -> (String, &'static str) {
    match micros {
        ..10_000 => (tenths(micros / 100), "ms"),
        10_000..10_000_000 => (grouped(micros / 1000), "ms"),
        _ => (grouped(micros / 1_000_000), "s"),
    }
}

impl CallsChart {
    pub fn of(rates: &CallRates, environment: Environment) -> Self {
        let (calls, failed) = (rates.calls(), rates.failed());
        let most = rates.half_hours.iter().map(|half_hour| half_hour.calls).max().unwrap_or(0);
        let worst = rates.half_hours.iter().map(|half_hour| half_hour.failed).max().unwrap_or(0);
        let begin = |place: usize| {
            let place = i64::try_from(place).unwrap_or(0);
            clock(Timestamp::from_micros(rates.from.micros() + place * 1_800_000_000))
        };
        let mut bars = Vec::new();
        for (half_hour, x) in rates.half_hours.iter().zip((2..).step_by(20)) {
            if half_hour.calls > 0 {
                // One call must be seen beside a thousand.
                let height = (half_hour.calls * TALL * 10 / most.max(1)).max(10);
                let (y, height) = (tenths(FOOT * 10 - height), tenths(height));
                bars.push(Bar { class: "bar", x, y, height });
            }
            if half_hour.failed > 0 {
                let height = (half_hour.failed * DEEP * 10 / worst.max(1)).max(20);
                bars.push(Bar { class: "bar-failed", x, y: tenths(FOOT * 10 + 20), height: tenths(height) });
            }
        }
        let step = round(most / 2);
        let marks: Vec<i64> = [step, step * 2].into_iter().filter(|mark| *mark <= most).collect();
        let lines = marks.iter().map(|mark| tenths((FOOT * most - mark * TALL) * 10 / most.max(1))).collect();
        let words: Vec<String> = marks.iter().map(|mark| grouped(*mark)).collect();
        let scale = match words.as_slice() {
            [one] => format!("Calls per half hour, a line at {one}. Times are UTC."),
            [one, two] => format!("Calls per half hour, lines at {one} and {two}. Times are UTC."),
            _ => "Calls per half hour. Times are UTC.".to_owned(),
        };
        let place_of = |wanted: i64, value: fn(&jackfield_engine::govern::overview::HalfHour) -> i64| {
            rates.half_hours.iter().position(|half_hour| value(half_hour) == wanted).unwrap_or(0)
        };
        let peak = begin(place_of(most, |half_hour| half_hour.calls));
        let trouble = begin(place_of(worst, |half_hour| half_hour.failed));
        let (total, bad) = (grouped(calls), grouped(failed));
        let label = if calls == 0 {
            "No call in the last 24 hours.".to_owned()
        } else {
            let failures = if failed == 0 {
                "None failed.".to_owned()
            } else {
                format!("{bad} failed, most of them after {trouble}: {}.", grouped(worst))
            };
            format!(
                "Calls per half hour of the last 24 hours: {total} in all, most after {peak}: {}. {failures}",
                grouped(most)
            )
        };
        let failures = if failed == 0 {
            String::new()
        } else {
            format!("hang below, drawn larger: at most {} in a half hour, after {trouble}.", grouped(worst))
        };
        let mut numbers = vec![Number { value: total, unit: "", label: "calls".to_owned() }];
        if calls > 0 {
            numbers.push(Number {
                value: percent(failed, calls),
                unit: "%",
                label: format!("failed, {bad} {}", if failed == 1 { "call" } else { "calls" }),
            });
        }
        match (rates.split, rates.median) {
            (Some((service, ours)), _) => {
                for (micros, label) in
                    [(service, "median, at the service"), (ours, "median, Jackfield's own")]
                {
                    let (value, unit) = duration(micros);
                    numbers.push(Number { value, unit, label: label.to_owned() });
                }
            }
            (None, Some(median)) => {
                let (value, unit) = duration(median);
                numbers.push(Number { value, unit, label: "median, service and Jackfield".to_owned() });
            }
            (None, None) => {}
        }
        let axis = (0..=4).map(|quarter| begin(quarter * HALF_HOURS / 4)).collect();
        let environment = environment_word(&environment);
        Self { numbers, bars, lines, label, axis, scale, failures, environment }
    }

    fn is_empty(&self) -> bool {
        self.bars.is_empty()
    }

    fn width() -> i64 {
        STEP * i64::try_from(HALF_HOURS).unwrap_or(0)
    }
}

/// The calls of one connection in the last day, to be shown as `{{ chart }}`.
#[allow(dead_code, reason = "for the details page of a connection")]
pub(crate) async fn calls_chart(
    engine: &Engine,
    op: &Op,
    connection: &str,
    environment: Environment,
) -> Result<CallsChart> {
    Ok(CallsChart::of(&engine.call_rates(op, Some(connection), environment).await?, environment))
}

/// Refreshes of the last month, a tick each: `{{ ticks }}` in a template. Nothing where there was none.
#[derive(Template)]
#[template(path = "console/parts/ticks.html")]
pub(crate) struct RefreshTicks {
    /// x, y, height, class
    ticks: Vec<(usize, i64, i64, &'static str)>,
    width: usize,
    label: String,
}

impl HtmlSafe for RefreshTicks {}

impl RefreshTicks {
    pub fn is_empty(&self) -> bool {
        self.ticks.is_empty()
    }

    pub fn of(history: &[(Timestamp, bool)]) -> Self {
        let shown = history.get(history.len().saturating_sub(TICKS)..).unwrap_or_default();
        let failed = shown.iter().filter(|(_, succeeded)| !succeeded).count();
        // A failure is taller, so that it is seen without its colour.
        let tick = |(n, (_, succeeded)): (usize, &(Timestamp, bool))| {
            if *succeeded { (n * 8, 12, 20, "bar") } else { (n * 8, 0, 32, "bar-failed") }
        };
        let refreshes = if shown.len() == 1 { "refresh" } else { "refreshes" };
        let label = match failed {
            0 => format!("The last {} {refreshes}: all succeeded.", shown.len()),
            _ => format!("The last {} {refreshes}: {failed} failed, drawn taller.", shown.len()),
        };
        Self { ticks: shown.iter().enumerate().map(tick).collect(), width: TICKS * 8, label }
    }
}

/// How refreshes of a connection went, to be shown as `{{ ticks }}`.
#[allow(dead_code, reason = "for the details page of a connection")]
pub(crate) async fn refresh_ticks(engine: &Engine, op: &Op, connection: &str) -> Result<RefreshTicks> {
    Ok(RefreshTicks::of(&engine.refresh_history(op, connection).await?))
}

struct Cord {
    class: &'static str,
    path: String,
}

struct Node {
    class: &'static str,
    x: i64,
    y: i64,
}

struct Word {
    x: i64,
    y: i64,
    text: String,
}

/// One line of the list that stands for the map where there is no room for it.
struct Used {
    application: String,
    /// link name, name, class of the status, its word
    connections: Vec<(String, String, &'static str, &'static str)>,
}

/// Applications on the left, connections between, services on the right.
#[derive(Template)]
#[template(path = "console/parts/map.html")]
pub(crate) struct Map {
    height: i64,
    cords: Vec<Cord>,
    nodes: Vec<Node>,
    words: Vec<Word>,
    list: Vec<Used>,
    label: String,
    environment: String,
    broken: bool,
    never: bool,
    total: i64,
}

impl HtmlSafe for Map {}

/// As much of a name as there is room for.
fn short(name: &str, most: usize) -> String {
    if name.chars().count() <= most {
        return name.to_owned();
    }
    let mut short: String = name.chars().take(most.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Where things stand that share a height.
fn spread(count: usize, height: i64) -> Vec<i64> {
    let count = i64::try_from(count).unwrap_or(0);
    (0..count).map(|n| height * (2 * n + 1) / (2 * count.max(1))).collect()
}

impl Map {
    pub fn of(map: &UsageMap, environment: Environment) -> Self {
        // What is the same cord: an application or a service counts once, those beyond the room together.
        let mut applications: Vec<(&str, &str)> = Vec::new();
        let mut services: Vec<&str> = Vec::new();
        for connection in &map.connections {
            for (link_name, name) in &connection.applications {
                if applications.iter().all(|(known, _)| known != link_name) {
                    applications.push((link_name, name));
                }
            }
            if !services.contains(&connection.service.as_str()) {
                services.push(&connection.service);
            }
        }
        let beyond = applications.len().saturating_sub(NODES);
        let drawn = applications.len().min(NODES);
        let rows = map.connections.len().max(drawn).max(services.len()).max(1);
        let height = i64::try_from(rows).unwrap_or(1) * 40;
        let left = spread(drawn, height);
        let middle = spread(map.connections.len(), height);
        let right = spread(services.len(), height);
        let (mut cords, mut nodes, mut words) = (Vec::new(), Vec::new(), Vec::new());
        let curve = |x: i64, y: i64, to_x: i64, to_y: i64| {
            let between = i64::midpoint(x, to_x);
            format!("M{x} {y}C{between} {y} {between} {to_y} {to_x} {to_y}")
        };
        let (mut broken, mut never) = (false, false);
        for (connection, y) in map.connections.iter().zip(&middle) {
            let own = connection.level == Level::User && connection.status == ConnectionStatus::NotConnected;
            let (cord, node) = match connection.status {
                _ if !connection.enabled => ("never", "open"),
                ConnectionStatus::ReauthorizationRequired => ("broken", "half"),
                // Each person has his own: that the reader has none says nothing of the others.
                ConnectionStatus::NotConnected if !own => ("never", "open"),
                ConnectionStatus::NotConnected | ConnectionStatus::Connected => ("", ""),
            };
            broken |= cord == "broken";
            never |= cord == "never";
            for (link_name, _) in &connection.applications {
                let place = applications.iter().position(|(known, _)| known == link_name).unwrap_or(0);
                if let Some(from) = left.get(place.min(drawn.saturating_sub(1))) {
                    cords.push(Cord { class: cord, path: curve(128, *from, 356, *y) });
                }
            }
            if let Some(to) =
                services.iter().position(|service| *service == connection.service).and_then(|n| right.get(n))
            {
                cords.push(Cord { class: cord, path: curve(546, *y, 772, *to) });
            }
            nodes.extend([356, 546].map(|x| Node { class: node, x, y: *y }));
            words.push(Word { x: 370, y: y + 4, text: short(&connection.name, 22) });
        }
        for (n, y) in left.iter().enumerate() {
            nodes.push(Node { class: "", x: 128, y: *y });
            let text = match applications.get(n) {
                _ if beyond > 0 && n + 1 == drawn => format!("{} more", beyond + 1),
                Some((_, name)) => short(name, 15),
                None => continue,
            };
            words.push(Word { x: 0, y: y + 4, text });
        }
        for (service, y) in services.iter().zip(&right) {
            nodes.push(Node { class: "", x: 772, y: *y });
            words.push(Word { x: 786, y: y + 4, text: short(service, 16) });
        }
        let uses = |link_name: &str| {
            let of = map.connections.iter().filter(|connection| {
                connection.applications.iter().any(|(application, _)| application == link_name)
            });
            of.map(entry).collect()
        };
        let mut list: Vec<Used> = applications
            .iter()
            .map(|(link_name, name)| Used { application: (*name).to_owned(), connections: uses(link_name) })
            .collect();
        let alone: Vec<_> =
            map.connections.iter().filter(|one| one.applications.is_empty()).map(entry).collect();
        if !alone.is_empty() {
            list.push(Used { application: "Used by no application".to_owned(), connections: alone });
        }
        let count = |number: usize, one: &str, many: &str| {
            format!("{number} {}", if number == 1 { one } else { many })
        };
        let label = format!(
            "Map of {}, {} and {}.",
            count(applications.len(), "application", "applications"),
            count(map.connections.len(), "connection", "connections"),
            count(services.len(), "service", "services")
        );
        Self {
            height,
            cords,
            nodes,
            words,
            list,
            label,
            environment: environment_word(&environment).to_lowercase(),
            broken,
            never,
            total: map.total,
        }
    }
}

fn entry(
    connection: &jackfield_engine::govern::overview::MapConnection,
) -> (String, String, &'static str, &'static str) {
    let (class, word) = match connection.status {
        _ if !connection.enabled => ("disabled", "disabled"),
        ConnectionStatus::ReauthorizationRequired => ("attention", "needs attention"),
        ConnectionStatus::NotConnected if connection.level != Level::User => ("unconnected", "not connected"),
        ConnectionStatus::NotConnected | ConnectionStatus::Connected => ("", ""),
    };
    (connection.link_name.clone(), connection.name.clone(), class, word)
}

#[cfg(test)]
mod tests {
    use jackfield_engine::govern::overview::{HalfHour, MapConnection};

    use super::*;

    #[test]
    fn what_is_not_there_has_no_place() {
        assert!(spread(0, 40).is_empty());
        assert_eq!(spread(2, 80), [20, 60]);
    }

    fn day(calls: &[(usize, i64, i64)]) -> CallRates {
        let mut half_hours = vec![HalfHour::default(); HALF_HOURS];
        for (place, calls, failed) in calls {
            half_hours[*place] = HalfHour { calls: *calls, failed: *failed };
        }
        CallRates { from: Timestamp::from_micros(0), half_hours, median: Some(208_000), split: None }
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [0, 7, 999, 1000, 35_557, 1_234_567].map(grouped).join(" "),
            "0 7 999 1,000 35,557 1,234,567"
        );
        assert_eq!(grouped(-1234), "-1,234");
        assert_eq!([0, 1, 3, 4, 7, 780, 1000].map(round), [1, 1, 2, 2, 5, 500, 1000]);
        assert_eq!(
            (percent(151, 35_557), percent(0, 9), percent(9, 9)),
            ("0.42".into(), "0.00".into(), "100.00".into())
        );
        assert_eq!(
            (duration(6_420).0, duration(208_000).0, duration(12_000_000)),
            ("6.4".into(), "208".into(), ("12".into(), "s"))
        );
    }

    #[test]
    fn a_day_of_calls_says_what_it_shows() {
        let html = CallsChart::of(&day(&[(0, 100, 0), (3, 1560, 5), (47, 1, 1)]), Environment::Production)
            .render()
            .unwrap();
        for part in [
            "1,661",
            "0.36",
            "failed, 6 calls",
            "208",
            "lines at 500 and 1,000",
            "most after 01:30: 1,560",
            "6 failed, most of them after 01:30: 5",
            r#"x="62" y="25.0" width="15" height="125.0""#,
            r#"x="942" y="149.0" width="15" height="1.0""#,
            r#"class="bar-failed" x="62" y="152.0" width="15" height="34.0""#,
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        assert!(!html.contains("style="));
        let nothing = CallsChart::of(&day(&[]), Environment::Stage).render().unwrap();
        assert!(nothing.contains("No call") && !nothing.contains("<svg"), "{nothing}");
    }

    #[test]
    fn refreshes_are_told_apart_without_colour() {
        let history: Vec<_> = (0..200).map(|n| (Timestamp::from_micros(n), n != 199)).collect();
        let html = RefreshTicks::of(&history).render().unwrap();
        assert_eq!(html.matches("<rect").count(), TICKS);
        assert!(
            html.contains("The last 120 refreshes: 1 failed, drawn taller.")
                && html.contains(r#"height="32""#)
        );
        assert!(!RefreshTicks::of(&[]).render().unwrap().contains("<svg"));
    }

    #[test]
    fn the_map_is_bounded_and_escapes_names() {
        let connection = |n: usize, status, applications: usize| MapConnection {
            link_name: format!("c{n}"),
            name: "<script>alert(1)</script> and a long name".to_owned(),
            level: Level::Admin,
            enabled: true,
            status,
            service: format!("\"><b>{n}"),
            applications: (0..applications).map(|a| (format!("a{a}"), format!("App {a}"))).collect(),
        };
        let connections = vec![
            connection(0, ConnectionStatus::Connected, 30),
            connection(1, ConnectionStatus::ReauthorizationRequired, 2),
            connection(2, ConnectionStatus::NotConnected, 0),
        ];
        let map = Map::of(&UsageMap { connections, total: 10_000 }, Environment::Production);
        assert_eq!(map.words.len(), NODES + 3 + 3);
        assert!(map.words.iter().any(|word| word.text == "17 more"));
        let html = map.render().unwrap();
        assert!(!html.contains("<script") && !html.contains("<b>0"), "{html}");
        for part in [
            "Map of 30 applications, 3 connections and 3 services.",
            "class=\"broken\"",
            "class=\"never\"",
            "All 10,000 connections",
            "Dashed: needs attention in production.",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        Map::of(&UsageMap { connections: Vec::new(), total: 0 }, Environment::Stage).render().unwrap();
    }
}
