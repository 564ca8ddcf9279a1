//! Files in records: sent by programs and by people without scripts, kept sealed, given back to those who may see the record, and gone with it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::pages::{Visitor, error_at, form_token, words};
use crate::support::{Answer, Home, Server};
use crate::upstream::{Upstream, reply, to_upstream};
use crate::world::until;

/// Found in no place where it has no business.
const CANARY: &[u8] = b"canary-of-a-document-9xK2mP7vL4qR8";
const DEVELOPMENT: &str = "environment=development";

fn sent(filename: &str, content_type: &str, bytes: &[u8]) -> Value {
    json!({"filename": filename, "content_type": content_type, "base64": BASE64_STANDARD.encode(bytes)})
}

/// An application with a form that asks for files; its path.
async fn applicants(server: &Server, access: &str) -> String {
    let application = server.application("Hiring").await;
    let base = format!("/v1/applications/{application}");
    let definition = json!({"access": access, "fields": [
        {"name": "title", "label": "Name", "required": true},
        {"name": "cv", "label": "CV", "type": "file", "required": true, "accept": ["application/pdf", ".txt"], "max_bytes": 200_000},
        {"name": "photo", "type": "file", "accept": ["image/*"]},
        {"name": "letter", "type": "file", "visible_if": {"field": "title", "is": ["Ann"]}},
    ]});
    server
        .post(&format!("{base}/forms"), json!({"name": "Applicants", "definition": definition}))
        .await
        .expect(201);
    base
}

fn records(base: &str) -> String {
    format!("{base}/forms/applicants/records")
}

async fn make(server: &Server, base: &str, data: Value) -> Answer {
    server.post(&format!("{}?{DEVELOPMENT}", records(base)), json!({"data": data})).await
}

/// How many files are kept; looked at where that is easy.
#[track_caller]
fn assert_files(home: &Home, many: usize) {
    if home.is_postgres() {
        assert_eq!(home.sql("select count(*) from record_files").trim(), many.to_string());
    }
}

