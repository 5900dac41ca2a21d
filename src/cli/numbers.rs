//! Numbers on the command line: their ranges, told where one is missed.

use std::{fmt::Display, str::FromStr};

use clap::Command;

/// A reader of numbers from `min` to `max`.
pub(super) fn between<T>(min: T, max: T) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: FromStr + PartialOrd + Display + Copy,
{
    move |text| {
        let number = text.parse().ok().filter(|number| (min..=max).contains(number));
        number.ok_or_else(|| format!("expected a number from {min} to {max}"))
    }
}

/// A reader of numbers of at least `min`.
pub(super) fn at_least<T>(min: T) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: FromStr + PartialOrd + Display + Copy,
{
    move |text| {
        let number = text.parse().ok().filter(|number| *number >= min);
        number.ok_or_else(|| format!("expected a number of at least {min}"))
    }
}

/// A reader of numbers from 0 to less than 1.
pub(super) fn below_one(text: &str) -> Result<f32, String> {
    let number = text.parse().ok().filter(|number| (0.0..1.0).contains(number));
    number.ok_or_else(|| "expected a number from 0 to less than 1".to_owned())
}

/// A reader of finite numbers.
pub(super) fn finite(text: &str) -> Result<f32, String> {
    let number = text.parse().ok().filter(|number: &f32| number.is_finite());
    number.ok_or_else(|| "expected a number".to_owned())
}

/// The command and its subcommands, whose options take numbers below 0 as values: one out of range is answered with the
/// range, and not taken for an option.
pub(super) fn with_negative_numbers(command: Command) -> Command {
    command
        .mut_args(|option| {
            let takes_one = option.get_action().takes_values() && !option.is_positional();
            option.allow_negative_numbers(takes_one)
        })
        .mut_subcommands(with_negative_numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_out_of_range_or_none_at_all_is_answered_with_the_range() {
        let threads = between(1_u16, 1024);
        assert_eq!(threads("2"), Ok(2));
        for text in ["two", "0", "-1", "1025", "99999999999999999999", ""] {
            assert_eq!(threads(text).unwrap_err(), "expected a number from 1 to 1024");
        }
        let share = between(0.0_f32, 1.0);
        for text in ["-0.5", "1.01", "NaN", "inf"] {
            assert_eq!(share(text).unwrap_err(), "expected a number from 0 to 1");
        }
        assert_eq!(at_least(1_u64)("0").unwrap_err(), "expected a number of at least 1");
        assert!(below_one("1").is_err() && below_one("0.99") == Ok(0.99));
        assert!(finite("inf").is_err() && finite("-2") == Ok(-2.0));
    }
}
