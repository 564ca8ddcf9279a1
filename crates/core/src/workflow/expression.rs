//! Expressions: what a workflow computes from a record, in a language that cannot loop, cannot call out and cannot grow without bound.
//!
//! The language is that of minijinja's expressions: names, comparisons, `and`, `or`, `not`, `if … else …`, `~` to join texts, `+ - / %`, and
//! the filters of [`filters`]. What could make much out of little is not there: `*` would repeat a text, so numbers are multiplied
//! by `|times(…)`; the filters that lengthen a text have a limit. Time is bounded by fuel.

use std::sync::OnceLock;

use minijinja::value::{Rest, ValueKind};
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde_json::Value;

/// Longest expression, in bytes.
pub const EXPRESSION_MAX: usize = 2000;
/// Longest text that is made, in bytes.
pub const RESULT_MAX: usize = 1024 * 1024;
/// Instructions that one expression may take.
const FUEL: u64 = 20_000;

type Made = Result<minijinja::Value, minijinja::Error>;

/// An expression that can be read.
#[derive(Debug)]
pub struct Expression {
    source: String,
    compiled: minijinja::Expression<'static, 'static>,
}

/// Text with `{{ expression }}` in it.
#[derive(Debug)]
pub struct Text {
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Literal(String),
    Expression(Expression),
}

impl Expression {
    /// Reads an expression. The error is a sentence for who wrote it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > EXPRESSION_MAX {
            return Err(format!("An expression has at most {EXPRESSION_MAX} bytes."));
        }
        if multiplies(text) {
            return Err(
                "Numbers are multiplied by `|times(…)`, as in `record.price|times(record.quantity)`."
                    .to_owned(),
            );
        }
        let compiled = environment()
            .compile_expression_owned(text.to_owned())
            .map_err(|error| format!("It cannot be read: {}.", said(&error)))?;
        Ok(Self { source: text.to_owned(), compiled })
    }

    /// The tables that it makes of rows, where it names their columns as texts: `rows.vendors|table('DisplayName')`. Name of the datasource,
    /// and the columns.
    pub fn tables(&self) -> Vec<(String, Vec<String>)> {
        let of = |(name, rest): (&str, &str)| {
            let mut rest =
                rest.trim_start().strip_prefix('|')?.trim_start().strip_prefix("table")?.trim_start();
            let mut columns = Vec::new();
            rest = rest.strip_prefix('(')?;
            loop {
                rest = rest.trim_start();
                let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
                let (text, after) = rest.get(1..)?.split_once(quote)?;
                columns.push(table::column(text).0.to_owned());
                rest = after.trim_start();
                match rest.strip_prefix(',') {
                    Some(more) => rest = more,
                    None => break,
                }
            }
            rest.starts_with(')').then(|| (name.to_owned(), columns))
        };
        rows_named(&self.source).filter_map(of).collect()
    }

    /// The names that it uses and does not make itself, with what follows their dots: `record.vendor_name`.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.compiled.undeclared_variables(true).into_iter().collect();
        names.sort();
        names
    }

    /// What it gives. The error is a sentence that names what is missing and never repeats a value.
    pub fn eval(&self, context: &Value) -> Result<Value, String> {
        let made = self
            .compiled
            .eval(minijinja::Value::from(minijinja::value::Serde(context)))
            .map_err(|error| format!("It could not be computed: {}.", said(&error)))?;
        if made.is_undefined() {
            return Ok(Value::Null);
        }
        let value = serde_json::to_value(&made).map_err(|_| "What it gives is no plain value.".to_owned())?;
        match &value {
            Value::String(text) if text.len() > RESULT_MAX => {
                Err("The text that it gives is too long.".to_owned())
            }
            _ => Ok(value),
        }
    }

    /// Whether it holds: anything but `false`, zero, nothing and empty.
    pub fn holds(&self, context: &Value) -> Result<bool, String> {
        Ok(match self.eval(context)? {
            Value::Null => false,
            Value::Bool(flag) => flag,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Object(members) => !members.is_empty(),
        })
    }
}

