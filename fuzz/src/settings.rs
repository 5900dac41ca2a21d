//! Settings that users write: sources, displays, addresses, labels, templates, queries.

use std::sync::LazyLock;

use coca_index::{Filter, Picture, Term};
use coca_text::{Cleaning, ListItem, Templates, TextSpec, Tokenizer, parse_list};
use coca_watch::{
    camera::{SourceSpec, StreamFormat, parse_size},
    display::DisplaySpec,
    redact,
};

use crate::{
    Seeds, Target,
    scratch::{read_all, repository},
};

pub(crate) const TARGETS: &[Target] = &[
    Target {
        name: "camera_spec",
        run: |bytes| camera_spec(&String::from_utf8_lossy(bytes)),
        seeds: || Ok(CAMERAS.map(Into::into).to_vec()),
        words: &[
            "cmd:",
            "dir:",
            "camera:",
            "auto",
            "/dev/video",
            "yuv420:",
            "640x480",
            "?fps=",
            ":-",
            "'",
            "\"",
            "|",
        ],
        memory: 4 << 20,
        is_slow: false,
    },
    Target {
        name: "address",
        run: |bytes| address(&String::from_utf8_lossy(bytes)),
        seeds: || Ok(ADDRESSES.map(Into::into).to_vec()),
        words: &[
            "http://",
            "@",
            ":",
            "/",
            "?",
            "#",
            "[",
            "]",
            "%40",
            "pwd=",
            "token=",
            "cmd:",
            "--password ",
            "-u ",
            "‘",
        ],
        memory: 4 << 20,
        is_slow: false,
    },
    Target {
        name: "display_spec",
        run: |bytes| display_spec(&String::from_utf8_lossy(bytes)),
        seeds: || Ok(DISPLAYS.map(Into::into).to_vec()),
        words: &[
            "fb:", "png:", "window:", "spi:", "web:", "?", "&", "=", "size=", "rotate=", "panel=",
            "token=", "%00", "%",
        ],
        memory: 4 << 20,
        is_slow: false,
    },
    Target {
        name: "label_file",
        run: label_file,
        seeds: label_files,
        words: &[
            "\u{feff}",
            "{}",
            "#",
            "&amp;",
            "&#x110000;",
            "&lt",
            "Ã©",
            "â€™",
            "ﬁ",
            "\u{345}",
            "İ",
            "ß",
            "\u{202e}",
            "\u{fffd}",
            "<|endoftext|>",
            "\u{1b}[31m",
            "'s",
            "漢字",
            "👩‍👩‍👧",
            "\u{300}",
        ],
        memory: 64 << 20,
        is_slow: false,
    },
    Target {
        name: "query",
        run: |bytes| query(&String::from_utf8_lossy(bytes)),
        seeds: || Ok(QUERIES.map(Into::into).to_vec()),
        words: &[
            " + ", " - ", "2:", "./", "**/", "{a,b}", "[!a-z]", "{", "}", "[", "]", "*", "?", "\\",
        ],
        memory: 64 << 20,
        is_slow: false,
    },
];

const CAMERAS: [&str; 6] = [
    "yuv420:640x480:cmd:rpicam-vid -t 0 --codec yuv420 -o -",
    "dir:photos?fps=0.5",
    "camera:Integrated Camera",
    "http://viewer:p%40ss@10.0.0.3:81/stream?fps=5#x",
    "grey:4x2:cmd:sh -c 'echo a:cmd:b ?fps=9'",
    "/dev/video0",
];

