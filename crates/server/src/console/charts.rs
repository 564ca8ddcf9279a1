//! The chart of a datasource: bars of what its rows come to, drawn on the server beside the numbers that they stand for.

use askama::Template;
use askama::filters::HtmlSafe;
use jackfield_core::datasource::Column;
use jackfield_engine::automate::charts::{Drawn, Figure, Group, Measure, Step};

use super::form::{Field, Fields, Form};
use super::parts;
use super::pictures::grouped;

/// Names of the form's fields; they stand in the address beside what the rows are narrowed by.
const BY: &str = "chart_by";
const STEP: &str = "chart_step";
const MEASURE: &str = "chart_measure";
const OF: &str = "chart_of";

const STEPS: [(&str, &str, Step); 3] = [
    ("value", "each value", Step::Value),
    ("day", "the day, in UTC", Step::Day),
    ("month", "the month, in UTC", Step::Month),
];
const MEASURES: [(&str, &str, Measure); 3] = [
    ("count", "How many rows", Measure::Count),
    ("sum", "The sum of a column", Measure::Sum),
    ("average", "The average of a column", Measure::Average),
];

/// What is asked for; nothing where nothing is.
pub(super) fn figure_of(query: &Fields) -> Option<Figure> {
    let by = query.given(BY)?;
    let step =
        STEPS.iter().find(|(word, ..)| *word == query.get(STEP)).map_or(Step::Value, |(.., step)| *step);
    let measure = MEASURES
        .iter()
        .find(|(word, ..)| *word == query.get(MEASURE))
        .map_or(Measure::Count, |(.., one)| *one);
    Some(Figure { by, step, measure, of: query.get(OF).trim().to_owned() })
}

/// The names under which the engine says what is wrong, as they stand in the form.
pub(super) fn field_of(name: &str) -> Option<&'static str> {
    match name {
        "by" => Some(BY),
        "of" => Some(OF),
        _ => None,
    }
}

struct Bar {
    label: String,
    value: String,
    rows: String,
    /// where it begins and how long it is, of a thousand
    x: i64,
    width: i64,
    rest: bool,
}

/// What a chart shows, and the form that asks for one: `{{ chart }}` in a template.
#[derive(Template)]
#[template(path = "console/parts/rows_chart.html")]
pub(super) struct RowsChart<'a> {
    form: &'a Form,
    columns: &'a [Column],
    path: &'a str,
    figure: Option<Figure>,
    bars: Vec<Bar>,
    /// what the numbers are
    title: String,
    notes: Vec<String>,
}

impl HtmlSafe for RowsChart<'_> {}

impl<'a> RowsChart<'a> {
    pub fn of(form: &'a Form, columns: &'a [Column], path: &'a str, drawn: Option<(Figure, Drawn)>) -> Self {
        let Some((figure, drawn)) = drawn else {
            return Self {
                form,
                columns,
                path,
                figure: None,
                bars: Vec::new(),
                title: String::new(),
                notes: Vec::new(),
            };
        };
        Self {
            bars: bars(&drawn, &figure),
            title: title(&figure),
            notes: notes(&drawn, &figure),
            figure: Some(figure),
            form,
            columns,
            path,
        }
    }

    fn kept(&self) -> Vec<(&'static str, &str)> {
        let all = ["q", "filter", "sort"].map(|name| (name, self.form.value(name)));
        all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }

    fn by(&self) -> Field<'_> {
        self.form.select(BY, "By", &self.choices("Choose a column…"))
    }

    fn choices(&self, none: &'static str) -> Vec<(&str, &str)> {
        let columns = self.columns.iter().map(|column| (column.name.as_str(), column.name.as_str()));
        std::iter::once(("", none)).chain(columns).collect()
    }

    fn step(&self) -> Field<'_> {
        self.form.select(STEP, "A bar for", &STEPS.map(|(word, words, _)| (word, words)))
    }

    fn measure(&self) -> Field<'_> {
        self.form.select(MEASURE, "Show", &MEASURES.map(|(word, words, _)| (word, words)))
    }

    fn column(&self) -> Field<'_> {
        self.form.select(OF, "Of the column", &self.choices("None: rows are counted"))
    }

    fn counts(&self) -> bool {
        self.figure.as_ref().is_some_and(|figure| figure.measure == Measure::Count)
    }
}

fn title(figure: &Figure) -> String {
    let what = match figure.measure {
        Measure::Count => "Rows".to_owned(),
        Measure::Sum => format!("Sum of {}", figure.of),
        Measure::Average => format!("Average of {}", figure.of),
    };
    let by = match figure.step {
        Step::Value => figure.by.clone(),
        Step::Day => format!("day of {}", figure.by),
        Step::Month => format!("month of {}", figure.by),
    };
    format!("{what} by {by}")
}

/// A number as people read it: two places, where it has any.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let (whole, places) = text.split_once('.').unwrap_or((&text, ""));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    // Beyond what a whole number holds it is shown as it is.
    let whole = digits.parse().map_or_else(|_| digits.to_owned(), grouped);
    let places = places.trim_end_matches('0');
    let dot = if places.is_empty() { "" } else { "." };
    let sign = if whole == "0" && places.is_empty() { "" } else { sign };
    format!("{sign}{whole}{dot}{places}")
}

