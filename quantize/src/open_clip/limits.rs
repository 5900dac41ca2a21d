//! Bounds of a configuration's sizes: what lies beyond them belongs to no model that runs on a board.

use std::ops::RangeInclusive;

use super::ConfigError;

/// Width of a residual stream or an embedding.
pub(crate) const MAX_WIDTH: usize = 1 << 14;
/// Blocks of a tower.
pub(crate) const MAX_LAYERS: usize = 256;
/// Width and height of an image, in pixels.
pub(crate) const MAX_IMAGE: usize = 4096;
/// Patches of an image, and queries of a pooler.
pub(super) const MAX_TOKENS: usize = 1 << 16;
/// Token ids of a text, of which the start and end token are two.
pub(crate) const CONTEXT_LENGTHS: RangeInclusive<usize> = 2..=4096;
/// Token ids of CLIP's tokenizer, the start and end token last.
pub(crate) const CLIP_VOCABULARY: usize = 49408;
/// Token ids, from those of CLIP's tokenizer without merges: every byte, within a word and at its end, and two special
/// tokens.
pub(crate) const VOCABULARIES: RangeInclusive<usize> = 2 * 256 + 2..=1 << 20;

/// Checks the number of patches; `key` is where their size stands.
pub(crate) fn check_patches(patches: usize, key: &str) -> Result<(), ConfigError> {
    match patches {
        0..=MAX_TOKENS => Ok(()),
        _ => {
            let expected = format!("a size that makes at most {MAX_TOKENS} patches");
            Err(ConfigError::new(key, &expected, &patches.to_string()))
        }
    }
}
