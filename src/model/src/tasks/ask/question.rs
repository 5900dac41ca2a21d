//! English questions as statements.

use super::words::{
    ACTIVITIES, COLOURS, NUMBERS, PEOPLE, PLACES, is_article, is_participle, is_preposition,
    opposite, participle, singular, with_article, without_article,
};
use crate::tasks::everyday_names;

/// A question's possible answers, and the statements that decide among them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Question {
    pub(super) answers: Vec<String>,
    pub(super) form: Form,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Form {
    /// A statement for each answer, of which the likeliest gives the answer.
    Choice(Vec<String>),
    /// The statement that is true if the answer is yes, the first one.
    YesNo(String),
}

impl Question {
    /// `None` for a question that needs answers where none are given.
    pub(super) fn parse(question: &str, answers: &[String]) -> Option<Self> {
        let text = question.to_lowercase();
        let text = text.trim().trim_end_matches(['?', '.', '!', ' ']);
        let text = text.replace("what's", "what is").replace("who's", "who is");
        let text = text.replace("where's", "where is");
        let words: Vec<&str> = text.split_whitespace().collect();
        let is_yes_no = answers.is_empty() || is_yes_and_no(answers);
        match *words.first()? {
            "is" | "are" | "was" | "were" => be(&words[1..], answers, is_yes_no),
            "do" | "does" | "did" | "can" | "could" => verb(&words[1..], answers, is_yes_no),
            "how" if words.get(1) == Some(&"many") => Some(number(&words[2..], answers)),
            "what" | "which" | "who" | "where" => what(&words, answers),
            _ => plain(answers),
        }
    }

    /// A statement for each answer; `defaults` where there are none.
    fn choice(answers: &[String], defaults: &[&str], statement: impl Fn(&str) -> String) -> Self {
        let answers = match answers {
            [] => defaults.iter().map(|&answer| answer.to_owned()).collect(),
            given => given.to_vec(),
        };
        let statements = answers.iter().map(|answer| statement(&answer.to_lowercase())).collect();
        Self { form: Form::Choice(statements), answers }
    }

    fn yes_no(statement: String) -> Self {
        Self { answers: yes_and_no(), form: Form::YesNo(statement) }
    }
}

fn yes_and_no() -> Vec<String> {
    vec!["yes".to_owned(), "no".to_owned()]
}

fn is_yes_and_no(answers: &[String]) -> bool {
    let mut lower: Vec<String> = answers.iter().map(|answer| answer.to_lowercase()).collect();
    lower.sort();
    lower == ["no", "yes"]
}

/// Answers that are statements themselves.
fn plain(answers: &[String]) -> Option<Question> {
    (!answers.is_empty()).then(|| Question::choice(answers, &[], str::to_owned))
}

/// "is there a dog", "is this a dog", "is the door open", "are the men on the boat wearing hats"
fn be(words: &[&str], answers: &[String], is_yes_no: bool) -> Option<Question> {
    let rest = words.get(1..)?.join(" ");
    match *words.first()? {
        "there" if is_yes_no => {
            return Some(Question::yes_no(with_article(without_article(&rest))));
        }
        "this" | "that" | "it" | "these" | "those" => {
            let rest = rest.strip_prefix("a photo of ").unwrap_or(&rest);
            if let Some(alternatives) = alternatives(rest) {
                return Some(Question::choice(&alternatives, &[], with_article));
            }
            return match is_yes_no {
                true => Some(Question::yes_no(rest.to_owned())),
                false => Some(Question::choice(answers, &[], with_article)),
            };
        }
        _ => {}
    }
    let split = predicate(words)?;
    let subject = words[..split].join(" ");
    let predicate = words[split..].join(" ");
    let state = |predicate: &str| statement(&subject, predicate);
    if let Some(alternatives) = alternatives(&predicate) {
        return Some(Question::choice(&alternatives, &[], state));
    }
    if !is_yes_no {
        return Some(Question::choice(answers, &[], state));
    }
    match opposite(&predicate) {
        Some(opposite) => Some(Question {
            answers: yes_and_no(),
            form: Form::Choice(vec![state(&predicate), state(opposite)]),
        }),
        None => Some(Question::yes_no(state(&predicate))),
    }
}

/// "open or closed", "a cat or a dog"
fn alternatives(phrase: &str) -> Option<Vec<String>> {
    let (first, second) = phrase.split_once(" or ")?;
    Some(first.split(", ").chain([second]).map(|part| without_article(part).to_owned()).collect())
}

