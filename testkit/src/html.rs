//! As much of HTML as the test browser needs: forms and links. It reads the pages of this workspace and of the test
//! servers, not the web.

/// What a page offers.
#[derive(Clone, Debug, Default)]
pub struct Document {
    pub forms: Vec<Form>,
    pub links: Vec<Link>,
}

#[derive(Clone, Debug, Default)]
pub struct Link {
    pub href: String,
    pub text: String,
}

#[derive(Clone, Debug, Default)]
pub struct Form {
    pub id: String,
    pub action: String,
    /// By POST; otherwise by GET.
    pub post: bool,
    pub fields: Vec<Field>,
    pub buttons: Vec<Button>,
}

/// A field with the value that it has.
#[derive(Clone, Debug, Default)]
pub struct Field {
    pub name: String,
    /// `type` of an input; `textarea` or `select`.
    pub kind: String,
    pub value: String,
    /// Sent: a checkbox or radio button that is set, and any other field.
    pub set: bool,
    /// What a `select` offers.
    pub options: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub struct Button {
    pub name: String,
    pub value: String,
    pub text: String,
    /// `formaction`.
    pub action: Option<String>,
}

impl Form {
    /// The fields to send once these are filled in.
    pub fn fill(&self, given: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
        let mut fields = self.fields.clone();
        for &(name, value) in given {
            let mut known = false;
            for field in fields.iter_mut().filter(|field| field.name == name) {
                match field.kind.as_str() {
                    "radio" | "checkbox" => {
                        let chosen = field.value == value;
                        if field.kind == "radio" || chosen || value.is_empty() {
                            field.set = chosen && !value.is_empty();
                        }
                        known |= chosen || value.is_empty();
                    }
                    "select" => {
                        value.clone_into(&mut field.value);
                        field.set = true;
                        known |= field.options.iter().any(|option| option == value);
                    }
                    _ => {
                        value.clone_into(&mut field.value);
                        known = true;
                    }
                }
            }
            if !known {
                return Err(format!("the form has no field `{name}` that takes `{value}`"));
            }
        }
        let sent = fields.into_iter().filter(|field| field.set && !field.name.is_empty());
        Ok(sent.map(|field| (field.name, field.value)).collect())
    }
}

/// Reads a page. What is not HTML has no forms and no links.
pub fn parse(text: &str) -> Document {
    let mut reader = Reader::default();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        reader.text(&rest[..at]);
        rest = &rest[at..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let Some((tag, after)) = read_tag(rest) else {
            reader.text("<");
            rest = &rest[1..];
            continue;
        };
        rest = after;
        if matches!(tag.name.as_str(), "script" | "style" | "template") {
            let end = format!("</{}", tag.name);
            // Only the ASCII letters change, so the places stay the same.
            rest = rest.to_ascii_lowercase().find(&end).map_or("", |at| &rest[at..]);
            continue;
        }
        reader.tag(&tag);
    }
    reader.finish()
}

struct Tag {
    /// In lower case, with a slash in front when it closes.
    name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }
}

fn read_tag(text: &str) -> Option<(Tag, &str)> {
    let inner = text.strip_prefix('<')?;
    let end = inner.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(inner.len());
    let name = inner[..end].trim_end_matches('/').to_ascii_lowercase();
    if !name.trim_start_matches('/').starts_with(|c: char| c.is_ascii_alphabetic() || c == '!') {
        return None;
    }
    let mut attributes = Vec::new();
    let mut rest = &inner[end..];
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if let Some(after) = rest.strip_prefix('>') {
            return Some((Tag { name, attributes }, after));
        }
        if rest.is_empty() {
            return None;
        }
        let end = rest.find(|c: char| c.is_ascii_whitespace() || "=>/".contains(c)).unwrap_or(rest.len());
        // A stray `=` is passed over.
        let end = end.max(1);
        let key = rest[..end].to_ascii_lowercase();
        rest = rest[end..].trim_start();
        let mut value = "";
        if let Some(after) = rest.strip_prefix('=') {
            let after = after.trim_start();
            (value, rest) = match after.chars().next() {
                Some(quote @ ('"' | '\'')) => after[1..].split_once(quote)?,
                _ => after.split_at(
                    after.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(after.len()),
                ),
            };
        }
        attributes.push((key, unescape(value)));
    }
}

