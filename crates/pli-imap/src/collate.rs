//! i;unicode-casemap (RFC 5051 §2), which RFC 5255 §4.4 asks SORT to compare by.

use unicode_normalization::UnicodeNormalization as _;

/// A text as the collation compares it, as bytes: each character in title case, then taken apart.
pub fn casemap(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_uppercase();
    }
    text.chars().map(title).nfkd().map(title).collect()
}

/// A character's simple title case: that of UnicodeData.txt, one character for one.
fn title(c: char) -> char {
    match c {
        // The letters that have a title case apart from their upper case.
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        // Georgian has capitals and no title case.
        '\u{10d0}'..='\u{10ff}' => c,
        _ => {
            let mut upper = c.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(upper), None) => upper,
                _ => c,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::casemap;

    #[test]
    fn letters_of_either_case_are_equal_and_accents_follow() {
        assert_eq!(casemap("Été_x"), casemap("\u{e9}T\u{e9}_X"));
        assert_eq!(casemap("e\u{301}"), casemap("\u{c9}"));
        assert_eq!(casemap("ﬁn"), "FIN");
        assert_eq!(casemap("ǆ"), casemap("Ǆ"));
        // The capital of ß is two letters: it stays.
        assert_eq!(casemap("straße"), "STRAßE");
        // Compared as capitals: `_` stands behind the letters.
        assert!(casemap("a_") > casemap("aB"));
        let mut names = ["zèbre", "Eve", "été", "eau", "Zoé"];
        names.sort_by_key(|name| casemap(name));
        assert_eq!(names, ["eau", "Eve", "été", "zèbre", "Zoé"]);
    }
}
