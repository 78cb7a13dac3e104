//! Letters as a mailbox of some years holds them, from a seed: for searching, where it counts how many different words
//! there are. Few words are frequent and many are rare; half of a header is signatures, ids and dates that no other
//! message has; a fifth of the messages come with HTML and links that are theirs alone.

use std::fmt::Write as _;

use crate::dice::Dice;

const SYLLABLES: [&str; 48] = [
    "ba", "ce", "di", "fo", "gu", "la", "me", "ni", "po", "ru", "sa", "te", "vi", "zo", "tion", "ment", "ou", "ei",
    "an", "er", "is", "on", "un", "re", "de", "en", "qua", "pre", "con", "par", "il", "al", "é", "è", "tré", "ça",
    "eur", "age", "ique", "aux", "cha", "lle", "ture", "ver", "mi", "no", "lo", "ti",
];
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Different words.
const WORDS: f64 = 150_000.0;
/// People who write.
const PEOPLE: u64 = 5_000;
/// A word that one message in a thousand holds, between others; in the next test, part of a longer one.
pub const RARE: &str = "quetzalcoatl";

/// The word of a rank: frequent ones are short.
pub fn word(rank: u64) -> String {
    let mut dice = Dice::new(rank.wrapping_mul(0x2545_F491_4F6C_DD1D));
    let syllables = 1 + rank.max(1).ilog10() as u64 / 2 + dice.below(3);
    (0..syllables).map(|_| SYLLABLES[dice.below(48) as usize]).collect()
}

/// Frequency falls with the rank (Zipf).
fn some_word(dice: &mut Dice) -> String {
    word((dice.unit() * WORDS.ln()).exp() as u64)
}

fn text(dice: &mut Dice, words: u64, out: &mut String) {
    let mut column = 0;
    for _ in 0..words {
        let word = some_word(dice);
        column += word.len() + 1;
        out.push_str(&word);
        match dice.below(12) {
            0 => out.push(','),
            1 => out.push('.'),
            _ => {}
        }
        if column > 68 {
            out.push_str("\r\n");
            column = 0;
        } else {
            out.push(' ');
        }
    }
    out.push_str("\r\n");
}

fn noise(dice: &mut Dice, letters: usize) -> String {
    (0..letters).map(|_| char::from(LETTERS[dice.below(64) as usize])).collect()
}

fn person(number: u64) -> String {
    let mut dice = Dice::new(number.wrapping_add(77));
    let name = |dice: &mut Dice| word(200 + dice.below(100_000));
    let (first, last) = (name(&mut dice), name(&mut dice));
    format!("{first} {last} <p{number}.{}@site{}.example.net>", number * 7, dice.below(300))
}

/// The message of a number: 4 KB in the mean.
pub fn letter(seed: u64, number: u64) -> Vec<u8> {
    // Rolled once, so that the numbers of two messages do not run beside each other.
    let mut dice = Dice::new(Dice::new(seed.wrapping_add(number.wrapping_mul(0xD134_2543_DE82_EF95))).roll());
    let mut out = String::with_capacity(6000);
    let day = 1 + number / 4 % 28;
    let time = format!("{day} Nov 2026 {:02}:{:02}:{:02} +0100", dice.below(24), dice.below(60), dice.below(60));
    for hop in 0..3 {
        let _ = write!(
            out,
            "Received: from relay{hop}.site{}.example.net (relay{hop}.example.net [192.0.2.{}])\r\n\tby mx.example.org \
             with ESMTPS id {}\r\n\tfor <user@example.org>; {time}\r\n",
            dice.below(300),
            dice.below(250),
            noise(&mut dice, 16),
        );
    }
    let _ = write!(
        out,
        "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.net; s=k1;\r\n\th=from:to:subject:date:message-id;\
         \r\n\tbh={}=;\r\n",
        noise(&mut dice, 43),
    );
    for line in 0..5 {
        let _ = write!(out, "\t{}{}\r\n", if line == 0 { "b=" } else { "" }, noise(&mut dice, 69));
    }
    let from = (dice.unit() * (PEOPLE as f64).ln()).exp() as u64;
    let mut subject = String::new();
    let words = 2 + dice.below(6);
    text(&mut dice, words, &mut subject);
    let _ = write!(
        out,
        "From: {}\r\nTo: user@example.org\r\nCc: {}\r\nSubject: {}\r\nDate: {time}\r\nMessage-ID: <{}.{number}@example.net>\r\n\
         In-Reply-To: <{}@example.net>\r\nX-Mailer: Letters 7.{}\r\nMIME-Version: 1.0\r\n",
        person(from),
        person(dice.below(PEOPLE)),
        subject.trim().replace("\r\n", " "),
        noise(&mut dice, 22),
        noise(&mut dice, 22),
        dice.below(9),
    );
    let mut body = String::new();
    let words = 80 + dice.below(320);
    text(&mut dice, words, &mut body);
    if number.is_multiple_of(1000) {
        let _ = write!(body, "et {RARE} aussi\r\n");
    }
    let kind = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n";
    if dice.below(5) > 0 {
        out.push_str(kind);
        out.push_str(&body);
        return out.into_bytes();
    }
    let _ = write!(out, "Content-Type: multipart/alternative; boundary=\"{}\"\r\n\r\n", number);
    let _ = write!(out, "--{number}\r\n{kind}{body}\r\n--{number}\r\n{}<p>", kind.replace("plain", "html"));
    for paragraph in body.split("\r\n") {
        let _ = write!(out, "{paragraph}<br>\r\n<a href=\"https://news.example.net/c/{}\">", noise(&mut dice, 60));
        let _ = write!(out, "{}</a>\r\n", some_word(&mut dice));
    }
    let _ = write!(out, "--{number}--\r\n");
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_of_the_size_said_and_differ() {
        let all: Vec<Vec<u8>> = (0..2000).map(|n| letter(1, n)).collect();
        let mean = all.iter().map(Vec::len).sum::<usize>() / all.len();
        assert!((3500..5500).contains(&mean), "{mean}");
        assert_eq!(letter(1, 5), all[5]);
        assert_ne!(letter(2, 5), all[5]);
        assert!(all.iter().all(|m| m.is_ascii() || std::str::from_utf8(m).is_ok()));
        let rare = all.iter().filter(|m| m.windows(RARE.len()).any(|w| w == RARE.as_bytes())).count();
        assert_eq!(rare, 2);
    }
}
