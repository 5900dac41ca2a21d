//! The body of `POST /labels`.

use serde::Deserialize;

use crate::http::HttpError;

const MAX_LABELS: usize = 1000;
/// Characters of one label.
const MAX_CHARACTERS: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    labels: Vec<String>,
}

/// The labels in `{"labels": ["cat", "dog"]}`, without blanks around them, empty ones and repetitions.
pub(super) fn parse(body: &[u8]) -> Result<Vec<String>, HttpError> {
    let sent: Sent = serde_json::from_slice(body).map_err(|error| {
        HttpError::new(400, format!("expected {{\"labels\": [\"cat\", \"dog\"]}}: {error}"))
    })?;
    let mut labels: Vec<String> = Vec::new();
    let mut known = std::collections::HashSet::new();
    for label in sent.labels {
        let label = label.split_whitespace().collect::<Vec<_>>().join(" ");
        if label.chars().count() > MAX_CHARACTERS {
            return Err(HttpError::new(
                422,
                format!("a label may have {MAX_CHARACTERS} characters at most"),
            ));
        }
        if label.chars().any(char::is_control) {
            return Err(HttpError::new(
                422,
                format!("the label {label:?} has a control character"),
            ));
        }
        if !label.is_empty() && known.insert(label.clone()) {
            labels.push(label);
        }
    }
    match labels.len() {
        0 => Err(HttpError::new(422, "there must be at least one label")),
        1..=MAX_LABELS => Ok(labels),
        _ => Err(HttpError::new(422, format!("there may be {MAX_LABELS} labels at most"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_repetitions_are_dropped() {
        let body = br#"{"labels": [" cup  of coffee ", "", "cat", "cat"]}"#;
        assert_eq!(parse(body).unwrap(), ["cup of coffee", "cat"]);
    }

    #[test]
    fn bodies_that_are_no_list_of_labels_are_refused_with_their_status() {
        let long = format!(r#"{{"labels": ["{}"]}}"#, "x".repeat(201));
        let many: Vec<String> = (0..1001).map(|n| n.to_string()).collect();
        let many = serde_json::json!({ "labels": many }).to_string();
        for (body, status) in [
            ("cat", 400),
            (r#"{"labels": "cat"}"#, 400),
            (r#"{"labels": [], "more": 1}"#, 400),
            (r#"{"labels": [" "]}"#, 422),
            (r#"{"labels": ["a\u0000b"]}"#, 422),
            (&long, 422),
            (&many, 422),
        ] {
            assert_eq!(parse(body.as_bytes()).unwrap_err().status, status, "{body:.60}");
        }
    }
}
