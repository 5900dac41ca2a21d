//! A page with thumbnails of what was found.

use std::{fmt::Write as _, io::Cursor, path::Path, process::Command};

use anyhow::Context;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use coca_edge::{
    host::OutputFile,
    index::Hit,
    vision::{self, Detail, Limits},
};
use image::{ImageFormat, imageops};

/// The longer side of a thumbnail, in pixels.
const SIDE: u32 = 320;

const HEAD: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width\"><style>\
body{font:14px system-ui,sans-serif;margin:1em;background:#fff;color:#222}\
main{display:grid;grid-template-columns:repeat(auto-fill,minmax(200px,1fr));gap:1em}\
figure{margin:0}img{width:100%;height:200px;object-fit:contain;background:#eee}\
figcaption{overflow-wrap:anywhere}a{color:inherit}\
@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}img{background:#222}}\
</style>";

/// The page, with everything in it: pictures are links to their files.
pub(super) fn page(title: &str, hits: &[Hit]) -> String {
    let title = escape(title);
    let mut page = format!("{HEAD}<title>{title}</title><h1>{title}</h1><main>");
    for hit in hits {
        let file = hit.file.canonicalize().unwrap_or_else(|_| hit.file.clone());
        let name = escape(&hit.file.to_string_lossy());
        let caption = escape(hit.picture.caption.as_deref().unwrap_or_default());
        let image = match thumbnail(&hit.file) {
            Ok(jpeg) => format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg)),
            Err(_) => "data:,".to_owned(),
        };
        // Writing to a string cannot fail.
        let _ = write!(
            page,
            "<figure><a href=\"{}\"><img src=\"{image}\" alt=\"{caption}\"></a>\
             <figcaption>{:.3} {name}<br>{caption}</figcaption></figure>",
            escape(&file_url(&file)),
            hit.score,
        );
    }
    page + "</main></html>"
}

/// Shows the page in the user's browser.
pub(super) fn open(title: &str, hits: &[Hit]) -> anyhow::Result<()> {
    use std::io::Write as _;

    let path = std::env::temp_dir().join(format!("coca-search-{}.html", std::process::id()));
    let written = OutputFile::create(&path).and_then(|mut file| {
        file.write_all(page(title, hits).as_bytes())?;
        file.commit()
    });
    written.with_context(|| path.display().to_string())?;
    let program = match std::env::consts::OS {
        "macos" => "open",
        "windows" => "explorer",
        _ => "xdg-open",
    };
    let opened = Command::new(program).arg(&path).status();
    let status = opened.with_context(|| format!("{program} {}", path.display()))?;
    // Windows' explorer tells nothing by its status.
    anyhow::ensure!(
        status.success() || cfg!(windows),
        "{program} {}: it failed with {status}",
        path.display()
    );
    Ok(())
}

fn thumbnail(path: &Path) -> anyhow::Result<Vec<u8>> {
    let detail = Detail::AtLeast { width: SIDE, height: SIDE };
    let image = vision::open(path, &Limits::of_process(1), detail)?;
    let (width, height) = image.rgb().dimensions();
    let longer = width.max(height).max(SIDE);
    let scaled = |side: u32| (u64::from(side) * u64::from(SIDE) / u64::from(longer)).max(1) as u32;
    let small = imageops::thumbnail(image.rgb(), scaled(width), scaled(height));
    let mut jpeg = Cursor::new(Vec::new());
    small.write_to(&mut jpeg, ImageFormat::Jpeg)?;
    Ok(jpeg.into_inner())
}

fn file_url(path: &Path) -> String {
    let text = path.to_string_lossy().replace('\\', "/");
    let mut url = String::from("file://");
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' | b':' => {
                url.push(char::from(byte));
            }
            _ => {
                let _ = write!(url, "%{byte:02X}");
            }
        }
    }
    url
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_name_becomes_markup() {
        assert_eq!(escape("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
        assert_eq!(file_url(Path::new("/a b/\"ü.jpg")), "file:///a%20b/%22%C3%BC.jpg");
    }
}
