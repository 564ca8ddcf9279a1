//! What comes out of a statement.

use std::fmt;
use std::sync::Arc;

use jackfield_core::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::postgres::{PgRow, PgValueRef};
use sqlx::sqlite::{SqliteRow, SqliteValueRef};
use sqlx::{Column, Decode, Postgres, Row as _, Sqlite, TypeInfo, ValueRef};

use super::error::{Result, StoreError};

/// One row of either database, decoded by what each value is and not by what its column was declared as.
pub struct Row {
    statement: &'static str,
    columns: Arc<[Box<str>]>,
    cells: Vec<Cell>,
}

enum Cell {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
    /// A type that no table of ours has; its name.
    Other(String),
    /// Why it could not be read.
    Unreadable(String),
}

impl Cell {
    fn describe(&self) -> &str {
        match self {
            Self::Null => "null",
            Self::Int(_) => "an integer",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::Other(what) | Self::Unreadable(what) => what,
        }
    }
}

impl Row {
    pub fn text(&self, column: &str) -> Result<String> {
        self.opt_text(column)?.ok_or_else(|| self.corrupt(column, "null where text was expected"))
    }

    pub fn opt_text(&self, column: &str) -> Result<Option<String>> {
        Ok(self.opt_str(column)?.map(str::to_owned))
    }

    pub fn int(&self, column: &str) -> Result<i64> {
        self.opt_int(column)?.ok_or_else(|| self.corrupt(column, "null where an integer was expected"))
    }

    pub fn opt_int(&self, column: &str) -> Result<Option<i64>> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Int(int) => Ok(Some(*int)),
            other => Err(self.corrupt(column, format!("{} where an integer was expected", other.describe()))),
        }
    }

    /// 0 or 1, or a boolean expression.
    pub fn flag(&self, column: &str) -> Result<bool> {
        match self.int(column)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.corrupt(column, format!("{other} where 0 or 1 was expected"))),
        }
    }

    pub fn bytes(&self, column: &str) -> Result<Vec<u8>> {
        self.opt_bytes(column)?.ok_or_else(|| self.corrupt(column, "null where bytes were expected"))
    }

    pub fn opt_bytes(&self, column: &str) -> Result<Option<Vec<u8>>> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Bytes(bytes) => Ok(Some(bytes.clone())),
            other => Err(self.corrupt(column, format!("{} where bytes were expected", other.describe()))),
        }
    }

    pub fn time(&self, column: &str) -> Result<Timestamp> {
        self.int(column).map(Timestamp::from_micros)
    }

    pub fn opt_time(&self, column: &str) -> Result<Option<Timestamp>> {
        Ok(self.opt_int(column)?.map(Timestamp::from_micros))
    }

    /// The text of the column read as JSON.
    pub fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T> {
        self.opt_json(column)?.ok_or_else(|| self.corrupt(column, "null where JSON was expected"))
    }

    pub fn opt_json<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>> {
        let Some(text) = self.opt_str(column)? else { return Ok(None) };
        // The error tells line and column; its words may quote the document.
        serde_json::from_str(text).map(Some).map_err(|e| {
            let why = format!("not the JSON that was expected, at line {} column {}", e.line(), e.column());
            self.corrupt(column, why)
        })
    }

    /// The error for a value that is of the right type and still not one of ours, such as an unknown word.
    pub fn corrupt(&self, column: &str, why: impl Into<String>) -> StoreError {
        StoreError::corrupt(self.statement, column, why)
    }

    fn opt_str(&self, column: &str) -> Result<Option<&str>> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Text(text) => Ok(Some(text)),
            other => Err(self.corrupt(column, format!("{} where text was expected", other.describe()))),
        }
    }

    fn cell(&self, column: &str) -> Result<&Cell> {
        let index = self.columns.iter().position(|name| **name == *column);
        match index.and_then(|index| self.cells.get(index)) {
            Some(Cell::Unreadable(why)) => Err(self.corrupt(column, why.clone())),
            Some(cell) => Ok(cell),
            None => Err(self.corrupt(column, "the statement has no such column")),
        }
    }
}

/// Without the values: they may be secret.
impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row").field("statement", &self.statement).finish_non_exhaustive()
    }
}

macro_rules! decoder {
    ($function:ident, $row:ty, $cell:ident) => {
        pub(super) fn $function(statement: &'static str, rows: &[$row]) -> Vec<Row> {
            let Some(first) = rows.first() else { return Vec::new() };
            let columns: Arc<[Box<str>]> =
                first.columns().iter().map(|column| column.name().into()).collect();
            let row = |row: &$row| {
                let read =
                    |index| row.try_get_raw(index).map_or_else(|e| Cell::Unreadable(e.to_string()), $cell);
                Row {
                    statement,
                    columns: Arc::clone(&columns),
                    cells: (0..columns.len()).map(read).collect(),
                }
            };
            rows.iter().map(row).collect()
        }
    };
}

decoder!(from_sqlite, SqliteRow, sqlite_cell);
decoder!(from_postgres, PgRow, postgres_cell);

fn sqlite_cell(value: SqliteValueRef<'_>) -> Cell {
    if value.is_null() {
        return Cell::Null;
    }
    let name = value.type_info().name().to_owned();
    match &*name {
        "INTEGER" => read(Decode::<Sqlite>::decode(value), Cell::Int),
        "TEXT" => read(Decode::<Sqlite>::decode(value), Cell::Text),
        "BLOB" => read(Decode::<Sqlite>::decode(value), Cell::Bytes),
        _ => Cell::Other(name),
    }
}

fn postgres_cell(value: PgValueRef<'_>) -> Cell {
    if value.is_null() {
        return Cell::Null;
    }
    let name = value.type_info().name().to_owned();
    match &*name {
        "INT8" => read(Decode::<Postgres>::decode(value), Cell::Int),
        "INT4" => read(Decode::<Postgres>::decode(value), |int: i32| Cell::Int(int.into())),
        "INT2" => read(Decode::<Postgres>::decode(value), |int: i16| Cell::Int(int.into())),
        "BOOL" => read(Decode::<Postgres>::decode(value), |flag: bool| Cell::Int(flag.into())),
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" => read(Decode::<Postgres>::decode(value), Cell::Text),
        "BYTEA" => read(Decode::<Postgres>::decode(value), Cell::Bytes),
        _ => Cell::Other(name),
    }
}

fn read<T>(decoded: Result<T, sqlx::error::BoxDynError>, cell: impl FnOnce(T) -> Cell) -> Cell {
    decoded.map_or_else(|e| Cell::Unreadable(e.to_string()), cell)
}