/// Thousandths of a share, as a whole number.
fn thousandths(share: f64) -> i64 {
    format!("{:.0}", share * 1000.0).parse().unwrap_or(0)
}

fn bars(drawn: &Drawn, figure: &Figure) -> Vec<Bar> {
    let values = drawn.groups.iter().chain(drawn.rest.iter().map(|(rest, _)| rest)).map(|group| group.value);
    let (low, high) = values.fold((0.0_f64, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    let span = if high > low { high - low } else { 1.0 };
    let bar = |group: &Group, label: String, rest: bool| {
        let begin = (group.value.min(0.0) - low) / span;
        Bar {
            label,
            value: number(group.value),
            rows: grouped(group.rows.into()),
            x: thousandths(begin),
            // Something must be seen of what is not nothing.
            width: if group.value == 0.0 { 0 } else { thousandths(group.value.abs() / span).max(3) },
            rest,
        }
    };
    let mut bars = Vec::new();
    let rest = drawn.rest.as_ref().map(|(rest, many)| {
        let words = if figure.step == Step::Value {
            parts::count(*many, "other value", "other values")
        } else {
            format!("{} before", parts::count(*many, "one", "ones"))
        };
        bar(rest, words, true)
    });
    let is_time = figure.step != Step::Value;
    let groups = drawn.groups.iter().map(|group| {
        let label = if group.label.is_empty() { "nothing".to_owned() } else { group.label.clone() };
        bar(group, label, false)
    });
    if is_time {
        bars.extend(rest);
        bars.extend(groups);
    } else {
        bars.extend(groups);
        bars.extend(rest);
    }
    bars
}

fn notes(drawn: &Drawn, figure: &Figure) -> Vec<String> {
    let mut notes = Vec::new();
    if drawn.looked < drawn.total {
        notes.push(format!(
            "Of {} rows the first {} were looked at. Narrow the rows by words or a filter to have all of them counted.",
            grouped(drawn.total),
            grouped(drawn.looked)
        ));
    }
    if drawn.without > 0 {
        let what = match (figure.measure, figure.step) {
            (Measure::Count, _) => "no day",
            (_, Step::Value) => "no number",
            _ => "no day or no number",
        };
        let many = usize::try_from(drawn.without).unwrap_or(usize::MAX);
        let one = format!("row has {what} there and is left out.");
        let more = format!("rows have {what} there and are left out.");
        notes.push(parts::count(many, &one, &more));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(label: &str, value: f64) -> Group {
        Group { label: label.to_owned(), value, rows: 2 }
    }

    #[test]
    fn numbers_are_written_as_people_read_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.001, "0"),
            (12.5, "12.5"),
            (-1234.0, "-1,234"),
            (1_000_000.126, "1,000,000.13"),
            (-0.5, "-0.5"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn bars_stand_on_one_scale() {
        let figure =
            Figure { by: "k".to_owned(), measure: Measure::Sum, of: "n".to_owned(), ..Figure::default() };
        let drawn = Drawn {
            groups: vec![group("<b>", 60.0), group("", 0.01), group("c", -40.0), group("d", 0.0)],
            rest: Some((group("", 20.0), 3)),
            looked: 10_000,
            total: 23_456,
            without: 2,
        };
        let drawn_bars: Vec<(String, i64, i64)> =
            bars(&drawn, &figure).into_iter().map(|bar| (bar.label, bar.x, bar.width)).collect();
        let bar = |label: &str, x, width| (label.to_owned(), x, width);
        assert_eq!(
            drawn_bars,
            [
                bar("<b>", 400, 600),
                bar("nothing", 400, 3),
                bar("c", 0, 400),
                bar("d", 400, 0),
                bar("3 other values", 400, 200)
            ]
        );
        let form = Form::default();
        let html = RowsChart::of(&form, &[], "/x", Some((figure, drawn))).render().unwrap();
        assert!(
            html.contains("Of 23,456 rows the first 10,000 were looked at")
                && html.contains("2 rows have no number"),
            "{html}"
        );
        assert!(html.contains("Sum of n by k") && !html.contains("<b>"), "{html}");
    }

    #[test]
    fn what_is_asked_is_read_from_the_address() {
        let query =
            Fields::parse(b"chart_by=Created&chart_step=month&chart_measure=average&chart_of=Total&q=x");
        let figure = figure_of(&query).unwrap();
        assert_eq!(
            (figure.by.as_str(), figure.step, figure.measure),
            ("Created", Step::Month, Measure::Average)
        );
        assert_eq!(title(&figure), "Average of Total by month of Created");
        assert!(figure_of(&Fields::parse(b"chart_by=+&chart_of=x")).is_none());
        assert_eq!(figure_of(&Fields::parse(b"chart_by=a&chart_step=eon")).unwrap().step, Step::Value);
    }
}
