//! Datasources: what an environment knows of each, and its rows.
//!
//! | held | race it solves |
//! |---|---|
//! | the revision of a datasource ([`Tx::keep_pulled`]) | two that pull at once: the later one finds another revision, and its page is not written |
//!
//! The cells of a row are JSON whose values are texts that sort as what they stand for: both databases take such a text out by `->>`.

use jackfield_core::Timestamp;

use crate::db::{Row, Tx, Value, statements};
use crate::{Result, Store};

macro_rules! place {
    ($($more:literal)?) => {
        concat!("organization_id = $1 and application = $2 and environment = $3 and component = $4", $($more)?)
    };
}

macro_rules! columns {
    () => {
        "environment, component, revision, pull, run, progress, row_count, cursor, known, changes, pulled_at, full_at"
    };
}

/// Which rows are meant: $5 words, $6 column, $7 how it is compared, $8 with what.
macro_rules! wanted {
    () => {
        place!(
            " and ($5 = '' or words like $5 escape '\\')
            and ($6 = '' or ($7 = '=' and cells ->> cast($6 as text) = $8) or ($7 = '<' and cells ->> cast($6 as text) < $8)
                or ($7 = '>' and cells ->> cast($6 as text) > $8) or ($7 = '~' and cells ->> cast($6 as text) like $8 escape '\\'))"
        )
    };
}

/// A page of them: $9 column to sort by, $10 how many, $11 after how many.
macro_rules! sorted {
    ($direction:literal) => {
        concat!(
            "select item, position, updated_at, data from datasource_rows where ",
            wanted!(),
            " order by coalesce(cells ->> cast($9 as text), '') ",
            $direction,
            ", position, item limit $10 offset $11"
        )
    };
}

statements! {
    pub(crate) TABLE_NEW = "insert into datasources
        (organization_id, application, environment, component, revision, pull, progress, row_count, known, changes)
        values ($1, $2, $3, $4, 0, 0, '{}', 0, '[]', '[]') on conflict (organization_id, application, environment, component) do nothing";
    pub(crate) TABLES_OF = concat!("select ", columns!(), " from datasources
        where organization_id = $1 and application = $2 and ($3 = '' or component = $3) order by component, environment");
    pub(crate) TABLE_GET = concat!("select ", columns!(), " from datasources where ", place!());
    pub(crate) TABLE_KEEP = concat!("update datasources set revision = revision + 1, pull = $6, run = $7, progress = $8, row_count = $9,
        cursor = $10, known = $11, changes = $12, pulled_at = $13, full_at = $14 where ", place!(" and revision = $5"));
    pub(crate) TABLE_DELETE = concat!("delete from datasources where ", place!());
    pub(crate) TABLES_END = "delete from datasources where organization_id = $1 and application = $2";
    // `json(…)` is a function in SQLite and a cast in PostgreSQL.
    pub(crate) ROW_PUT = "insert into datasource_rows
        (organization_id, application, environment, component, item, position, pull, updated_at, cells, words, data)
        values ($1, $2, $3, $4, $5, $6, $7, $8, json(cast($9 as text)), $10, $11)
        on conflict (organization_id, application, environment, component, item) do update set position = excluded.position,
        pull = excluded.pull, updated_at = case when datasource_rows.data = excluded.data then datasource_rows.updated_at
            else excluded.updated_at end,
        cells = excluded.cells, words = excluded.words, data = excluded.data";
    pub(crate) ROWS_SORTED_UP = sorted!("asc");
    pub(crate) ROWS_SORTED_DOWN = sorted!("desc");
    pub(crate) ROWS_IN_ORDER = concat!("select item, position, updated_at, data from datasource_rows where ", wanted!(),
        " order by position, item limit $9 offset $10");
    pub(crate) ROWS_COUNT = concat!("select count(*) as many from datasource_rows where ", wanted!());
    pub(crate) ROWS_AFTER = concat!("select item, position, updated_at, data from datasource_rows where ",
        place!(" and (position, item) > ($5, $6)"), " order by position, item limit $7");
    pub(crate) ROWS_WITH = concat!("select item, position, updated_at, data from datasource_rows where ",
        place!(" and cells ->> cast($5 as text) = $6"), " order by position, item limit $7");
    pub(crate) ROWS_GONE = concat!("delete from datasource_rows where ", place!(" and item in (select item from datasource_rows where
        organization_id = $1 and application = $2 and environment = $3 and component = $4 and pull < $5 limit $6)"));
    pub(crate) ROWS_DELETE = concat!("delete from datasource_rows where ", place!());
    pub(crate) ROWS_END = "delete from datasource_rows where organization_id = $1 and application = $2";
}

/// Where a datasource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table<'a> {
    pub organization: &'a str,
    pub application: &'a str,
    pub environment: &'a str,
    /// `datasource:vendors`
    pub component: &'a str,
}

impl<'a> Table<'a> {
    fn values<const N: usize>(&self, rest: [Value<'a>; N]) -> Vec<Value<'a>> {
        let place: [Value<'a>; 4] = [
            self.organization.into(),
            self.application.into(),
            self.environment.into(),
            self.component.into(),
        ];
        place.into_iter().chain(rest).collect()
    }
}

/// What an environment knows of a datasource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    pub environment: String,
    pub component: String,
    /// counts the changes
    pub revision: i64,
    /// number of the pull that is under way, or was last
    pub pull: i64,
    /// id of the run whose pull is under way
    pub run: Option<String>,
    /// JSON: how far it is
    pub progress: String,
    /// rows that there are
    pub row_count: i64,
    /// JSON: the greatest that was seen, for pulling what changed since
    pub cursor: Option<String>,
    /// JSON: the columns
    pub known: String,
    /// JSON: what changed about them
    pub changes: String,
    /// when a pull last ended, and a full one
    pub pulled_at: Option<Timestamp>,
    pub full_at: Option<Timestamp>,
}

impl Pulled {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            environment: row.text("environment")?,
            component: row.text("component")?,
            revision: row.int("revision")?,
            pull: row.int("pull")?,
            run: row.opt_text("run")?,
            progress: row.text("progress")?,
            row_count: row.int("row_count")?,
            cursor: row.opt_text("cursor")?,
            known: row.text("known")?,
            changes: row.text("changes")?,
            pulled_at: row.opt_time("pulled_at")?,
            full_at: row.opt_time("full_at")?,
        })
    }
}

