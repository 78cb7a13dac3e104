//! Walking a segment: which frames are whole, what is damaged, and where a torn tail begins.

use std::io;

use super::frame::{ALIGN, FRAME_HEADER_BYTES, FrameHeader, FrameKind, chain};
use super::segment::Segment;
use pli_crypto::TAG_BYTES;

/// A stretch of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A frame that authenticates. The link is missing where a body was passed over unread.
    Frame { offset: u64, header: FrameHeader, link: Option<[u8; 32]> },
    /// Bytes that belong to no frame that authenticates.
    Bad { offset: u64, until: u64 },
}

impl Piece {
    /// Its bytes in the segment.
    pub(crate) const fn bytes(&self) -> u64 {
        match self {
            Self::Frame { header, .. } => header.frame_bytes(),
            Self::Bad { offset, until } => until.saturating_sub(*offset),
        }
    }
}

/// Whether bodies are read, or passed over by their length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bodies {
    /// Read and authenticate each.
    Check,
    /// Trust the header's length if another frame stands where it leads.
    Skip,
}

/// A frame's header, its payload, its link in the segment's hash.
pub(crate) type OpenFrame = (FrameHeader, Vec<u8>, [u8; 32]);

/// Reads the frame at `offset` and opens it. `None` if it is not whole.
pub(crate) fn read_frame(segment: &Segment, offset: u64, until: u64) -> io::Result<Option<OpenFrame>> {
    let Some(header) = read_header(segment, offset, until)? else { return Ok(None) };
    let len = header.length as usize;
    let mut rest = vec![0; len.saturating_add(TAG_BYTES)];
    segment.file.read_exact_at(&mut rest, offset.saturating_add(FRAME_HEADER_BYTES as u64))?;
    let Some(link) = segment.sealer.open(offset, &header, &mut rest) else { return Ok(None) };
    rest.truncate(len);
    Ok(Some((header, rest, link)))
}

pub(crate) fn read_header(segment: &Segment, offset: u64, until: u64) -> io::Result<Option<FrameHeader>> {
    if offset.saturating_add(FRAME_HEADER_BYTES as u64) > until {
        return Ok(None);
    }
    let mut head = [0; FRAME_HEADER_BYTES];
    segment.file.read_exact_at(&mut head, offset)?;
    Ok(FrameHeader::decode(&head).filter(|header| offset.saturating_add(header.frame_bytes()) <= until))
}

/// Lists what stands between two offsets.
pub(crate) fn walk(segment: &Segment, from: u64, until: u64, bodies: Bodies) -> io::Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    walk_each(segment, from, until, bodies, &mut |piece, _| {
        pieces.push(piece);
        Ok::<(), io::Error>(())
    })?;
    Ok(pieces)
}

/// Shows what stands between two offsets, each frame that was read with its opened payload.
pub(crate) fn walk_each<E: From<io::Error>>(
    segment: &Segment,
    from: u64,
    until: u64,
    bodies: Bodies,
    visit: &mut dyn FnMut(Piece, Option<Vec<u8>>) -> Result<(), E>,
) -> Result<(), E> {
    let mut offset = from;
    while offset < until {
        if let Some((header, opened)) = step(segment, offset, until, bodies)? {
            let (payload, link) = opened.unzip();
            visit(Piece::Frame { offset, header, link }, payload)?;
            offset = offset.saturating_add(header.frame_bytes());
        } else {
            let next = resume(segment, offset, until)?;
            visit(Piece::Bad { offset, until: next }, None)?;
            offset = next;
        }
    }
    Ok(())
}

/// A frame's payload and its link in the segment's hash.
type Opened = (Vec<u8>, [u8; 32]);

fn step(
    segment: &Segment,
    offset: u64,
    until: u64,
    bodies: Bodies,
) -> io::Result<Option<(FrameHeader, Option<Opened>)>> {
    let Some(header) = read_header(segment, offset, until)? else { return Ok(None) };
    if bodies == Bodies::Skip && header.kind == FrameKind::Body {
        let next = offset.saturating_add(header.frame_bytes());
        if next == until || read_header(segment, next, until)?.is_some() {
            return Ok(Some((header, None)));
        }
    }
    Ok(read_frame(segment, offset, until)?.map(|(header, payload, link)| (header, Some((payload, link)))))
}

