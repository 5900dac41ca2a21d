//! Errors of a watch in the words of the command line.

use coca_edge::{camera, watch::Error};

use crate::cli::Usage;

/// Names flags where the library names options, and adds the way out that the command line has.
pub(super) fn with_flags(error: Error) -> anyhow::Error {
    match error {
        Error::Option { option, expected, found } => {
            let flag = option.replace('_', "-");
            Usage(format!("--{flag}: expected {expected}, found {found}")).into()
        }
        Error::Camera(error @ camera::Error::NoSuchCamera { .. }) => {
            anyhow::anyhow!("{error}: see `coca watch --help`")
        }
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use coca_edge::watch::TrackerOptions;

    use super::*;

    #[test]
    fn an_option_out_of_range_is_named_as_its_flag() {
        let error = TrackerOptions { top_k: 0, ..Default::default() }.validate().unwrap_err();
        assert_eq!(with_flags(error).to_string(), "--top-k: expected at least 1, found 0");
    }
}
