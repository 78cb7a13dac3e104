//! Small mail of people who answer each other, from a seed: for lists, SORT and THREAD, where subjects, dates and
//! References count. Two kilobytes in the mean; three in ten have an HTML part.

use std::fmt::Write as _;

use crate::dice::Dice;
use crate::letters;

/// How far back an answer reaches.
const REACH: u64 = 300;
/// Of ten messages so many answer an earlier one.
const ANSWERS_IN_TEN: u64 = 6;
/// References that a message names at most, as mail programs cut them.
const REFERENCES_MAX: usize = 12;
const PEOPLE: u64 = 800;
/// In the text of one message in a thousand.
pub const RARE: &str = "ornithorhynchus";
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The first messages of a mailbox, in the order of their arrival.
pub fn mailbox(seed: u64, count: u64) -> Vec<Vec<u8>> {
    let mut dice = Dice::new(seed);
    let words: Vec<String> = (0..4_000).map(|rank| letters::word(rank + 10)).collect();
    let mut heads: Vec<Head> = Vec::with_capacity(count as usize);
    let mut all = Vec::with_capacity(count as usize);
    for number in 0..count {
        let head = Head::next(&mut dice, &words, number, &heads);
        all.push(head.message(&mut dice, &words, number));
        heads.push(head);
    }
    all
}

struct Head {
    id: String,
    references: Vec<String>,
    subject: String,
    from: u64,
}

impl Head {
    fn next(dice: &mut Dice, words: &[String], number: u64, earlier: &[Self]) -> Self {
        let id = format!("<{number}.{:08x}@talk.example.net>", dice.roll() >> 32);
        let from = dice.below(PEOPLE);
        let parent = earlier.len().checked_sub(1 + dice.below(REACH) as usize).and_then(|at| earlier.get(at));
        if let Some(parent) = parent.filter(|_| dice.below(10) < ANSWERS_IN_TEN) {
            let mut references = parent.references.clone();
            references.push(parent.id.clone());
            if references.len() > REFERENCES_MAX {
                references.remove(1);
            }
            let subject = format!("Re: {}", parent.subject.trim_start_matches("Re: "));
            return Self { id, references, subject, from };
        }
        let count = 2 + dice.below(5);
        Self { id, references: Vec::new(), subject: some(dice, words, count), from }
    }

    fn message(&self, dice: &mut Dice, words: &[String], number: u64) -> Vec<u8> {
        let mut out = String::with_capacity(3_000);
        // Minutes apart, over some months, and not quite in order.
        let minute = number * 3 + dice.below(600);
        let (day, month) = (1 + minute / 1_440 % 28, minute / 40_320 % 12);
        let (hour, minute) = (minute / 60 % 24, minute % 60);
        let date =
            format!("{day} {} {} {hour:02}:{minute:02}:07 +0100", MONTHS[month as usize], 2024 + number / 100_000);
        let from = person(self.from);
        let _ = write!(
            out,
            "Received: from mx.example.net (mx.example.net [192.0.2.{}])\r\n\tby mail.example.org with ESMTPS id {:x};\r\n\
             \t{date}\r\nFrom: {from}\r\nTo: {}\r\n",
            dice.below(250),
            dice.roll(),
            person(dice.below(PEOPLE)),
        );
        if dice.below(4) == 0 {
            let _ = write!(out, "Cc: {}, {}\r\n", person(dice.below(PEOPLE)), person(dice.below(PEOPLE)));
        }
        let _ = write!(
            out,
            "Subject: {}\r\nDate: {date}\r\nMessage-ID: {}\r\nMIME-Version: 1.0\r\n",
            self.subject, self.id
        );
        if let Some(last) = self.references.last() {
            let _ = write!(out, "In-Reply-To: {last}\r\nReferences: {}\r\n", self.references.join("\r\n "));
        }
        let mut text = String::new();
        for _ in 0..4 + dice.below(16) {
            let count = 6 + dice.below(8);
            text.push_str(&some(dice, words, count));
            text.push_str("\r\n");
        }
        if number.is_multiple_of(1_000) {
            let _ = write!(text, "un {RARE} passe\r\n");
        }
        if dice.below(10) < 7 {
            let _ =
                write!(out, "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{text}");
        } else {
            let _ = write!(
                out,
                "Content-Type: multipart/alternative; boundary=\"=_{number}\"\r\n\r\n--=_{number}\r\n\
                 Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{text}\r\n--=_{number}\r\n\
                 Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n<p>{}</p>\r\n--=_{number}--\r\n",
                text.replace("\r\n", "<br>\r\n"),
            );
        }
        out.into_bytes()
    }
}

fn person(number: u64) -> String {
    format!("{} {number} <p{number}@talk.example.net>", letters::word(500 + number))
}

fn some(dice: &mut Dice, words: &[String], count: u64) -> String {
    let mut out = String::new();
    for _ in 0..count {
        let reach = dice.below(words.len() as u64) + 1;
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&words[dice.below(reach) as usize]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_linked() {
        let all = mailbox(1, 2_001);
        assert_eq!(all, mailbox(1, 2_001));
        let mean = all.iter().map(Vec::len).sum::<usize>() / all.len();
        assert!((1_200..3_000).contains(&mean), "{mean}");
        let texts: Vec<&str> = all.iter().map(|message| std::str::from_utf8(message).unwrap()).collect();
        let answers = texts.iter().filter(|text| text.contains("\r\nReferences: <")).count();
        assert!((900..1_500).contains(&answers), "{answers}");
        assert_eq!(texts.iter().filter(|text| text.contains(RARE)).count(), 3);
        assert!(texts.iter().all(|text| text.split("\r\n").all(|line| line.len() < 998 && !line.contains('\n'))));
    }
}