#[derive(Default)]
struct Reader {
    forms: Vec<Form>,
    links: Vec<Link>,
    /// The form that we are in.
    form: Option<usize>,
    /// Fields and buttons that name their form, which may come later.
    fields: Vec<(Place, Field)>,
    buttons: Vec<(Place, Button)>,
    /// What the text belongs to now.
    open: Open,
    buffer: String,
}

#[derive(Clone)]
enum Place {
    Inside(usize),
    Named(String),
    Nowhere,
}

#[derive(Default, PartialEq, Eq)]
enum Open {
    #[default]
    Nothing,
    Link,
    Button,
    Textarea,
    Select {
        /// An option is open, and whether it is the chosen one.
        option: Option<(Option<String>, bool)>,
    },
}

impl Reader {
    fn text(&mut self, text: &str) {
        self.buffer.push_str(text);
    }

    fn place(&self, tag: &Tag) -> Place {
        match (tag.get("form"), self.form) {
            (Some(name), _) => Place::Named(name.to_owned()),
            (None, Some(form)) => Place::Inside(form),
            (None, None) => Place::Nowhere,
        }
    }

    fn start(&mut self, open: Open) {
        self.open = open;
        self.buffer.clear();
    }

    fn tag(&mut self, tag: &Tag) {
        let disabled = tag.get("disabled").is_some();
        match tag.name.as_str() {
            "form" => {
                self.forms.push(Form {
                    id: tag.text("id"),
                    action: tag.text("action"),
                    post: tag.get("method").is_some_and(|method| method.eq_ignore_ascii_case("post")),
                    ..Form::default()
                });
                self.form = Some(self.forms.len() - 1);
            }
            "/form" => self.form = None,
            "a" if tag.get("href").is_some() => {
                self.links.push(Link { href: tag.text("href"), text: String::new() });
                self.start(Open::Link);
            }
            "/a" if self.open == Open::Link => {
                let text = plain(&self.buffer);
                if let Some(link) = self.links.last_mut() {
                    link.text = text;
                }
                self.start(Open::Nothing);
            }
            "input" if !disabled => self.input(tag),
            "button"
                if !disabled && tag.get("type").is_none_or(|kind| kind.eq_ignore_ascii_case("submit")) =>
            {
                let place = self.place(tag);
                self.buttons.push((place, button(tag)));
                self.start(Open::Button);
            }
            "/button" if self.open == Open::Button => {
                let text = plain(&self.buffer);
                if let Some((_, button)) = self.buttons.last_mut() {
                    button.text = text;
                }
                self.start(Open::Nothing);
            }
            "textarea" if !disabled => {
                let place = self.place(tag);
                self.fields.push((place, field(tag, "textarea")));
                self.start(Open::Textarea);
            }
            "/textarea" if self.open == Open::Textarea => {
                let text = unescape(self.buffer.trim_start_matches('\n'));
                if let Some((_, field)) = self.fields.last_mut() {
                    field.value = text;
                }
                self.start(Open::Nothing);
            }
            "select" if !disabled => {
                let place = self.place(tag);
                self.fields.push((place, Field { set: false, ..field(tag, "select") }));
                self.start(Open::Select { option: None });
            }
            "option" if matches!(self.open, Open::Select { .. }) => {
                self.end_option();
                let chosen = tag.get("selected").is_some();
                self.start(Open::Select { option: Some((tag.get("value").map(str::to_owned), chosen)) });
            }
            "/option" => self.end_option(),
            "/select" => {
                self.end_option();
                self.start(Open::Nothing);
            }
            _ => {}
        }
    }

    fn input(&mut self, tag: &Tag) {
        let kind = tag.get("type").unwrap_or("text").to_ascii_lowercase();
        let place = self.place(tag);
        match kind.as_str() {
            "submit" | "image" => {
                let text = tag.get("value").unwrap_or("Submit").to_owned();
                self.buttons.push((place, Button { text, ..button(tag) }));
            }
            "button" | "reset" | "file" => {}
            _ => {
                let mut field = field(tag, &kind);
                if matches!(kind.as_str(), "checkbox" | "radio") {
                    field.set = tag.get("checked").is_some();
                    tag.get("value").unwrap_or("on").clone_into(&mut field.value);
                }
                self.fields.push((place, field));
            }
        }
    }

    fn end_option(&mut self) {
        let Open::Select { option } = &mut self.open else { return };
        let Some((value, chosen)) = option.take() else { return };
        let value = value.unwrap_or_else(|| plain(&self.buffer));
        if let Some((_, field)) = self.fields.last_mut() {
            if chosen || field.options.is_empty() {
                value.clone_into(&mut field.value);
            }
            // A list that offers something sends something.
            field.set = true;
            field.options.push(value);
        }
    }

