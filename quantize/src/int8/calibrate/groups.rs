//! Groups of norms and layers that can be smoothed together: every consumer of a norm must be a layer that can take
//! the factor.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use coca_onnx::{NodeId, attribute, pb::NodeProto};

use super::{
    super::{
        error::Error,
        part::Part,
        plan::{Plan, Smoothing, Treatment},
        source::{self, TensorId},
        uses::Form,
    },
    inputs::LayerInput,
};

/// Norms and the layers that read them. Norms of parts that share weights belong to one group.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    /// Gammas and betas.
    norms: BTreeSet<TensorId>,
    /// The layers.
    pub(super) layers: BTreeSet<TensorId>,
    /// The norms' outputs.
    pub(super) inputs: Vec<LayerInput>,
    /// Uses of the layers' weights behind these norms.
    reads: usize,
    possible: bool,
}

impl Group {
    /// Divides the norms and multiplies the layers.
    pub(super) fn smooth(&self, plan: &mut Plan, factors: &Arc<[f32]>) {
        let norms = self.norms.iter().map(|id| (id.clone(), Smoothing::Norm(Arc::clone(factors))));
        plan.smoothing.extend(norms);
        let layers =
            self.layers.iter().map(|id| (id.clone(), Smoothing::Layer(Arc::clone(factors))));
        plan.smoothing.extend(layers);
    }

    fn touches(&self, other: &Self) -> bool {
        !self.norms.is_disjoint(&other.norms) || !self.layers.is_disjoint(&other.layers)
    }

    fn join(&mut self, other: Self) {
        self.norms.extend(other.norms);
        self.layers.extend(other.layers);
        self.inputs.extend(other.inputs);
        self.reads += other.reads;
        self.possible &= other.possible;
    }
}

/// All groups that can be smoothed.
pub(super) fn find(parts: &[Part], plan: &Plan) -> Result<Vec<Group>, Error> {
    let mut groups: Vec<Group> = Vec::new();
    let mut reads: BTreeMap<TensorId, usize> = BTreeMap::new();
    for part in parts {
        let layers = Layers::of(part, plan)?;
        for (id, _) in layers.by_node.values() {
            *reads.entry(id.clone()).or_default() += 1;
        }
        for norm in part.index().nodes_of("LayerNormalization") {
            let Some(norm) = part.index().node(norm) else { continue };
            let mut group = layers.group(norm)?;
            let (touched, apart) = groups.into_iter().partition(|other| group.touches(other));
            groups = apart;
            Vec::into_iter(touched).for_each(|other| group.join(other));
            groups.push(group);
        }
    }
    // A layer that something else than these norms feeds cannot be multiplied.
    let fed_by_norms_alone =
        |group: &Group| group.layers.iter().map(|id| reads[id]).sum::<usize>() == group.reads;
    groups.retain(|group| group.possible && !group.layers.is_empty() && fed_by_norms_alone(group));
    Ok(groups)
}

/// The layers of a part by their nodes, and whether each is linear and becomes int8.
struct Layers<'a> {
    part: &'a Part,
    by_node: BTreeMap<NodeId, (TensorId, bool)>,
}

impl<'a> Layers<'a> {
    fn of(part: &'a Part, plan: &Plan) -> Result<Self, Error> {
        let mut by_node = BTreeMap::new();
        for tensor in part.matrices() {
            let id = source::id(&part.name, tensor)?;
            let planned = plan.weights.get(&id);
            let Some(form) = planned.and_then(|planned| planned.form) else { continue };
            let linear = matches!(form, Form::Columns | Form::Transposed | Form::Rows);
            let int8 = planned.is_some_and(|p| matches!(p.treatment, Treatment::Int8(_)));
            for use_ in part.uses(tensor).into_iter().flat_map(|uses| &uses.nodes) {
                by_node.insert(use_.consumer.node, (id.clone(), linear && int8));
            }
        }
        Ok(Self { part, by_node })
    }

