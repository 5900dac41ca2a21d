//! A checkpoint's contents in a few words, for the error that a tensor is missing.

use std::{collections::BTreeSet, fmt};

/// The contents of a checkpoint that lacks a tensor.
///
/// It displays as the end of a sentence, and as nothing where the missing tensor's neighbours are all there: then the
/// checkpoint is of the right kind and the tensor's key says it all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Tensors in the checkpoint.
    pub tensors: usize,
    /// The key most like the missing one: with the same end, else with the longest common start.
    pub nearest: Option<String>,
    /// The kind of model that its keys are known from.
    pub kind: Option<&'static str>,
    /// Whether tensors of the missing one's own module are there.
    pub has_neighbours: bool,
}

/// Parts of keys by which a family of models is known, the most specific first: all of them must occur.
const KINDS: [(&[&str], &str); 15] = [
    (&["lora_"], "a LoRA adapter"),
    (&["exp_avg"], "an optimizer's state"),
    (&["text_decoder.", "visual."], "a CoCa of open_clip"),
    (&["text_decoder.", "visual_encoder."], "a BLIP"),
    (&["qformer."], "a BLIP-2"),
    (&["vision_model.head.probe"], "a SigLIP"),
    (&["vision_model.", "text_model."], "a CLIP of Hugging Face transformers"),
    (&["visual.layer1.", "visual.attnpool."], "an open_clip model with a ResNet image tower"),
    (&["visual.trunk."], "an open_clip model with a timm image tower"),
    (&["visual.", "transformer."], "a CLIP of open_clip, which has no caption decoder"),
    (&["diffusion_model."], "a diffusion model"),
    (&["patch_embed.", "blocks.0."], "a vision transformer of timm"),
    (&["layer1.0.", "layer4.0."], "a ResNet"),
    (&["encoder.layer.0.attention"], "a BERT-like text model"),
    (&["layers.0.self_attn."], "a language model"),
];

impl Contents {
    /// The contents of a checkpoint with these `keys`, seen from the missing tensor `key`.
    pub(super) fn of(keys: &BTreeSet<String>, key: &str) -> Self {
        let occurs = |part: &&str| keys.iter().any(|key| key.contains(*part));
        let kind = KINDS.iter().find(|(parts, _)| parts.iter().all(occurs));
        let ending = format!(".{key}");
        let same_end = keys.iter().find(|candidate| candidate.ends_with(&ending));
        let common = |candidate: &&String| {
            candidate.bytes().zip(key.bytes()).take_while(|(a, b)| a == b).count()
        };
        let same_start = keys.iter().filter(|candidate| common(candidate) > 0).max_by_key(common);
        let module = key.rfind('.').map_or("", |dot| &key[..=dot]);
        Self {
            tensors: keys.len(),
            nearest: same_end.or(same_start).cloned(),
            kind: kind.map(|&(_, name)| name),
            has_neighbours: !module.is_empty() && keys.iter().any(|k| k.starts_with(module)),
        }
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.has_neighbours {
            return Ok(());
        }
        match (self.tensors, &self.nearest) {
            (0, _) => f.write_str(": it holds no tensors")?,
            (count, None) => write!(f, ": it holds {count} tensors, none with a name like it")?,
            (count, Some(nearest)) => {
                write!(f, ": of its {count} tensors {nearest} is the nearest")?;
            }
        }
        self.kind.map_or(Ok(()), |kind| write!(f, "; it looks like {kind}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(keys: &[&str], key: &str) -> String {
        Contents::of(&keys.iter().map(|&key| key.to_owned()).collect(), key).to_string()
    }

    #[test]
    fn an_unknown_prefix_is_shown_by_the_key_that_has_it() {
        assert_eq!(
            of(&["encoder.visual.proj", "head.bias"], "visual.proj"),
            ": of its 2 tensors encoder.visual.proj is the nearest"
        );
    }

    #[test]
    fn a_model_of_another_family_is_named() {
        let clip = ["visual.proj", "transformer.resblocks.0.ln_1.weight"];
        assert_eq!(
            of(&clip, "text.cls_emb"),
            ": of its 2 tensors transformer.resblocks.0.ln_1.weight is the nearest; it looks like a CLIP of \
             open_clip, which has no caption decoder"
        );
        assert_eq!(
            of(&["vision_model.a", "text_model.b"], "x.y"),
            ": it holds 2 tensors, none with a name like it; it looks like a CLIP of Hugging Face transformers"
        );
        assert_eq!(of(&[], "x.y"), ": it holds no tensors");
    }

    #[test]
    fn nothing_is_said_where_only_one_tensor_of_a_module_is_missing() {
        assert_eq!(of(&["text.ln_final.weight"], "text.ln_final.bias"), "");
    }
}