/// The next offset after damage at which a frame authenticates, or `until`.
pub(crate) fn resume(segment: &Segment, damaged: u64, until: u64) -> io::Result<u64> {
    const WINDOW: usize = 1 << 20;
    let mut base = damaged.saturating_add(ALIGN);
    let mut window = vec![0; WINDOW];
    while base < until {
        let len = usize::try_from(until.saturating_sub(base)).unwrap_or(usize::MAX).min(WINDOW);
        let bytes = window.get_mut(..len).unwrap_or_default();
        segment.file.read_exact_at(bytes, base)?;
        for (place, start) in bytes.chunks(ALIGN as usize).zip((base..).step_by(ALIGN as usize)) {
            if FrameHeader::may_start(place) && read_frame(segment, start, until)?.is_some() {
                return Ok(start);
            }
        }
        base = base.saturating_add(len as u64);
    }
    Ok(until)
}

/// The tail of the log after a start: what stays, and what a crash left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tail {
    /// Valid bytes; what follows was never durable and is cut off.
    pub(crate) end: u64,
    /// The last sequence.
    pub(crate) sequence: u64,
    /// The chained hash at `end`.
    pub(crate) hash: [u8; 32],
    /// Frames up to `end`.
    pub(crate) frames: u64,
    /// Damaged stretches before `end`.
    pub(crate) damaged: Vec<(u64, u64)>,
    /// Whether the last frame is a footer.
    pub(crate) closed: bool,
}

/// Divides the pieces of the last segment into what counts and a torn tail.
///
/// A group is bodies first and its batch last, and counts as a whole. A stretch that does not authenticate is torn only
/// if no whole frame after it says that something from there on was durable; otherwise it is damage, and what follows
/// it counts.
pub(crate) fn settle(pieces: &[Piece], start: &Tail) -> Tail {
    // Highest durable sequence that any frame from this piece on vouches for.
    let mut vouched = vec![0_u64; pieces.len().saturating_add(1)];
    for (index, piece) in pieces.iter().enumerate().rev() {
        let after = vouched.get(index.saturating_add(1)).copied().unwrap_or(0);
        let own = match piece {
            // A footer is written after everything before it was durable.
            Piece::Frame { header, .. } => header.durable,
            Piece::Bad { .. } => 0,
        };
        if let Some(slot) = vouched.get_mut(index) {
            *slot = own.max(after);
        }
    }
    let mut tail = start.clone();
    let mut group = start.clone();
    for (index, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Bad { offset, until } => {
                let later = vouched.get(index.saturating_add(1)).copied().unwrap_or(0);
                if later <= group.sequence {
                    break;
                }
                group.damaged.push((*offset, *until));
                group.hash = chain(&group.hash, &pli_crypto::sha256(&until.to_be_bytes()));
            }
            Piece::Frame { offset, header, link } => {
                group.sequence = header.sequence;
                group.frames = group.frames.saturating_add(1);
                group.end = offset.saturating_add(header.frame_bytes());
                group.hash = chain(&group.hash, &link.unwrap_or_default());
                group.closed = header.kind == FrameKind::Footer;
                // A snapshot is a group's part like a body: its batch ends the group.
                if !matches!(header.kind, FrameKind::Body | FrameKind::Snapshot) {
                    tail = group.clone();
                }
            }
        }
    }
    tail
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn frame(offset: u64, kind: FrameKind, sequence: u64, durable: u64) -> Piece {
        Piece::Frame { offset, header: FrameHeader { kind, length: 0, sequence, durable }, link: Some([1; 32]) }
    }

    #[test]
    fn a_bad_stretch_is_torn_unless_a_later_frame_vouches_for_it() {
        use FrameKind::{Batch, Body};
        let whole = [frame(0, Body, 1, 0), frame(48, Batch, 2, 0)];
        assert_eq!(settle(&whole, &Tail::default()).end, 96);
        // A body without its batch is no group.
        let half = [frame(0, Body, 1, 0), frame(48, Batch, 2, 0), frame(96, Body, 3, 2)];
        assert_eq!(settle(&half, &Tail::default()).end, 96);
        // The body is torn, its batch reached the disk, nothing says that they were durable.
        let torn = [frame(0, Batch, 1, 0), Piece::Bad { offset: 48, until: 96 }, frame(96, Batch, 3, 1)];
        let tail = settle(&torn, &Tail::default());
        assert_eq!((tail.end, tail.sequence, tail.damaged.len()), (48, 1, 0));
        // A later group vouches for it: damage.
        let damaged = [
            frame(0, Batch, 1, 0),
            Piece::Bad { offset: 48, until: 96 },
            frame(96, Batch, 3, 1),
            frame(144, Batch, 4, 3),
        ];
        let tail = settle(&damaged, &Tail::default());
        assert_eq!((tail.end, tail.sequence), (192, 4));
        assert_eq!(tail.damaged, [(48, 96)]);
    }
}
