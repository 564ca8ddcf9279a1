//! What commands say: results on standard output, everything else on standard error.

use std::io::{self, IsTerminal, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, LineStyle, Table};

use crate::client::Reply;
use crate::failure::{Failure, Result};

/// A result, on a line of its own. Whoever reads it may have had enough (`| head`): that is no failure.
pub fn line(text: impl AsRef<str>) -> Result<()> {
    bytes(format!("{}\n", text.as_ref()).as_bytes())
}

/// A result as it is.
pub fn bytes(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("Standard output cannot be written: {e}.")))
        }
        _ => Ok(()),
    }
}

/// Something beside the result.
pub fn aside(text: impl AsRef<str>) {
    // Where standard error is gone, nobody is there to be told.
    let _ = io::stderr().lock().write_all(format!("{}\n", text.as_ref()).as_bytes());
}

/// Something beside the result that is written over next.
pub fn over(text: impl AsRef<str>) {
    let mut err = io::stderr().lock();
    let _ = write!(err, "\r\x1b[2K{}", text.as_ref());
    let _ = err.flush();
}

/// Whether somebody sits before standard error.
pub fn watched() -> bool {
    io::stderr().is_terminal()
}

/// What the API answered, as it is, for programs; people get it laid out.
pub fn json(reply: &Reply) -> Result<()> {
    if io::stdout().is_terminal() {
        return line(format!("{:#}", **reply));
    }
    bytes(&reply.raw)?;
    line("")
}

/// A table for people.
pub fn table(heads: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Result<()> {
    let mut table = Table::new();
    table.load_style(NOTHING.header_separator(LineStyle::none().fill('-').junction('-')));
    table.set_header(heads.iter().map(Cell::new));
    for row in rows {
        table.add_row(row.iter().map(|text| Cell::new(visible(text))));
    }
    if let Some(column) = table.column_mut(0) {
        column.set_padding((0, 1));
    }
    line(table.trim_fmt())
}

/// Names and values, one a line.
pub fn facts(rows: impl IntoIterator<Item = (&'static str, String)>) -> Result<()> {
    let rows: Vec<_> = rows.into_iter().collect();
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in rows {
        line(format!("{name:width$}  {}", visible(&value)).trim_end())?;
    }
    Ok(())
}

/// Without characters that would do something to a terminal: names come from services too.
pub fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
