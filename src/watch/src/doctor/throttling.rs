//! Heat, too little power or a setting that slows the board down.

use std::process::Command;

use super::{Board, Check, Finding, Make};

pub(super) fn examine(board: &Board) -> Vec<Finding> {
    let findings: Vec<_> =
        [firmware(board), low_voltage(board), cooling(board), clock_limit(board), governor(board)]
            .into_iter()
            .flatten()
            .collect();
    if findings.is_empty() {
        return vec![Finding::fine(Check::Throttling, "nothing slows the board down")];
    }
    findings
}

const POWER: &str = "the power supply or its cable is too weak: use the one made for the board (5 V and 3 A, a Raspberry Pi 5 \
                     wants 5 A) and a short cable";
const HEAT: &str = "give it a heat sink or a fan and air around it; coca watch --max-temperature 70 keeps a steady, \
                    lower rate meanwhile";

/// The report of a Raspberry Pi's firmware: bits for the present, and 16 bits up the same since the board started.
fn firmware(board: &Board) -> Option<Finding> {
    let bits = throttled(board)?;
    let causes = |bits: u32| {
        let names = ["low voltage", "a capped clock", "throttling", "heat"];
        let set = (0..4).filter(|bit| bits >> bit & 1 == 1).map(|bit| names[bit]);
        set.collect::<Vec<_>>().join(", ")
    };
    let (now, before) = (causes(bits & 0xf), causes(bits >> 16 & 0xf));
    let advice = if (bits | bits >> 16) & 1 == 1 { POWER } else { HEAT };
    match (now.is_empty(), before.is_empty()) {
        (false, _) => {
            let found = format!("the firmware slows the board down at this moment: {now}");
            Some(Finding::to_do(Check::Throttling, found, advice))
        }
        (true, false) => {
            let found = format!("the firmware slowed the board down since it started: {before}");
            Some(Finding::to_do(Check::Throttling, found, advice))
        }
        (true, true) => None,
    }
}

/// The firmware's bits, from `50005`, `0x50005` or `throttled=0x50005`.
fn throttled(board: &Board) -> Option<u32> {
    let folders = board.names("sys/devices/platform", "soc").into_iter().flat_map(|soc| {
        let folder = format!("sys/devices/platform/{soc}");
        let inner = board.names(&folder, "soc").into_iter().map(|name| format!("{folder}/{name}"));
        inner.chain([folder.clone()]).collect::<Vec<_>>()
    });
    let text = folders
        .filter_map(|folder| board.read(&format!("{folder}/get_throttled")))
        .next()
        .or_else(|| ask_firmware(board))?;
    let digits = text.trim_start_matches("throttled=").trim_start_matches("0x");
    u32::from_str_radix(digits, 16).ok()
}

