//! The configurations that open_clip has names for: `model_configs` in its package.

use serde_json::{Value, json};

use super::limits::CLIP_VOCABULARY;

/// The configurations that can be imported, by open_clip's names: its CoCas, and its CLIPs with vision transformers S, M, B
/// and L.
pub const NAMED: [&str; 26] = [
    "coca_ViT-B-32",
    "coca_ViT-L-14",
    "coca_base",
    "ViT-S-32",
    "ViT-S-32-alt",
    "ViT-S-16",
    "ViT-S-16-alt",
    "ViT-M-32",
    "ViT-M-32-alt",
    "ViT-M-16",
    "ViT-M-16-alt",
    "ViT-B-32",
    "ViT-B-32-quickgelu",
    "ViT-B-32-256",
    "ViT-B-32-plus-256",
    "ViT-B-16",
    "ViT-B-16-quickgelu",
    "ViT-B-16-plus",
    "ViT-B-16-plus-240",
    "ViT-L-14",
    "ViT-L-14-quickgelu",
    "ViT-L-14-280",
    "ViT-L-14-336",
    "ViT-L-14-336-quickgelu",
    "ViT-L-16",
    "ViT-L-16-320",
];

/// The `model_cfg` of one of [`NAMED`]; `None` for another name.
pub(super) fn model_cfg(name: &str) -> Option<Value> {
    if !NAMED.contains(&name) {
        return None;
    }
    let (base, is_quick) = match name.strip_suffix("-quickgelu") {
        Some(base) => (base, true),
        None => (name, false),
    };
    let mut model = match base {
        "coca_ViT-B-32" => coca(512, vit(224, 32, 768, 12), text(512, 8, 12)),
        "coca_ViT-L-14" => coca(768, vit(224, 14, 1024, 24), text(768, 12, 12)),
        "coca_base" => return Some(coca_base()),
        "ViT-S-32" => clip(384, vit(224, 32, 384, 12), text(384, 6, 12)),
        "ViT-S-32-alt" => clip(256, vit(224, 32, 384, 12), text(256, 4, 10)),
        "ViT-S-16" => clip(384, vit(224, 16, 384, 12), text(384, 6, 12)),
        "ViT-S-16-alt" => clip(256, vit(224, 16, 384, 12), text(256, 4, 10)),
        "ViT-M-32" => clip(512, vit(224, 32, 512, 12), text(512, 8, 12)),
        "ViT-M-32-alt" => clip(384, vit(224, 32, 512, 12), text(384, 6, 12)),
        "ViT-M-16" => clip(512, vit(224, 16, 512, 12), text(512, 8, 12)),
        "ViT-M-16-alt" => {
            let mut vision = vit(224, 16, 512, 12);
            vision["ls_init_value"] = json!(1e-4);
            clip(384, vision, text(384, 6, 12))
        }
        "ViT-B-32" => clip(512, vit(224, 32, 768, 12), text(512, 8, 12)),
        "ViT-B-32-256" => clip(512, vit(256, 32, 768, 12), text(512, 8, 12)),
        "ViT-B-32-plus-256" => clip(640, vit(256, 32, 896, 12), text(640, 10, 12)),
        "ViT-B-16" => clip(512, vit(224, 16, 768, 12), text(512, 8, 12)),
        "ViT-B-16-plus" => clip(640, vit(224, 16, 896, 12), text(640, 10, 12)),
        "ViT-B-16-plus-240" => clip(640, vit(240, 16, 896, 12), text(640, 10, 12)),
        "ViT-L-14" => clip(768, vit(224, 14, 1024, 24), text(768, 12, 12)),
        "ViT-L-14-280" => clip(768, vit(280, 14, 1024, 24), text(768, 12, 12)),
        "ViT-L-14-336" => clip(768, vit(336, 14, 1024, 24), text(768, 12, 12)),
        "ViT-L-16" => clip(768, vit(224, 16, 1024, 24), text(768, 12, 12)),
        "ViT-L-16-320" => clip(768, vit(320, 16, 1024, 24), text(768, 12, 12)),
        _ => return None,
    };
    model["quick_gelu"] = json!(is_quick);
    Some(model)
}

fn vit(image: usize, patch: usize, width: usize, layers: usize) -> Value {
    json!({"image_size": image, "patch_size": patch, "width": width, "layers": layers})
}

fn text(width: usize, heads: usize, layers: usize) -> Value {
    json!({"vocab_size": CLIP_VOCABULARY, "width": width, "heads": heads, "layers": layers})
}

fn clip(embedding: usize, vision: Value, mut text: Value) -> Value {
    text["context_length"] = json!(77);
    json!({"embed_dim": embedding, "vision_cfg": vision, "text_cfg": text})
}

/// A CoCa whose decoder is like its text tower.
fn coca(embedding: usize, mut vision: Value, mut text: Value) -> Value {
    vision["attentional_pool"] = json!(true);
    vision["attn_pooler_heads"] = json!(8);
    text["context_length"] = json!(76);
    let decoder = text.clone();
    text["embed_cls"] = json!(true);
    json!({"embed_dim": embedding, "vision_cfg": vision, "text_cfg": text, "multimodal_cfg": decoder})
}

/// The one CoCa without a pooler, and with a vocabulary of its own.
fn coca_base() -> Value {
    let mut text = text(768, 12, 12);
    text["vocab_size"] = json!(64000);
    let mut model = coca(512, vit(288, 18, 768, 12), text);
    model["vision_cfg"]["attentional_pool"] = json!(false);
    model
}

#[cfg(test)]
mod tests {
    use super::super::{Activation, Architecture, OpenClipConfig};
    use super::*;

    fn named(name: &str) -> Architecture {
        OpenClipConfig::named(name).unwrap().architecture
    }

    #[test]
    fn every_name_has_a_configuration_that_can_be_imported() {
        for name in NAMED {
            assert_eq!(named(name).decoder.is_some(), name.starts_with("coca_"), "{name}");
        }
    }

    #[test]
    fn a_name_s_ending_says_what_differs() {
        let (plain, quick) = (named("ViT-B-32"), named("ViT-B-32-quickgelu"));
        assert_eq!(quick, Architecture { activation: Activation::QuickGelu, ..plain.clone() });
        assert_eq!(named("ViT-B-32-256").vision.image, [256, 256]);
        assert_eq!((plain.vision.patches(), plain.vision.layers.heads), (49, 12));
        let alt = named("ViT-M-16-alt");
        assert!(alt.vision.layers.layer_scale && !alt.text.layers.layer_scale);
        assert_eq!((alt.embedding, alt.text.layers.width), (384, 384));
    }

    #[test]
    fn a_name_that_is_not_listed_is_none() {
        assert_eq!(model_cfg("ViT-S-32-quickgelu"), None);
        assert_eq!(model_cfg("RN50"), None);
    }
}
