//! The board's sensors.

use coca_host::hottest_sensor;

use super::{Board, Check, Finding};

/// Temperature in °C at which boards slow down; a Raspberry Pi at 80 to 85.
const HOT: f32 = 80.0;
/// Temperature in °C from which on a fan is advised.
const WARM: f32 = 70.0;

pub(super) fn examine(board: &Board) -> Vec<Finding> {
    let Some((name, degrees)) = hottest_sensor(&board.path("sys/class/thermal")) else {
        let advice = "without a sensor --max-temperature does nothing";
        return vec![Finding::hint(Check::Temperature, "no sensor", advice)];
    };
    let found = format!("{degrees:.0} °C at the hottest sensor {name}");
    vec![if degrees >= HOT {
        let advice = "it slows down from heat: give it a heat sink or a fan and air around it; until then \
                      coca watch --max-temperature 70 --max-fps 5 keeps it cooler";
        Finding::to_do(Check::Temperature, found, advice)
    } else if degrees >= WARM {
        let advice = "a fan keeps it from slowing down; coca watch --max-temperature 75 slows down before the board does";
        Finding::hint(Check::Temperature, found, advice)
    } else {
        Finding::fine(Check::Temperature, found)
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Verdict, board::tests::MadeUp};

    fn at(millidegrees: &str) -> Finding {
        let board = MadeUp::new(&[
            ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
            ("sys/class/thermal/thermal_zone0/temp", millidegrees),
            ("sys/class/thermal/thermal_zone1/temp", "-274000\n"),
            ("sys/class/thermal/thermal_zone2/type", "gpu-thermal\n"),
            ("sys/class/thermal/thermal_zone2/temp", "30000\n"),
            ("sys/class/thermal/cooling_device0/type", "Fan\n"),
        ]);
        examine(&board.board).remove(0)
    }

    #[test]
    fn the_hottest_sensor_decides() {
        assert_eq!(at("48312\n").found, "48 °C at the hottest sensor cpu-thermal");
        assert_eq!(at("48312\n").verdict, Verdict::Fine);
        assert!(matches!(at("72000\n").verdict, Verdict::Hint(_)));
        assert!(at("81500\n").is_to_do());
        assert_eq!(at("no number").found, "30 °C at the hottest sensor gpu-thermal");
    }

    #[test]
    fn a_board_without_sensors_says_what_that_means() {
        let finding = examine(&MadeUp::new(&[]).board).remove(0);
        assert!(finding.verdict.advice().unwrap().contains("--max-temperature"));
    }
}
