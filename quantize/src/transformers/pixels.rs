//! `preprocessor_config.json`: transformers' `CLIPImageProcessor`.

use coca_vision::{Interpolation, PixelSpec, Resize};
use serde_json::{Value, json};

use crate::open_clip::{ConfigError, OPENAI_MEAN, OPENAI_STD, Section, validated};

/// Pillow's numbers of filters.
const FILTERS: [(u64, Interpolation); 2] =
    [(2, Interpolation::Bilinear), (3, Interpolation::Bicubic)];
/// Steps that must not be switched off.
const STEPS: [&str; 5] =
    ["do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb"];

/// Reads the text of a `preprocessor_config.json` of a model whose images are `side` pixels wide and high. Defaults are
/// those of transformers 4.46.3.
///
/// # Errors
/// When it is not JSON, or asks for something other than resizing the shorter side, cutting out the centre and
/// normalising.
pub fn read_pixels(json: &[u8], side: usize) -> Result<PixelSpec, ConfigError> {
    let value: Value = serde_json::from_slice(json)
        .map_err(|e| ConfigError::new("preprocessor_config.json", "JSON", &e.to_string()))?;
    let mut section = Section::new("preprocessor_config", Some(&value))?;
    for step in STEPS {
        section.only(step, &json!(true))?;
    }
    check_side(&mut section, "size", &["shortest_edge"], side)?;
    check_side(&mut section, "crop_size", &["height", "width"], side)?;
    let factor = section.number("rescale_factor", 1.0 / 255.0)?;
    if (factor * 255.0 - 1.0).abs() > 1e-6 {
        let found = section.get("rescale_factor");
        return Err(section.wrong("rescale_factor", "1/255", found));
    }
    let resample = section.get("resample");
    let filter = match resample {
        None => Some(Interpolation::Bicubic),
        Some(found) => {
            FILTERS.iter().find(|(number, _)| found.as_u64() == Some(*number)).map(|(_, f)| *f)
        }
    };
    let Some(interpolation) = filter else {
        return Err(section.wrong("resample", "3 (bicubic) or 2 (bilinear)", resample));
    };
    let spec = PixelSpec {
        width: side as u32,
        height: side as u32,
        mean: section.channels("image_mean", OPENAI_MEAN)?.map(|v| v as f32),
        std: section.channels("image_std", OPENAI_STD)?.map(|v| v as f32),
        resize: Resize::Shortest,
        interpolation,
    };
    validated(spec, "preprocessor_config")
}

/// Checks that `key` is `side`: a number, or an object with that under each of `names`.
fn check_side(
    section: &mut Section<'_>,
    key: &'static str,
    names: &[&str],
    side: usize,
) -> Result<(), ConfigError> {
    let Some(found) = section.get(key) else { return Ok(()) };
    let is_side = |value: Option<&Value>| value.and_then(Value::as_u64) == Some(side as u64);
    match is_side(Some(found)) || names.iter().all(|name| is_side(found.get(*name))) {
        true => Ok(()),
        false => {
            let expected = format!("{side}, the image size of the configuration");
            Err(section.wrong(key, &expected, Some(found)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: Value) -> Result<PixelSpec, String> {
        read_pixels(value.to_string().as_bytes(), 224).map_err(|e| e.to_string())
    }

    #[test]
    fn sizes_are_numbers_or_objects() {
        let old =
            read(json!({"size": 224, "crop_size": 224, "image_mean": [0.5, 0.5, 0.5]})).unwrap();
        let new = json!({"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224},
                         "image_mean": [0.5, 0.5, 0.5], "resample": 3, "rescale_factor": 0.003_921_568_627_450_98});
        assert_eq!(read(new).unwrap(), old);
        assert_eq!(
            (old.width, old.mean, old.interpolation),
            (224, [0.5; 3], Interpolation::Bicubic)
        );
    }

    #[test]
    fn another_way_of_preparing_pictures_is_refused_by_its_key() {
        for (value, expected) in [
            (
                json!({"size": 256}),
                "size: expected 224, the image size of the configuration, found 256",
            ),
            (
                json!({"size": {"height": 224, "width": 224}}),
                "size: expected 224, the image size of the configuration, found {\"height\":224,\"width\":224}",
            ),
            (json!({"do_center_crop": false}), "do_center_crop: expected true, found false"),
            (json!({"resample": 0}), "resample: expected 3 (bicubic) or 2 (bilinear), found 0"),
            (json!({"rescale_factor": 1.0}), "rescale_factor: expected 1/255, found 1.0"),
            (
                json!({"image_std": [1, 0, 1]}),
                "std: expected three numbers above 0, found [1.0, 0.0, 1.0]",
            ),
        ] {
            assert_eq!(read(value).unwrap_err(), format!("preprocessor_config.{expected}"));
        }
    }
}