/// Asks `vcgencmd`: the firmware of newer boards answers no file.
fn ask_firmware(board: &Board) -> Option<String> {
    if board.make() != Make::RaspberryPi || !board.is_this() {
        return None;
    }
    let output = Command::new("vcgencmd").arg("get_throttled").output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

/// The sensor of the supply's voltage, which newer kernels offer.
fn low_voltage(board: &Board) -> Option<Finding> {
    const SENSORS: &str = "sys/class/hwmon";
    let sensors = board.names(SENSORS, "hwmon").into_iter();
    let alarm = sensors
        .filter(|name| board.read(&format!("{SENSORS}/{name}/name")).as_deref() == Some("rpi_volt"))
        .find_map(|name| board.value::<u32>(&format!("{SENSORS}/{name}/in0_lcrit_alarm")))?;
    (alarm != 0).then(|| Finding::to_do(Check::Throttling, "the voltage is too low", POWER))
}

/// Cooling devices that work by slowing the processor down.
fn cooling(board: &Board) -> Option<Finding> {
    const DEVICES: &str = "sys/class/thermal";
    let devices = board.names(DEVICES, "cooling_device").into_iter();
    let at_work = devices.filter_map(|device| {
        let name = board.read(&format!("{DEVICES}/{device}/type"))?;
        let slows = ["cpufreq", "cpu-", "Processor"].iter().any(|kind| name.contains(kind));
        let state: i64 = board.value(&format!("{DEVICES}/{device}/cur_state"))?;
        (slows && state > 0).then_some(name)
    });
    let names: Vec<_> = at_work.collect();
    (!names.is_empty()).then(|| {
        let found = format!("heat slows the processor down at this moment: {}", names.join(", "));
        Finding::to_do(Check::Throttling, found, HEAT)
    })
}

const CLOCK: &str = "sys/devices/system/cpu/cpu0/cpufreq";

/// A clock that may not reach what the processor can.
fn clock_limit(board: &Board) -> Option<Finding> {
    let [allowed, possible]: [u64; 2] = [
        board.value(&format!("{CLOCK}/scaling_max_freq"))?,
        board.value(&format!("{CLOCK}/cpuinfo_max_freq"))?,
    ];
    let advice = match board.make() {
        Make::Jetson => {
            "the power mode limits it: sudo nvpmodel -m 0 is the fastest, sudo jetson_clocks keeps it there"
        }
        Make::RaspberryPi | Make::Other => {
            "a setting limits it: look for arm_freq in config.txt, or in the settings of cpufrequtils and tlp"
        }
    };
    (allowed < possible).then(|| {
        let found = format!("the clock may reach {} of {} MHz", allowed / 1000, possible / 1000);
        Finding::hint(Check::Throttling, found, advice)
    })
}

/// A governor that never leaves the lowest clock.
fn governor(board: &Board) -> Option<Finding> {
    let governor = board.read(&format!("{CLOCK}/scaling_governor"))?;
    let driver = board.read(&format!("{CLOCK}/scaling_driver")).unwrap_or_default();
    // These two call a governor powersave that follows the load.
    let follows_load = ["intel_pstate", "amd-pstate"].iter().any(|name| driver.starts_with(name));
    (governor == "powersave" && !follows_load).then(|| {
        let advice =
            "echo schedutil | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor";
        Finding::to_do(Check::Throttling, "the clock stays at its lowest: powersave", advice)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Verdict, board::tests::MadeUp};

    fn findings(files: &[(&str, &str)]) -> Vec<Finding> {
        examine(&MadeUp::new(files).board)
    }

    const FIRMWARE: &str = "sys/devices/platform/soc/soc:firmware/get_throttled";

    #[test]
    fn a_board_at_ease_is_fine() {
        for files in [&[][..], &[(FIRMWARE, "0\n")]] {
            assert_eq!(findings(files)[0].verdict, Verdict::Fine);
        }
    }

    #[test]
    fn a_weak_power_supply_is_told_from_heat() {
        let low = findings(&[(FIRMWARE, "50005\n")]).remove(0);
        assert_eq!(
            low.found,
            "the firmware slows the board down at this moment: low voltage, throttling"
        );
        assert!(low.is_to_do() && low.verdict.advice().unwrap().contains("power supply"));
        let path = "sys/devices/platform/soc@107c000000:firmware/get_throttled";
        let hot = findings(&[(path, "0x80000\n")]).remove(0);
        assert_eq!(hot.found, "the firmware slowed the board down since it started: heat");
        assert!(hot.is_to_do() && hot.verdict.advice().unwrap().contains("heat sink"));
    }

    #[test]
    fn the_voltage_sensor_of_newer_kernels_counts_too() {
        let sensor = |alarm| {
            findings(&[
                ("sys/class/hwmon/hwmon1/name", "rpi_volt\n"),
                ("sys/class/hwmon/hwmon1/in0_lcrit_alarm", alarm),
            ])
            .remove(0)
        };
        assert!(sensor("1\n").is_to_do());
        assert_eq!(sensor("0\n").verdict, Verdict::Fine);
    }

    #[test]
    fn a_fan_at_work_is_no_throttling_but_a_slowed_processor_is() {
        let device = |name, state| {
            findings(&[
                ("sys/class/thermal/cooling_device0/type", name),
                ("sys/class/thermal/cooling_device0/cur_state", state),
            ])
            .remove(0)
        };
        assert_eq!(device("pwm-fan\n", "3\n").verdict, Verdict::Fine);
        assert_eq!(device("cpufreq-cpu0\n", "0\n").verdict, Verdict::Fine);
        assert!(device("cpufreq-cpu0\n", "2\n").is_to_do());
    }

    #[test]
    fn a_jetson_in_a_small_power_mode_hears_of_nvpmodel() {
        let finding = findings(&[
            ("proc/device-tree/model", "NVIDIA Jetson Orin Nano"),
            (&format!("{CLOCK}/scaling_max_freq"), "1113600\n"),
            (&format!("{CLOCK}/cpuinfo_max_freq"), "1510400\n"),
        ])
        .remove(0);
        assert_eq!(finding.found, "the clock may reach 1113 of 1510 MHz");
        assert!(finding.verdict.advice().unwrap().contains("nvpmodel"));
    }

    #[test]
    fn powersave_matters_only_where_it_keeps_the_clock_low() {
        let governed = |driver| {
            findings(&[
                (&format!("{CLOCK}/scaling_governor"), "powersave\n"),
                (&format!("{CLOCK}/scaling_driver"), driver),
            ])
            .remove(0)
        };
        assert!(governed("cpufreq-dt\n").is_to_do());
        assert_eq!(governed("intel_pstate\n").verdict, Verdict::Fine);
    }
}
