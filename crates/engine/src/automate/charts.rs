//! What the rows of a datasource come to, for a chart: counted, added up or averaged, by what stands in a column (product U6).
//!
//! It is computed here, over so many rows as [`ROWS`] at most: the cells of the store sort as what they stand for, and cannot be added up.

use std::collections::HashMap;

use jackfield_core::{Error, Result, Timestamp};
use serde_json::Value;

use crate::automate::datasources::{RowsQuery, at, shown};
use crate::{Engine, Op};

/// Rows that are looked at, and how many at once.
pub const ROWS: i64 = 10_000;
const AT_ONCE: i64 = 1_000;
/// Groups that are drawn of values, of days and months; the others are one group more.
const OF_VALUES: usize = 12;
const OF_TIMES: usize = 31;
/// Longest label of a group, in characters.
const LABEL: usize = 60;

/// What is made of the rows of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Measure {
    /// how many there are
    #[default]
    Count,
    /// the sum of a column
    Sum,
    /// the average of a column, over the rows that have a number there
    Average,
}

/// By what rows are put into groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Step {
    /// by what stands there
    #[default]
    Value,
    /// by the day of a date or moment, in UTC
    Day,
    /// by its month
    Month,
}

impl Step {
    const fn is_time(self) -> bool {
        matches!(self, Self::Day | Self::Month)
    }
}

/// What a chart shows.
#[derive(Clone, Debug, Default)]
pub struct Figure {
    /// the column whose values make the groups
    pub by: String,
    pub step: Step,
    pub measure: Measure,
    /// the column that is added up
    pub of: String,
}

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// empty: nothing stands there
    pub label: String,
    pub value: f64,
    pub rows: u32,
}

/// A chart in numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drawn {
    /// the largest first; of days and months in their order
    pub groups: Vec<Group>,
    /// the groups that are not among them, together, and how many they are
    pub rest: Option<(Group, usize)>,
    /// rows that were looked at, of how many
    pub looked: i64,
    pub total: i64,
    /// rows in which no number stands where one is added up, or no day where one is looked for
    pub without: u32,
}

#[derive(Default)]
struct Sum {
    value: f64,
    rows: u32,
}

impl Sum {
    fn of(&self, measure: Measure) -> f64 {
        match measure {
            Measure::Count => f64::from(self.rows),
            Measure::Sum => self.value,
            Measure::Average if self.rows > 0 => self.value / f64::from(self.rows),
            Measure::Average => 0.0,
        }
    }
}

/// Rows put into groups, one after the other.
struct Sums<'a> {
    figure: &'a Figure,
    groups: HashMap<String, Sum>,
    without: u32,
}

impl<'a> Sums<'a> {
    fn new(figure: &'a Figure) -> Self {
        Self { figure, groups: HashMap::new(), without: 0 }
    }

    fn take(&mut self, data: &Value) {
        let none = serde_json::Map::new();
        let data = data.as_object().unwrap_or(&none);
        let value = match self.figure.measure {
            Measure::Count => Some(0.0),
            Measure::Sum | Measure::Average => number(at(data, &self.figure.of)),
        };
        let (Some(label), Some(value)) = (group_of(at(data, &self.figure.by), self.figure.step), value)
        else {
            self.without = self.without.saturating_add(1);
            return;
        };
        let sum = self.groups.entry(label).or_default();
        sum.value += value;
        sum.rows = sum.rows.saturating_add(1);
    }

    fn drawn(self, looked: i64, total: i64) -> Drawn {
        let (measure, step) = (self.figure.measure, self.figure.step);
        let mut all: Vec<(String, Sum)> = self.groups.into_iter().collect();
        // Equal ones by their names, so that a chart looks the same each time.
        all.sort_by(|(left, a), (right, b)| {
            let larger = b.of(measure).total_cmp(&a.of(measure));
            if step.is_time() { right.cmp(left) } else { larger.then_with(|| left.cmp(right)) }
        });
        let others = all.split_off(all.len().min(if step.is_time() { OF_TIMES } else { OF_VALUES }));
        let many = others.len();
        let mut rest = Sum::default();
        for (_, sum) in others {
            rest.value += sum.value;
            rest.rows = rest.rows.saturating_add(sum.rows);
        }
        let group = |label: String, sum: &Sum| Group { label, value: sum.of(measure), rows: sum.rows };
        let mut groups: Vec<Group> = all.into_iter().map(|(label, sum)| group(label, &sum)).collect();
        if step.is_time() {
            groups.reverse();
        }
        let rest = (many > 0).then(|| (group(String::new(), &rest), many));
        Drawn { groups, rest, looked, total, without: self.without }
    }
}

