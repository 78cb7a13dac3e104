//! The frames of one snapshot round. Their ranges ascend, so that those which hold an account's rows are found without
//! opening the others: a round has the rows of all accounts.

use std::collections::HashMap;
use std::io;
use std::rc::Rc;

use super::build::{Frame, Stretch};
use crate::log::frame::FrameKind;
use crate::log::snapshot::decode_snapshot;
use crate::log::walk::read_frame;
use crate::rows::Key;
use crate::rows::log::{LogPlace, RoundRow};

/// A frame's range.
#[derive(Clone)]
struct Span {
    from: Vec<u8>,
    /// Empty at the end of all keys.
    to: Vec<u8>,
}

/// The round's frames, in the order of their ranges.
pub(super) struct Snapshots<'a> {
    stretches: &'a [Stretch],
    frames: Vec<Frame>,
    /// Ranges known so far; `None` for a frame that does not open.
    spans: HashMap<usize, Option<Rc<Span>>>,
    /// The one read last.
    last: Option<(usize, Rc<Vec<u8>>)>,
}

impl<'a> Snapshots<'a> {
    pub(super) fn new(stretches: &'a [Stretch], frames: &[Frame], round: Option<RoundRow>) -> Self {
        // Rounds follow each other: whatever stands between this one's ends is its own.
        let own = |frame: &Frame| {
            frame.kind == FrameKind::Snapshot && round.is_some_and(|r| r.start <= frame.place && frame.place <= r.end)
        };
        let frames = frames.iter().copied().filter(own).collect();
        Self { stretches, frames, spans: HashMap::new(), last: None }
    }
    /// Which of the round's frames stands there.
    pub(super) fn number(&self, place: LogPlace) -> Option<usize> {
        self.frames.binary_search_by_key(&place, |frame| frame.place).ok()
    }
    /// A frame's payload; `None` if it does not open.
    pub(super) fn read(&mut self, number: usize) -> io::Result<Option<Rc<Vec<u8>>>> {
        if let Some((last, payload)) = &self.last
            && *last == number
        {
            return Ok(Some(Rc::clone(payload)));
        }
        let Some(frame) = self.frames.get(number) else { return Ok(None) };
        let Some(stretch) = self.stretches.get(frame.stretch) else { return Ok(None) };
        let Some((_, payload, _)) = read_frame(&stretch.segment, frame.place.offset, stretch.until)? else {
            tracing::error!(segment = frame.place.segment, offset = frame.place.offset, "a snapshot frame is damaged");
            return Ok(None);
        };
        let payload = Rc::new(payload);
        self.last = Some((number, Rc::clone(&payload)));
        Ok(Some(payload))
    }
    fn span(&mut self, number: usize) -> io::Result<Option<Rc<Span>>> {
        if let Some(span) = self.spans.get(&number) {
            return Ok(span.clone());
        }
        let payload = self.read(number)?;
        let head = payload.as_ref().and_then(|payload| decode_snapshot(payload)).map(|(head, _)| head);
        let span = head.map(|head| Rc::new(Span { from: head.from, to: head.to }));
        self.spans.insert(number, span.clone());
        Ok(span)
    }
    /// Whether a frame's range meets one of these prefixes. What cannot be told is said to.
    pub(super) fn may_hold(&mut self, number: usize, prefixes: &[Key]) -> io::Result<bool> {
        for prefix in prefixes {
            if self.holds(number, prefix)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
    /// By bisection: the frames on both sides are opened only where they have to be.
    fn holds(&mut self, number: usize, prefix: &Key) -> io::Result<bool> {
        let end = prefix.end();
        let (mut low, mut high) = (0, self.frames.len());
        while low < high {
            let middle = low.midpoint(high);
            let Some(span) = self.span(middle)? else { return Ok(true) };
            if !span.to.is_empty() && *span.to <= **prefix {
                // All of it, and all before it, is below the prefix.
                if number <= middle {
                    return Ok(false);
                }
                low = middle.saturating_add(1);
            } else if *span.from >= *end {
                if number >= middle {
                    return Ok(false);
                }
                high = middle;
            } else if middle == number {
                return Ok(true);
            } else if middle < number {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        Ok(false)
    }
}