impl Text {
    /// Reads a text. Braces are doubled only around expressions: a single one stands for itself.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            if !before.is_empty() {
                parts.push(Part::Literal(before.to_owned()));
            }
            let (inside, behind) = after.split_once("}}").ok_or("There is a {{ without its }}.")?;
            parts.push(Part::Expression(Expression::parse(inside.trim())?));
            rest = behind;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// The names that its expressions use.
    pub fn names(&self) -> Vec<String> {
        let of = |part: &Part| match part {
            Part::Literal(_) => Vec::new(),
            Part::Expression(expression) => expression.names(),
        };
        self.parts.iter().flat_map(of).collect()
    }

    /// The tables that its expressions make of rows.
    pub fn tables(&self) -> Vec<(String, Vec<String>)> {
        let of = |part: &Part| match part {
            Part::Literal(_) => Vec::new(),
            Part::Expression(expression) => expression.tables(),
        };
        self.parts.iter().flat_map(of).collect()
    }

    /// The text with what its expressions give; nothing gives nothing.
    pub fn render(&self, context: &Value) -> Result<String, String> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Expression(expression) => match expression.eval(context)? {
                    Value::Null => {}
                    Value::String(text) => out.push_str(&text),
                    other => out.push_str(&other.to_string()),
                },
            }
            if out.len() > RESULT_MAX {
                return Err("The text that it gives is too long.".to_owned());
            }
        }
        Ok(out)
    }
}

/// The datasources whose rows are named in a text, each with what stands after its name.
pub(crate) fn rows_named(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices("rows.").filter_map(|(at, word)| {
        let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let before = text.get(..at)?.chars().next_back();
        let rest = text.get(at + word.len()..)?;
        let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
        let whole = before.is_none_or(|c| !part(c) && c != '.') && end > 0;
        whole.then(|| rest.split_at_checked(end)).flatten()
    })
}

/// Whether there is a `*` outside of the texts in quotes.
fn multiplies(text: &str) -> bool {
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(c) = letters.next() {
        match quote {
            Some(_) if c == '\\' => {
                letters.next();
            }
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == '*' => return true,
            _ => {}
        }
    }
    false
}

/// The error in its own words, without its place in a file that nobody sees.
fn said(error: &minijinja::Error) -> String {
    match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => "it takes too long".to_owned(),
        (ErrorKind::UndefinedError, None) => "a name in it has no value".to_owned(),
        (_, Some(detail)) => detail.trim_end_matches('.').to_owned(),
        (kind, None) => kind.to_string(),
    }
}

fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let mut environment = Environment::empty();
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(50);
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        filters::add(&mut environment);
        environment
    })
}

/// What can be done to a value.
mod filters {
    use minijinja::{filters, tests};

    use super::{Environment, ErrorKind, Made, RESULT_MAX, Rest, ValueKind};

    pub(super) fn add(environment: &mut Environment<'static>) {
        environment.add_filter("lower", filters::lower);
        environment.add_filter("upper", filters::upper);
        environment.add_filter("title", filters::title);
        environment.add_filter("capitalize", filters::capitalize);
        environment.add_filter("trim", filters::trim);
        environment.add_filter("length", filters::length);
        environment.add_filter("first", filters::first);
        environment.add_filter("last", filters::last);
        environment.add_filter("default", filters::default);
        environment.add_filter("round", filters::round);
        environment.add_filter("abs", filters::abs);
        environment.add_filter("int", filters::int);
        environment.add_filter("float", filters::float);
        environment.add_filter("string", filters::string);
        environment.add_filter("bool", filters::bool);
        environment.add_filter("split", filters::split);
        environment.add_filter("sort", filters::sort);
        environment.add_filter("unique", filters::unique);
        environment.add_filter("reverse", filters::reverse);
        environment.add_filter("join", join);
        environment.add_filter("replace", replace);
        environment.add_filter("truncate", truncate);
        environment.add_filter("times", times);
        environment.add_filter("table", super::table::table);
        environment.add_test("defined", tests::is_defined);
        environment.add_test("undefined", tests::is_undefined);
        environment.add_test("none", tests::is_none);
        environment.add_test("startingwith", tests::is_startingwith);
        environment.add_test("endingwith", tests::is_endingwith);
        environment.add_test("in", tests::is_in);
    }