fn camera_spec(text: &str) {
    match text.parse::<SourceSpec>() {
        Ok(spec) => assert!(!format!("{spec} {spec:?}").is_empty()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(format @ StreamFormat::Raw(raw)) = text.parse::<StreamFormat>() {
        assert!(raw.frame_bytes() > 0);
        assert_eq!(format.to_string().parse(), Ok(format));
    }
    let _ = parse_size(text);
}

const ADDRESSES: [&str; 5] = [
    "viewer:p%40s:s@10.0.0.3:81/stream?fps=5#x",
    "[::1]:81/a/b?user=viewer&pwd=hush",
    "cam:8080?action=stream",
    "u:hu/hush@cam/ http://u:p@cam/",
    "cmd:curl -u viewer:pass --password='a b' -H 'Authorization: Bearer x' URL",
];

fn address(text: &str) {
    let shown = redact(text);
    assert!(shown.len() <= 4 * text.len());
    let _ = format!("http://{text}").parse::<SourceSpec>().map(|spec| format!("{spec} {spec:?}"));
}

const DISPLAYS: [&str; 6] = [
    "png:/run/coca/now.png?size=640x480",
    "web:0.0.0.0:8080?token=correct%20horse&host=cam.example",
    "web:[::1]:8080",
    "spi:/dev/spidev0.0?panel=st7789&dc=25&reset=27&size=240x240&rotate=90",
    "fb:/dev/fb0?size=640x480",
    "window:800x480",
];

fn display_spec(text: &str) {
    match text.parse::<DisplaySpec>() {
        Ok(spec) => assert!(!format!("{spec} {spec:?}").is_empty()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn label_files() -> Seeds {
    Ok(vec![
        "cat\nred fox\n\n ein großer Hund \r\ncup of coffee\n".into(),
        "# mine\na photo of a {}.\n  a drawing of a {}.\n".into(),
        "\u{feff}L&amp;amp;R sch&ouml;n\nItâ€™s Ã©tÃ© ﬁne\n漢字 👩‍👩‍👧 ı İ ß\n<|endoftext|> it's 1234!\n".into(),
    ])
}

/// A tokenizer as transformers ships it, of 600 tokens.
static TOKENIZER: LazyLock<Option<Tokenizer>> = LazyLock::new(|| {
    let files = read_all("tests/golden/transformers/openai", &["tokenizer.json"]).ok()?;
    let spec = TextSpec {
        context_length: 77,
        vocab_size: 600,
        start_id: 598,
        end_id: 599,
        pad_id: 0,
        cleaning: Cleaning::OpenClip,
        truncate_to_end: true,
    };
    Tokenizer::new(&files[0], spec).ok()
});

/// Labels and templates, a line each, cleaned and tokenized.
fn label_file(bytes: &[u8]) {
    let Some(tokenizer) = &*TOKENIZER else {
        panic!("{}: no tokenizer", repository("tests/golden/transformers/openai").display())
    };
    let text = String::from_utf8_lossy(bytes);
    let list = |bytes: &[u8]| parse_list(bytes, "labels", ListItem::Label);
    // Other bytes than UTF-8 are no list; what is right in them is one.
    let _ = list(bytes);
    for label in list(text.as_bytes()).iter().flatten() {
        assert!(!label.trim().is_empty());
        if let Ok(tokens) = tokenizer.encode(label) {
            assert!((2..=77).contains(&tokens.len()));
            let _ = tokenizer.decode(tokens.as_ref());
        }
        assert_eq!(coca_host::printable(label).chars().find(|c| c.is_control()), None);
    }
    if let Ok(templates) = Templates::parse(&text, "templates") {
        assert_eq!(templates.apply("cat").count(), templates.len());
    }
}

const QUERIES: [&str; 5] =
    ["2:a dog + ./beach.jpg - people", "*.{jpg,png}", "2026/**/[a-c]?.jpg", "0.5:golden fur", "a"];

fn query(text: &str) {
    if let Ok(terms) = Term::parse(text) {
        assert!(terms.iter().all(|term| term.weight != 0.0 && term.weight.is_finite()));
    }
    let picture = Picture { path: "2026/summer/a.jpg".to_owned(), ..Picture::default() };
    let _ = Filter::default().camera(text).path(text).map(|filter| filter.accepts(&picture));
}
