//! Messages from a seed: multipart, text that compresses as text does, and a
//! base64 attachment that does not.

use crate::dice::Dice;

/// Different messages; each sending is one of them under a number of its own.
const VARIANTS: u64 = 64;
/// Stands where the number goes; as long as the number's digits.
const PLACE: &[u8] = b"@@@@@@@@@@@@@@@@";

const SYLLABLES: [&str; 32] = [
    "ba", "ce", "di", "fo", "gu", "la", "me", "ni", "po", "ru", "sa", "te", "vi", "zo", "tion", "ment", "ou", "ei",
    "an", "er", "is", "on", "un", "re", "de", "en", "qua", "pre", "con", "par", "il", "al",
];

const NAMES: [&str; 8] =
    ["Anna Keller", "Luc Moreau", "Jeanne Petit", "Omar Haddad", "Ines Costa", "Paul Weber", "Mina Sato", "Eva Novak"];

/// A set of messages.
pub struct Corpus {
    messages: Vec<Vec<u8>>,
    /// Where the number is in each.
    places: Vec<usize>,
}

impl Corpus {
    /// Messages of about this size, half of it to one and a half.
    pub fn new(seed: u64, size: usize) -> Self {
        let mut dice = Dice::new(seed);
        let words: Vec<String> =
            (0..2000).map(|_| (0..1 + dice.below(4)).map(|_| SYLLABLES[dice.below(32) as usize]).collect()).collect();
        let messages: Vec<Vec<u8>> = (0..VARIANTS).map(|_| message(&mut dice, &words, size)).collect();
        let places = messages
            .iter()
            .map(|text| text.windows(PLACE.len()).position(|window| window == PLACE).unwrap_or(0))
            .collect();
        Self { messages, places }
    }

    /// The message of this number: no two are the same.
    pub fn get(&self, number: u64) -> Vec<u8> {
        let at = (number % VARIANTS) as usize;
        let mut message = self.messages[at].clone();
        let digits = format!("{number:016}");
        message[self.places[at]..self.places[at] + PLACE.len()].copy_from_slice(digits.as_bytes());
        message
    }

    /// The mean size in bytes.
    pub fn mean(&self) -> f64 {
        let all: usize = self.messages.iter().map(Vec::len).sum();
        all as f64 / self.messages.len() as f64
    }
}

/// Words as language has them: few often, many seldom.
fn sentence(dice: &mut Dice, words: &[String], count: u64) -> String {
    let mut out = String::new();
    for _ in 0..count {
        let reach = dice.below(words.len() as u64) + 1;
        let word = &words[dice.below(reach) as usize];
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

fn message(dice: &mut Dice, words: &[String], size: usize) -> Vec<u8> {
    let goal = size / 2 + dice.below(size as u64) as usize;
    let from = NAMES[dice.below(8) as usize];
    let to = NAMES[dice.below(8) as usize];
    let subject = sentence(dice, words, 3);
    let place = String::from_utf8_lossy(PLACE);
    let boundary = format!("=_{:016x}", dice.roll());
    let mut out = format!(
        "Date: Tue, 24 Nov 2026 0{}:{:02}:{:02} +0100\r\nFrom: {from} <{}@example.net>\r\nTo: {to} <{}@example.org>\r\n\
         Message-ID: <{place}@bench.example.net>\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n\
         User-Agent: bench\r\nContent-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\n\
         --{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n",
        dice.below(10),
        dice.below(60),
        dice.below(60),
        from.to_lowercase().replace(' ', "."),
        to.to_lowercase().replace(' ', "."),
    );
    // A third is text, two thirds are the attachment.
    while out.len() < goal / 3 {
        let count = 6 + dice.below(6);
        out.push_str(&sentence(dice, words, count));
        out.push_str("\r\n");
    }
    out.push_str(&format!(
        "--{boundary}\r\nContent-Type: application/pdf; name=\"{}.pdf\"\r\n\
         Content-Disposition: attachment; filename=\"{}.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n",
        words[dice.below(2000) as usize],
        words[dice.below(2000) as usize],
    ));
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    while out.len() < goal {
        for _ in 0..76 {
            out.push(char::from(DIGITS[dice.below(64) as usize]));
        }
        out.push_str("\r\n");
    }
    out.push_str(&format!("\r\n--{boundary}--\r\n"));
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_and_of_the_size() {
        let corpus = Corpus::new(1, 20_480);
        assert!((corpus.mean() - 20_480.0).abs() < 3_000.0, "{}", corpus.mean());
        assert_ne!(corpus.get(1), corpus.get(65));
        assert_eq!(corpus.get(7), Corpus::new(1, 20_480).get(7));
        let text = String::from_utf8(corpus.get(3)).unwrap();
        assert!(text.contains("<0000000000000003@bench.example.net>"));
        // SMTP sends it as it is: no line begins with a dot, none is too long.
        assert!(text.split("\r\n").all(|line| !line.starts_with('.') && line.len() <= 998));
    }
}
