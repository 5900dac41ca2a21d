//! The time of day, which reports carry and most boards forget without power.

use std::time::{Duration, UNIX_EPOCH};

use super::{Board, Check, Finding};

/// Start of 2025: no board has run this program before.
const EARLIEST: Duration = Duration::from_secs(1_735_689_600);
/// Files that services leave once they have fetched the time.
const SYNCHRONIZED: [&str; 2] = ["run/systemd/timesync/synchronized", "run/chrony/chronyd.pid"];

pub(super) fn examine(board: &Board) -> Vec<Finding> {
    // A clock before 1970 is as wrong as one at 1970.
    let since_1970 = board.now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let now = humantime::format_rfc3339_seconds(UNIX_EPOCH + since_1970).to_string();
    let has_clock = board.path("sys/class/rtc/rtc0").exists();
    let is_synchronized = SYNCHRONIZED.iter().any(|file| board.path(file).exists());
    vec![if since_1970 < EARLIEST {
        let advice = "set it: sudo date -s 'YEAR-MONTH-DAY HOUR:MINUTE', or connect a network once";
        Finding::to_do(Check::Clock, format!("{now} is in the past"), advice)
    } else if is_synchronized {
        Finding::fine(Check::Clock, format!("{now}, fetched from a time server"))
    } else if has_clock {
        Finding::fine(Check::Clock, format!("{now}, from the clock of the board"))
    } else {
        let advice = "without a network the time stands still while the power is off: reports are dated wrongly after \
                      that; a clock module (RTC) keeps it";
        let found = format!("{now}, from no clock and no time server");
        Finding::hint(Check::Clock, found, advice)
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::board::tests::MadeUp;

    fn at(seconds: u64, files: &[(&str, &str)]) -> Finding {
        let mut board = MadeUp::new(files);
        board.board.now = UNIX_EPOCH + Duration::from_secs(seconds);
        examine(&board.board).remove(0)
    }

    const TODAY: u64 = 1_795_600_000;

    #[test]
    fn a_clock_that_stands_in_the_past_has_to_be_set() {
        let finding = at(3600, &[]);
        assert!(finding.is_to_do());
        assert_eq!(finding.found, "1970-01-01T01:00:00Z is in the past");
        assert!(finding.verdict.advice().unwrap().contains("date -s"));
    }

    #[test]
    fn a_time_server_or_a_clock_is_fine_and_neither_is_a_hint() {
        use crate::doctor::Verdict;
        assert_eq!(at(TODAY, &[("run/systemd/timesync/synchronized", "")]).verdict, Verdict::Fine);
        assert_eq!(at(TODAY, &[("sys/class/rtc/rtc0/name", "rtc")]).verdict, Verdict::Fine);
        assert!(matches!(at(TODAY, &[]).verdict, Verdict::Hint(_)));
    }
}
