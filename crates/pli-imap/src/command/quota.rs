//! GETQUOTA and GETQUOTAROOT. RFC 9208 §4.1. One root for each account: one's own has the empty name, another's has its
//! address.

use pli_gate::Refusal;
use pli_imap_proto::{Code, QuotaResource};
use pli_store::Quota;
use pli_types::{AccountId, Action, Address, MailboxName};

use crate::fail::{Fail, Reply};
use crate::session::Session;

/// The name of one's own root.
const ROOT: &str = "";

pub fn get(session: &mut Session, root: &str) -> Result<Reply, Fail> {
    let missing = || Fail::No(Some(Code::NonExistent), "No such quota root");
    let login = session.login()?;
    let account = if root == ROOT { login.account } else { account_of(session, root)?.ok_or_else(missing)? };
    let quota = match session.service.gate.quota_of(&login.session, account) {
        Ok(quota) => quota,
        Err(Refusal::Hidden) => return Err(missing()),
        Err(refusal) => return Err(refusal.into()),
    };
    write(session, root, account, &quota)?;
    Ok(Reply::ok("GETQUOTA done"))
}

pub fn root(session: &mut Session, name: &MailboxName) -> Result<Reply, Fail> {
    // RFC 9208 §4.1.3: the mailbox need not exist, but the answer for one that does not would help nobody.
    let mailbox = super::find(session, name)?;
    let permit = session.admit_on(Action::GetQuota, &mailbox)?;
    let quota = session.service.gate.quota(&permit)?;
    let root = if session.is_own(&mailbox)? { String::from(ROOT) } else { root_of(session, mailbox.account)? };
    session.wire.out.quota_root(name.as_str(), &[&root]);
    write(session, &root, mailbox.account, &quota)?;
    Ok(Reply::ok("GETQUOTAROOT done"))
}

/// The root of another's account: its address.
fn root_of(session: &Session, account: AccountId) -> Result<String, Fail> {
    let account = session.store().account(account)?;
    Ok(account.map(|account| account.address.to_string()).unwrap_or_default())
}

fn account_of(session: &Session, root: &str) -> Result<Option<AccountId>, Fail> {
    let Ok(address) = Address::parse(root) else { return Ok(None) };
    Ok(session.store().account_by_key(&address.key())?.map(|account| account.id))
}

fn write(session: &mut Session, root: &str, account: AccountId, quota: &Quota) -> Result<(), Fail> {
    let mut resources = Vec::new();
    if let Some(limit) = quota.limit.bytes {
        // RFC 9208 §5.1: STORAGE counts in units of 1,024 bytes; use is rounded up, so that full is full.
        let usage = quota.bytes_used.get().div_ceil(1024);
        resources.push(QuotaResource { name: "STORAGE", usage, limit: limit.get() / 1024 });
    }
    if let Some(limit) = quota.limit.messages {
        resources.push(QuotaResource { name: "MESSAGE", usage: quota.messages_used, limit });
    }
    // RFC 9208 §5.3: always limited, so that there is a resource at least (§7).
    let (usage, limit) = session.store().mailbox_quota(account)?;
    resources.push(QuotaResource { name: "MAILBOX", usage: usage.into(), limit: limit.into() });
    session.wire.out.quota(root, &resources);
    Ok(())
}
