//! Datasources: tables of what a service lists. The definition as data, how pages follow each other, what columns the rows have, and how values
//! are compared.

mod columns;
mod definition;
mod paging;

pub use columns::{
    Change, ChangeKind, Column, ColumnKind, Columns, Comparison, cell_of, cells, is_after, label, wanted,
};
pub use definition::{Datasource, Incremental, ROWS_MAX};
pub use paging::{PageState, next_page};
