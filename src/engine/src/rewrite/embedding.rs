//! Token and position tables: rows are read where the file is mapped, and the table is never copied.

use super::{
    Rewriter,
    constants::{Kind, Stored},
    network::{integer, other_operand},
};
use crate::fused::{self, Numbers, Table};

impl Rewriter<'_> {
    /// Fuses lookups in tables that stand beside the graph.
    pub(super) fn fuse_embeddings(&mut self) {
        for at in self.network.all("Gather") {
            self.fuse_embedding(at);
        }
    }

    fn fuse_embedding(&mut self, at: usize) -> Option<()> {
        let node = self.network.node(at)?;
        (integer(node, "axis", 0) == 0).then_some(())?;
        let ids = node.input.get(1)?.clone();
        let (table, at) = self.table(at)?;
        let output = self.network.node(at)?.output.first()?.clone();
        self.network.replace(at, vec![ids], output, fused::Embedding { table });
        Some(())
    }

    /// The table of the lookup at `at`, and the node at which its rows are numbers.
    fn table(&self, at: usize) -> Option<(Table, usize)> {
        let node = self.network.node(at)?;
        let (name, output) = (node.input.first()?, node.output.first()?);
        if let Some(stored) = self.stored(name) {
            let numbers = match &stored.kind {
                Kind::F32 => Numbers::F32,
                Kind::F16 => Numbers::F16,
                Kind::Int8 { scales, axis: 0 } => Numbers::Int8(scales.clone()),
                Kind::Int8 { .. } => return None,
            };
            let table = self.mapped(&stored, numbers)?;
            // Half-precision tables are looked up first and cast then.
            let cast = self.network.only_reader(output).filter(|(_, n)| n.op_type == "Cast");
            return Some((table, cast.map_or(at, |(at, _)| at)));
        }
        let stored = self.int8(name)?;
        let (_, cast) = self.network.only_reader(output).filter(|(_, n)| n.op_type == "Cast")?;
        let cast = cast.output.first()?;
        let (at, product) = self.network.only_reader(cast).filter(|(_, n)| n.op_type == "Mul")?;
        let lookup = self.network.made_by("Gather", other_operand(product, cast)?)?;
        let scales = self.numbers(lookup.input.first()?)?;
        let same_rows = lookup.input.get(1) == node.input.get(1) && integer(lookup, "axis", 0) == 0;
        (same_rows && stored.dims.first() == Some(&scales.len())).then_some(())?;
        Some((self.mapped(&stored, Numbers::Int8(scales))?, at))
    }

    fn mapped(&self, stored: &Stored<'_>, numbers: Numbers) -> Option<Table> {
        let &[_, width] = &stored.dims[..] else { return None };
        (!stored.turned && width > 0).then_some(())?;
        let (file, bytes) = self.weights.place(stored.tensor)?;
        Some(Table { file, bytes, width, numbers })
    }
}
