//! `pli store rebuild`

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pli_admin::Request;
use pli_store::{IndexEngine, RebuildProgress};
use serde_json::{Value, json};

use crate::cli::Global;
use crate::config::{self, Loaded, show_size};
use crate::failure::{Failure, IO};
use crate::instance::Instance;
use crate::link::{Link, runtime};
use crate::output::{fields, note, number, text, value};
use crate::texts::Text;

/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(100);
/// Between two lines of progress for a program.
const TELL: Duration = Duration::from_secs(1);

/// Shows how far it is, on standard error: for people where there is a terminal, with `--json` one object a second.
struct Meter {
    began: Instant,
    told: Option<Instant>,
    json: bool,
    terminal: bool,
}

impl Meter {
    fn new(json: bool) -> Self {
        Self { began: Instant::now(), told: None, json, terminal: std::io::stderr().is_terminal() }
    }
    fn show(&mut self, done: u64, total: u64) {
        let every = if self.json { TELL } else { LOOK };
        if total == 0 || !(self.json || self.terminal) || self.told.is_some_and(|told| told.elapsed() < every) {
            return;
        }
        self.told = Some(Instant::now());
        let passed = self.began.elapsed().as_secs_f64();
        let share = done as f64 / total as f64;
        let left = if done > 0 { passed / share - passed } else { 0.0 };
        if self.json {
            let progress = json!({ "done_bytes": done, "total_bytes": total, "seconds": passed, "left_seconds": left });
            note(&json!({ "progress": progress }).to_string());
        } else {
            let filled = (share * 30.0) as usize;
            let bar: String = (0..30).map(|at| if at < filled { '#' } else { '.' }).collect();
            let line = format!("\r[{bar}] {:3.0} %  {} of {}", share * 100.0, show_size(done), show_size(total));
            let _ = write!(std::io::stderr(), "{line}  {left:.0} s left \x1b[K");
        }
    }
    fn end(&self) {
        if self.told.is_some() && !self.json {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// Runs it.
pub fn run(global: &Global, engine: Option<IndexEngine>) -> Result<(), Failure> {
    let loaded = config::load(global.config.as_deref())?;
    let configured: IndexEngine = loaded.config.store.index.into();
    let mut meter = Meter::new(global.json);
    let began = Instant::now();
    let (mut answer, by_server) = runtime()?.block_on(async {
        let offline = |loaded: &Loaded| at_the_store(loaded, engine.unwrap_or(configured), global.json);
        let mut link = Link::open_by(&loaded, offline).await?;
        let by_server = link.is_server();
        let done = if by_server { by_the_server(&mut link, engine, &mut meter).await } else { status(&mut link).await };
        link.close();
        done.map(|answer| (answer, by_server))
    })?;
    meter.end();
    if let Some(fields) = answer.as_object_mut() {
        fields.retain(|name, _| matches!(name.as_str(), "engine" | "frames" | "total_bytes"));
        fields.insert(String::from("seconds"), json!((began.elapsed().as_secs_f64() * 10.0).round() / 10.0));
        fields.insert(String::from("configured"), json!(configured.name()));
    }
    show(global, &answer, by_server);
    Ok(())
}

fn show(global: &Global, answer: &Value, by_server: bool) {
    let language = global.language();
    if global.json {
        value(answer);
    } else {
        fields(&[
            ("engine", text(answer, "/engine")),
            ("frames", text(answer, "/frames")),
            ("seconds", text(answer, "/seconds")),
        ]);
        note(&if by_server { Text::ViaServer } else { Text::ViaStore }.in_language(language));
    }
    let (engine, configured) = (text(answer, "/engine"), text(answer, "/configured"));
    if engine != configured {
        note(&Text::IndexConfigured.with(language, &[&configured, &engine]));
    }
}

/// The server fills a new one beside the one in use; it goes on when this command is broken off.
async fn by_the_server(link: &mut Link, engine: Option<IndexEngine>, meter: &mut Meter) -> Result<Value, Failure> {
    let engine = engine.map(|engine| engine.name().to_owned());
    link.call(Request::StoreRebuild { engine }).await?;
    let mut total = 0;
    loop {
        let mut answer = status(link).await?;
        if answer.get("running").and_then(Value::as_bool) != Some(true) {
            let error = text(&answer, "/error");
            if !error.is_empty() {
                return Err(Failure::new(IO, format!("the index was not made again: {error}")));
            }
            if let Some(fields) = answer.as_object_mut() {
                fields.insert(String::from("total_bytes"), json!(total));
            }
            return Ok(answer);
        }
        total = number(&answer, "/total_bytes").unwrap_or(0);
        meter.show(number(&answer, "/done_bytes").unwrap_or(0), total);
        tokio::time::sleep(LOOK).await;
    }
}

async fn status(link: &mut Link) -> Result<Value, Failure> {
    link.call(Request::StoreRebuildStatus).await
}

/// No server runs: the store is opened with an index that is made from its segments alone.
fn at_the_store(loaded: &Loaded, engine: IndexEngine, json: bool) -> Result<Instance, Failure> {
    let progress = RebuildProgress::default();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut meter = Meter::new(json);
            while !ended.load(Ordering::Acquire) {
                let (done, total) = progress.bytes();
                meter.show(done, total);
                std::thread::sleep(LOOK / 4);
            }
            meter.end();
        });
        let opened = Instance::open_rebuilding(loaded, engine, &progress);
        ended.store(true, Ordering::Release);
        opened
    })
}