    /// The group of a norm and its consumers.
    fn group(&self, norm: &NodeProto) -> Result<Group, Error> {
        let index = self.part.index();
        let mut group = Group { possible: norm.output.len() == 1, ..Group::default() };
        let last_axis = attribute::integer(norm, "axis", -1) == -1;
        group.possible &= last_axis && norm.input.len() >= 2;
        for name in norm.input.iter().skip(1) {
            let tensor = index.initializer(name);
            let id = tensor.map(|tensor| source::id(&self.part.name, tensor)).transpose()?;
            let alone = index.only_consumer(name).is_some();
            let plain = tensor.is_some_and(|t| t.dims.len() == 1 && source::is_float(t));
            group.possible &= alone && plain;
            group.norms.extend(id);
        }
        let Some(output) = norm.output.first() else { return Ok(group) };
        group.possible &= !index.is_read_elsewhere(output);
        group.inputs.push(LayerInput {
            part: self.part.name.clone(),
            value: output.clone(),
            window: None,
        });
        for (consumer, node) in index.consumers(output) {
            let transposed = attribute::integer(node, "transA", 0) != 0;
            match self.by_node.get(&consumer.node).filter(|_| consumer.input == 0) {
                Some((id, linear)) => {
                    group.possible &= linear & !transposed;
                    group.layers.insert(id.clone());
                    group.reads += 1;
                }
                None => group.possible = false,
            }
        }
        Ok(group)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use coca_model::{Coca, bundle::Bundle};
    use proptest::prelude::*;

    use super::{
        super::super::{
            copy_others, keep::Keep, origin::Origin, read_parts, rewrite_parts,
            source::SourceFiles, store::Store, uses::Reason,
        },
        *,
    };
    use crate::{
        bundle_writer::BundleWriter,
        import::{Options, import},
        onnx::Storage,
    };

    fn imported(out: &Path) {
        let checkpoint = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/open_clip/pooler");
        let options = Options { storage: Storage::F32, config: None, progress: false };
        import(checkpoint, out, &options, &|_| ()).unwrap();
    }

    /// Writes the bundle `from` with every group smoothed and every layer stored as `treatment` says; gives the number
    /// of groups.
    fn smooth(from: &Path, to: &Path, seed: f32, treatment: &Treatment) -> usize {
        let source = Origin::Bundle(Bundle::open(from).unwrap());
        let mut files = SourceFiles::new(&source);
        let (parts, _) = read_parts(&source, &mut files).unwrap();
        let mut plan = Plan::of(&parts, &Keep::parse(&[]).unwrap(), None).unwrap();
        let groups = find(&parts, &plan).unwrap();
        for group in &groups {
            let factors: Vec<f32> = (0..64).map(|i| (i as f32 * seed).sin().exp()).collect();
            group.smooth(&mut plan, &Arc::from(factors));
        }
        for weight in plan.weights.values_mut() {
            if matches!(weight.treatment, Treatment::Int8(form) if form != Form::Table) {
                weight.treatment = treatment.clone();
            } else {
                weight.treatment = Treatment::Keep(Reason::Asked);
            }
        }
        let mut store = Store::new(BundleWriter::create(to).unwrap());
        let parts = rewrite_parts(parts, &plan, &files, &mut store, &|_| ()).unwrap();
        let mut writer = store.finish().unwrap();
        for part in parts {
            let name = part.name.clone();
            writer.add_bytes(&name, &part.encode()).unwrap();
        }
        copy_others(&source, &files, &mut writer).unwrap();
        writer.finish(source.config().clone()).unwrap();
        groups.len()
    }

    fn near(a: &[f32], b: &[f32]) -> bool {
        a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4)
    }

    #[test]
    fn a_model_whose_layers_stay_in_16_bits_answers_nearly_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let [before, after] = ["before", "after"].map(|name| folder.path().join(name));
        imported(&before);
        smooth(&before, &after, 3.0, &Treatment::F16(Reason::Noisy(9.0)));
        let bytes = |bundle: &Path| std::fs::metadata(bundle.join("vision.bin")).unwrap().len();
        assert!(bytes(&after) * 100 < bytes(&before) * 65);
        let [before, after] = [before, after].map(|bundle| Coca::open(bundle).unwrap());
        let picture =
            image::RgbImage::from_fn(40, 30, |x, y| image::Rgb([(x * 6) as u8, (y * 8) as u8, 99]));
        let [a, b] = [&before, &after].map(|coca| coca.encode_image(&picture).unwrap());
        assert!(a.embedding().view().dot(&b.embedding().view()) > 0.9999);
        let [a, b] = [&before, &after].map(|coca| coca.encode_text("two cats").unwrap());
        assert!(a.view().dot(&b.view()) > 0.9999);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4))]

        #[test]
        fn a_model_answers_the_same_when_its_norms_are_divided(seed in 0.1_f32..100.0) {
            let folder = tempfile::tempdir().unwrap();
            let [before, after] = ["before", "after"].map(|name| folder.path().join(name));
            imported(&before);
            // Two norms in each block of the towers, three with cross-attention, and the pooler's and heads'.
            prop_assert!(smooth(&before, &after, seed, &Treatment::Keep(Reason::Asked)) > 10);
            let changed = ["vision.bin", "text.bin", "decoder.bin"].map(|file| {
                std::fs::read(before.join(file)).unwrap() != std::fs::read(after.join(file)).unwrap()
            });
            prop_assert_eq!(changed, [true; 3]);
            let [before, after] = [before, after].map(|bundle| Coca::open(bundle).unwrap());
            let picture = image::RgbImage::from_fn(40, 30, |x, y| image::Rgb([(x * 6) as u8, (y * 8) as u8, 99]));
            let [a, b] = [&before, &after].map(|coca| coca.encode_image(&picture).unwrap());
            prop_assert!(near(a.embedding().as_slice(), b.embedding().as_slice()));
            let [text_a, text_b] = [&before, &after].map(|coca| coca.encode_text("two cats").unwrap());
            prop_assert!(near(text_a.as_slice(), text_b.as_slice()));
            let options = coca_model::CaptionOptions::default().max_tokens(12);
            let caption_a = before.caption(&a, &options).unwrap();
            let caption_b = after.caption(&b, &options).unwrap();
            prop_assert_eq!(caption_a.tokens, caption_b.tokens);
            prop_assert!((caption_a.score - caption_b.score).abs() < 1e-4 * caption_a.score.abs().max(1.0));
        }
    }
}
