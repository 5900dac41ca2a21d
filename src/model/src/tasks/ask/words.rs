//! Words that questions are recognised by.

/// Answers to a question for a colour.
pub(super) const COLOURS: [&str; 11] = [
    "black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown",
];

/// Answers to a question for a number.
pub(super) const NUMBERS: [&str; 6] = ["one", "two", "three", "four", "five", "many"];

/// Answers to a question for what somebody does.
pub(super) const ACTIVITIES: [&str; 16] = [
    "sitting", "standing", "walking", "running", "lying", "sleeping", "eating", "drinking",
    "playing", "riding", "jumping", "flying", "swimming", "talking", "reading", "cooking",
];

/// Answers to a question for a place.
pub(super) const PLACES: [&str; 14] = [
    "in a kitchen",
    "in a bedroom",
    "in a living room",
    "in a bathroom",
    "in an office",
    "in a shop",
    "on a street",
    "on a beach",
    "in a field",
    "in a forest",
    "in a park",
    "in the water",
    "in the snow",
    "in the air",
];

/// Answers to a question for a person.
pub(super) const PEOPLE: [&str; 6] = ["man", "woman", "boy", "girl", "baby", "group of people"];

/// Pairs of adjectives of which one is true where the other is not.
const OPPOSITES: [(&str, &str); 20] = [
    ("open", "closed"),
    ("open", "shut"),
    ("on", "off"),
    ("full", "empty"),
    ("wet", "dry"),
    ("clean", "dirty"),
    ("big", "small"),
    ("large", "small"),
    ("old", "young"),
    ("new", "old"),
    ("happy", "sad"),
    ("bright", "dark"),
    ("light", "dark"),
    ("black", "white"),
    ("hot", "cold"),
    ("standing", "sitting"),
    ("asleep", "awake"),
    ("indoors", "outdoors"),
    ("male", "female"),
    ("sunny", "cloudy"),
];

const PREPOSITIONS: [&str; 20] = [
    "in", "on", "at", "by", "under", "near", "behind", "beside", "with", "over", "inside",
    "outside", "above", "below", "between", "next", "across", "through", "without", "against",
];

/// The opposite of an adjective.
pub(super) fn opposite(word: &str) -> Option<&'static str> {
    OPPOSITES.iter().find_map(|(a, b)| match word {
        _ if word == *a => Some(*b),
        _ if word == *b => Some(*a),
        _ => None,
    })
}

pub(super) fn is_preposition(word: &str) -> bool {
    PREPOSITIONS.contains(&word)
}

pub(super) fn is_article(word: &str) -> bool {
    ["a", "an", "the", "any", "some"].contains(&word)
}

/// Whether a word is a participle: "running", but not "thing" or "king".
pub(super) fn is_participle(word: &str) -> bool {
    word.len() > 5 && word.ends_with("ing")
}

/// "dog" to "a dog", "owl" to "an owl"; "dogs", "two dogs" and "the dog" stay.
pub(super) fn with_article(phrase: &str) -> String {
    let first = phrase.split(' ').next().unwrap_or_default();
    let noun = phrase.split(' ').take_while(|word| !is_preposition(word)).last().unwrap_or(phrase);
    let is_plural = noun.ends_with('s') && !noun.ends_with("ss") && !noun.ends_with("us");
    let stays = is_article(first)
        || ["two", "three", "four", "five", "many", "people", "no", "his", "her"].contains(&first)
        || ["people", "children", "men", "women", "sheep", "food", "water", "snow"].contains(&noun)
        || is_participle(first)
        || is_plural;
    match (stays, phrase.starts_with(['a', 'e', 'i', 'o', 'u'])) {
        (true, _) => phrase.to_owned(),
        (false, true) => format!("an {phrase}"),
        (false, false) => format!("a {phrase}"),
    }
}

/// Without "a", "an", "the", "any" or "some" in front.
pub(super) fn without_article(phrase: &str) -> &str {
    match phrase.split_once(' ') {
        Some((first, rest)) if is_article(first) => rest,
        _ => phrase,
    }
}

/// "dogs" to "dog"; a guess for what is irregular.
pub(super) fn singular(noun: &str) -> String {
    let irregular =
        [("people", "person"), ("children", "child"), ("men", "man"), ("women", "woman")];
    if let Some((_, one)) = irregular.iter().find(|(many, _)| *many == noun) {
        return (*one).to_owned();
    }
    for (ending, replacement) in
        [("ies", "y"), ("ches", "ch"), ("shes", "sh"), ("sses", "ss"), ("xes", "x"), ("s", "")]
    {
        if let Some(stem) = noun.strip_suffix(ending).filter(|_| !noun.ends_with("ss")) {
            return format!("{stem}{replacement}");
        }
    }
    noun.to_owned()
}

/// "wear" to "wearing", "ride" to "riding".
pub(super) fn participle(verb: &str) -> String {
    format!("{}ing", verb.strip_suffix('e').unwrap_or(verb))
}