    fn finish(mut self) -> Document {
        for (place, field) in std::mem::take(&mut self.fields) {
            if let Some(form) = self.form_at(&place) {
                form.fields.push(field);
            }
        }
        for (place, button) in std::mem::take(&mut self.buttons) {
            if let Some(form) = self.form_at(&place) {
                form.buttons.push(button);
            }
        }
        Document { forms: self.forms, links: self.links }
    }

    fn form_at(&mut self, place: &Place) -> Option<&mut Form> {
        match place {
            Place::Inside(index) => self.forms.get_mut(*index),
            Place::Named(id) => self.forms.iter_mut().find(|form| form.id == *id),
            Place::Nowhere => None,
        }
    }
}

fn field(tag: &Tag, kind: &str) -> Field {
    Field {
        name: tag.text("name"),
        kind: kind.to_owned(),
        value: tag.text("value"),
        set: true,
        options: Vec::new(),
    }
}

fn button(tag: &Tag) -> Button {
    Button {
        name: tag.text("name"),
        value: tag.text("value"),
        text: String::new(),
        action: tag.get("formaction").map(str::to_owned),
    }
}

/// Text as a person sees it: one space between words.
fn plain(text: &str) -> String {
    unescape(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a person reads in a piece of a page: no tags, one space between words.
pub fn text(piece: &str) -> String {
    let mut out = String::with_capacity(piece.len());
    let mut rest = piece;
    while let Some((text, tag)) = rest.split_once('<') {
        out.extend([text, " "]);
        rest = tag.split_once('>').map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    plain(&out)
}

/// With its character references resolved.
pub fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.find(';').unwrap_or(0);
        if let Some(c) = rest.get(1..end).and_then(entity) {
            plain.push(c);
            rest = &rest[end + 1..];
        } else {
            plain.push('&');
            rest = &rest[1..];
        }
    }
    plain.push_str(rest);
    plain
}

fn entity(name: &str) -> Option<char> {
    let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some('\u{a0}'),
        _ => {
            let digits = name.strip_prefix('#')?;
            match digits.strip_prefix(['x', 'X']) {
                Some(hex) => number(hex, 16),
                None => number(digits, 10),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_have_their_fields_and_buttons() {
        let page = parse(
            r#"<!doctype html><!-- <form> --><script>if (a<b) "</form>"</script>
            <form id=one METHOD="POST" action='/a?b=1&amp;c=2'>
              <input type=hidden name=token value="&#39;x&#x27;">
              <input name=user required><input type=checkbox name=all checked><input type=checkbox name=none>
              <input type=radio name=r value=1><input type=radio name=r value=2 checked>
              <select name=env><option>development<option value=p selected>Production</select>
              <textarea name=note>
a &lt; b</textarea>
              <button type=button>Nothing</button>
              <button name=decision value=allow>Allow <b>access</b></button>
            </form>
            <button type="submit" form="one" name="decision" value="deny">Deny</button>
            <form><input type=submit value=Go></form> 1 < 2 <a href="/x?a=1&amp;b=2">Next
              page</a>"#,
        );
        assert_eq!(page.forms.len(), 2);
        let form = &page.forms[0];
        assert!(form.post);
        assert_eq!(form.action, "/a?b=1&c=2");
        let texts: Vec<_> = form.buttons.iter().map(|b| b.text.as_str()).collect();
        assert_eq!(texts, ["Allow access", "Deny"]);
        let sent = form.fill(&[("user", "alice"), ("none", "on"), ("r", "1")]).unwrap();
        let sent: Vec<_> = sent.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(sent, ["token='x'", "user=alice", "all=on", "none=on", "r=1", "env=p", "note=a < b"]);
        assert!(form.fill(&[("nobody", "x")]).is_err());
        assert!(form.fill(&[("env", "moon")]).is_err());
        assert!(!page.forms[1].post);
        assert_eq!(page.forms[1].buttons[0].text, "Go");
        assert_eq!((page.links[0].href.as_str(), page.links[0].text.as_str()), ("/x?a=1&b=2", "Next page"));
    }

    #[test]
    fn what_is_no_page_has_nothing() {
        for text in ["", "{\"a\":\"<\"}", "<", "<form", "a & b", "&#xffffffff;", "<a href=x", "<=>"] {
            let page = parse(text);
            assert!(page.forms.is_empty(), "{text}");
        }
    }
}
