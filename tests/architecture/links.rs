//! Pages: their links to files of this repository lead somewhere.

use std::path::{Path, PathBuf};

/// The Markdown pages below `folder`, build folders left out.
fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() && name != "target" && name != ".git" {
            pages(&path, found);
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// The targets of links and images in `text`, without those in code blocks.
fn links(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    let targets = |opening: &'static str, closing: char| {
        prose
            .clone()
            .flat_map(move |text| text.split(opening).skip(1))
            .filter_map(move |rest| rest.split(closing).next())
    };
    targets("](", ')').chain(targets("src=\"", '"')).collect()
}

#[test]
fn every_link_to_a_file_leads_to_it() {
    let mut found = Vec::new();
    pages(Path::new(env!("CARGO_MANIFEST_DIR")), &mut found);
    assert!(found.iter().any(|page| page.ends_with("README.md")));
    let mut broken = Vec::new();
    for page in found {
        for link in links(&std::fs::read_to_string(&page).unwrap()) {
            let file = link.split('#').next().unwrap_or_default();
            let is_elsewhere = file.is_empty() || file.contains(':');
            if !is_elsewhere && !page.parent().unwrap().join(file).exists() {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
