use exif::{DateTime, In, Reader, Tag, Value};
use serde::{Deserialize, Serialize};

/// What the camera wrote about the shot; all of it is text from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exif {
    /// When the picture was taken, by the camera's clock: `2024-05-17T09:30:00`, with no zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<String>,
    /// Maker and model, the maker only once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<String>,
    /// Exposure in one line: `1/250 s · f/2.8 · ISO 100 · 35 mm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure: Option<String>,
}

/// Reads a raw EXIF chunk. What is missing or broken is left out: photos with odd metadata are still photos.
pub(super) fn read(chunk: &[u8]) -> Exif {
    let mut reader = Reader::new();
    reader.continue_on_error(true);
    let exif = match reader.read_raw(chunk.to_vec()) {
        Ok(exif) => exif,
        Err(error) => match error.distill_partial_result(|_| ()) {
            Ok(exif) => exif,
            Err(_) => return Exif::default(),
        },
    };
    Exif {
        taken: [Tag::DateTimeOriginal, Tag::DateTimeDigitized, Tag::DateTime]
            .into_iter()
            .find_map(|tag| date(&exif, tag)),
        camera: camera(text(&exif, Tag::Make), text(&exif, Tag::Model)),
        exposure: exposure(&exif),
    }
}

fn date(exif: &exif::Exif, tag: Tag) -> Option<String> {
    let Value::Ascii(lines) = &exif.get_field(tag, In::PRIMARY)?.value else {
        return None;
    };
    let date = DateTime::from_ascii(lines.first()?).ok()?;
    // A camera whose clock was never set writes zeros.
    ((1..=12).contains(&date.month) && (1..=31).contains(&date.day)).then(|| {
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            date.year, date.month, date.day, date.hour, date.minute, date.second
        )
    })
}

fn text(exif: &exif::Exif, tag: Tag) -> Option<String> {
    let Value::Ascii(lines) = &exif.get_field(tag, In::PRIMARY)?.value else {
        return None;
    };
    let text: String = String::from_utf8_lossy(lines.first()?)
        .chars()
        .take_while(|&c| c != '\0')
        .filter(|c| !c.is_control())
        .take(80)
        .collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn camera(make: Option<String>, model: Option<String>) -> Option<String> {
    match (make, model) {
        // "Canon" and "Canon EOS R5" are one name, "NIKON CORPORATION" and "NIKON D850" too.
        (Some(make), Some(model)) => {
            let brand = make.split_whitespace().next().unwrap_or_default().to_lowercase();
            if model.to_lowercase().starts_with(&brand) { Some(model) } else { Some(format!("{make} {model}")) }
        }
        (make, model) => model.or(make),
    }
}

fn exposure(exif: &exif::Exif) -> Option<String> {
    let ratio = |tag| match &exif.get_field(tag, In::PRIMARY)?.value {
        Value::Rational(values) => values.first().filter(|r| r.denom != 0).map(|r| r.to_f64()),
        _ => None,
    };
    let parts: Vec<String> = [
        ratio(Tag::ExposureTime).filter(|&s| s > 0.0).map(|seconds| {
            if seconds < 0.4 { format!("1/{:.0} s", 1.0 / seconds) } else { format!("{} s", tenths(seconds)) }
        }),
        ratio(Tag::FNumber).filter(|&f| f > 0.0).map(|f| format!("f/{}", tenths(f))),
        exif.get_field(Tag::PhotographicSensitivity, In::PRIMARY)
            .and_then(|field| field.value.get_uint(0))
            .map(|iso| format!("ISO {iso}")),
        ratio(Tag::FocalLength).filter(|&mm| mm > 0.0).map(|mm| format!("{mm:.0} mm")),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!parts.is_empty()).then(|| parts.join(" · "))
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
