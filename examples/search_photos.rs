//! Ranks the photos of a folder for a text: `cargo run --example search_photos -- tests/photos "something to drink"`
#![allow(clippy::print_stderr, clippy::print_stdout)]

use std::path::PathBuf;

use coca_edge::{
    Coca,
    vision::{ImageReader, sources},
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(text)) = (arguments.next(), arguments.next()) else {
        return Err("usage: search_photos FOLDER TEXT".into());
    };

    let coca = Coca::pocket()?;
    let wanted = coca.encode_text(&text)?;
    let mut found = Vec::new();
    for (source, pixels) in
        ImageReader::start(sources(&[PathBuf::from(folder)]), coca.preprocessor().clone())
    {
        match pixels {
            Ok(pixels) => {
                let picture = coca.encode_pixels(pixels)?;
                found.push((wanted.cosine(picture.embedding()).unwrap_or(-1.0), source));
            }
            Err(error) => eprintln!("{error}"),
        }
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (cosine, source) in found.iter().take(5) {
        println!("{cosine:.3}  {source}");
    }
    Ok(())
}