    pub(super) fn wrong(message: &'static str) -> minijinja::Error {
        minijinja::Error::new(ErrorKind::InvalidOperation, message)
    }

    fn join(list: &minijinja::Value, between: Option<&str>) -> Made {
        let between = between.unwrap_or_default();
        if list.kind() == ValueKind::String {
            return Err(wrong("join takes a list"));
        }
        let mut out = String::new();
        for (index, item) in list.try_iter()?.enumerate() {
            if index > 0 {
                out.push_str(between);
            }
            out.push_str(&item.to_string());
            if out.len() > RESULT_MAX {
                return Err(wrong("the joined text is too long"));
            }
        }
        Ok(out.into())
    }

    fn replace(text: &str, from: &str, to: &str) -> Made {
        if from.is_empty() {
            return Err(wrong("replace looks for a text that is not empty"));
        }
        let longer = text.matches(from).count().saturating_mul(to.len());
        if text.len().saturating_add(longer) > RESULT_MAX {
            return Err(wrong("the text with what was replaced is too long"));
        }
        Ok(text.replace(from, to).into())
    }

    fn truncate(text: &str, length: usize) -> String {
        text.chars().take(length).collect()
    }

    /// The product of numbers, or of texts that are numbers; whole where all are.
    #[allow(clippy::needless_pass_by_value, reason = "the library hands the rest over so")]
    fn times(value: &minijinja::Value, others: Rest<minijinja::Value>) -> Made {
        let mut product = number(value)?;
        for other in others.iter() {
            product = match (product, number(other)?) {
                (Number::Whole(a), Number::Whole(b)) => {
                    Number::Whole(a.checked_mul(b).ok_or_else(|| wrong("the product is too large"))?)
                }
                (a, b) => Number::Part(a.float() * b.float()),
            };
        }
        Ok(match product {
            Number::Whole(whole) => whole.into(),
            Number::Part(part) => part.into(),
        })
    }

    #[derive(Clone, Copy)]
    enum Number {
        Whole(i64),
        Part(f64),
    }

    impl Number {
        #[allow(
            clippy::as_conversions,
            clippy::cast_precision_loss,
            reason = "a product with a fraction is a float"
        )]
        fn float(self) -> f64 {
            match self {
                Self::Whole(whole) => whole as f64,
                Self::Part(part) => part,
            }
        }
    }

    fn number(value: &minijinja::Value) -> Result<Number, minijinja::Error> {
        let none = || wrong("times takes numbers");
        if let Some(text) = value.as_str() {
            let text = text.trim();
            return match text.parse::<i64>() {
                Ok(whole) => Ok(Number::Whole(whole)),
                Err(_) => text
                    .parse::<f64>()
                    .ok()
                    .filter(|part| part.is_finite())
                    .map(Number::Part)
                    .ok_or_else(none),
            };
        }
        match value.as_i64() {
            Some(whole) if value.is_integer() => Ok(Number::Whole(whole)),
            _ => f64::try_from(value.clone()).map(Number::Part).map_err(|_| none()),
        }
    }
}

/// Rows as a table of plain text.
mod table {
    use super::filters::wrong;
    use super::{Made, RESULT_MAX, Rest, ValueKind};

    /// Columns of a table at most, and characters of a cell: a long one would push the others out of sight.
    const COLUMNS_MAX: usize = 20;
    const CELL_MAX: usize = 60;
    /// Between two columns.
    const GAP: &str = "  ";

    /// A column, and what stands above it: `CustomerRef.name as Customer`.
    pub(super) fn column(text: &str) -> (&str, &str) {
        text.split_once(" as ").unwrap_or((text, text))
    }

