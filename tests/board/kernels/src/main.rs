//! Prints the name of the instruction set that the kernels choose on this CPU.

fn main() {
    println!("{}", kernels_on_board::kernels::Cpu::best().instruction_set().name());
}
