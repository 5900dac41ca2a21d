//! Labels a picture: `cargo run --example label -- tests/photos/cat.jpg cat dog rocket`
#![allow(clippy::print_stdout)]

use coca_edge::{
    Coca,
    vision::{self, Detail, Limits},
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: label IMAGE LABEL…")?;

    let coca = Coca::pocket()?;
    let labels = coca.labels(arguments)?;
    let picture = coca.encode_image(&vision::open(path, &Limits::default(), Detail::Full)?)?;
    for best in labels.classify(&picture, 3)? {
        println!("{:.3}  {}", best.score, best.label);
    }
    Ok(())
}
