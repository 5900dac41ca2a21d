//! The board's temperature, and a lower rate while it is hot.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use coca_host::hottest_sensor;

/// Time between two readings.
const PERIOD: Duration = Duration::from_secs(2);
/// Degrees below the limit, in °C, from which on the rate rises again.
const MARGIN: f32 = 3.0;
/// Longest pause between two frames.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// First pause when it becomes too hot.
const MIN_PAUSE: Duration = Duration::from_millis(20);

/// Keeps the hottest sensor below a limit with pauses between frames.
#[derive(Debug)]
pub(super) struct Throttle {
    folder: PathBuf,
    limit: Option<f32>,
    read: Option<Instant>,
    temperature: Option<f32>,
    pause: Duration,
    state: Option<ThrottleState>,
}

/// A change of the rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ThrottleState {
    /// The rate is lowered: `temperature` is above `limit`, both in °C.
    Lowered { temperature: f32, limit: f32 },
    /// The rate is the full one again at `temperature`, in °C.
    Full { temperature: f32 },
}

impl fmt::Display for ThrottleState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lowered { temperature, limit } => {
                write!(f, "{temperature:.0} °C is above {limit:.0} °C: the rate is lowered")
            }
            Self::Full { temperature } => write!(f, "{temperature:.0} °C: full rate again"),
        }
    }
}

impl Throttle {
    /// `limit` is in °C; without one the temperature is only read.
    pub(super) fn new(limit: Option<f32>) -> Self {
        Self::in_folder(Path::new("/sys/class/thermal"), limit)
    }

    fn in_folder(folder: &Path, limit: Option<f32>) -> Self {
        Self {
            folder: folder.to_owned(),
            limit,
            read: None,
            temperature: None,
            pause: Duration::ZERO,
            state: None,
        }
    }

    /// The last temperature in °C, where the board has a sensor.
    pub(super) fn temperature(&self) -> Option<f32> {
        self.temperature
    }

    /// Least time from one frame to the next; zero while the board is cool.
    pub(super) fn pause(&self) -> Duration {
        self.pause
    }

    /// The state while the rate is lowered.
    pub(super) fn state(&self) -> Option<ThrottleState> {
        self.state
    }

    /// Reads the sensors if it is time to; returns a change between lowered and full rate.
    pub(super) fn update(&mut self) -> Option<ThrottleState> {
        if self.read.is_some_and(|read| read.elapsed() < PERIOD) {
            return None;
        }
        self.read = Some(Instant::now());
        self.temperature = hottest_sensor(&self.folder).map(|(_, degrees)| degrees);
        let (limit, temperature) = (self.limit?, self.temperature?);
        let old = self.pause;
        self.pause = if temperature > limit {
            (old * 3 / 2).clamp(MIN_PAUSE, MAX_PAUSE)
        } else if temperature < limit - MARGIN && old > MIN_PAUSE {
            old * 2 / 3
        } else if temperature < limit - MARGIN {
            Duration::ZERO
        } else {
            old
        };
        match (old.is_zero(), self.pause.is_zero()) {
            (true, false) => {
                self.state = Some(ThrottleState::Lowered { temperature, limit });
                self.state
            }
            (false, true) => {
                self.state = None;
                Some(ThrottleState::Full { temperature })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn throttle(limit: f32) -> (tempfile::TempDir, Throttle) {
        let folder = tempfile::tempdir().unwrap();
        for zone in ["thermal_zone0", "thermal_zone1", "cooling_device0"] {
            fs::create_dir(folder.path().join(zone)).unwrap();
        }
        fs::write(folder.path().join("thermal_zone1/temp"), "-274000\n").unwrap();
        let throttle = Throttle::in_folder(folder.path(), Some(limit));
        (folder, throttle)
    }

    fn read(folder: &Path, throttle: &mut Throttle, millidegrees: &str) -> Option<ThrottleState> {
        fs::write(folder.join("thermal_zone0/temp"), millidegrees).unwrap();
        throttle.read = None;
        throttle.update()
    }

    #[test]
    fn the_rate_falls_while_it_is_hot_and_rises_when_it_has_cooled() {
        let (folder, mut throttle) = throttle(70.0);
        assert_eq!(read(folder.path(), &mut throttle, "69000\n"), None);
        assert_eq!(throttle.pause(), Duration::ZERO);
        assert!(
            read(folder.path(), &mut throttle, "71000").unwrap().to_string().contains("lowered")
        );
        let first = throttle.pause();
        for _ in 0..40 {
            read(folder.path(), &mut throttle, "75000");
        }
        assert!(throttle.pause() > first && throttle.pause() <= MAX_PAUSE);
        let hot = throttle.pause();
        read(folder.path(), &mut throttle, "68500");
        assert_eq!(throttle.pause(), hot);
        let told = (0..40).filter_map(|_| read(folder.path(), &mut throttle, "60000"));
        assert!(told.last().unwrap().to_string().contains("full rate"));
        assert_eq!((throttle.pause(), throttle.temperature()), (Duration::ZERO, Some(60.0)));
    }

    #[test]
    fn a_board_without_sensors_is_left_alone() {
        let mut throttle = Throttle::in_folder(Path::new("/no/such/folder"), Some(1.0));
        assert_eq!((throttle.update(), throttle.temperature()), (None, None));
        assert_eq!(throttle.pause(), Duration::ZERO);
    }
}
