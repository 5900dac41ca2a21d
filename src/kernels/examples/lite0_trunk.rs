//! The blocks of EfficientNet-Lite0 at 224×224 in static int8, with made-up weights: how long each takes.
//!
//!     cargo run --release -p coca-kernels --example lite0_trunk
#![allow(clippy::expect_used, clippy::print_stdout)]

use std::time::{Duration, Instant};

use coca_kernels::{
    Cpu, InstructionSet, Pool, WeightMemory,
    static_int8::{
        Bottleneck, CodeImage, DepthwiseLayer, LayerParameters, PixelLines, PointwiseLayer,
        Residual, Scratch, Source, StemLayer,
    },
};

/// Side of the input, channels in, expanded and out, the filter's side and stride.
const BLOCKS: [[usize; 6]; 16] = [
    [112, 3, 32, 16, 3, 1],
    [112, 16, 96, 24, 3, 2],
    [56, 24, 144, 24, 3, 1],
    [56, 24, 144, 40, 5, 2],
    [28, 40, 240, 40, 5, 1],
    [28, 40, 240, 80, 3, 2],
    [14, 80, 480, 80, 3, 1],
    [14, 80, 480, 80, 3, 1],
    [14, 80, 480, 112, 5, 1],
    [14, 112, 672, 112, 5, 1],
    [14, 112, 672, 112, 5, 1],
    [14, 112, 672, 192, 5, 2],
    [7, 192, 1152, 192, 5, 1],
    [7, 192, 1152, 192, 5, 1],
    [7, 192, 1152, 192, 5, 1],
    [7, 192, 1152, 320, 3, 1],
];

enum First {
    Stem(StemLayer, Box<PixelLines>),
    Expand(PointwiseLayer),
}

struct Block {
    first: First,
    depthwise: DepthwiseLayer,
    project: PointwiseLayer,
    adds: bool,
    input: CodeImage,
    output: CodeImage,
}

struct Elements(u32);

impl Elements {
    fn weights(&mut self, count: usize) -> Vec<i8> {
        let mut next = || {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((self.0 >> 8) % 255) as i32 - 127
        };
        (0..count).map(|_| next() as i8).collect()
    }
}

fn block(
    memory: &WeightMemory,
    cpu: Cpu,
    [side, inputs, expanded, outputs, size, stride]: [usize; 6],
    elements: &mut Elements,
) -> Block {
    let bias = vec![0; 2048];
    let multipliers = vec![2e-4_f32; 2048];
    let all = [27 * expanded, inputs * expanded, size * size * expanded, expanded * outputs]
        .map(|count| elements.weights(count));
    let parameters = |weights: usize, outputs: usize, zeros: [u8; 2]| LayerParameters {
        weights: &all[weights],
        bias: &bias[..outputs],
        multipliers: &multipliers[..outputs],
        input_zero_point: zeros[0],
        output_zero_point: zeros[1],
    };
    let first = if inputs == 3 {
        let lines = PixelLines::new(cpu, [2 * side, 2 * side], [0, 0], 127);
        First::Stem(
            StemLayer::pack(memory, cpu, &parameters(0, expanded, [127, 0])).expect("fits"),
            Box::new(lines),
        )
    } else {
        First::Expand(
            PointwiseLayer::pack(memory, cpu, inputs, &parameters(1, expanded, [121, 0]))
                .expect("fits"),
        )
    };
    let pad = if stride == 1 { size / 2 } else { (size - 2) / 2 };
    let filters = parameters(2, expanded, [0, 0]);
    let depthwise =
        DepthwiseLayer::pack(memory, cpu, size, stride, [pad; 2], &filters).expect("fits");
    let project = PointwiseLayer::pack(memory, cpu, expanded, &parameters(3, outputs, [0, 121]))
        .expect("fits");
    Block {
        first,
        depthwise,
        project,
        adds: stride == 1 && inputs == outputs,
        input: CodeImage::new(cpu, [side; 2], inputs),
        output: CodeImage::new(cpu, [side.div_ceil(stride); 2], outputs),
    }
}

const RESIDUAL: Residual =
    Residual { own_multiplier: 0.7, other_multiplier: 0.6, other_zero_point: 121, zero_point: 121 };

fn run(cpu: Cpu, pool: Option<&Pool>, block: &mut Block, scratch: &mut Scratch) {
    let source = match &block.first {
        First::Stem(layer, lines) => Source::Stem(layer, lines),
        First::Expand(layer) => Source::Expand(layer, &block.input),
    };
    let residual = block.adds.then_some((&RESIDUAL, &block.input));
    Bottleneck::new(
        cpu,
        source,
        &block.depthwise,
        &block.project,
        residual,
        scratch,
        &mut block.output,
    )
    .expect("the layers fit each other")
    .run(pool);
}

fn main() {
    let memory = WeightMemory::new();
    let pool = Pool::start(2).expect("a second thread");
    for cpu in InstructionSet::ALL.into_iter().filter_map(Cpu::with) {
        let mut elements = Elements(7);
        let blocks = BLOCKS.into_iter().map(|sizes| block(&memory, cpu, sizes, &mut elements));
        let mut blocks: Vec<Block> = blocks.collect();
        for pool in [None, Some(&pool)] {
            time(cpu, pool, &mut blocks);
        }
    }
}

fn time(cpu: Cpu, pool: Option<&Pool>, blocks: &mut [Block]) {
    let mut scratch = Scratch::default();
    let rounds = if cpu.instruction_set() == InstructionSet::Scalar { 1 } else { 60 };
    let (mut total, mut best) = (Vec::new(), vec![Duration::MAX; blocks.len()]);
    for _ in 0..rounds {
        let start = Instant::now();
        for (block, best) in blocks.iter_mut().zip(&mut best) {
            let start = Instant::now();
            run(cpu, pool, block, &mut scratch);
            *best = start.elapsed().min(*best);
        }
        total.push(start.elapsed());
    }
    total.sort_unstable();
    let each: Vec<String> =
        best.iter().map(|time| format!("{:.0}", time.as_secs_f64() * 1e6)).collect();
    println!(
        "{:12} {} threads, min {:.3} ms, median {:.3} ms; µs a block: {}",
        cpu.instruction_set().name(),
        pool.map_or(1, Pool::threads),
        total[0].as_secs_f64() * 1e3,
        total[rounds / 2].as_secs_f64() * 1e3,
        each.join(" ")
    );
}