    /// What stands in a column of a row: a member, a member of one as `object.member`, or what is at a JSON pointer.
    fn at(row: &minijinja::Value, name: &str) -> minijinja::Value {
        let member = |of: &minijinja::Value, name: &str| {
            let found = of.get_item(&name.into()).ok();
            found.filter(|value| !value.is_undefined() && !value.is_none())
        };
        if let Some(pointer) = name.strip_prefix('/') {
            let step = |of: minijinja::Value, part: &str| {
                let part = part.replace("~1", "/").replace("~0", "~");
                match part.parse::<usize>() {
                    Ok(index) if of.kind() == ValueKind::Seq => of.get_item_by_index(index).ok(),
                    _ => member(&of, &part),
                }
            };
            return pointer.split('/').try_fold(row.clone(), step).unwrap_or_default();
        }
        if let Some(found) = member(row, name) {
            return found;
        }
        // A name may have dots of its own.
        let inner = name.match_indices('.').find_map(|(dot, _)| {
            let (object, rest) = name.split_at_checked(dot)?;
            member(&member(row, object)?, rest.strip_prefix('.')?)
        });
        inner.unwrap_or_default()
    }

    /// A value on one line, and not too long.
    fn cell(value: &minijinja::Value) -> String {
        if value.is_undefined() || value.is_none() {
            return String::new();
        }
        let text = value.to_string();
        let mut letters = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        let mut short: String = letters.by_ref().take(CELL_MAX).collect();
        if letters.next().is_some() {
            short.pop();
            short.push('…');
        }
        short
    }

