//! The search index's segments: put, replaced, removed.

use pli_types::{AccountId, BodyId};

use super::Result;
use crate::body::Prepared;
use crate::rows::search::SearchRow;
use crate::rows::{Key, keys};
use crate::txn::Txn;

impl Txn<'_> {
    /// Puts a segment, if there is one, in the place of others. False when one of those is gone meanwhile: then nothing
    /// happens.
    pub(crate) fn put_search_segment(
        &mut self,
        account: AccountId,
        segment: Option<(&Prepared, &SearchRow)>,
        replaced: &[Key],
    ) -> Result<bool> {
        // An account that was removed takes no more.
        self.state(account)?;
        let present = self.list::<SearchRow>(&keys::search_segments(account))?;
        let of = |key: &Key| present.iter().find(|(there, _)| there == key).map(|(_, row)| row.body);
        let Some(bodies) = replaced.iter().map(of).collect::<Option<Vec<BodyId>>>() else { return Ok(false) };
        let next = present.last().map_or(0, |(key, _)| key.number32(9)).saturating_add(1);
        for (key, body) in replaced.iter().zip(bodies) {
            self.drop_search_segment(*key, body);
        }
        if let Some((prepared, row)) = segment {
            let mut body = self.place_body(prepared);
            body.messages = 1;
            self.put(keys::body(prepared.body), &body);
            self.put(keys::search_segment(account, next), row);
        }
        Ok(true)
    }

    /// Removes all segments of an account.
    pub(crate) fn drop_search_segments(&mut self, account: AccountId) -> Result<()> {
        for (key, row) in self.list::<SearchRow>(&keys::search_segments(account))? {
            self.drop_search_segment(key, row.body);
        }
        Ok(())
    }

    /// No gone row: the past is searched without an index, and what a segment held stands in the messages.
    fn drop_search_segment(&mut self, key: Key, body: BodyId) {
        self.delete(key);
        self.delete(keys::body(body));
    }
}
