//! The built-in connectors: one file a service in `connectors/`, embedded in the binary.
//!
//! `build.rs` lists the folder with the facts that lists and searches need; they are constants, so that the start costs nothing.
//! A document is read when it is first asked for, and kept.

use std::sync::{Arc, LazyLock, OnceLock};

use super::document::Connector;
use super::search::SearchText;

/// One file, with what a list says of it.
#[derive(Debug)]
pub struct BuiltIn {
    /// Its link name, which is the name of the file.
    pub link_name: &'static str,
    /// Name on the card.
    pub name: &'static str,
    /// What the service is for.
    pub description: Option<&'static str>,
    /// Heading under which the card is found.
    pub category: Option<&'static str>,
    /// The `type` of its `auth`.
    pub auth_type: &'static str,
    /// As in the document.
    pub logo: Option<&'static str>,
    /// Whether something can be done there by name.
    pub operations: bool,
    /// As in the document.
    pub regions: &'static [&'static str],
    text: &'static str,
}

impl BuiltIn {
    /// What a search looks through.
    pub fn search_text(&self) -> SearchText<'_> {
        SearchText {
            name: self.name,
            link_name: self.link_name,
            category: self.category,
            description: self.description,
        }
    }
}

/// Every file, by link name.
const FILES: &[BuiltIn] = include!(concat!(env!("OUT_DIR"), "/catalogue.rs"));

static BUILT_IN: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::new(FILES));

/// The built-in catalogue.
pub fn built_in() -> &'static Catalogue {
    &BUILT_IN
}

/// Connectors by link name.
#[derive(Debug)]
pub struct Catalogue {
    files: &'static [BuiltIn],
    /// What was read of them so far, in the same order; `None` is what cannot be read, and a test holds that there is none.
    read: Vec<OnceLock<Option<Arc<Connector>>>>,
}

impl Catalogue {
    fn new(files: &'static [BuiltIn]) -> Self {
        Self { files, read: files.iter().map(|_| OnceLock::new()).collect() }
    }

