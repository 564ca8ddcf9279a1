//! The rules of the house that no compiler knows. Each check is a function from what it looks at to its complaints, and each
//! complaint says how to mend it.

mod files;
mod layers;
mod pages;
mod text;

use std::path::Path;

use crate::metadata;

pub fn run(root: &Path) -> Result<(), String> {
    let complaints = complaints(root)?;
    for complaint in &complaints {
        println!("   {complaint}");
    }
    match complaints.len() {
        0 => {
            println!("tidy");
            Ok(())
        }
        1 => Err("not tidy: 1 complaint".to_owned()),
        several => Err(format!("not tidy: {several} complaints")),
    }
}

fn complaints(root: &Path) -> Result<Vec<String>, String> {
    let workspace = metadata::read(root)?;
    let mut complaints = layers::between_crates(&workspace.packages);
    complaints.extend(layers::libraries(&workspace.packages));

    let files = files::all(root)?;
    for path in &files {
        // A file may go while we look: then it is nobody's complaint.
        let Ok(bytes) = std::fs::read(root.join(path)) else { continue };
        complaints.extend(files::left_over(path));
        complaints.extend(files::size(path, bytes.len()));
        if bytes.contains(&0) {
            continue;
        }
        if let Ok(content) = String::from_utf8(bytes) {
            complaints.extend(text::all(path, &content));
        }
    }

    complaints.extend(pages::error_codes(root)?);
    complaints.extend(pages::decisions(root)?);
    complaints.extend(pages::console_pages(root)?);
    Ok(complaints)
}
