//! `pli serve`: puts the parts together, serves until told to end, and ends in order.
//!
//! The order of a start: configuration, certificates, doors (so that a port in use is told before anything is touched),
//! store, gate, admin socket, services, queue, timers. The order of an end is the other way round: doors close, sessions
//! finish the reply they are in and say goodbye, the last event is recorded, the store closes.

mod doors;
mod reload;

use std::os::unix::fs::DirBuilderExt as _;
use std::sync::Arc;
use std::time::Duration;

use pli_admin::{AdminService, AdminSocket, ServerStatus};
use pli_crypto::SecretString;
use pli_gate::Gate;
use pli_io::Env;
use pli_mailauth::dns::Resolver;
use pli_net::Shutdown;
use pli_queue::QueueRunner;
use pli_store::Compaction;
use pli_store::{KeyRules, KeysKept};
use pli_types::{Action, SessionId};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::{Global, Serve};
use crate::config::{self, Loaded};
use crate::failure::{CANNOT_CREATE, Failure, IO, SOFTWARE, TEMPORARY};
use crate::instance::Instance;
use crate::logging::{self, Level};
use crate::{output, process};
use doors::Doors;
use reload::Live;

/// How often it is looked what keys are due.
const KEYS_EVERY: Duration = Duration::from_secs(3600);
/// The same after a failure.
const KEYS_AGAIN: Duration = Duration::from_secs(60);
/// Between two compactions in the background, and how much each moves in a second.
const COMPACT_EVERY: Duration = Duration::from_secs(3600);
const COMPACT_BYTES_PER_SECOND: u64 = 20 << 20;
/// A store that somebody else has open is tried so often, with a pause between.
const IN_USE_TRIES: u32 = 15;
const IN_USE_PAUSE: Duration = Duration::from_millis(200);
/// What blocking work gets at the very end.
const RUNTIME_END: Duration = Duration::from_secs(5);

/// Runs it.
pub fn run(global: &Global, arguments: &Serve) -> Result<(), Failure> {
    let loaded = config::load(global.config.as_deref())?;
    let passphrase = if arguments.passphrase_stdin { Some(crate::command::passphrase(global)?) } else { None };
    let level = logging::start(&loaded.config.log)?;
    process::keep_secrets();
    let files = process::raise_open_files(loaded.config.server.open_files_max);
    tracing::debug!(files, "open files");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers(&loaded))
        .thread_name("pli")
        .enable_all()
        .build()
        .map_err(|error| Failure::new(SOFTWARE, format!("no runtime: {error}")))?;
    let served = runtime.block_on(serve(loaded, passphrase, level));
    runtime.shutdown_timeout(RUNTIME_END);
    served
}

/// Two at least: one may be in a long piece of work while the other answers.
fn workers(loaded: &Loaded) -> usize {
    match loaded.config.server.workers {
        0 => std::thread::available_parallelism().map_or(2, usize::from).max(2),
        set => set,
    }
}

async fn serve(loaded: Loaded, passphrase: Option<SecretString>, level: Level) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let tls = doors::tls(&loaded)?;
    let logins = doors::logins(&loaded)?;
    let resolver = doors::resolver(&loaded)?;
    let bound = doors::bind(&loaded)?;
    let Some(instance) = open(&loaded, passphrase.as_ref(), &mut signals).await? else { return Ok(()) };
    drop(passphrase);
    let (gate, env) = (Arc::clone(&instance.gate), instance.env.clone());
    gate.set_logins(logins);
    let shutdown = Shutdown::new();
    let live = Live { tls: Arc::clone(&tls), gate: Arc::clone(&gate), level, loaded };
    record(&gate, "start").await?;
    live.apply_profiles().await?;

    let listening = bound.describe();
    let runner = queue(&live.loaded, &gate, &env, Arc::clone(&resolver))?;
    admin(&live.loaded, &gate, &env, &listening, &runner, &shutdown)?;
    Doors { env: env.clone(), gate: Arc::clone(&gate), tls, resolver, shutdown: shutdown.clone() }
        .open(&live.loaded, bound)?;
    shutdown.tracker().spawn(runner.run(shutdown.clone()));
    shutdown.tracker().spawn(keep_keys(Arc::clone(&gate), live.loaded.config.keys.rules(), shutdown.clone()));
    shutdown.tracker().spawn(compaction(Arc::clone(&gate), shutdown.clone()));

    tracing::info!(version = env!("CARGO_PKG_VERSION"), hostname = live.loaded.config.server.hostname, "serving");
    output::line(&format!("ready {}", listening.join(" ")));

    let bound = Duration::from_secs(live.loaded.config.server.shutdown_seconds);
    until_told(&mut signals, live, &shutdown).await;
    tracing::info!("ending");
    end(&gate, bound, &shutdown, &mut signals).await;
    Ok(())
}

/// Opens the store. A command that has it for a moment is waited for, a few seconds at most: whoever starts servers does
/// not try again at an exit code of its own. `None`: told to end meanwhile.
async fn open(
    loaded: &Loaded,
    passphrase: Option<&SecretString>,
    signals: &mut Signals,
) -> Result<Option<Instance>, Failure> {
    let mut tries = IN_USE_TRIES;
    loop {
        match Instance::open(loaded, passphrase) {
            Err(failure) if failure.code == TEMPORARY && tries > 0 => {
                if tries == IN_USE_TRIES {
                    tracing::info!(reason = failure.message, "waiting for the store");
                }
            }
            opened => return opened.map(Some),
        }
        tries -= 1;
        tokio::select! {
            () = signals.end() => return Ok(None),
            () = tokio::time::sleep(IN_USE_PAUSE) => {}
        }
    }
}