/// The index at which the predicate begins: at a preposition, a participle, an article or the last word.
fn predicate(words: &[&str]) -> Option<usize> {
    let noun = usize::from(is_article(words.first()?));
    if let Some(or) = words.iter().position(|&word| word == "or") {
        return (or > noun + 1).then(|| or - 1);
    }
    let starts = |word: &str| is_preposition(word) || is_participle(word) || is_article(word);
    let found = words.iter().skip(noun + 1).position(|&word| starts(word));
    let last = words.len() - 1;
    let split = found.map_or(last, |found| found + noun + 1);
    (split > noun).then_some(split)
}

/// A caption that says `predicate` of `subject`.
fn statement(subject: &str, predicate: &str) -> String {
    let noun = without_article(subject);
    let first = predicate.split(' ').next().unwrap_or_default();
    if is_article(first) {
        return predicate.to_owned();
    }
    let is_single = !predicate.contains(' ');
    if is_single && !is_participle(first) && !["on", "off", "indoors", "outdoors"].contains(&first)
    {
        return with_article(&format!("{predicate} {noun}"));
    }
    format!("{} {predicate}", with_article(noun))
}

/// "do you see a dog", "does the picture show a dog", "does the man wear a hat"
fn verb(words: &[&str], answers: &[String], is_yes_no: bool) -> Option<Question> {
    const VERBS: [&str; 10] =
        ["see", "show", "contain", "have", "wear", "hold", "ride", "eat", "carry", "use"];
    let at = words.iter().position(|word| VERBS.contains(word))?;
    let object = with_article(without_article(&words[at + 1..].join(" ")));
    let subject = without_article(&words[..at].join(" ")).to_owned();
    let is_nobody = ["you", "we", "i", "picture", "photo", "image", "it", "this"];
    let statement = match (is_nobody.contains(&subject.as_str()), words[at]) {
        (true, _) => object,
        (false, "have") => format!("{} with {object}", with_article(&subject)),
        (false, verb) => format!("{} {} {object}", with_article(&subject), participle(verb)),
    };
    match is_yes_no {
        true => Some(Question::yes_no(statement)),
        false => plain(answers),
    }
}

/// "dogs are there", "people are on the boat"
fn number(words: &[&str], answers: &[String]) -> Question {
    let end = words.iter().position(|word| ["are", "is", "do", "can"].contains(word));
    let (noun, rest) = words.split_at(end.unwrap_or(words.len()));
    let noun = noun.join(" ");
    let place: Vec<&str> = rest.iter().copied().skip_while(|word| !is_preposition(word)).collect();
    let place = place.iter().fold(String::new(), |text, word| text + " " + word);
    let place = if place.contains("picture") || place.contains("photo") { "" } else { &place };
    Question::choice(answers, &NUMBERS, |answer| {
        let number = match answer {
            "1" => "one",
            "2" => "two",
            "3" => "three",
            "4" => "four",
            "5" => "five",
            other => other,
        };
        let noun = if number == "one" { singular(&noun) } else { noun.clone() };
        format!("{number} {noun}{place}")
    })
}

/// Questions that begin with what, which, who and where.
fn what(words: &[&str], answers: &[String]) -> Option<Question> {
    let be = words.iter().position(|word| ["is", "are", "was", "were"].contains(word));
    let after = be.map_or(&[][..], |be| &words[be + 1..]);
    let rest = after.join(" ");
    match (words[0], words.get(1).copied().unwrap_or_default()) {
        (_, "colour" | "color" | "colours" | "colors") => {
            let noun = without_article(&rest).to_owned();
            Some(Question::choice(answers, &COLOURS, |colour| {
                with_article(&format!("{colour} {noun}"))
            }))
        }
        ("where", _) => Some(Question::choice(answers, &PLACES, |place| {
            let place = match is_preposition(place.split(' ').next().unwrap_or_default()) {
                true => place.to_owned(),
                false => format!("in {}", with_article(place)),
            };
            format!("{} {place}", with_article(without_article(&rest)))
        })),
        ("who", _) => Some(Question::choice(answers, &PEOPLE, |person| {
            let (person, is_named) = (with_article(person), ["this", "that", "it"]);
            if is_named.contains(&rest.as_str()) { person } else { format!("{person} {rest}") }
        })),
        _ if after.last() == Some(&"doing") => {
            let subject = with_article(without_article(&after[..after.len() - 1].join(" ")));
            Some(Question::choice(answers, &ACTIVITIES, |activity| format!("{subject} {activity}")))
        }
        _ => thing(after, answers),
    }
}

