//! The parts of a model, run on made-up input.

use std::time::Duration;

use coca_edge::{
    CaptionOptions, Coca,
    engine::Input,
    generate::StepDecoder,
    tasks::{CaptionDecoder, CrossKv},
    vision::Pixels,
};
use image::{Rgb, RgbImage};
use ndarray::{Array2, Array3};

use super::{Arguments, Part, timing::Timing};

/// Times one part of `coca` for about `budget`.
pub(super) fn time(
    coca: &Coca,
    part: Part,
    arguments: &Arguments,
    budget: Duration,
) -> anyhow::Result<Timing> {
    match part {
        Part::Image => {
            let pixels = pixels(coca)?;
            let encode = |pixels| Ok(coca.encode_pixels(pixels).map(drop)?);
            Timing::measure(budget, || pixels.clone(), encode)
        }
        Part::Text => time_text(coca, arguments.tokens.into(), budget),
        Part::CrossKv => {
            coca.caption_settings(&CaptionOptions::default())?;
            let (graph, tokens) = (coca.bundle().load_cross_kv(coca.engine())?, image_tokens(coca));
            let run = |tokens| Ok(graph.run(vec![Input::from(tokens)]).map(drop)?);
            Timing::measure(budget, || tokens.clone(), run)
        }
        Part::Step => time_step(coca, arguments.beams.into(), arguments.past.into(), budget),
        Part::Caption => {
            let pixels = pixels(coca)?;
            let options = beam_options(coca, arguments.beams.into())?;
            let options = options.max_tokens(arguments.max_tokens.into());
            let caption =
                |pixels| Ok(coca.caption(&coca.encode_pixels(pixels)?, &options).map(drop)?);
            Timing::measure(budget, || pixels.clone(), caption)
        }
    }
}

/// One label of `tokens` tokens.
fn time_text(coca: &Coca, tokens: usize, budget: Duration) -> anyhow::Result<Timing> {
    let spec = &coca.bundle().config().text;
    let length = (tokens + 1).min(spec.context_length);
    let ids = Array2::from_shape_fn((1, length), |(_, i)| {
        i64::from(if i < tokens { token(coca, i) } else { spec.pad_id })
    });
    let graph = coca.bundle().load_text_encoder(coca.engine())?;
    Timing::measure(budget, || ids.clone(), |ids| Ok(graph.run(vec![ids.into()]).map(drop)?))
}

/// One cached step of `beams` rows after `past` tokens.
fn time_step(coca: &Coca, beams: usize, past: usize, budget: Duration) -> anyhow::Result<Timing> {
    coca.caption_settings(&CaptionOptions::default())?;
    let (bundle, config) = (coca.bundle(), coca.bundle().config());
    let (cross_kv, graph) =
        (bundle.load_cross_kv(coca.engine())?, bundle.load_caption_decoder(coca.engine())?);
    let tokens = image_tokens(coca).into_dyn();
    let cross = CrossKv::compute(&cross_kv, &graph, &config.dimensions, tokens)?;
    let mut decoder = CaptionDecoder::new(&graph, &cross, config);
    decoder.prefill(&(0..past).map(|i| token(coca, i)).collect::<Vec<_>>())?;
    let parents = vec![0; beams];
    let tokens: Vec<u32> = (0..beams).map(|i| token(coca, i)).collect();
    let step = |mut decoder: CaptionDecoder<'_>| Ok(decoder.step(&parents, &tokens).map(drop)?);
    Timing::measure(budget, || decoder.clone(), step)
}

/// The default search with `beams` beams, in the model's groups if they divide them.
fn beam_options(coca: &Coca, beams: usize) -> anyhow::Result<CaptionOptions> {
    let groups = coca.caption_settings(&CaptionOptions::default())?.beam_groups;
    let groups = if beams.is_multiple_of(groups) { groups } else { 1 };
    Ok(CaptionOptions::default().beams(beams).beam_groups(groups))
}

fn pixels(coca: &Coca) -> anyhow::Result<Pixels> {
    let spec = &coca.bundle().config().image;
    let image = RgbImage::from_fn(spec.width, spec.height, |x, y| {
        Rgb([(x * 7 + y) as u8, (y * 13) as u8, (x ^ y) as u8])
    });
    Ok(coca.preprocessor().preprocess(&image)?)
}

/// `[1, T, D]`, from -1 to 1.
fn image_tokens(coca: &Coca) -> Array3<f32> {
    let dimensions = &coca.bundle().config().dimensions;
    let mut seed = 1_u32;
    Array3::from_shape_simple_fn((1, dimensions.image_tokens, dimensions.image_width), || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / 8_388_608.0 - 1.0
    })
}

/// The `i`th of a sequence of token ids.
fn token(coca: &Coca, i: usize) -> u32 {
    let vocabulary = coca.bundle().config().text.vocab_size.max(4) as usize;
    (1 + (i * 7919) % (vocabulary - 3)) as u32
}
