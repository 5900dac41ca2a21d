//! Token and position tables: rows are read where the file is mapped, and the table is never copied.

use coca_onnx::{
    Elements, Lookup, NodeId, StoredWeight, attribute,
    pb::{NodeProto, tensor_proto::DataType},
};

use super::{
    Rewriter,
    miss::{Miss, OrMiss, Rule, ensure},
    other_operand,
};
use crate::fused::{self, Numbers, Table};

impl Rewriter<'_> {
    /// Fuses a look-up in a table that stands beside the graph.
    pub(super) fn fuse_embedding(&mut self, id: NodeId) -> Rule {
        let node = self.graph.node(id).or_other()?;
        let lookup = Lookup::of(node).or_other()?;
        let rows = node.output.first().or_other()?;
        let stored = self.constants().weight_or_table(lookup.table);
        let (table, end) = match stored {
            Some(stored) => self.float_table(&stored, id, rows)?,
            None => self.int8_table(&lookup, rows)?,
        };
        let ids = lookup.indices.to_owned();
        let output = self.graph.node(end).and_then(|node| node.output.first()).or_other()?.clone();
        self.replace(end, vec![ids], output, fused::Embedding { table });
        Ok(())
    }

    /// A table whose rows are 32-bit numbers, or become it: the table, and the node at which they are.
    fn float_table(
        &self,
        stored: &StoredWeight<'_>,
        id: NodeId,
        rows: &str,
    ) -> Result<(Table, NodeId), Miss> {
        let numbers = match &stored.elements {
            Elements::F32 => Numbers::F32,
            Elements::F16 => Numbers::F16,
            Elements::Int8 { scales, axis: 0 } => Numbers::Int8(scales.clone()),
            Elements::Int8 { .. } => return Err(Miss::Near("its table has no scale a row")),
        };
        let table = self.mapped(stored, numbers)?;
        let cast = self.widened(rows);
        ensure(cast.is_some() || !stored.is_f16, "its rows stay 16 bits wide")?;
        Ok((table, cast.map_or(id, |(cast, _)| cast)))
    }

    /// A table of integers, whose rows are cast and multiplied with scales that the same indices look up.
    fn int8_table(&self, lookup: &Lookup<'_>, rows: &str) -> Result<(Table, NodeId), Miss> {
        let stored = self.constants().integers8(lookup.table).or_other()?;
        let (_, cast) = self.widened(rows).or_near("its integers are not cast to 32 bits")?;
        let cast = cast.output.first().or_other()?;
        let product = self.graph.only_consumed_by("Mul", cast);
        let (end, product) = product.or_near("its integers are not multiplied with scales")?;
        let factors = other_operand(product, cast).or_other()?;
        let factors = self.graph.produced_by("Gather", factors).and_then(Lookup::of);
        let factors = factors.or_near("its scales are no look-up of rows")?;
        ensure(factors.indices == lookup.indices, "its scales are those of other rows")?;
        let scales =
            self.constants().floats(factors.table).or_near("its scales are no constant")?;
        let table = self.mapped(&stored, Numbers::Int8(scales.clone()))?;
        ensure(stored.dims.first() == Some(&scales.len()), "its table has no scale a row")?;
        Ok((table, end))
    }

    /// The cast to 32 bits that alone reads `rows`.
    fn widened(&self, rows: &str) -> Option<(NodeId, &NodeProto)> {
        let (id, cast) = self.graph.only_consumed_by("Cast", rows)?;
        let to = attribute::integer(cast, "to", 0);
        (to == DataType::Float as i64).then_some((id, cast))
    }

    fn mapped(&self, stored: &StoredWeight<'_>, numbers: Numbers) -> Result<Table, Miss> {
        let &[_, width] = &stored.dims[..] else { return Err(Miss::Other) };
        ensure(!stored.transposed && width > 0, "its table is transposed or empty")?;
        let shared = self.weights.shared(stored.tensor);
        let (file, bytes) = shared.or_near("its table cannot be read")?;
        Ok(Table { file, bytes, width, numbers })
    }
}