/// A row of a datasource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRow {
    /// what tells it from the others
    pub item: String,
    /// its place in the order in which they came
    pub position: i64,
    /// when it last changed
    pub updated_at: Timestamp,
    /// JSON: as the service gave it
    pub data: String,
}

impl TableRow {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            item: row.text("item")?,
            position: row.int("position")?,
            updated_at: row.time("updated_at")?,
            data: row.text("data")?,
        })
    }
}

/// Which rows are wanted. What is empty is not asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct RowQuery<'a> {
    /// somewhere in the row, in small letters
    pub words: &'a str,
    pub column: &'a str,
    /// `=`, `<`, `>` or `~`
    pub comparison: &'a str,
    /// a cell
    pub value: &'a str,
    /// the column to sort by; in the order in which they came unless told
    pub sort: &'a str,
    pub descending: bool,
    pub limit: i64,
    pub offset: i64,
}

/// A text that is looked for somewhere in another.
fn somewhere(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

impl Store {
    /// What the environments of an application know of one datasource, or with an empty one of all.
    pub async fn tables(
        &self,
        organization: &str,
        application: &str,
        component: &str,
    ) -> Result<Vec<Pulled>> {
        let values: [Value<'_>; 3] = [organization.into(), application.into(), component.into()];
        self.db.query(&TABLES_OF, &values).await?.iter().map(Pulled::read).collect()
    }

    /// What an environment knows of a datasource.
    pub async fn table(&self, table: Table<'_>) -> Result<Option<Pulled>> {
        self.db.query_opt(&TABLE_GET, &table.values([])).await?.as_ref().map(Pulled::read).transpose()
    }

    /// A page of rows.
    pub async fn table_rows(&self, table: Table<'_>, query: RowQuery<'_>) -> Result<Vec<TableRow>> {
        let (words, value) = (somewhere(query.words), compared(query));
        let mut values =
            table.values([(&words).into(), query.column.into(), query.comparison.into(), (&value).into()]);
        let statement = match (query.sort, query.descending) {
            ("", _) => &ROWS_IN_ORDER,
            (_, false) => &ROWS_SORTED_UP,
            (_, true) => &ROWS_SORTED_DOWN,
        };
        if !query.sort.is_empty() {
            values.push(query.sort.into());
        }
        values.extend([Value::from(query.limit), Value::from(query.offset)]);
        self.db.query(statement, &values).await?.iter().map(TableRow::read).collect()
    }

    /// How many rows a query means, whatever its page.
    pub async fn count_table_rows(&self, table: Table<'_>, query: RowQuery<'_>) -> Result<i64> {
        let (words, value) = (somewhere(query.words), compared(query));
        let values =
            table.values([(&words).into(), query.column.into(), query.comparison.into(), (&value).into()]);
        self.db.query_opt(&ROWS_COUNT, &values).await?.map_or(Ok(0), |row| row.int("many"))
    }

    /// The rows after one, in the order in which they came.
    pub async fn table_rows_after(
        &self,
        table: Table<'_>,
        position: i64,
        item: &str,
        limit: i64,
    ) -> Result<Vec<TableRow>> {
        let values = table.values([position.into(), item.into(), limit.into()]);
        self.db.query(&ROWS_AFTER, &values).await?.iter().map(TableRow::read).collect()
    }

    /// The rows that have a cell in a column.
    pub async fn table_rows_with(
        &self,
        table: Table<'_>,
        column: &str,
        cell: &str,
        limit: i64,
    ) -> Result<Vec<TableRow>> {
        let values = table.values([column.into(), cell.into(), limit.into()]);
        self.db.query(&ROWS_WITH, &values).await?.iter().map(TableRow::read).collect()
    }
}

/// With what a column is compared.
fn compared(query: RowQuery<'_>) -> String {
    if query.comparison == "~" { somewhere(query.value) } else { query.value.to_owned() }
}

impl Tx {
    /// Sees that something is known of a datasource, and if it be nothing.
    pub async fn new_table(&mut self, table: Table<'_>) -> Result<()> {
        self.execute(&TABLE_NEW, &table.values([])).await.map(drop)
    }

    /// Keeps what is known of a datasource, and counts its revision. False: somebody else did since it was read.
    pub async fn keep_pulled(&mut self, table: Table<'_>, p: &Pulled) -> Result<bool> {
        let values = table.values([
            p.revision.into(),
            p.pull.into(),
            (&p.run).into(),
            (&p.progress).into(),
            p.row_count.into(),
            (&p.cursor).into(),
            (&p.known).into(),
            (&p.changes).into(),
            p.pulled_at.into(),
            p.full_at.into(),
        ]);
        Ok(self.execute(&TABLE_KEEP, &values).await? == 1)
    }

    /// Puts a row in its place. `cells`: JSON, column → cell; `words`: what it says, in small letters.
    pub async fn put_table_row(
        &mut self,
        table: Table<'_>,
        row: &TableRow,
        pull: i64,
        cells: &str,
        words: &str,
    ) -> Result<()> {
        let values = table.values([
            (&row.item).into(),
            row.position.into(),
            pull.into(),
            row.updated_at.into(),
            cells.into(),
            words.into(),
            (&row.data).into(),
        ]);
        self.execute(&ROW_PUT, &values).await.map(drop)
    }

    /// Deletes rows that no pull from `pull` on has seen, `limit` at most; how many there were.
    pub async fn delete_table_rows(&mut self, table: Table<'_>, pull: i64, limit: i64) -> Result<u64> {
        self.execute(&ROWS_GONE, &table.values([pull.into(), limit.into()])).await
    }

    /// Forgets a datasource of an environment, with its rows.
    pub async fn delete_table(&mut self, table: Table<'_>) -> Result<()> {
        self.execute(&ROWS_DELETE, &table.values([])).await?;
        self.execute(&TABLE_DELETE, &table.values([])).await.map(drop)
    }

    /// Forgets every datasource of an application, with their rows.
    pub async fn end_tables(&mut self, organization: &str, application: &str) -> Result<()> {
        let values: [Value<'_>; 2] = [organization.into(), application.into()];
        self.execute(&ROWS_END, &values).await?;
        self.execute(&TABLES_END, &values).await.map(drop)
    }
}
