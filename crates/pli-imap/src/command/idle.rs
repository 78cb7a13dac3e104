//! IDLE. RFC 9051 §6.3.13.

use std::time::Duration;

use pli_imap_proto::Status;

use crate::fail::{Fail, Reply};
use crate::notify;
use crate::session::{AUTOLOGOUT, ENDED, SHUTDOWN, Session, Wait};
use crate::wire::Step;

/// What woke the session.
enum Woken {
    Wait(Wait),
    Changed,
    KeepAlive,
}

pub async fn run(session: &mut Session) -> Result<Reply, Fail> {
    session.wire.out.continuation("idling");
    session.wire.framer.expect_line();
    let config = &session.service.config;
    let clock = std::sync::Arc::clone(&session.service.clock);
    let limit = Duration::from_secs(config.idle_timeout_s);
    let keep_alive = Duration::from_secs(if config.keepalive_s == 0 { u64::MAX / 4 } else { config.keepalive_s });
    let begun = clock.monotonic();
    loop {
        if session.notify.is_some() {
            // RFC 5465 §4: exactly what NOTIFY asked for.
            // Boxed: a session that waits does not hold the space of the messages that NOTIFY may send.
            Box::pin(notify::tell(session, true)).await?;
        } else {
            session.tell(true);
        }
        session.wire.flush().await?;
        match session.wire.step() {
            Step::Line(line) if line.trim_ascii().eq_ignore_ascii_case(b"DONE") => {
                return Ok(Reply::ok("IDLE done"));
            }
            Step::Line(_) => return Err(Fail::Bad("Expected DONE")),
            Step::Refused(..) => return Err(Fail::Bad("Line too long")),
            _ => {}
        }
        let left = limit.saturating_sub(clock.monotonic().saturating_sub(begun));
        match wake(session, left, keep_alive).await? {
            Woken::Wait(Wait::Input) | Woken::Changed => {}
            Woken::KeepAlive => session.wire.out.untagged(Status::Ok, None, "Still here"),
            Woken::Wait(Wait::Gone) => return Err(Fail::Io(std::io::ErrorKind::UnexpectedEof.into())),
            Woken::Wait(Wait::Shutdown) => return end(session, SHUTDOWN).await,
            Woken::Wait(Wait::Ended) => return end(session, ENDED).await,
            Woken::Wait(Wait::Timeout) => return end(session, AUTOLOGOUT).await,
        }
    }
}

async fn end(session: &mut Session, text: &'static str) -> Result<Reply, Fail> {
    session.bye(text).await?;
    Err(Fail::Io(std::io::ErrorKind::ConnectionAborted.into()))
}

async fn wake(session: &mut Session, limit: Duration, keep_alive: Duration) -> Result<Woken, Fail> {
    let changed = notify::changed(session);
    tokio::select! {
        waited = session.wait(limit) => Ok(Woken::Wait(waited?)),
        () = changed => Ok(Woken::Changed),
        () = tokio::time::sleep(keep_alive) => Ok(Woken::KeepAlive),
    }
}
