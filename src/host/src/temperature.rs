//! Thermal sensors.

use std::{fs, path::Path};

/// The hottest sensor in `folder`: its name, and its temperature in °C.
#[must_use]
pub fn hottest_sensor(folder: &Path) -> Option<(String, f32)> {
    let zones = fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let sensors = zones.filter_map(|zone| {
        let temperature = fs::read_to_string(zone.path().join("temp")).ok()?;
        let name = fs::read_to_string(zone.path().join("type")).unwrap_or_default();
        Some((name.trim().to_owned(), temperature.trim().parse::<f32>().ok()? / 1000.0))
    });
    // A sensor that is not there reads as something impossible.
    let sensors = sensors.filter(|(_, degrees)| (-50.0..200.0).contains(degrees));
    sensors.max_by(|(_, a), (_, b)| a.total_cmp(b))
}
