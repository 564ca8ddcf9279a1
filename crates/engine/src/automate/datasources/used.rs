//! Rows where they are used: looked up in mappings, named in expressions, chosen in forms.

use std::collections::BTreeSet;
use std::sync::Arc;

use jackfield_core::datasource::{Datasource, cell_of, label};
use jackfield_core::form::Choice;
use jackfield_core::workflow::Lookup;
use jackfield_core::{Environment, Error, Result};
use jackfield_store::{RowQuery, Table};
use serde_json::{Map, Value};

use super::{at, shown};
use crate::Engine;
use crate::automate::actions::Doing;
use crate::automate::components::{Definable, component_of};
use crate::automate::live::{Live, LiveForm};

/// Choices that a field has from a datasource at most, and characters of one.
const CHOICES: i64 = 1000;
const CHOICE_MAX: usize = 200;
/// Rows of a datasource that an expression sees, and bytes of their JSON in all that one action names.
const ROWS_READ: usize = 100;
const ROWS_BYTES: usize = 1024 * 1024;
/// Rows that are read at once for it.
const ROWS_PAGE: i64 = 20;

impl Engine {
    /// What a row of a datasource says; nothing where none fits. `Err` is a sentence.
    pub(crate) async fn look_up_row(
        &self,
        doing: &Doing<'_>,
        datasource: &str,
        lookup: &Lookup,
        wanted: &Value,
    ) -> Result<Value, String> {
        if doing.live.datasource(datasource).is_none() {
            return Err(format!("There is no datasource {datasource:?} here."));
        }
        let Some(cell) = cell_of(wanted) else { return Ok(Value::Null) };
        let component = component_of(Datasource::KIND, datasource);
        let table = Table {
            organization: doing.organization,
            application: doing.application,
            environment: doing.environment.as_str(),
            component: &component,
        };
        let rows = self.store().table_rows_with(table, &label(&lookup.by), &cell, 1).await;
        let rows = rows.map_err(|error| Error::from(error).detail)?;
        let Some(row) = rows.into_iter().next() else { return Ok(Value::Null) };
        let data: Map<String, Value> = serde_json::from_str(&row.data).unwrap_or_default();
        Ok(if lookup.take.starts_with('/') {
            Value::Object(data).pointer(&lookup.take).cloned().unwrap_or(Value::Null)
        } else {
            at(&data, &lookup.take).cloned().unwrap_or(Value::Null)
        })
    }

    /// What expressions see, with the rows of datasources that they name: of each the first ones, in the order in which they came. `Err` is a
    /// sentence.
    pub(crate) async fn with_rows(
        &self,
        (organization, application, environment): (&str, &str, Environment),
        names: BTreeSet<String>,
        context: &Value,
    ) -> Result<Value, String> {
        let mut rows = Map::new();
        let mut room = ROWS_BYTES;
        for name in names {
            let component = component_of(Datasource::KIND, &name);
            let environment = environment.as_str();
            let table = Table { organization, application, environment, component: &component };
            let mut first = Vec::new();
            'pages: while first.len() < ROWS_READ {
                let offset = i64::try_from(first.len()).unwrap_or(i64::MAX);
                let query = RowQuery { limit: ROWS_PAGE, offset, ..RowQuery::default() };
                let page = self.store().table_rows(table, query).await;
                let page = page.map_err(|error| Error::from(error).detail)?;
                let last = i64::try_from(page.len()).unwrap_or(i64::MAX) < ROWS_PAGE;
                for row in page {
                    let Some(left) = room.checked_sub(row.data.len()) else { break 'pages };
                    room = left;
                    first.push(serde_json::from_str(&row.data).unwrap_or(Value::Null));
                }
                if last {
                    break;
                }
            }
            rows.insert(name, Value::Array(first));
        }
        let mut all = context.clone();
        if let Value::Object(all) = &mut all {
            all.insert("rows".to_owned(), Value::Object(rows));
        }
        Ok(all)
    }

    /// A form as an environment serves it, with the choices that come from datasources.
    pub(crate) async fn served_form(
        &self,
        organization: &str,
        application: &str,
        environment: Environment,
        live: &Live,
        name: &str,
    ) -> Result<Arc<LiveForm>> {
        let found = live.form(name)?;
        if found.form.fields.iter().all(|field| field.choices_from.is_none()) {
            return Ok(found);
        }
        let mut form = found.form.clone();
        for field in &mut form.fields {
            let Some(from) = &field.choices_from else { continue };
            let component = component_of(Datasource::KIND, &from.datasource);
            let environment = environment.as_str();
            let table = Table { organization, application, environment, component: &component };
            let read = from.label.as_ref().unwrap_or(&from.value);
            // One more tells whether there are more.
            let (sort, limit) = (label(read), CHOICES.saturating_add(1));
            let rows = self.store().table_rows(table, RowQuery { sort: &sort, limit, ..RowQuery::default() });
            let mut rows = rows.await?;
            let most = usize::try_from(CHOICES).unwrap_or(usize::MAX);
            if rows.len() > most {
                rows.truncate(most);
                let words = format!("Only the first {CHOICES} can be chosen here; there are more.");
                field.help =
                    Some(field.help.as_ref().map_or_else(|| words.clone(), |help| format!("{help} {words}")));
            }
            let many = field.kind == jackfield_core::form::FieldType::MultiSelect;
            for row in rows {
                let data: Map<String, Value> = serde_json::from_str(&row.data).unwrap_or_default();
                let value = shown(at(&data, &from.value)).trim().to_owned();
                // What a field could not keep cannot be chosen; of the same value the first.
                let unfit = !(1..=CHOICE_MAX).contains(&value.chars().count())
                    || value.chars().any(char::is_control)
                    || (many && value.contains(';'))
                    || field.choices.iter().any(|choice| choice.value == value);
                if !unfit {
                    let label = Some(shown(at(&data, read))).filter(|label| !label.is_empty());
                    field.choices.push(Choice { value, label });
                }
            }
        }
        Ok(Arc::new(LiveForm { name: found.name.clone(), form }))
    }
}
