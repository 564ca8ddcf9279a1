//! What a change of a form would do to the workflows of its application, said before it is made.

use jackfield_core::form::Form;
use jackfield_core::workflow::Workflow;
use jackfield_core::{Action, FieldError, Result, permit};

use crate::automate::components::Definable;
use crate::automate::live::{COMPONENTS_MAX, document};
use crate::{Engine, Op};

/// A workflow that a form would not suit any more.
#[derive(Debug, Clone)]
pub struct Misfit {
    pub link_name: String,
    /// what people read
    pub name: String,
    /// what would be wrong with its definition, under dotted paths from its root
    pub wrong: Vec<FieldError>,
}

/// Of what is wrong that of which nobody knew before.
pub(crate) fn newly_wrong(mut wrong: Vec<FieldError>, known: &[FieldError]) -> Vec<FieldError> {
    wrong.retain(|error| !known.iter().any(|old| old.field == error.field && old.code == error.code));
    wrong
}

impl Engine {
    /// The workflows of development that a form of this kind would not suit, with what it would break in each. What is wrong with them
    /// already is not told.
    pub async fn misfits(
        &self,
        op: &Op,
        application: &str,
        link_name: &str,
        form: &Form,
    ) -> Result<Vec<Misfit>> {
        let found = self.find_application(op, application).await?;
        permit(&op.principal, Action::Manage, &found.whole())?;
        let organization = &*op.organization;
        let (first, last) = (format!("{}:", Workflow::KIND), format!("{};", Workflow::KIND));
        let workflows = self
            .store()
            .current_definitions(organization, application, &first, &last, COMPONENTS_MAX)
            .await?;
        if workflows.is_empty() {
            return Ok(Vec::new());
        }
        let mut grounds = self.grounds(organization, application).await?;
        let mut all = Vec::new();
        for definition in workflows {
            let workflow: Workflow = document(&definition)?;
            let known = workflow.check(&grounds).err().unwrap_or_default();
            all.push((definition, workflow, known));
        }
        grounds.form(link_name, form);
        let mut misfits = Vec::new();
        for (definition, workflow, known) in all {
            let wrong = newly_wrong(workflow.check(&grounds).err().unwrap_or_default(), &known);
            if !wrong.is_empty() {
                let link_name = definition.component.split_once(':').map_or("", |(_, name)| name).to_owned();
                misfits.push(Misfit { link_name, name: definition.name, wrong });
            }
        }
        Ok(misfits)
    }
}
