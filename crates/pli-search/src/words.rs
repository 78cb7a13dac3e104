//! Texts cut into words: what stands between blanks, long ones into pieces that overlap.

/// Longest word that is kept whole, in bytes.
pub(crate) const PIECE_BYTES: usize = 320;
/// Two pieces of a long word share at least so many bytes: a needle up to this long stands whole in one of them.
pub(crate) const OVERLAP_BYTES: usize = 64;

/// The words of a folded text. A word holds no blank and no line end, whatever else it holds: what is looked for
/// inside a word (`@example.org`, `l'été`, `2026-11`) is then found by looking at words alone.
pub(crate) fn words(folded: &str) -> impl Iterator<Item = &str> {
    folded.split_whitespace().flat_map(pieces)
}

/// A word's pieces. Each stretch of [`OVERLAP_BYTES`] stands whole in one of them, the first begins where the word
/// does, the last ends there.
fn pieces(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(word);
    std::iter::from_fn(move || {
        let word = rest?;
        if word.len() <= PIECE_BYTES {
            rest = None;
            return Some(word);
        }
        let end = word.floor_char_boundary(PIECE_BYTES);
        let next = word.floor_char_boundary(end.saturating_sub(OVERLAP_BYTES));
        rest = word.get(next..);
        word.get(..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn blanks_of_all_kinds_end_words() {
        let all: Vec<&str> = words(" a\tb\r\nc\u{a0}d\u{2028}e,f ").collect();
        assert_eq!(all, ["a", "b", "c", "d", "e,f"]);
        assert_eq!(words("  ").count(), 0);
    }

    proptest! {
        #[test]
        fn each_short_stretch_stands_whole_in_a_piece(word in "[a-zé日€]{1,900}", at in 0usize..1000, len in 1usize..=64) {
            let all: Vec<&str> = words(&word).collect();
            let start = word.floor_char_boundary(at % word.len());
            let end = word.floor_char_boundary((start + len).min(word.len()));
            let needle = &word[start..end];
            prop_assert!(all.iter().any(|piece| piece.contains(needle)));
            prop_assert!(word.starts_with(all[0]) && word.ends_with(all[all.len() - 1]));
            prop_assert!(all.iter().all(|piece| piece.len() <= PIECE_BYTES));
            let tail = &word[word.ceil_char_boundary(word.len().saturating_sub(OVERLAP_BYTES))..];
            prop_assert!(all[all.len() - 1].ends_with(tail));
        }
    }
}