/// Signals that the server heeds.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let take = |kind| signal(kind).map_err(|error| Failure::new(SOFTWARE, format!("signals: {error}")));
        Ok(Self {
            terminate: take(SignalKind::terminate())?,
            interrupt: take(SignalKind::interrupt())?,
            hangup: take(SignalKind::hangup())?,
        })
    }
    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Until SIGTERM or SIGINT; SIGHUP reads the configuration again.
async fn until_told(signals: &mut Signals, mut live: Live, shutdown: &Shutdown) {
    let Signals { terminate, interrupt, hangup } = signals;
    loop {
        tokio::select! {
            _ = terminate.recv() => return,
            _ = interrupt.recv() => return,
            () = shutdown.token().cancelled() => return,
            _ = hangup.recv() => live.reload().await,
        }
    }
}

async fn end(gate: &Arc<Gate>, bound: Duration, shutdown: &Shutdown, signals: &mut Signals) {
    tokio::select! {
        all = shutdown.finish(bound) => if !all {
            tracing::warn!("some sessions did not end in time");
        },
        // Whoever asks a second time means at once.
        () = signals.end() => tracing::warn!("told to end again: sessions are broken off"),
    }
    if let Err(failure) = record(gate, "stop").await {
        tracing::error!(error = failure.message, "the end could not be recorded");
    }
    gate.store().close();
    tracing::info!("ended");
}

/// Records a start, an end or a reload, and waits until it is durable.
async fn record(gate: &Gate, what: &str) -> Result<(), Failure> {
    let mut event = gate.event(gate.system_session(), Action::Operate).policy("operate", None);
    event.result.reason = Some(what.to_owned());
    let recorded = gate.store().record(gate.admit_system(Action::Operate), event).await;
    recorded.map(|_| ()).map_err(|error| Failure::new(IO, format!("recording the {what}: {error}")))
}

fn admin(
    loaded: &Loaded,
    gate: &Arc<Gate>,
    env: &Env,
    listening: &[String],
    runner: &Arc<QueueRunner>,
    shutdown: &Shutdown,
) -> Result<(), Failure> {
    let path = loaded.socket();
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|e| Failure::file("make the folder", folder, &e))?;
    }
    let socket = AdminSocket::bind(&path)
        .map_err(|e| Failure::new(CANNOT_CREATE, format!("admin socket {}: {e}", path.display())))?;
    let status = ServerStatus {
        version: String::from(env!("CARGO_PKG_VERSION")),
        started: env.clock.now().secs(),
        pid: std::process::id(),
        listeners: listening.to_vec(),
    };
    let clock = Arc::clone(&env.clock);
    let service = Arc::new(
        AdminService::new(Arc::clone(gate), Some(status), move || clock.now())
            .with_key_rules(loaded.config.keys.rules())
            .with_queue(Arc::clone(runner)),
    );
    let random = Arc::clone(&env.random);
    let session_id = move || SessionId(random.next_u64());
    shutdown.tracker().spawn(socket.serve(service, session_id, shutdown.clone()));
    Ok(())
}

fn queue(loaded: &Loaded, gate: &Arc<Gate>, env: &Env, resolver: Arc<Resolver>) -> Result<Arc<QueueRunner>, Failure> {
    let mut config = loaded.config.queue.clone();
    for host in &mut config.hosts {
        if let Some(file) = &host.password_file {
            let path = loaded.in_data_dir(file);
            let text = std::fs::read_to_string(&path).map_err(|error| Failure::file("read", &path, &error))?;
            host.password = pli_queue::Password(text.lines().next().unwrap_or_default().to_owned());
        }
    }
    Ok(QueueRunner::new(
        config,
        loaded.config.server.hostname.clone(),
        Arc::clone(gate),
        resolver,
        Arc::clone(&env.clock),
        Arc::clone(&env.random),
    ))
}

/// Makes keys before they are needed, goes on with rotations that were broken off, and begins those that are due.
async fn keep_keys(gate: Arc<Gate>, rules: KeyRules, shutdown: Shutdown) {
    loop {
        // A key store that does not answer is asked again soon.
        let wait = match gate.store().keep_keys(gate.admit_system(Action::KeyRotate), rules).await {
            Ok(KeysKept { epochs: 0, root: None, accounts: None }) => KEYS_EVERY,
            Ok(KeysKept { epochs, root, accounts }) => {
                tracing::info!(epochs, ?root, ?accounts, "keys made or renewed");
                KEYS_EVERY
            }
            Err(error) => {
                tracing::error!(%error, "keys could not be made or renewed");
                KEYS_AGAIN
            }
        };
        tokio::select! {
            () = shutdown.token().cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Takes from the disk what the retention window no longer holds, slowly.
async fn compaction(gate: Arc<Gate>, shutdown: Shutdown) {
    let how = Compaction { all: false, bytes_per_second: Some(COMPACT_BYTES_PER_SECOND) };
    loop {
        tokio::select! {
            () = shutdown.token().cancelled() => return,
            () = tokio::time::sleep(COMPACT_EVERY) => {}
        }
        let run = gate.store().compact(gate.admit_system(Action::Compact), how);
        tokio::select! {
            () = shutdown.token().cancelled() => return,
            done = run => if let Err(error) = done {
                tracing::error!(%error, "compacting the store");
            },
        }
    }
}
