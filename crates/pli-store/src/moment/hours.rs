//! In which hours something of an account changed: one row a day, so that a list of the past shows only moments that
//! differ.

use pli_types::{AccountId, UnixMillis};

use crate::codec::{Reader, Writer};
use crate::error::StoreError;
use crate::index::Next;
use crate::rows::{Key, Row, RowStore, Table, decode, keys};
use crate::txn::Txn;

const HOUR_MS: i64 = 60 * 60 * 1000;
const HOURS_OF_DAY: u32 = 24;

/// The hours of one day (UTC): bit n stands for the one that begins at n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChangedHours(u32);

impl Row for ChangedHours {
    const NAME: &'static str = "changed hours";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.u32(self.0);
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        let row = Self(r.u32()?);
        r.end().map(|()| row)
    }
}

/// Day since 1970 and hour of it.
fn day_and_hour(time: UnixMillis) -> (u32, u32) {
    let hours = u64::try_from(time.0.div_euclid(HOUR_MS)).unwrap_or(0);
    let day = u32::try_from(hours / u64::from(HOURS_OF_DAY)).unwrap_or(u32::MAX);
    (day, u32::try_from(hours % u64::from(HOURS_OF_DAY)).unwrap_or(0))
}

fn day_of(key: &Key) -> u32 {
    key.number32(9)
}

/// Marks the present hour of an account that a group has changed. The first mark of a day takes the days away that no
/// window of `window_ms` reaches any more.
pub(crate) fn mark(txn: &mut Txn<'_>, account: AccountId, window_ms: u64) -> Result<(), StoreError> {
    let now = txn.now();
    let (day, hour) = day_and_hour(now);
    let key = keys::changed_day(account, day);
    let row: Option<ChangedHours> = txn.load(&key)?;
    let with = ChangedHours(row.unwrap_or_default().0 | 1 << hour);
    if row == Some(with) {
        return Ok(());
    }
    if row.is_none() {
        let (oldest, _) = day_and_hour(now.plus_ms(i64::try_from(window_ms).unwrap_or(i64::MAX).saturating_neg()));
        for (key, _) in txn.list::<ChangedHours>(&keys::changed_days(account))? {
            if day_of(&key) < oldest {
                txn.delete(key);
            }
        }
    }
    txn.put(key, &with);
    Ok(())
}

/// All hours of an account, ascending.
pub(super) fn list(rows: &RowStore, account: AccountId) -> Result<Vec<UnixMillis>, StoreError> {
    let mut hours = Vec::new();
    rows.scan(&keys::changed_days(account), None, |key, bytes| {
        let row: ChangedHours = decode(&bytes)?;
        let first = i64::from(day_of(&key)).saturating_mul(HOURS_OF_DAY.into());
        for hour in (0..HOURS_OF_DAY).filter(|hour| row.0 >> hour & 1 == 1) {
            hours.push(UnixMillis(first.saturating_add(hour.into()).saturating_mul(HOUR_MS)));
        }
        Ok(Next::More)
    })?;
    Ok(hours)
}

/// The accounts whose state a group has changed.
pub(crate) fn changed_accounts<'a>(rows: impl Iterator<Item = (&'a Key, bool)>) -> Vec<AccountId> {
    rows.filter(|(key, stays)| *stays && key.table() == Some(Table::AccountState))
        .map(|(key, _)| AccountId::new(key.number(1)))
        .collect()
}
