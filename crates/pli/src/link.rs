//! The way of an administrative request: to the running server over its admin socket, or to the store itself when no
//! server runs. Both end in the same code; which of the two it was is told.

use std::sync::Arc;
use std::time::Duration;

use pli_admin::{AdminService, CallError, Client, Reply, Request, Tell};
use pli_types::{SessionId, SessionInfo};
use serde_json::Value;

use crate::cli::Global;
use crate::config::{self, Loaded};
use crate::failure::{Failure, IO, NO_PERMISSION, SOFTWARE, TEMPORARY};
use crate::instance::Instance;
use crate::output;
use crate::texts::Text;

/// How often a store in use is tried again, and after how long.
const IN_USE_TRIES: u32 = 50;
const IN_USE_PAUSE: Duration = Duration::from_millis(100);

/// An open way.
pub enum Link {
    /// To the running server.
    Server(Client),
    /// To the store.
    Store(Box<Direct>),
}

/// The store, opened by this process.
pub struct Direct {
    instance: Instance,
    service: AdminService,
    session: Arc<SessionInfo>,
}

impl Direct {
    /// Over an opened store.
    pub fn over(instance: Instance) -> Self {
        let clock = Arc::clone(&instance.env.clock);
        let service =
            AdminService::new(Arc::clone(&instance.gate), None, move || clock.now()).with_key_rules(instance.key_rules);
        let uid = rustix::process::getuid().as_raw();
        let session = Arc::new(SessionInfo::admin(SessionId(instance.env.random.next_u64()), uid));
        Self { instance, service, session }
    }
    /// Carries a request out.
    pub async fn call(&self, request: Request) -> Result<Value, Failure> {
        self.call_telling(request, Arc::new(|_| {})).await
    }
    /// The same, telling how far long work is.
    pub async fn call_telling(&self, request: Request, tell: Tell) -> Result<Value, Failure> {
        answer(self.service.handle_telling(&self.session, request, tell).await)
    }
    /// Closes the store.
    pub fn close(self) {
        self.instance.gate.store().close();
    }
}

impl Link {
    /// The server's, if one runs; else the store. A store in use by somebody who does not answer yet (a server that
    /// starts or ends, another command) is waited for, a few seconds at most.
    pub async fn open(loaded: &Loaded) -> Result<Self, Failure> {
        Self::open_by(loaded, |loaded| Instance::open(loaded, None)).await
    }
    /// The same, with a way of its own to open the store.
    pub async fn open_by(
        loaded: &Loaded,
        open: impl Fn(&Loaded) -> Result<Instance, Failure>,
    ) -> Result<Self, Failure> {
        let mut tries = IN_USE_TRIES;
        loop {
            match Client::connect(&loaded.socket()).await {
                Ok(client) => return Ok(Self::Server(client)),
                Err(CallError::NotRunning) => {}
                Err(error) => return Err(socket_failure(&error)),
            }
            match open(loaded) {
                Ok(instance) => return Ok(Self::Store(Box::new(Direct::over(instance)))),
                Err(failure) if failure.code == TEMPORARY && tries > 0 => {}
                Err(failure) => return Err(failure),
            }
            tries -= 1;
            tokio::time::sleep(IN_USE_PAUSE).await;
        }
    }
    /// Asks.
    pub async fn call(&mut self, request: Request) -> Result<Value, Failure> {
        self.call_telling(request, Arc::new(|_| {})).await
    }
    /// The same, telling how far long work is.
    pub async fn call_telling(&mut self, request: Request, tell: Tell) -> Result<Value, Failure> {
        match self {
            Self::Server(client) => match client.call_telling(&request, &*tell).await {
                Ok(reply) => answer(reply),
                Err(error) => Err(socket_failure(&error)),
            },
            Self::Store(direct) => direct.call_telling(request, tell).await,
        }
    }
    /// Whether a server answers.
    pub const fn is_server(&self) -> bool {
        matches!(self, Self::Server(_))
    }
    /// Closes the store, if it is open here.
    pub fn close(self) {
        if let Self::Store(direct) = self {
            direct.close();
        }
    }
}

fn answer(reply: Reply) -> Result<Value, Failure> {
    match reply {
        Reply::Ok(value) => Ok(value),
        Reply::Error(failure) => Err(failure.into()),
        Reply::Progress(_) => Err(Failure::new(SOFTWARE, "the server told how far it is, and not the end")),
    }
}

fn socket_failure(error: &CallError) -> Failure {
    match error {
        CallError::Io(io) if io.kind() == std::io::ErrorKind::PermissionDenied => {
            Failure::new(NO_PERMISSION, "only root and the server's user may use its admin socket")
        }
        error => Failure::new(IO, error.to_string()),
    }
}

/// A runtime for one command.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(SOFTWARE, format!("no runtime: {error}")))
}

/// Asks one thing, and says on standard error whom it asked.
pub fn ask(global: &Global, request: Request) -> Result<Value, Failure> {
    with(global, async |link| link.call(request).await)
}

/// Runs several requests over one way.
pub fn with<T>(global: &Global, work: impl AsyncFnOnce(&mut Link) -> Result<T, Failure>) -> Result<T, Failure> {
    let loaded = config::load(global.config.as_deref())?;
    runtime()?.block_on(async {
        let mut link = Link::open(&loaded).await?;
        let done = work(&mut link).await;
        if !global.json && done.is_ok() {
            let text = if link.is_server() { Text::ViaServer } else { Text::ViaStore };
            output::note(&text.in_language(global.language()));
        }
        link.close();
        done
    })
}
