//! Which files there are, and which should not be.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::shell;

const LIMIT: usize = 1024 * 1024;

/// Folders of things made by tools. Only asked where there is no git to ask.
const MADE: &[&str] = &["target", ".git", "node_modules", "__pycache__", "jackfield-data"];

/// Every file that is, or would be, in the repository: paths from its root, with `/`.
pub fn all(root: &Path) -> Result<Vec<String>, String> {
    let mut git = Command::new("git");
    // The clone may belong to another user than the one who tests it.
    git.args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let mut files = if let Some(list) = shell::output(git.current_dir(root)) {
        list.split('\0').filter(|path| root.join(path).is_file()).map(str::to_owned).collect()
    } else {
        let mut found = Vec::new();
        walk(root, "", &mut found).map_err(|e| format!("{}: {e}", root.display()))?;
        found
    };
    files.sort();
    files.dedup();
    if files.is_empty() { Err(format!("{} has no files", root.display())) } else { Ok(files) }
}

fn walk(folder: &Path, prefix: &str, found: &mut Vec<String>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type()?;
        if kind.is_dir() && !MADE.contains(&name.as_str()) {
            walk(&entry.path(), &format!("{prefix}{name}/"), found)?;
        } else if kind.is_file() {
            found.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}

pub fn left_over(path: &str) -> Option<String> {
    let left = [".bak", ".orig", ".rej", ".swp", "~"].iter().any(|ending| path.ends_with(ending));
    left.then(|| format!("{path}: left over from editing; remove it"))
}

pub fn size(path: &str, bytes: usize) -> Option<String> {
    (bytes > LIMIT).then(|| {
        format!(
            "{path}: {} KiB; a file has at most 1 MiB: make it while building or testing instead",
            bytes / 1024
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_files_are_named() {
        assert!(size("a", LIMIT).is_none());
        assert!(size("a", LIMIT + 1).is_some());
    }

    #[test]
    fn left_overs_are_named() {
        assert!(left_over("src/mod.rs.bak").is_some());
        assert!(left_over("src/backup.rs").is_none());
    }

    #[test]
    fn without_git_the_folder_is_walked() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/target")).unwrap();
        fs::write(folder.path().join("a/b.rs"), "").unwrap();
        fs::write(folder.path().join("a/target/c.rs"), "").unwrap();
        let mut found = Vec::new();
        walk(folder.path(), "", &mut found).unwrap();
        assert_eq!(found, ["a/b.rs"]);
    }

    #[test]
    fn our_own_files_are_found() {
        let files = all(&crate::root()).unwrap();
        assert!(files.iter().any(|path| path == "xtask/src/tidy/files.rs"));
        assert!(!files.iter().any(|path| path.starts_with("target/")));
    }
}
