//! Rows of the directory: accounts, aliases, domains, subscriptions, and rows that are one number or one blob.

use pli_types::{AccountId, Address, MailboxId, MailboxName, UnixMillis};

use super::Row;
use super::mail::{read_limit, write_limit};
use crate::codec::{Reader, Writer};
use crate::model::{Account, Alias, Domain};

impl Row for Account {
    const NAME: &'static str = "account";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.u64(self.id.get()).text(&self.address.to_string());
        w.option(self.display_name.as_deref(), |w, v| {
            w.text(v);
        });
        w.text(&self.profile);
        w.option(self.password.as_deref(), |w, v| {
            w.text(v);
        });
        w.flag(self.suspended);
        w.option(self.quota, write_limit);
        w.text(&self.language).i64(self.created.0);
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        let text = |r: &mut Reader<'_>| r.text().map(str::to_owned);
        let row = Self {
            id: AccountId::new(r.u64()?),
            address: Address::parse(r.text()?).ok()?,
            display_name: r.option(text)?,
            profile: text(&mut r)?,
            password: r.option(text)?,
            suspended: r.flag()?,
            quota: r.option(read_limit)?,
            language: text(&mut r)?,
            created: UnixMillis(r.i64()?),
        };
        r.end().map(|()| row)
    }
}

impl Row for Alias {
    const NAME: &'static str = "alias";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.text(&self.address.to_string()).var(self.targets.len() as u64);
        self.targets.iter().for_each(|target| {
            w.text(&target.to_string());
        });
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        let address = Address::parse(r.text()?).ok()?;
        let count = r.count()?;
        let targets = (0..count).map(|_| Address::parse(r.text()?).ok()).collect::<Option<_>>()?;
        r.end()?;
        Some(Self { address, targets })
    }
}

impl Row for Domain {
    const NAME: &'static str = "domain";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.text(&self.name).i64(self.created.0);
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        let row = Self { name: r.text()?.to_owned(), created: UnixMillis(r.i64()?) };
        r.end().map(|()| row)
    }
}

impl Row for MailboxName {
    const NAME: &'static str = "subscription";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.text(self.as_str());
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        let name = Self::new(r.text()?).ok()?;
        r.end().map(|()| name)
    }
}

macro_rules! number_rows {
    ($($name:literal => $type:ident,)*) => { $(
        impl Row for $type {
            const NAME: &'static str = $name;
            fn encode(&self) -> Vec<u8> {
                let mut w = Writer::new(1);
                w.u64(self.get());
                w.done()
            }
            fn decode(bytes: &[u8]) -> Option<Self> {
                let mut r = Reader::versioned(bytes, 1)?;
                let id = Self::new(r.u64()?);
                r.end().map(|()| id)
            }
        }
    )* };
}

number_rows! {
    "address" => AccountId,
    "mailbox name" => MailboxId,
}

/// A blob with a form of its own (key blobs, tiles, entries).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Blob(pub(crate) Vec<u8>);

impl Row for Blob {
    const NAME: &'static str = "blob";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.raw(&self.0);
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        Reader::versioned(bytes, 1).map(|r| Self(r.rest().to_vec()))
    }
}