/// Header and bytes of a file; of none the status.
async fn download(
    server: &Server,
    key: &str,
    base: &str,
    id: &str,
    field: &str,
) -> Result<(String, Vec<u8>), u16> {
    let url = format!("{}{}/{id}/files/{field}?{DEVELOPMENT}", server.url, records(base));
    let request =
        jackfield_testkit::reqwest::Client::new().get(url).header("authorization", format!("Bearer {key}"));
    let response = request.send().await.unwrap();
    if response.status() != 200 {
        return Err(response.status().as_u16());
    }
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("content-type"), "application/octet-stream");
    assert!(header("content-security-policy").contains("sandbox"));
    assert!(header("content-disposition").starts_with("attachment; filename=\""));
    let disposition = header("content-disposition");
    Ok((disposition, response.bytes().await.unwrap().to_vec()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_kept_sealed_with_its_record_and_goes_with_it() {
    for home in Home::both() {
        let server = home.start();
        let base = applicants(&server, "members").await;
        let own = server.key.clone();
        let cv = [CANARY, &[0, 255, 13, 10]].concat();
        let made = make(
            &server,
            &base,
            json!({"title": "Ben", "cv": sent("C:\\x\\Ben \u{202e}é.pdf", "application/PDF; x", &cv),
            "letter": sent("l", "", CANARY)}),
        )
        .await
        .expect(201);
        let id = made["id"].as_str().unwrap();
        let reference = &made["data"]["cv"];
        assert!(reference["file"].as_str().unwrap().starts_with("fil_"), "{reference}");
        assert_eq!(
            (&reference["filename"], &reference["content_type"], &reference["size"]),
            (&json!("Ben é.pdf"), &json!("application/pdf"), &json!(cv.len()))
        );
        assert_eq!(made["data"].get("letter"), None, "of a field that is not shown nothing is kept");
        let (disposition, bytes) = download(&server, &own, &base, id, "cv").await.unwrap();
        assert_eq!(disposition, "attachment; filename=\"Ben _.pdf\"; filename*=UTF-8''Ben%20%C3%A9.pdf");
        assert_eq!(bytes, cv);
        assert_files(&home, 1);

        // Nothing of it stands in clear, neither in the store nor in the log.
        for (path, stored) in home.everything_stored() {
            assert!(crate::upstream::find(&stored, CANARY).is_none(), "{}", path.display());
        }
        let dumped = if home.is_postgres() {
            home.sql("select * from record_files") + &home.sql("select * from records") + &server.log()
        } else {
            server.log()
        };
        let hex: Vec<String> = CANARY.iter().map(|byte| format!("{byte:02x}")).collect();
        let hex = hex.concat();
        assert!(!dumped.contains(&hex));
        for form in
            [String::from_utf8_lossy(CANARY).into_owned(), BASE64_STANDARD.encode(CANARY)[..40].to_owned()]
        {
            assert!(!dumped.contains(&form), "{form}");
        }

        // Whoever may not see the record sees no file of it; a field without one has none.
        let person = server.person("Una", "user").await;
        let unseen =
            server.as_person(&person).get(&format!("{}/{id}/files/cv?{DEVELOPMENT}", records(&base))).await;
        assert_eq!(unseen.status, 404, "{}", unseen.text);
        for field in ["photo", "title", "nobody's", "letter"] {
            assert_eq!(download(&server, &own, &base, id, field).await, Err(404), "{field}");
        }
        assert_eq!(download(&server, "jfp_wrong", &base, id, "cv").await, Err(401));

        // An edit keeps it, puts another in its place, or takes one out. Nobody names the file of another record.
        let path = format!("{}/{id}?{DEVELOPMENT}", records(&base));
        let patch = async |data: Value| server.api("PATCH", &path, json!({"data": data})).await;
        assert_eq!(patch(json!({"title": "Bea"})).await.expect(200)["data"]["cv"], *reference);
        assert_eq!(
            patch(json!({"cv": reference, "title": "Ben"})).await.expect(200)["data"]["cv"],
            *reference
        );
        let other = make(&server, &base, json!({"title": "Eve", "cv": sent("e.txt", "text/plain", b"eve")}))
            .await
            .expect(201);
        let stolen = patch(json!({"cv": other["data"]["cv"]})).await;
        assert_eq!((stolen.status, stolen.fields()), (422, vec!["data.cv".to_owned()]));
        assert_eq!(make(&server, &base, json!({"title": "X", "cv": reference})).await.fields(), ["data.cv"]);
        assert_eq!(patch(json!({"cv": null})).await.fields(), ["data.cv"], "it is required");
        let changed = patch(
            json!({"cv": sent("b.txt", "x/y", b"second"), "photo": sent("p.png", "image/png", b"png")}),
        )
        .await
        .expect(200);
        assert_ne!(changed["data"]["cv"]["file"], reference["file"]);
        assert_eq!(download(&server, &own, &base, id, "cv").await.unwrap().1, b"second");
        assert_files(&home, 3);
        assert_eq!(patch(json!({"photo": null})).await.expect(200)["data"].get("photo"), None);
        assert_files(&home, 2);

        // In a file of values there is its name; such a file brings none.
        let csv = server.get(&format!("{}.csv?{DEVELOPMENT}", records(&base))).await.text;
        assert!(csv.contains("b.txt") && !csv.contains("fil_"), "{csv}");
        let imports = format!("{base}/forms/applicants/imports?{DEVELOPMENT}");
        let refused = server
            .post(&imports, json!({"csv": "title,CV\nZoe,z.pdf\n"}))
            .await
            .problem(422, "invalid_input");
        assert!(refused["errors"][0]["message"].as_str().unwrap().contains("holds files"), "{refused}");

        // With the record the bytes go, though the record is remembered for a while.
        assert_eq!(server.api("DELETE", &path, Value::Null).await.status, 204);
        assert_eq!(download(&server, &own, &base, id, "cv").await, Err(404));
        assert_files(&home, 1);
        // With the application the others.
        let link = base.rsplit('/').next().unwrap();
        assert_eq!(server.api("DELETE", &format!("/v1/applications/{link}"), Value::Null).await.status, 204);
        assert_files(&home, 0);
    }
}

/// Bytes are sealed for the place where they stand: whoever can write into the database gives nobody the file of another.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_were_moved_do_not_open() {
    let home = Home::postgres();
    let server = home.start();
    let base = applicants(&server, "members").await;
    let mut ids = Vec::new();
    for (who, bytes) in [("Ann", CANARY), ("Eve", b"eve")] {
        let data = json!({"title": who, "cv": sent("cv.txt", "", bytes)});
        let made = make(&server, &base, data).await.expect(201);
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    let (ann, eve) = (&ids[0], &ids[1]);
    let key = server.key.clone();
    assert_eq!(download(&server, &key, &base, eve, "cv").await.unwrap().1, b"eve");
    home.sql(&format!(
        "update record_files set content = (select content from record_files where record = '{ann}') where record = '{eve}'"
    ));
    assert_eq!(download(&server, &key, &base, eve, "cv").await, Err(500));
    assert_eq!(download(&server, &key, &base, ann, "cv").await.unwrap().1, CANARY);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_file_is_said_at_its_field() {
    let home = Home::postgres().set("JACKFIELD_FILE_LIMIT", "300k");
    let server = home.start();
    let base = applicants(&server, "members").await;
    let good = || sent("a.pdf", "application/pdf", b"x");
    for (data, at) in [
        (json!({"title": "A"}), "data.cv"),
        (json!({"title": "A", "cv": "a.pdf"}), "data.cv"),
        (json!({"title": "A", "cv": {"base64": "*"}}), "data.cv.base64"),
        (json!({"title": "A", "cv": sent("a.exe", "application/x-msdownload", b"x")}), "data.cv"),
        (json!({"title": "A", "cv": sent("a.txt", "", &vec![0; 200_001])}), "data.cv"),
        (
            json!({"title": "A", "cv": good(), "photo": sent("p.png", "image/png", &vec![0; 310_000])}),
            "data.photo",
        ),
        (
            json!({"title": "A", "cv": {"filename": "a.pdf", "content_type": "application/pdf", "base64": "", "path": "/etc"}}),
            "data.cv.path",
        ),
    ] {
        let answer = make(&server, &base, data.clone()).await;
        let shown: String = data.to_string().chars().take(80).collect();
        assert_eq!((answer.status, answer.fields()), (422, vec![at.to_owned()]), "{shown}: {}", answer.text);
    }
    assert_files(&home, 0);
    let largest = json!({"title": "A", "cv": sent("a.txt", "", &vec![7; 200_000]), "photo": sent("p", "image/png", &vec![7; 307_200])});
    make(&server, &base, largest).await.expect(201);
}

/// A form as browsers send it where files are chosen: name and text, or name, file name, type and bytes.
fn parts(texts: &[(&str, &str)], files: &[(&str, &str, &str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, text) in texts {
        body.extend_from_slice(
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n").as_bytes(),
        );
    }
    for (name, filename, kind, bytes) in files {
        let head = format!(
            "--b\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{filename}\"\r\nContent-Type: {kind}\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--b--\r\n");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_send_files_by_a_page_without_scripts() {
    let home = Home::postgres();
    let server = home.start();
    let base = applicants(&server, "public").await;
    for to in ["stage", "production"] {
        server.post(&format!("{base}/publish"), json!({"to": to})).await.expect(200);
    }
    let organization = server.get("/v1/organization").await.expect(200)["id"].as_str().unwrap().to_owned();
    let path = format!("/f/{organization}/{}/applicants", base.rsplit('/').next().unwrap());
    let page = server.with_key("").get(&path).await.text;
    assert!(page.contains("enctype=\"multipart/form-data\""), "{page}");
    assert!(page.contains(r#"type="file" accept="application/pdf,.txt""#), "{page}");
    let send = async |texts: &[(&str, &str)], files: &[(&str, &str, &str, &[u8])]| {
        let request = server.request("POST", &path).header("content-type", "multipart/form-data; boundary=b");
        Answer::of(request.body(parts(texts, files)).send().await.unwrap()).await
    };
    // What is wrong stands at its field; a file that was right has to be chosen again, which is said.
    let wrong = send(
        &[("once", "1"), ("data.title", "")],
        &[
            ("data.cv", "cv.exe", "application/x-msdownload", b"MZ"),
            ("data.photo", "p.png", "image/png", b"png"),
        ],
    )
    .await;
    assert_eq!(wrong.status, 422, "{}", wrong.text);
    for there in ["f-data-title-error", "f-data-cv-error", "f-data-photo-error", "Choose the file again"] {
        assert!(wrong.text.contains(there), "{there}: {}", wrong.text);
    }
    // Two files at once, with names that are not to be believed; the same page twice is one record.
    for _ in 0..2 {
        let sent = send(
            &[("once", "1"), ("data.title", "Ann")],
            &[
                ("data.cv", "../..\\\u{202e}cv%22;<b>.pdf", "application/pdf", CANARY),
                ("data.photo", "", "application/octet-stream", b""),
                ("data.letter", "l.txt", "text/plain", b"\r\n--c\r\nb"),
            ],
        )
        .await;
        assert_eq!(sent.status, 303, "{}", sent.text);
    }
    let all = server.get(&records(&base)).await.expect(200);
    assert_eq!(all["items"].as_array().unwrap().len(), 1, "{all}");
    let record = &all["items"][0];
    assert_eq!(
        (&record["data"]["cv"]["filename"], &record["data"]["cv"]["size"]),
        (&json!("cv\";<b>.pdf"), &json!(CANARY.len()))
    );
    assert_eq!((record["data"].get("photo"), &record["data"]["letter"]["size"]), (None, &json!(8)));
    assert_files(&home, 2);
    // Too large by itself: at its field. Too large as a whole: the limit is said.
    let large = vec![1; 250_000];
    let refused = send(&[("data.title", "B")], &[("data.cv", "b.pdf", "application/pdf", &large)]).await;
    assert!(
        refused.status == 422 && refused.text.contains("at most 196 KiB"),
        "{} {}",
        refused.status,
        refused.text
    );
    let huge = vec![1; 16 << 20];
    let refused = send(&[("data.title", "B")], &[("data.cv", "b.pdf", "application/pdf", &huge)]).await;
    assert!(refused.status == 413 && refused.text.contains("16 MiB"), "{} {}", refused.status, refused.text);
    let broken = server
        .request("POST", &path)
        .header("content-type", "multipart/form-data; boundary=b")
        .body("--b\r\nbroken");
    assert_eq!(Answer::of(broken.send().await.unwrap()).await.status, 400);
    // Files count for more than words do: of those of 9 MiB an address sends few in a minute.
    let photo = vec![1; 9 << 20];
    let mut last = 0;
    for n in 0..10 {
        let once = format!("many{n}");
        let files: [(&str, &str, &str, &[u8]); 2] =
            [("data.cv", "b.txt", "x/y", b"x"), ("data.photo", "p.png", "image/png", &photo)];
        last = send(&[("once", once.as_str()), ("data.title", "B")], &files).await.status;
        if last == 429 {
            break;
        }
        assert_eq!(last, 303);
    }
    assert_eq!(last, 429);
    // Before anything more of a file is read.
    let mut more = begin_upload(&server, "127.0.0.1", &path, (9 << 20, 0)).await;
    let mut status = [0; 12];
    more.read_exact(&mut status).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&status), "HTTP/1.1 429");
}

#[tokio::test(flavor = "multi_thread")]
async fn members_see_and_change_files_in_the_console() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let base = applicants(&server, "members").await;
    let link = base.rsplit('/').next().unwrap().to_owned();
    let ada = Visitor::founder(&server, &founder).await;
    let at = format!("/console/applications/{link}/forms/applicants/records");
    let form = ada.see(&format!("{at}/new-record?{DEVELOPMENT}")).await;
    let token = form_token(&form);
    let cookies: Vec<String> =
        ada.browser.cookies().iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
    let http = jackfield_testkit::reqwest::Client::builder()
        .redirect(jackfield_testkit::reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let send =
        async |path: &str, token: &str, texts: &[(&str, &str)], files: &[(&str, &str, &str, &[u8])]| {
            let texts: Vec<(&str, &str)> = [("form_token", token), ("environment", "development")]
                .into_iter()
                .chain(texts.iter().copied())
                .collect();
            let request = http
                .post(format!("{}{path}", server.url))
                .header("cookie", cookies.join("; "))
                .header("origin", &server.url)
                .header("content-type", "multipart/form-data; boundary=b")
                .body(parts(&texts, files));
            Answer::of(request.send().await.unwrap()).await
        };
    let new = format!("{at}/new-record");
    let cv: (&str, &str, &str, &[u8]) = ("data.cv", "cv.pdf", "application/pdf", b"one");
    let forged = send(&new, "nobody's", &[("data.title", "Ann")], &[cv]).await;
    assert_eq!(forged.status, 403, "{}", forged.text);
    let made = send(
        &new,
        &token,
        &[("data.title", "Ann")],
        &[cv, ("data.photo", "p\u{202e}<i>.png", "image/png", b"two")],
    )
    .await;
    assert_eq!(made.status, 303, "{}", made.text);
    let to = made.headers["location"].to_str().unwrap().to_owned();
    let page = ada.see(&to).await;
    assert!(words(&page).contains("cv.pdf (3 bytes)") && words(&page).contains("p<i>.png"), "{}", page.body);
    let id = to.split('?').next().unwrap().rsplit('/').next().unwrap().to_owned();
    let file = ada.open(&format!("{at}/{id}/files/cv?{DEVELOPMENT}")).await;
    assert_eq!((file.status, file.body.as_str()), (200, "one"));
    assert_eq!(file.header("content-disposition"), Some("attachment; filename=\"cv.pdf\""));
    assert!(file.header("content-security-policy").unwrap().contains("sandbox"));
    assert_eq!(ada.open(&format!("{at}/{id}/files/letter?{DEVELOPMENT}")).await.status, 404);
    // An edit without a file keeps it; a box takes one out that need not be there.
    let edit = format!("{at}/{id}/edit");
    let page = ada.see(&format!("{edit}?{DEVELOPMENT}")).await;
    assert!(
        page.body.contains("name=\"drop.photo\"") && !page.body.contains("name=\"drop.cv\""),
        "{}",
        page.body
    );
    let nothing: [(&str, &str, &str, &[u8]); 1] = [("data.cv", "", "application/octet-stream", b"")];
    let wrong = send(&edit, &token, &[("data.title", "")], &nothing).await;
    assert!(wrong.status == 422 && wrong.text.contains("Kept now: cv.pdf"), "{}", wrong.text);
    let saved = send(&edit, &token, &[("data.title", "Ann"), ("drop.photo", "on")], &nothing).await;
    assert_eq!(saved.status, 303, "{}", saved.text);
    let record = server.get(&format!("{}/{id}?{DEVELOPMENT}", records(&base))).await.expect(200);
    assert_eq!((&record["data"]["cv"]["filename"], record["data"].get("photo")), (&json!("cv.pdf"), None));
    // The page for members to fill in takes them too.
    let fill = format!("/console/fill/{link}/applicants?{DEVELOPMENT}");
    let page = ada.see(&fill).await;
    assert!(page.body.contains("multipart/form-data"), "{}", page.body);
    let kept =
        send(&fill, &token, &[("data.title", "Cy")], &[("data.cv", "cy.txt", "text/plain", b"three")]).await;
    assert_eq!(kept.status, 303, "{}", kept.text);
    // The form's page asks which files.
    let field = ada.see(&format!("/console/applications/{link}/forms/applicants/fields/cv")).await;
    assert!(
        field.body.contains("application/pdf, .txt") && field.body.contains("200000 bytes"),
        "{}",
        field.body
    );
    let page = field.submit("Save", &[("accept", "pdf"), ("max_bytes", "0.5")]).await.unwrap();
    assert!(error_at(&page, "accept").contains("such as application/pdf"), "{}", page.body);
    let page = page.submit("Save", &[("accept", ".PDF image/*")]).await.unwrap();
    assert_eq!(page.status, 200, "{}", page.body);
    let form = server.get(&format!("{base}/forms/applicants")).await.expect(200);
    assert_eq!(form["definition"]["fields"][1]["accept"], json!([".pdf", "image/*"]));
    assert_eq!(form["definition"]["fields"][1]["max_bytes"], 524_288);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_sends_a_file_on() {
    let home = Home::sqlite();
    let server = home.start();
    let base = applicants(&server, "members").await;
    let upstream = Upstream::answering(|_| reply(200, &[("content-type", "application/json")], "{}")).await;
    let connection = to_upstream(&server, "Archive", &upstream).await;
    let link = base.rsplit('/').next().unwrap();
    let uses = format!("/v1/connections/{connection}/applications/{link}");
    server.api("PUT", &uses, json!({})).await;
    let invoke = |body: Value| {
        json!({"name": "Archive", "definition": {"form": "applicants", "on": "created", "actions": [{"name": "send", "invoke": {
        "connection": connection, "method": "POST", "url": "/files", "body_encoding": "multipart", "repeatable": true, "body": body}}]}})
    };
    let refused = server.post(&format!("{base}/workflows"), invoke(json!("{{ record.cv }}"))).await;
    assert_eq!(
        (refused.status, refused.fields()),
        (422, vec!["definition.actions.0.invoke.body".to_owned()])
    );
    let body = json!({"who": "{{ record.title }}", "size": "{{ record.cv.size }}", "document": "{{ record.cv }}", "none": "{{ record.photo }}"});
    server.post(&format!("{base}/workflows"), invoke(body)).await.expect(201);
    let made = make(&server, &base, json!({"title": "Ann", "cv": sent("cv.pdf", "application/pdf", CANARY)}))
        .await
        .expect(201);
    let run = format!("{base}/runs/{}", made["runs"][0].as_str().unwrap());
    let done = until("the run", async || {
        let run = server.get(&run).await.expect(200);
        (run["state"] == "succeeded").then_some(run)
    })
    .await;
    let message = upstream.take().into_iter().find(|message| message.target() == "/files").unwrap();
    assert!(message.header("content-type").unwrap().starts_with("multipart/form-data; boundary="));
    let text = message.text();
    for there in [
        "name=\"who\"\r\n\r\nAnn",
        &format!("name=\"size\"\r\n\r\n{}", CANARY.len()),
        "name=\"document\"; filename=\"cv.pdf\"\r\nContent-Type: application/pdf",
        &String::from_utf8_lossy(CANARY),
    ] {
        assert!(text.contains(there), "{there}: {text}");
    }
    assert!(!text.contains("name=\"none\""), "{text}");
    // The history has which file it was, not what is in it.
    let kept = done.to_string();
    assert!(kept.contains("fil_") && !kept.contains(&BASE64_STANDARD.encode(CANARY)[..40]), "{kept}");
}

/// Sends the head of a request and so much of its body, and keeps the rest.
async fn begin_upload(
    server: &Server,
    from: &str,
    path: &str,
    (length, sent): (usize, usize),
) -> tokio::net::TcpStream {
    use tokio::io::AsyncWriteExt as _;
    let host = server.url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\nx-forwarded-for: {from}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n",
        server.key
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; sent]).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_come_in_a_few_at_a_time() {
    let home =
        Home::sqlite().set("JACKFIELD_REQUEST_LIMIT", "2m").set("JACKFIELD_TRUSTED_PROXIES", "127.0.0.0/8");
    let server = home.start();
    let base = applicants(&server, "members").await;
    let path = format!("{}?{DEVELOPMENT}", records(&base));
    let (large, some) = ((2 << 20) - 100, 3 << 19);
    let mut held = Vec::new();
    // One address alone has half of the room.
    for n in 0..8 {
        let from = ["192.0.2.1", "192.0.2.2"][n % 2];
        held.push(begin_upload(&server, from, &path, (large, some)).await);
    }
    let filler = "x".repeat(some);
    let whole = json!({"data": {"title": "Ben", "cv": sent("a.txt", "", b"x")}, "padding": filler});
    // Until all eight have been read so far: then there is no room, and whoever waited for it is told to come again.
    let refused = until("no room", async || {
        let answer = server.post(&path, whole.clone()).await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    refused.problem(503, "unavailable");
    assert_eq!(refused.headers["retry-after"], "5");
    // Small ones need none.
    let small = json!({"title": "Ann", "cv": sent("a.txt", "", b"x")});
    make(&server, &base, small).await.expect(201);
    // Who is gone makes room.
    drop(held);
    until("room", async || (server.post(&path, whole.clone()).await.status != 503).then_some(())).await;
}
