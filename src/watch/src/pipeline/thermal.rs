//! The board's temperature, and slowing down before the board does.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use coca_host::hottest_sensor;

/// How often the sensors are read.
const PERIOD: Duration = Duration::from_secs(2);
/// How far below the limit the board must be before the rate rises again, in °C.
const MARGIN: f32 = 3.0;
/// The longest pause between two frames.
const LONGEST: Duration = Duration::from_secs(10);
/// The pause that a rate is lowered to first.
const SHORTEST: Duration = Duration::from_millis(20);

/// Reads the hottest sensor, and keeps the board below a limit with pauses between frames.
#[derive(Debug)]
pub(super) struct Thermometer {
    folder: PathBuf,
    limit: Option<f32>,
    read: Option<Instant>,
    temperature: Option<f32>,
    pause: Duration,
}

impl Thermometer {
    /// `limit` is in °C.
    pub(super) fn new(limit: Option<f32>) -> Self {
        Self::in_folder(Path::new("/sys/class/thermal"), limit)
    }

    fn in_folder(folder: &Path, limit: Option<f32>) -> Self {
        let folder = folder.to_owned();
        Self { folder, limit, read: None, temperature: None, pause: Duration::ZERO }
    }

    /// The last temperature, in °C, if the board tells it.
    pub(super) fn temperature(&self) -> Option<f32> {
        self.temperature
    }

    /// The least time from one frame to the next that keeps the board cool; zero while it is.
    pub(super) fn pause(&self) -> Duration {
        self.pause
    }

    /// Reads the sensors if it is time to. Tells of it when the rate begins or ceases to be lowered.
    pub(super) fn update(&mut self) -> Option<String> {
        if self.read.is_some_and(|read| read.elapsed() < PERIOD) {
            return None;
        }
        self.read = Some(Instant::now());
        self.temperature = hottest_sensor(&self.folder).map(|(_, degrees)| degrees);
        let (limit, temperature) = (self.limit?, self.temperature?);
        let old = self.pause;
        self.pause = if temperature > limit {
            (old * 3 / 2).clamp(SHORTEST, LONGEST)
        } else if temperature < limit - MARGIN && old > SHORTEST {
            old * 2 / 3
        } else if temperature < limit - MARGIN {
            Duration::ZERO
        } else {
            old
        };
        match (old.is_zero(), self.pause.is_zero()) {
            (true, false) => Some(format!(
                "{temperature:.0} °C is above --max-temperature {limit:.0}: the rate is lowered"
            )),
            (false, true) => Some(format!("{temperature:.0} °C: full rate again")),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn thermometer(limit: f32) -> (tempfile::TempDir, Thermometer) {
        let folder = tempfile::tempdir().unwrap();
        for zone in ["thermal_zone0", "thermal_zone1", "cooling_device0"] {
            fs::create_dir(folder.path().join(zone)).unwrap();
        }
        fs::write(folder.path().join("thermal_zone1/temp"), "-274000\n").unwrap();
        let thermometer = Thermometer::in_folder(folder.path(), Some(limit));
        (folder, thermometer)
    }

    fn read(folder: &Path, thermometer: &mut Thermometer, millidegrees: &str) -> Option<String> {
        fs::write(folder.join("thermal_zone0/temp"), millidegrees).unwrap();
        thermometer.read = None;
        thermometer.update()
    }

    #[test]
    fn the_rate_falls_while_it_is_hot_and_rises_when_it_has_cooled() {
        let (folder, mut thermometer) = thermometer(70.0);
        assert_eq!(read(folder.path(), &mut thermometer, "69000\n"), None);
        assert_eq!(thermometer.pause(), Duration::ZERO);
        assert!(read(folder.path(), &mut thermometer, "71000").unwrap().contains("lowered"));
        let first = thermometer.pause();
        for _ in 0..40 {
            read(folder.path(), &mut thermometer, "75000");
        }
        assert!(thermometer.pause() > first && thermometer.pause() <= LONGEST);
        let hot = thermometer.pause();
        read(folder.path(), &mut thermometer, "68500");
        assert_eq!(thermometer.pause(), hot);
        let told = (0..40).filter_map(|_| read(folder.path(), &mut thermometer, "60000"));
        assert!(told.last().unwrap().contains("full rate"));
        assert_eq!((thermometer.pause(), thermometer.temperature()), (Duration::ZERO, Some(60.0)));
    }

    #[test]
    fn a_board_without_sensors_is_left_alone() {
        let mut thermometer = Thermometer::in_folder(Path::new("/no/such/folder"), Some(1.0));
        assert_eq!((thermometer.update(), thermometer.temperature()), (None, None));
        assert_eq!(thermometer.pause(), Duration::ZERO);
    }
}