    /// The rows with the named columns, one below the other; numbers stand at the right.
    #[allow(clippy::needless_pass_by_value, reason = "the library hands the rest over so")]
    pub(super) fn table(rows: &minijinja::Value, columns: Rest<String>) -> Made {
        if !matches!(rows.kind(), ValueKind::Seq | ValueKind::Iterable) {
            return Err(wrong("table takes rows, as in rows.vendors|table('DisplayName')"));
        }
        if columns.is_empty() || columns.len() > COLUMNS_MAX {
            return Err(wrong("table takes the names of 1 to 20 columns"));
        }
        let named: Vec<(&str, &str)> = columns.iter().map(|text| column(text)).collect();
        let mut lines: Vec<Vec<String>> = Vec::new();
        let mut size = 0_usize;
        for row in rows.try_iter()? {
            let cells: Vec<String> = named.iter().map(|(name, _)| cell(&at(&row, name))).collect();
            size = size.saturating_add(cells.iter().map(|cell| cell.len().saturating_add(GAP.len())).sum());
            if size > RESULT_MAX {
                return Err(wrong("the table is too long"));
            }
            lines.push(cells);
        }
        let numbers: Vec<bool> = (0..named.len())
            .map(|index| {
                let mut cells =
                    lines.iter().filter_map(|cells| cells.get(index)).filter(|cell| !cell.is_empty());
                let mut any = false;
                cells.all(|cell| {
                    any = true;
                    cell.parse::<f64>().is_ok()
                }) && any
            })
            .collect();
        let headings: Vec<String> = named.iter().map(|(_, heading)| cell(&(*heading).into())).collect();
        let widths: Vec<usize> = headings
            .iter()
            .enumerate()
            .map(|(index, heading)| {
                let cells = lines.iter().filter_map(|cells| cells.get(index));
                cells.chain([heading]).map(|cell| cell.chars().count()).max().unwrap_or_default()
            })
            .collect();
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        let mut out = String::new();
        for cells in [&headings, &rule].into_iter().chain(&lines) {
            let mut line = String::new();
            for ((cell, width), right) in cells.iter().zip(&widths).zip(&numbers) {
                let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
                if *right {
                    line.push_str(&padding);
                    line.push_str(cell);
                } else {
                    line.push_str(cell);
                    line.push_str(&padding);
                }
                line.push_str(GAP);
            }
            if !out.is_empty() {
                out.push('\n');
            }
            out.push_str(line.trim_end());
            if out.len() > RESULT_MAX {
                return Err(wrong("the table is too long"));
            }
        }
        Ok(out.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_stand_in_a_table() {
        let context = json!({"rows": {"v": [
            {"Id": 1, "Name": "Acme\nLtd", "Open": 12.5, "Ref": {"name": "X", "a.b": 1}, "tags": ["t"]},
            {"Id": 2, "Name": "B", "Open": null, "long": "y".repeat(100)},
        ]}});
        let eval = |text: &str| Expression::parse(text).unwrap().eval(&context);
        assert_eq!(
            eval("rows.v|table('Name', 'Open as Still open', 'Ref.name as Who', '/tags/0', 'Ref.a.b')")
                .unwrap(),
            "Name      Still open  Who  /tags/0  Ref.a.b\n\
             --------  ----------  ---  -------  -------\n\
             Acme Ltd        12.5  X    t              1\n\
             B"
        );
        let long = eval("rows.v|sort(attribute='Id', reverse=true)|table('long')").unwrap();
        assert!(long.as_str().unwrap().contains("yyy…\n"), "{long}");
        assert_eq!(eval("[]|table('a')").unwrap(), "a\n-");
        for wrong in ["'text'|table('a')", "rows.v|table()", "1|table('a')"] {
            assert!(eval(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_columns_of_a_table_are_known_before_it_runs() {
        let tables = |text: &str| Text::parse(text).unwrap().tables();
        let found = tables("{{ rows.v | table( 'a', \"b as C\" ) }} rows.w|table('x') {{ rows.v|length }}");
        assert_eq!(found, [("v".to_owned(), vec!["a".to_owned(), "b".to_owned()])]);
        assert_eq!(tables("{{ rows.v|table(record.x) }}{{ arrows.v|table('a') }}"), []);
        assert_eq!(Text::parse("{{ rows.v|table('a') }}").unwrap().names(), ["rows.v"]);
    }

    fn eval(text: &str) -> Result<Value, String> {
        let context = json!({"record": {"name": "Acme  ", "price": "12.50", "count": 3, "tags": ["a", "b"], "empty": null,
            "long": "x".repeat(10_000)}});
        Expression::parse(text)?.eval(&context)
    }

    #[test]
    fn it_computes() {
        for (text, wanted) in [
            ("record.name|trim|upper", json!("ACME")),
            ("record.name|trim ~ ' Ltd'", json!("Acme Ltd")),
            ("record.price|times(record.count)", json!(37.5)),
            ("record.count|times(2, '4')", json!(24)),
            ("record.count + 1", json!(4)),
            ("'many' if record.count > 2 else 'few'", json!("many")),
            ("record.tags|join(', ')", json!("a, b")),
            ("'a' in record.tags and not record.empty", json!(true)),
            ("record.empty|default('none', true)", json!("none")),
            ("record.empty", json!(null)),
            ("[record.count, record.name|trim]", json!([3, "Acme"])),
            ("'2 * 3 \\' * '", json!("2 * 3 ' * ")),
        ] {
            assert_eq!(eval(text), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn it_is_bounded() {
        let bomb = "record.long|replace('x', 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx')";
        for text in [
            bomb,
            "'x' * 100000000",
            "record.count ** 9",
            "record.tags|join(record.long ~ record.long)|split('')|join(record.long)",
            "record.long|join('y')",
            "1 +",
            "{% for %}",
            "record.nothing.more",
            "record.name|shell",
            "range(10)",
            "record.name|times(2)",
            &"1+".repeat(1500),
        ] {
            assert!(eval(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_known_before_it_runs() {
        let names = Expression::parse("record.name ~ former.name ~ x").unwrap().names();
        assert_eq!(names, ["former.name", "record.name", "x"]);
    }

    #[test]
    fn texts_hold_expressions() {
        let context = json!({"record": {"name": "Acme", "none": null, "n": 3}});
        let text = Text::parse("Dear {{ record.name }}, {you} owe {{record.n}}{{ record.none }}.").unwrap();
        assert_eq!(text.render(&context).unwrap(), "Dear Acme, {you} owe 3.");
        assert_eq!(text.names(), ["record.name", "record.n", "record.none"]);
        assert!(Text::parse("{{ record.name").is_err() && Text::parse("{{ 1 + }}").is_err());
        // A value is never read as a text with expressions.
        let sly = json!({"record": {"name": "{{ record.n }}"}});
        assert_eq!(Text::parse("{{ record.name }}").unwrap().render(&sly).unwrap(), "{{ record.n }}");
    }
}