/// "what is this", "what is on the table", "what is the man holding", "what is the weather"
fn thing(after: &[&str], answers: &[String]) -> Option<Question> {
    let everyday: Vec<&str> = everyday_names().collect();
    let rest = after.join(" ");
    let first = after.first().copied().unwrap_or_default();
    let is_whole = ["this", "that", "it", "these", "there", "shown", "seen"].contains(&first)
        || ["picture", "photo", "image"].contains(&after.last().copied().unwrap_or_default());
    if is_whole {
        return Some(Question::choice(answers, &everyday, with_article));
    }
    if is_preposition(first) {
        return Some(Question::choice(answers, &everyday, |thing| {
            format!("{} {rest}", with_article(thing))
        }));
    }
    if let Some((verb, subject)) = after.split_last().filter(|(verb, _)| is_participle(verb)) {
        let subject = with_article(without_article(&subject.join(" ")));
        return Some(Question::choice(answers, &everyday, |thing| {
            format!("{subject} {verb} {}", with_article(thing))
        }));
    }
    if answers.is_empty() || rest.is_empty() {
        return plain(answers);
    }
    Some(Question::choice(answers, &[], |answer| statement(&rest, answer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statements(question: &str, answers: &[&str]) -> Vec<String> {
        let answers: Vec<String> = answers.iter().map(|&answer| answer.to_owned()).collect();
        match Question::parse(question, &answers).unwrap().form {
            Form::Choice(statements) => statements,
            Form::YesNo(statement) => vec![statement],
        }
    }

    #[test]
    fn questions_for_yes_or_no_are_statements_that_are_true_or_not() {
        for (question, statement) in [
            ("Is there a dog?", "a dog"),
            ("are there any dogs in the garden", "dogs in the garden"),
            ("Is this an owl?", "an owl"),
            ("is it raining?", "raining"),
            ("Is the man wearing a hat?", "a man wearing a hat"),
            ("Is the cat on the sofa?", "a cat on the sofa"),
            ("is the animal a dog?", "a dog"),
            ("Is the car red?", "a red car"),
            ("Do you see a bicycle?", "a bicycle"),
            ("does the picture show a cat", "a cat"),
            ("Does the woman have an umbrella?", "a woman with an umbrella"),
            ("Does the boy ride a horse?", "a boy riding a horse"),
        ] {
            let parsed = Question::parse(question, &[]).unwrap();
            assert_eq!(parsed.form, Form::YesNo(statement.to_owned()), "{question}");
            assert_eq!(parsed.answers, ["yes", "no"]);
        }
    }

    #[test]
    fn a_state_with_an_opposite_is_compared_with_it() {
        assert_eq!(statements("Is the door open?", &[]), ["an open door", "a closed door"]);
        assert_eq!(statements("is the light on?", &["yes", "no"]), ["a light on", "a light off"]);
        let states = ["a door ajar", "a closed door"];
        assert_ne!(statements("is the door open?", &["ajar", "closed"]), states);
        assert_eq!(
            statements("is the door open or closed?", &[]),
            ["an open door", "a closed door"]
        );
        assert_eq!(statements("is this a cat or a dog?", &[]), ["a cat", "a dog"]);
    }

    #[test]
    fn questions_for_a_choice_are_a_statement_for_each_answer() {
        let cases: [(&str, &[&str], &[&str]); 12] = [
            ("What colour is the car?", &["red", "orange"], &["a red car", "an orange car"]),
            ("what color are the cars", &["red"], &["red cars"]),
            ("How many dogs are there?", &["one", "2"], &["one dog", "two dogs"]),
            (
                "how many people are on the boat?",
                &["one", "three"],
                &["one person on the boat", "three people on the boat"],
            ),
            ("What is the man doing?", &["running"], &["a man running"]),
            ("What is this?", &["cat", "owl"], &["a cat", "an owl"]),
            ("what animal is in the picture?", &["cat"], &["a cat"]),
            ("What is on the table?", &["cup"], &["a cup on the table"]),
            ("What is the man holding?", &["phone"], &["a man holding a phone"]),
            ("What is the weather?", &["sunny"], &["a sunny weather"]),
            (
                "Where is the cat?",
                &["kitchen", "on the sofa"],
                &["a cat in a kitchen", "a cat on the sofa"],
            ),
            ("Who is riding a horse?", &["man"], &["a man riding a horse"]),
        ];
        for (question, answers, expected) in cases {
            assert_eq!(statements(question, answers), expected, "{question}");
        }
    }

    #[test]
    fn answers_may_be_left_out_where_the_question_implies_them() {
        for question in [
            "what colour is it?",
            "how many cats are there?",
            "what is the dog doing?",
            "where is the dog?",
            "what is this?",
        ] {
            assert!(Question::parse(question, &[]).unwrap().answers.len() > 4, "{question}");
        }
        for question in ["why?", "what time is the train?", "", "does it work?"] {
            assert_eq!(Question::parse(question, &[]), None, "{question}");
        }
    }
}
