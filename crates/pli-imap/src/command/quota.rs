//! GETQUOTA and GETQUOTAROOT. RFC 9208 §4.1. One root for the whole account, with the empty name.

use pli_gate::Target;
use pli_imap_proto::{Code, QuotaResource};
use pli_store::Quota;
use pli_types::{AccountId, Action, MailboxName};

use crate::fail::{Fail, Reply};
use crate::session::Session;

/// The root's name.
const ROOT: &str = "";

pub fn get(session: &mut Session, root: &str) -> Result<Reply, Fail> {
    let quota = read(session, session.login()?.account)?;
    if root != ROOT || !is_limited(&quota) {
        return Err(Fail::No(Some(Code::NonExistent), "No such quota root"));
    }
    write(session, &quota);
    Ok(Reply::ok("GETQUOTA done"))
}

pub fn root(session: &mut Session, name: &MailboxName) -> Result<Reply, Fail> {
    // RFC 9208 §4.1.3: the mailbox need not exist, but the answer for one that does not would help nobody.
    let mailbox = super::find(session, name)?;
    let quota = read(session, mailbox.account)?;
    if is_limited(&quota) {
        session.wire.out.quota_root(name.as_str(), &[ROOT]);
        write(session, &quota);
    } else {
        // RFC 9208 §7: a QUOTA answer holds one resource at least, so an account without limits has no root.
        session.wire.out.quota_root(name.as_str(), &[]);
    }
    Ok(Reply::ok("GETQUOTAROOT done"))
}

fn read(session: &Session, account: AccountId) -> Result<Quota, Fail> {
    let permit = session.admit(Action::GetQuota, &Target { account: Some(account), ..Target::default() })?;
    Ok(session.service.gate.quota(&permit)?)
}

const fn is_limited(quota: &Quota) -> bool {
    quota.limit.bytes.is_some() || quota.limit.messages.is_some()
}

fn write(session: &mut Session, quota: &Quota) {
    let mut resources = Vec::new();
    if let Some(limit) = quota.limit.bytes {
        // RFC 9208 §5.1: STORAGE counts in units of 1,024 bytes; use is rounded up, so that full is full.
        let usage = quota.bytes_used.get().div_ceil(1024);
        resources.push(QuotaResource { name: "STORAGE", usage, limit: limit.get() / 1024 });
    }
    if let Some(limit) = quota.limit.messages {
        resources.push(QuotaResource { name: "MESSAGE", usage: quota.messages_used, limit });
    }
    session.wire.out.quota(ROOT, &resources);
}