/// A number, also where it is written as a text.
fn number(value: Option<&Value>) -> Option<f64> {
    let number = match value? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

/// The group of a value; `None`: it is no day, where days are looked for.
fn group_of(value: Option<&Value>, step: Step) -> Option<String> {
    let text = shown(value);
    let length = match step {
        Step::Value => {
            let mut label: String = text.trim().chars().take(LABEL).collect();
            if text.trim().chars().count() > LABEL {
                label.push('…');
            }
            return Some(label);
        }
        Step::Day => 10,
        Step::Month => 7,
    };
    let is_day = |text: &str| {
        text.len() == 10
            && text
                .bytes()
                .enumerate()
                .all(|(at, b)| if matches!(at, 4 | 7) { b == b'-' } else { b.is_ascii_digit() })
    };
    let day = if is_day(&text) {
        text
    } else {
        serde_json::from_value::<Timestamp>(Value::String(text)).ok()?.to_string()
    };
    day.get(..length).map(str::to_owned)
}

impl Engine {
    /// What the rows that a query means come to. Its page counts for nothing.
    pub async fn draw_rows(
        &self,
        op: &Op,
        application: &str,
        name: &str,
        query: &RowsQuery,
        figure: &Figure,
    ) -> Result<Drawn> {
        let unknown = |field: &str| Error::field(field, "unknown", "There is no such column.");
        let Some((meant, columns)) = self.meant(op, application, name, query).await? else {
            return Ok(Drawn::default());
        };
        if columns.get(&figure.by).is_none() {
            return Err(unknown("by"));
        }
        if figure.measure != Measure::Count && columns.get(&figure.of).is_none() {
            return Err(unknown("of"));
        }
        let mut sums = Sums::new(figure);
        let mut looked = 0;
        while looked < ROWS {
            let rows = self.meant_rows(op, application, &meant, AT_ONCE, looked).await?;
            let many = i64::try_from(rows.len()).unwrap_or(AT_ONCE);
            for row in &rows {
                sums.take(&row.data);
            }
            looked += many;
            if many < AT_ONCE {
                return Ok(sums.drawn(looked, looked));
            }
        }
        let total = self.count_meant(op, application, &meant).await?;
        Ok(sums.drawn(looked, total))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn drawn(figure: &Figure, rows: &[Value]) -> Drawn {
        let mut sums = Sums::new(figure);
        for row in rows {
            sums.take(row);
        }
        sums.drawn(0, 0)
    }

    fn said(drawn: &Drawn) -> Vec<(String, f64)> {
        drawn.groups.iter().map(|group| (group.label.clone(), group.value)).collect()
    }

    #[test]
    fn rows_are_counted_added_up_and_averaged() {
        let rows = [
            json!({"kind": "a", "n": 1, "in": {"n": "2.5"}}),
            json!({"kind": "b", "n": 10}),
            json!({"kind": "a", "n": 4, "in": {"n": 0.5}}),
            json!({"n": "x"}),
            json!({"kind": null, "n": -3}),
        ];
        let figure = Figure { by: "kind".to_owned(), ..Figure::default() };
        let pair = |label: &str, value: f64| (label.to_owned(), value);
        assert_eq!(said(&drawn(&figure, &rows)), [pair("", 2.0), pair("a", 2.0), pair("b", 1.0)]);
        let sum = Figure { measure: Measure::Sum, of: "n".to_owned(), ..figure.clone() };
        let found = drawn(&sum, &rows);
        assert_eq!((said(&found), found.without), (vec![pair("b", 10.0), pair("a", 5.0), pair("", -3.0)], 1));
        let average = Figure { measure: Measure::Average, of: "in.n".to_owned(), ..figure };
        let found = drawn(&average, &rows);
        assert_eq!((said(&found), found.without), (vec![pair("a", 1.5)], 3));
    }

    #[test]
    fn the_rest_is_one_group_and_no_row_is_lost() {
        let rows: Vec<Value> = (0..200).map(|n: u32| json!({"k": n % 20, "n": 1})).collect();
        let figure =
            Figure { by: "k".to_owned(), measure: Measure::Sum, of: "n".to_owned(), ..Figure::default() };
        let found = drawn(&figure, &rows);
        let (rest, many) = found.rest.clone().unwrap();
        assert_eq!((found.groups.len(), many, rest.rows), (OF_VALUES, 8, 80));
        let sum: f64 = found.groups.iter().map(|group| group.value).sum();
        assert!((sum + rest.value - 200.0).abs() < 1e-9);
        assert_eq!(drawn(&figure, &rows[..12]).rest, None);
    }

    #[test]
    fn days_and_months_stand_in_their_order() {
        let rows = [
            json!({"at": "2026-03-02"}),
            json!({"at": "2026-02-28T23:30:00-01:00"}),
            json!({"at": "2026-03-01T00:00:00Z"}),
            json!({"at": "soon"}),
            json!({"at": 7}),
        ];
        let figure = |step| Figure { by: "at".to_owned(), step, ..Figure::default() };
        let days = drawn(&figure(Step::Day), &rows);
        let labels: Vec<&str> = days.groups.iter().map(|group| group.label.as_str()).collect();
        assert_eq!((labels, days.without), (vec!["2026-03-01", "2026-03-02"], 2));
        assert_eq!(said(&drawn(&figure(Step::Month), &rows)), [("2026-03".to_owned(), 3.0)]);
        let many: Vec<Value> = (1..=28)
            .flat_map(|day| [1, 2].map(|month| json!({"at": format!("2026-{month:02}-{day:02}")})))
            .collect();
        let found = drawn(&figure(Step::Day), &many);
        assert_eq!((found.groups.len(), found.groups[OF_TIMES - 1].label.as_str()), (OF_TIMES, "2026-02-28"));
        assert_eq!(found.rest.unwrap().1, 25);
        let long = json!({"at": "x".repeat(100)});
        assert_eq!(drawn(&figure(Step::Value), &[long]).groups[0].label.chars().count(), LABEL + 1);
    }
}
