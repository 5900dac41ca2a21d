//! A model's folder, but for its graphs.

use coca_model::bundle::Config;
use coca_text::{Cleaning, TextSpec, Tokenizer};
use coca_vision::Preprocessor;

use crate::{Seeds, Target, scratch::read_all};

pub(crate) const TARGETS: &[Target] = &[
    Target {
        name: "coca_json",
        run: coca_json,
        seeds: || Ok(vec![COCA_JSON.into(), CLIP_JSON.into()]),
        words: &[
            "null",
            "true",
            "-1",
            "1e99",
            "0.0",
            "[]",
            "{}",
            "\"shortest\"",
            "\"longest\"",
            "\"squash\"",
            "\"open_clip\"",
            "\"beam_groups\":0,",
            "\"format\":2",
            "../",
            "\\u0000",
        ],
        memory: 16 << 20,
        is_slow: false,
    },
    Target {
        name: "tokenizer_json",
        run: tokenizer_json,
        seeds: tokenizers,
        words: &[
            "null",
            "true",
            "-1",
            "[]",
            "{}",
            "\"Replace\"",
            "\"Split\"",
            "\"Strip\"",
            "\"NFKC\"",
            "\"Sequence\"",
            "\"ByteLevel\"",
            "\"Whitespace\"",
            "\"Regex\"",
            "\"String\"",
            "\"BPE\"",
            "\"merges\":[\"c t\"]",
            "\"ignore_merges\":true,",
            "\"byte_fallback\":true,",
            "\"unk_token\":\"c\",",
            "\"dropout\":0.5,",
            "\"cache_capacity\":99999999999,",
            "\"invert\":false",
            "\"single_word\":true",
        ],
        memory: 64 << 20,
        is_slow: false,
    },
];

/// A model that captions.
const COCA_JSON: &str = r#"{"format":1,"name":"small","architecture":"coca","precision":"int8","licence":"MIT",
"source":"made up","image":{"width":64,"height":48,"mean":[0.5,0.5,0.5],"std":[0.5,0.5,0.5],"resize":"squash",
"interpolation":"bicubic"},"text":{"context_length":32,"vocab_size":600,"start_id":598,"end_id":599,"pad_id":0,
"cleaning":"none","truncate_to_end":true},"dimensions":{"embedding":8,"image_tokens":4,"image_width":8,
"decoder_width":8,"unimodal_layers":1,"multimodal_layers":1},"logit_scale":36.4,"template":"a photo of a {}.",
"caption":{"search":"log_prob","beams":4,"beam_groups":2,"max_tokens":24,"min_tokens":6,"length_penalty":0.7,
"no_repeat_ngram":3,"once_except":[3,4],"suppress":[0,1]},"files":{"text_encoder.onnx":{"bytes":21562,
"sha256":"e024e1ec32113aa02106a4ddaafd7959d333314c89a918633b66bf91363a3d7d"}}}"#;
/// One that does not.
const CLIP_JSON: &str = r#"{"format":1,"name":"small","architecture":"clip","precision":"f32","licence":"MIT",
"source":"made up","image":{"width":32,"height":32,"mean":[0,0,0],"std":[1,1,1],"resize":"shortest",
"interpolation":"bilinear"},"text":{"context_length":16,"vocab_size":600,"start_id":598,"end_id":599,"pad_id":0,
"cleaning":"open_clip","truncate_to_end":false},"dimensions":{"embedding":8,"image_tokens":0,"image_width":0,
"decoder_width":0,"unimodal_layers":0,"multimodal_layers":0},"logit_scale":100,"template":"{}","files":{}}"#;

fn coca_json(bytes: &[u8]) {
    match Config::parse(bytes) {
        Ok(config) => drop(Preprocessor::new(config.image)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Every step that is known, around a vocabulary of five.
const TOKENIZER_JSON: &str = r#"{"version":"1.0","truncation":null,"padding":null,"added_tokens":[{"id":599,
"content":"<e>","single_word":false,"lstrip":false,"rstrip":false,"normalized":true,"special":true}],
"normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Replace","pattern":{"Regex":"\\s+"},
"content":" "},{"type":"Lowercase"}]},"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split",
"pattern":{"Regex":"'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+"},"behavior":"Removed",
"invert":true},{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true}]},"post_processor":{
"type":"RobertaProcessing","sep":["<e>",599],"cls":["<s>",598],"trim_offsets":false,"add_prefix_space":false},
"decoder":{"type":"Sequence","decoders":[{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true},
{"type":"Strip","content":" ","start":1,"stop":0},{"type":"Fuse"}]},"model":{"type":"BPE",
"end_of_word_suffix":"</w>","vocab":{"c":0,"t":1,"t</w>":2,"ct</w>":3,"<s>":598},"merges":[["c","t</w>"]]}}"#;

fn tokenizers() -> Seeds {
    let mut files = read_all("tests/golden/transformers/openai", &["tokenizer.json"])?;
    files.push(TOKENIZER_JSON.into());
    Ok(files)
}

fn tokenizer_json(bytes: &[u8]) {
    let spec = TextSpec {
        context_length: 16,
        vocab_size: 600,
        start_id: 598,
        end_id: 599,
        pad_id: 0,
        cleaning: Cleaning::None,
        truncate_to_end: true,
    };
    let Ok(tokenizer) = Tokenizer::new(bytes, spec) else { return };
    for text in ["", "a cat's  ct <e>", "\u{345}ÄÖ\0 é漢字 1234", &"ct ".repeat(300)] {
        let Ok(tokens) = tokenizer.encode(text) else { continue };
        assert!((1..=16).contains(&tokens.len()));
        let _ = tokenizer.decode(tokens.as_ref());
        let _ = tokenizer.batch(&[tokens]);
    }
}
