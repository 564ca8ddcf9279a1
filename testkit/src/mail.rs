//! A mail server that others wrote (aiosmtpd), on loopback, which keeps what it is sent.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::foreign::{folder, python_of, scripts};

/// How long it may take to start, and a mail to come.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running mail server. It ends when this is dropped, and with the process.
pub struct MailServer {
    /// `127.0.0.1:PORT`
    pub host: String,
    process: Child,
    lines: mpsc::Receiver<String>,
}

impl MailServer {
    /// `{"username", "password"}` want a login; `{"refuse": n}` refuses so many mails for now, first.
    pub fn start(config: &Value) -> Result<Self, String> {
        let folder = folder()?;
        let mut process = Command::new(python_of(&folder))
            .arg("-B")
            .arg(scripts().join("smtp.py"))
            .env("JACKFIELD_FOREIGN_CONFIG", config.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|e| format!("smtp.py does not start: {e}"))?;
        let pipe = process.stdout.take().ok_or("smtp.py has no output")?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                // Nobody listens any more when the test is over.
                let _ = sender.send(line);
            }
        });
        let mut server = Self { host: String::new(), process, lines };
        let ready = server.line("READY ")?;
        server.host = ready;
        Ok(server)
    }

    fn line(&self, begin: &str) -> Result<String, String> {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).map_err(|e| format!("smtp.py says nothing: {e}"))?;
            if let Some(rest) = line.strip_prefix(begin) {
                return Ok(rest.to_owned());
            }
        }
    }

    /// The next mail: `from`, `to`, `text`. Waits for it.
    pub fn next(&self) -> Result<Value, String> {
        serde_json::from_str(&self.line("MAIL ")?).map_err(|e| format!("smtp.py: {e}"))
    }

    /// The mails that came and were not asked for yet.
    pub fn waiting(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
