//! The four ONNX parts of a model, each loaded with the inputs and outputs that it must have.

use coca_engine::{Engine, Graph, Onnx, Weights};

use super::{Bundle, Error, pooler::pooler_input};

const IMAGE_ENCODER: &str = "image_encoder.onnx";
const IMAGE_TOKENS: &str = "image_tokens";

impl Bundle {
    /// Loads the image encoder: `pixel_values [1,3,H,W]` → `image_embedding [1,E]` and, in a model that captions,
    /// the input of the [pooler](Bundle::load_pooler). The batch is 1 whatever the file allows.
    ///
    /// An attentional pooler answers one query here, that of the embedding.
    ///
    /// # Errors
    /// When a file of the part is missing or altered, or the graph is another.
    pub fn load_image_encoder(&self, engine: &Engine) -> Result<Graph, Error> {
        let onnx = self.parse(IMAGE_ENCODER, "encoding pictures")?.with_size("N", 1);
        let mut outputs = vec!["image_embedding".to_owned()];
        let pooler_input = pooler_input(onnx.graph(), IMAGE_TOKENS);
        if self.has_decoder() {
            outputs.push(pooler_input.clone().unwrap_or_else(|| IMAGE_TOKENS.to_owned()));
        }
        let onnx = pooler_input.iter().fold(onnx, |onnx, name| onnx.with_inner(name));
        self.prepare(onnx, "encoding pictures", &["pixel_values".to_owned()], &outputs, engine)
    }

    /// Loads the pooler of the caption queries: the image encoder's second output → `image_tokens [1,T,D]`;
    /// `None` where that output holds the image tokens already.
    ///
    /// # Errors
    /// As [`Bundle::load_image_encoder`].
    pub fn load_pooler(&self, engine: &Engine) -> Result<Option<Graph>, Error> {
        let onnx = self.parse(IMAGE_ENCODER, "captions")?;
        let Some(pooler_input) = pooler_input(onnx.graph(), IMAGE_TOKENS) else { return Ok(None) };
        let onnx = onnx.with_inner(&pooler_input);
        let outputs = [IMAGE_TOKENS.to_owned()];
        self.prepare(onnx, "captions", &[pooler_input], &outputs, engine).map(Some)
    }

    /// Loads the text encoder: `input_ids [N,L]` → `text_embedding [N,E]`.
    ///
    /// # Errors
    /// As [`Bundle::load_image_encoder`].
    pub fn load_text_encoder(&self, engine: &Engine) -> Result<Graph, Error> {
        let outputs = ["text_embedding".to_owned()];
        let inputs = ["input_ids".to_owned()];
        self.part("text_encoder.onnx", "encoding texts", &inputs, &outputs, engine)
    }

    /// Loads the cross-attention projections: `image_tokens [N,T,D]` → `cross_key.j [N,T,W]` and `cross_value.j [N,T,W]` for each multimodal layer j.
    ///
    /// # Errors
    /// As [`Bundle::load_image_encoder`].
    pub fn load_cross_kv(&self, engine: &Engine) -> Result<Graph, Error> {
        let outputs = pairs("cross", self.config.dimensions.multimodal_layers);
        self.part("cross_kv.onnx", "captions", &["image_tokens".to_owned()], &outputs, engine)
    }

    /// Loads one cached step of the decoder: `input_ids [B,S]`, `position [S]`, `text_mask [B,S,P+S]`, `causal_mask [S,P+S]`,
    /// `past_key.i [B,P,W]`, `past_value.i [B,P,W]`, `cross_key.j [1,T,W]`, `cross_value.j [1,T,W]`
    /// → `logits [B,V]`, `new_key.i [B,S,W]`, `new_value.i [B,S,W]`.
    ///
    /// # Errors
    /// As [`Bundle::load_image_encoder`].
    pub fn load_caption_decoder(&self, engine: &Engine) -> Result<Graph, Error> {
        let dimensions = &self.config.dimensions;
        let self_attention = dimensions.unimodal_layers + dimensions.multimodal_layers;
        let mut inputs: Vec<_> =
            ["input_ids", "position", "text_mask", "causal_mask"].map(str::to_owned).into();
        inputs.extend(pairs("past", self_attention));
        inputs.extend(pairs("cross", dimensions.multimodal_layers));
        let mut outputs = vec!["logits".to_owned()];
        outputs.extend(pairs("new", self_attention));
        self.part("caption_decoder.onnx", "captions", &inputs, &outputs, engine)
    }

    fn part(
        &self,
        name: &str,
        needed_for: &'static str,
        inputs: &[String],
        outputs: &[String],
        engine: &Engine,
    ) -> Result<Graph, Error> {
        self.prepare(self.parse(name, needed_for)?, needed_for, inputs, outputs, engine)
    }

    pub(super) fn parse(&self, name: &str, needed_for: &'static str) -> Result<Onnx, Error> {
        let file = self.read(name, needed_for)?;
        Ok(Onnx::parse(name, (*file).as_ref())?)
    }

    fn prepare(
        &self,
        onnx: Onnx,
        needed_for: &'static str,
        inputs: &[String],
        outputs: &[String],
        engine: &Engine,
    ) -> Result<Graph, Error> {
        self.check_memory_for(&onnx, needed_for)?;
        let mut weights = Weights::new();
        let mut files = Vec::new();
        for name in onnx.weight_files() {
            let bytes = self.map(&name, needed_for)?;
            weights = weights.with(&name, bytes.clone());
            files.push((name, bytes));
        }
        let verify =
            || files.iter().try_for_each(|(name, bytes)| self.verify_once(name, bytes, needed_for));
        let prepare = || {
            Graph::prepare(onnx, &weights, inputs, outputs, self.arithmetic, engine)
                .map_err(|error| self.not_prepared(error, needed_for))
        };
        if engine.threads() == 1 {
            verify()?;
            return prepare();
        }
        // Checking costs as much as packing: both at once, and no graph without a right checksum.
        std::thread::scope(|scope| {
            let Ok(verified) = std::thread::Builder::new().spawn_scoped(scope, verify) else {
                verify()?;
                return prepare();
            };
            let graph = prepare();
            match verified.join() {
                Ok(verified) => verified?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
            graph
        })
    }
}

/// `kind_key.0, kind_value.0, kind_key.1, …`
fn pairs(kind: &str, layers: usize) -> Vec<String> {
    (0..layers).flat_map(|i| ["key", "value"].map(|half| format!("{kind}_{half}.{i}"))).collect()
}