    /// What lists say of each, by link name. Reads no document.
    pub fn cards(&self) -> &'static [BuiltIn] {
        self.files
    }

    /// Whether there is one with this link name. Reads no document.
    pub fn has(&self, link_name: &str) -> bool {
        self.place(link_name).is_some()
    }

    /// The connector with this link name. Its meaning is not checked: a test checks every file in full.
    pub fn get(&self, link_name: &str) -> Option<&Arc<Connector>> {
        self.document(self.place(link_name)?)
    }

    /// All documents, by link name. Reads every one: for tests and for what is made once.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Connector>> {
        (0..self.files.len()).filter_map(|place| self.document(place))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    fn place(&self, link_name: &str) -> Option<usize> {
        self.files.binary_search_by(|file| file.link_name.cmp(link_name)).ok()
    }

    fn document(&self, place: usize) -> Option<&Arc<Connector>> {
        let text = self.files.get(place)?.text;
        self.read.get(place)?.get_or_init(|| toml::from_str(text).ok().map(Arc::new)).as_ref()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_is_listed_and_right() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../connectors");
        let on_disk: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| {
                entry.unwrap().file_name().to_str().unwrap().strip_suffix(".toml").map(str::to_owned)
            })
            .collect();
        let mut wrong = Vec::new();
        for name in &on_disk {
            let text = std::fs::read_to_string(format!("{folder}/{name}.toml")).unwrap();
            match Connector::from_toml(&text) {
                Err(errors) => wrong.extend(
                    errors.iter().map(|e| format!("connectors/{name}.toml: {}: {}", e.field, e.message)),
                ),
                Ok(connector) => {
                    let fast = built_in().get(name).map(|fast| (**fast).clone());
                    if fast.as_ref() != Some(&connector) {
                        wrong.push(format!("connectors/{name}.toml reads differently without checks"));
                    }
                    for (what, there) in [
                        ("link_name is the name of the file", connector.link_name.as_ref() == Some(name)),
                        ("description", connector.description.is_some()),
                        ("category", connector.category.is_some()),
                        ("documentation_url", connector.documentation_url.is_some()),
                        ("verified", connector.verified.is_some()),
                        (
                            "test, where somebody types the credential",
                            !connector.auth.prompts() || connector.test.is_some(),
                        ),
                    ] {
                        if !there {
                            wrong.push(format!("connectors/{name}.toml lacks: {what}"));
                        }
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
        let listed: BTreeSet<String> = FILES.iter().map(|file| file.link_name.to_owned()).collect();
        assert_eq!(listed, on_disk, "what build.rs listed is not the folder connectors/");
        assert_eq!(built_in().len(), on_disk.len());
    }

    #[test]
    fn cards_say_what_the_documents_say() {
        for card in built_in().cards() {
            let document = built_in().get(card.link_name).unwrap();
            assert_eq!(card.name, document.name);
            assert_eq!(card.description, document.description.as_deref(), "{}", card.link_name);
            assert_eq!(card.category, document.category.as_deref(), "{}", card.link_name);
            assert_eq!(card.auth_type, document.auth.kind().as_str(), "{}", card.link_name);
            assert_eq!(card.logo, document.logo.as_deref(), "{}", card.link_name);
            assert_eq!(card.operations, !document.modules.is_empty(), "{}", card.link_name);
            assert_eq!(card.regions, document.regions, "{}", card.link_name);
        }
        // The files are found by halves, which needs their order.
        assert!(FILES.is_sorted_by(|a, b| a.link_name < b.link_name));
        assert!(built_in().has("github") && !built_in().has("git") && built_in().get("zz").is_none());
    }

    /// Headings under which cards are found. One more is a decision about the console, not of a file.
    const CATEGORIES: &[&str] = &[
        "AI",
        "CRM",
        "HR",
        "accounting",
        "analytics",
        "calendar",
        "database",
        "developer",
        "e-commerce",
        "forms",
        "identity",
        "mail",
        "marketing",
        "media",
        "messaging",
        "other",
        "payments",
        "productivity",
        "project",
        "social",
        "storage",
        "support",
    ];

    /// Services that name their page with a language in it.
    const ONE_LANGUAGE: &[&str] = &["bungie"];

    /// Services where apps are registered at a domain that nothing else in their file names.
    const OTHER_DOORS: &[(&str, &str)] = &[
        ("keap", "keap.com"),
        ("myob", "myob.com.au"),
        ("notion", "notion.so"),
        ("salla", "salla.partners"),
        ("shopify", "shopify.com"),
        ("stackexchange", "stackapps.com"),
        ("zendesk_sell", "futuresimple.com"),
    ];

    /// Host and the rest of an https URL.
    fn host_of(url: &str) -> Option<(&str, &str)> {
        let rest = url.strip_prefix("https://")?;
        Some(rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())))
    }

    /// What somebody registers: the last two labels of a host, three where the last two are like `co.uk`.
    fn domain_of(host: &str) -> String {
        let labels: Vec<&str> = host.split('.').collect();
        let short = |label: &str| matches!(label, "co" | "com" | "net" | "org" | "gov" | "ac");
        let by_country =
            labels.len() > 2 && labels[labels.len() - 1].len() == 2 && short(labels[labels.len() - 2]);
        labels[labels.len().saturating_sub(if by_country { 3 } else { 2 })..].join(".")
    }

    /// Whether it is a page for everybody: by its name, without what a browser's address collects on the way, in no one's language.
    fn is_plain_page(page: &str) -> bool {
        let Some((host, rest)) = host_of(page) else { return false };
        let named = host.contains('.')
            && host.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c));
        let language = |part: &str| {
            let words: Vec<&str> = part.split(['-', '_']).collect();
            let short = words.iter().all(|word| word.len() == 2);
            ["de", "en", "es", "fr", "ja"].contains(&part) || (words.len() == 2 && short)
        };
        named && !rest.contains('?') && !rest.split('/').any(language)
    }

    /// Whether the page is at a domain that the document names elsewhere too.
    fn is_own_page(file: &BuiltIn, document: &Connector, page: &str) -> bool {
        let domain = host_of(page).map(|(host, _)| domain_of(host)).unwrap_or_default();
        let mut rest = document.clone();
        rest.registration = None;
        let text = rest.to_json().to_string();
        let named = text.split(|c: char| !(c.is_ascii_alphanumeric() || ".-".contains(c))).any(|word| {
            word == domain || word.strip_suffix(&domain).is_some_and(|before| before.ends_with('.'))
        });
        named || OTHER_DOORS.contains(&(file.link_name, domain.as_str()))
    }

    #[test]
    fn where_apps_are_registered_is_looked_at_closely() {
        assert_eq!(domain_of("console.cloud.google.com"), "google.com");
        assert_eq!(domain_of("my.myob.com.au"), "myob.com.au");
        assert!(is_plain_page("https://my.freshbooks.com/#/developer"));
        for page in [
            "http://acme.example/apps",
            "https://acme.example/apps?utm_source=x",
            "https://acme.example/en-us/apps",
            "https://acme.example/de/apps",
            "https://user@acme.example/",
            "https://acme.example:8443/",
            "https://localhost/apps",
        ] {
            assert!(!is_plain_page(page), "{page}");
        }
        let (file, document) =
            (&FILES[built_in().place("github").unwrap()], built_in().get("github").unwrap());
        assert!(is_own_page(file, document, "https://github.com/settings/developers"));
        for page in ["https://hub.example/apps", "https://nogithub.com/", "https://github.com.example/"] {
            assert!(!is_own_page(file, document, page), "{page}");
        }
        // One that is named for nothing would hide what is wrong later.
        for (link_name, domain) in OTHER_DOORS {
            let registration = built_in().get(link_name).and_then(|document| document.registration.clone());
            let page = registration.and_then(|registration| registration.url).unwrap_or_default();
            assert_eq!(
                host_of(&page).map(|(host, _)| domain_of(host)).as_deref(),
                Some(*domain),
                "{link_name}"
            );
        }
    }

    /// What no single document can be wrong in, and what a catalogue file owes to whoever reads it.
    fn faults_of(file: &BuiltIn, document: &Connector) -> Vec<String> {
        let mut faults = Vec::new();
        let mut owes = |what: String, there: bool| {
            if !there {
                faults.push(what);
            }
        };
        let category = file.category.unwrap_or_default();
        owes(format!("a category that the console has, not {category:?}"), CATEGORIES.contains(&category));
        let description = file.description.unwrap_or_default();
        let length = description.chars().count();
        owes(
            "a description of one or two short sentences".to_owned(),
            (12..=160).contains(&length) && description.ends_with('.'),
        );
        for line in file.text.lines() {
            owes(format!("no http: {line}"), !line.contains("\"http://"));
        }
        owes("a documentation page by https".to_owned(), {
            document.documentation_url.as_deref().is_some_and(|page| page.starts_with("https://"))
        });
        let asked = super::super::effective_parameters(document);
        for parameter in &asked {
            let name = &parameter.name;
            let helped =
                parameter.help.as_ref().is_some_and(|help| help.ends_with('.') || help.ends_with('…'));
            // The other parts of a client that signs are explained by the console.
            let known = matches!(name.as_str(), "key_id" | "signing_algorithm");
            owes(format!("help of parameters.{name}, a sentence"), helped || known);
            let short = parameter.label.as_ref().is_none_or(|label| label.chars().count() <= 50);
            owes(format!("a short label of parameters.{name}"), short);
            let client = matches!(name.as_str(), "client_secret" | "consumer_secret" | "private_key");
            owes(format!("{name} as a secret"), parameter.secret || !client);
        }
        for field in super::super::credential_fields(document) {
            owes(
                format!("help of {}, a sentence", field.name),
                field.help.is_some_and(|help| help.ends_with('.')),
            );
        }
        if document.auth.prompts() {
            let fields = super::super::credential_fields(document);
            owes("a secret field".to_owned(), fields.iter().any(|field| field.secret));
        }
        for scope in &document.scopes {
            let label = scope.label.as_deref().unwrap_or_default();
            owes(format!("a label of the scope {}", scope.name), (3..=90).contains(&label.chars().count()));
            owes(format!("the access of the scope {}", scope.name), scope.access.is_some());
        }
        if let Some(page) =
            document.registration.as_ref().and_then(|registration| registration.url.as_deref())
        {
            owes(
                format!("a plain page in registration, not {page}"),
                is_plain_page(page) || ONE_LANGUAGE.contains(&file.link_name),
            );
            owes(
                format!(
                    "a page of the service's own in registration, not {page}: one at a host that the file names, or that OTHER_DOORS does"
                ),
                is_own_page(file, document, page),
            );
        }
        if document.verified == Some(super::super::Verified::VendorDocs) {
            owes("the vendor's page in sources".to_owned(), !document.sources.is_empty());
        }
        faults
    }

    #[test]
    fn every_file_has_what_people_read() {
        let mut wrong = Vec::new();
        let mut names = BTreeSet::new();
        for file in FILES {
            let document = built_in().get(file.link_name).unwrap();
            let faults = faults_of(file, document).into_iter();
            wrong.extend(faults.map(|what| format!("connectors/{}.toml owes: {what}", file.link_name)));
            if !names.insert(file.name.to_lowercase()) {
                wrong.push(format!("connectors/{}.toml: another has the name {}", file.link_name, file.name));
            }
        }
        assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
    }

    #[test]
    fn the_number_in_the_readme_is_true() {
        let readme = include_str!("../../../../README.md");
        let hundreds = built_in().len() / 10 * 10;
        let said = format!("{hundreds} services and more");
        assert!(readme.contains(&said), "README.md does not say: {said}");
    }

    /// `cargo test -p jackfield-core --release --lib -- --ignored --nocapture what_the_catalogue_costs`
    #[test]
    #[ignore = "a measurement, not a rule"]
    fn what_the_catalogue_costs() {
        // Pages of 4 KiB, Linux only.
        let resident = || {
            let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
            statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or_default() * 4
        };
        let before = resident();
        let clock = std::time::Instant::now();
        let count = built_in().cards().len();
        let (start, grown) = (clock.elapsed(), resident() - before);
        println!(
            "{count} connectors, {} KiB of text",
            FILES.iter().map(|f| f.text.len()).sum::<usize>() / 1024
        );
        println!("start: {start:?}, {grown} KiB");
        for words in ["invoices", "salesforse", "zoho crm", "nothing like it"] {
            let clock = std::time::Instant::now();
            let found =
                super::super::Search::new(words).among(built_in().cards(), BuiltIn::search_text).len();
            println!("search {words:?}: {found} in {:?}", clock.elapsed());
        }
        let clock = std::time::Instant::now();
        built_in().iter().for_each(drop);
        println!("every document read: {:?}, {} KiB", clock.elapsed(), resident() - before);
    }

    #[test]
    fn every_file_survives_the_round_trip() {
        for connector in built_in().iter() {
            let read = Connector::from_json(connector.to_json())
                .unwrap_or_else(|e| panic!("{}: {e:?}", connector.name));
            assert_eq!(read, **connector);
        }
    }

    /// Puts a value where a JSON pointer leads.
    fn set(whole: &mut serde_json::Value, pointer: &str, value: &serde_json::Value) {
        let mut place = whole;
        for name in pointer.split('/').skip(1) {
            place = &mut place[name];
        }
        *place = value.clone();
    }

    /// A description as its own file says that the service gives it: read, and what it describes is sent.
    #[test]
    fn described_fields_are_read_as_each_file_says_and_sent() {
        use std::collections::BTreeMap;

        use serde_json::{Map, Value, json};

        use super::super::FieldType;
        let mut seen = 0;
        for connector in built_in().iter() {
            for (module_name, module) in &connector.modules {
                for (name, operation) in &module.operations {
                    let Some(more) = &operation.more_fields else { continue };
                    let place = format!("{} {module_name}.{name}", connector.name);
                    let (_, list) = more.asks(connector).unwrap();
                    let given: BTreeMap<String, String> =
                        more.needs().into_iter().map(|need| (need, "7".to_owned())).collect();
                    let question = more.question(&given).unwrap();

                    let mut one = json!({});
                    for (pointer, text) in [
                        (Some(&more.name), "Own"),
                        (more.label.as_ref(), "Label"),
                        (more.help.as_ref(), "Help"),
                    ] {
                        if let Some(pointer) = pointer {
                            set(&mut one, pointer, &json!(text));
                        }
                    }
                    more.required
                        .iter()
                        .for_each(|(pointer, texts)| set(&mut one, pointer, &json!(texts[0])));
                    if let Some(choices) = &more.choices {
                        let mut choice = json!({});
                        set(&mut choice, &choices.value, &json!("a"));
                        set(&mut one, &choices.at, &json!([choice]));
                        choices
                            .when
                            .iter()
                            .for_each(|(pointer, texts)| set(&mut one, pointer, &json!(texts[0])));
                    }
                    let described = |one: &Value| {
                        let mut item = one.clone();
                        if let Some(each) = &more.each {
                            item = json!({});
                            set(&mut item, each, &json!([one]));
                        }
                        let Some(items) = &list.items else {
                            return more.fields(std::slice::from_ref(&item), &question);
                        };
                        // What is not meant stands before it, and says the same under another name.
                        let mut other = json!(item.to_string().replace("Own", "Other"));
                        other = serde_json::from_str(other.as_str().unwrap()).unwrap();
                        let mut all = Vec::new();
                        if let Some((pointer, text)) = more.wanted.first_key_value() {
                            set(&mut item, pointer, &json!(if text.contains('{') { "7" } else { text }));
                            set(&mut other, pointer, &json!("8"));
                            all.push(other);
                        }
                        all.push(item);
                        let mut answer = json!({});
                        set(&mut answer, items, &json!(all));
                        more.fields(list.items(&answer), &question)
                    };
                    let fields = described(&one);
                    let [field] = fields.as_slice() else { panic!("{place}: {fields:?}") };
                    assert_eq!(
                        (field.name.as_str(), field.required),
                        ("Own", !more.required.is_empty()),
                        "{place}"
                    );
                    assert_eq!(field.label.is_some(), more.label.is_some(), "{place}");
                    assert_eq!(field.choices.len(), usize::from(more.choices.is_some()), "{place}");
                    for (pointer, texts) in &more.read_only {
                        for text in texts {
                            let mut written = one.clone();
                            set(&mut written, pointer, &json!(text));
                            assert_eq!(described(&written), [], "{place}: {pointer} {text}");
                        }
                    }
                    for (word, kind) in &more.types {
                        let mut typed = one.clone();
                        set(&mut typed, more.kind.as_ref().unwrap(), &json!(word));
                        assert_eq!(described(&typed)[0].kind, *kind, "{place}: {word}");
                    }
                    for (word, shape) in &more.shapes {
                        let mut typed = one.clone();
                        set(&mut typed, more.kind.as_ref().unwrap(), &json!(word));
                        assert_eq!(described(&typed)[0].shape.as_ref(), Some(shape), "{place}: {word}");
                    }
                    let mut odd = one.clone();
                    more.kind.iter().for_each(|pointer| set(&mut odd, pointer, &json!("of a later time")));
                    let odd = &described(&odd)[0];
                    assert_eq!((odd.kind, &odd.shape), (more.default_type, &None), "{place}");

                    let own = module.fields_of(operation);
                    let needed =
                        own.iter().filter(|field| field.required && Some(&field.name) != more.into.as_ref());
                    let mut arguments: Map<String, Value> = needed
                        .map(|field| {
                            (
                                field.name.clone(),
                                if field.kind == FieldType::List { json!(["7"]) } else { json!("7") },
                            )
                        })
                        .collect();
                    arguments.insert("Own".to_owned(), json!("mine"));
                    let known = |names: Vec<String>| {
                        names.into_iter().map(|name| (name, "x".to_owned())).collect::<BTreeMap<_, _>>()
                    };
                    let parameters = known(
                        super::super::effective_parameters(connector).into_iter().map(|p| p.name).collect(),
                    );
                    let values = super::super::Values { parameters: Some(&parameters), ..Default::default() };
                    let call = module.call(operation, &arguments, &values, None, None);
                    let call = call.unwrap_or_else(|wrong| panic!("{place}: {wrong:?}"));
                    assert!(call.body.unwrap().to_string().contains(r#""Own":"mine""#), "{place}");
                    seen += 1;
                }
            }
        }
        assert!(seen >= 30, "{seen}");
    }

    #[test]
    fn the_examples_of_the_guide_are_right() {
        let guide = include_str!("../../../../docs/connectors.md");
        let examples: Vec<&str> =
            guide.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert_eq!(examples.len(), 2);
        for example in examples {
            assert!(Connector::from_toml(example).is_ok(), "{:?}", Connector::from_toml(example));
        }
        // Every member of the schema is explained.
        let mut names = BTreeSet::new();
        member_names(&super::super::schema(), &mut names);
        let missing: Vec<_> = names.iter().filter(|name| !guide.contains(&format!("`{name}`"))).collect();
        assert!(missing.is_empty(), "docs/connectors.md does not explain {missing:?}");
    }

    fn member_names(schema: &serde_json::Value, names: &mut BTreeSet<String>) {
        match schema {
            serde_json::Value::Object(members) => {
                if let Some(serde_json::Value::Object(properties)) = members.get("properties") {
                    names.extend(properties.keys().cloned());
                }
                members.values().for_each(|value| member_names(value, names));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| member_names(item, names)),
            _ => {}
        }
    }
}
