//! Nothing public without a test here, no statement that is not prepared.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Every file below a folder of this crate: its name and its text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
                sources.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    sources
}

/// The public methods of `impl {of} {{ … }}`, wherever it stands.
fn methods(sources: &[(String, String)], of: &str) -> BTreeSet<String> {
    let (begin, mut found) = (format!("impl {of} {{"), BTreeSet::new());
    for (_, text) in sources {
        let mut inside = false;
        for line in text.lines() {
            if line == begin || line == "}" {
                inside = line == begin;
            }
            let declared = line.strip_prefix("    pub ").filter(|_| inside);
            let Some((_, rest)) = declared.and_then(|line| line.split_once("fn ")) else { continue };
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.insert(name);
        }
    }
    found
}

#[test]
fn every_method_is_called() {
    let ours = sources("src");
    // What the tests say, without remarks and however it is broken into lines.
    let said: String = sources("tests/store/conformance")
        .iter()
        .filter(|(name, _)| name != "completeness")
        .flat_map(|(_, text)| text.lines())
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(str::chars)
        .filter(|c| !c.is_whitespace())
        .collect();
    for (of, receivers, at_least) in
        [("Store", &["store.", "one.", "two.", "Store::"][..], 30), ("Tx", &["tx."], 40)]
    {
        let methods = methods(&ours, of);
        assert!(
            methods.len() >= at_least,
            "{of} has {} public methods: are they still found?",
            methods.len()
        );
        let missing: Vec<_> = methods
            .iter()
            .filter(|method| !receivers.iter().any(|receiver| said.contains(&format!("{receiver}{method}("))))
            .collect();
        assert!(missing.is_empty(), "the conformance suite calls no {missing:?} of {of}");
    }
}

#[test]
fn every_list_of_statements_is_checked() {
    let sources = sources("src");
    let (_, lib) = sources.iter().find(|(name, _)| name == "lib").unwrap();
    for (name, text) in &sources {
        if text.contains("\nstatements! {") {
            assert!(lib.contains(&format!("{name}::ALL,")), "Store::check_statements leaves out {name}");
        }
        assert!(
            !text.contains("select *") && !text.contains(".* from"),
            "{name}: columns are named one by one"
        );
    }
}
