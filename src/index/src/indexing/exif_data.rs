//! Time and camera out of a picture's EXIF data.

use std::{
    io::Cursor,
    time::{SystemTime, UNIX_EPOCH},
};

use exif::{DateTime, Exif, In, Reader, Tag, Value};

/// Facts about a picture out of its EXIF data.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ExifData {
    /// When it was taken, in seconds since 1970; UTC where no time zone stands there.
    pub(crate) taken: Option<i64>,
    /// Make and model of the camera.
    pub(crate) camera: Option<String>,
}

/// Reads the EXIF data of a file; whatever is absent or damaged is left out.
pub(crate) fn read(bytes: &[u8]) -> ExifData {
    match Reader::new().read_from_container(&mut Cursor::new(bytes)) {
        Ok(exif) => ExifData { taken: taken(&exif), camera: camera(&exif) },
        Err(_) => ExifData::default(),
    }
}

fn ascii(exif: &Exif, tag: Tag) -> Option<&[u8]> {
    match &exif.get_field(tag, In::PRIMARY)?.value {
        Value::Ascii(texts) => texts.first().map(Vec::as_slice),
        _ => None,
    }
}

fn taken(exif: &Exif) -> Option<i64> {
    let times =
        [(Tag::DateTimeOriginal, Tag::OffsetTimeOriginal), (Tag::DateTime, Tag::OffsetTime)];
    times.into_iter().find_map(|(tag, zone)| {
        let mut time = DateTime::from_ascii(ascii(exif, tag)?).ok()?;
        if let Some(zone) = ascii(exif, zone) {
            // A zone that cannot be read leaves UTC.
            let _ = time.parse_offset(zone);
        }
        seconds(&time)
    })
}

fn seconds(time: &DateTime) -> Option<i64> {
    let DateTime { year, month, day, hour, minute, second, .. } = *time;
    let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
    let utc: SystemTime = humantime::parse_rfc3339(&text).ok()?;
    let seconds = i64::try_from(utc.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()?;
    Some(seconds - 60 * i64::from(time.offset.unwrap_or(0)))
}

/// The model, behind its make where the model does not say it.
fn camera(exif: &Exif) -> Option<String> {
    let text = |tag| {
        let text = String::from_utf8_lossy(ascii(exif, tag)?).trim_matches(['\0', ' ']).to_owned();
        (!text.is_empty()).then_some(text)
    };
    match (text(Tag::Make), text(Tag::Model)) {
        (Some(make), Some(model)) => {
            let brand = make.split(' ').next().unwrap_or_default().to_lowercase();
            let says_make = model.to_lowercase().starts_with(&brand);
            Some(if says_make { model } else { format!("{make} {model}") })
        }
        (make, model) => model.or(make),
    }
}

#[cfg(test)]
mod tests {
    use exif::{Field, experimental::Writer};

    use super::*;

    fn exif_of(fields: &[(Tag, &str)]) -> ExifData {
        let fields: Vec<Field> = fields
            .iter()
            .map(|&(tag, text)| Field {
                tag,
                ifd_num: In::PRIMARY,
                value: Value::Ascii(vec![text.as_bytes().to_vec()]),
            })
            .collect();
        let mut writer = Writer::new();
        fields.iter().for_each(|field| writer.push_field(field));
        let mut tiff = Cursor::new(Vec::new());
        writer.write(&mut tiff, false).unwrap();
        read(tiff.get_ref())
    }

    #[test]
    fn the_time_is_that_of_the_shutter_in_its_zone() {
        let shutter = (Tag::DateTimeOriginal, "2026:11:23 09:00:00");
        let written = (Tag::DateTime, "2026:12:24 00:00:00");
        let utc = humantime::parse_rfc3339("2026-11-23T09:00:00Z").unwrap();
        let utc = utc.duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        assert_eq!(exif_of(&[written, shutter]).taken, Some(utc));
        let zone = (Tag::OffsetTimeOriginal, "+02:00");
        assert_eq!(exif_of(&[written, shutter, zone]).taken, Some(utc - 7200));
        assert_eq!(exif_of(&[(Tag::DateTimeOriginal, "0000:00:00 00:00:00")]).taken, None);
    }

    #[test]
    fn the_make_is_said_once() {
        let camera =
            |make, model| exif_of(&[(Tag::Make, make), (Tag::Model, model)]).camera.unwrap();
        assert_eq!(camera("Canon", "Canon EOS R5"), "Canon EOS R5");
        assert_eq!(camera("NIKON CORPORATION", "NIKON Z 6"), "NIKON Z 6");
        assert_eq!(camera("Apple", "iPhone 15"), "Apple iPhone 15");
    }

    #[test]
    fn a_file_without_exif_data_tells_nothing() {
        assert_eq!(read(b"no picture"), ExifData::default());
    }
}
