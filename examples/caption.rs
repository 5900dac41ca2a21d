//! Draws three captions for a picture at random: `cargo run --example caption -- tests/photos/cat.jpg`
#![allow(clippy::print_stdout)]

use coca_edge::{
    CaptionOptions, Coca, Search,
    vision::{self, Detail, Limits},
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: caption IMAGE")?;

    let coca = Coca::pocket()?;
    let picture = coca.encode_image(&vision::open(path, &Limits::default(), Detail::Full)?)?;
    println!("best: {}", coca.caption(&picture, &CaptionOptions::default())?.text);
    for seed in 1..=3 {
        let options = CaptionOptions::default().search(Search::Sample).top_p(0.5).seed(seed);
        println!("drawn: {}", coca.caption(&picture, &options)?.text);
    }
    Ok(())
}
