//! Panics of other people's code, which become errors.

use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe, catch_unwind},
};

thread_local! {
    /// Whether this thread is inside [`catch_panic`].
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`, which may panic on what it does not expect.
///
/// Whatever a panic leaves half done must not be used afterwards.
///
/// # Errors
/// The panic's message.
///
/// # Examples
/// ```
/// let at = std::hint::black_box(7);
/// let message = coca_host::catch_panic(|| [1, 2, 3][at]).unwrap_err();
/// assert!(message.starts_with("index out of bounds"));
/// ```
pub fn catch_panic<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let is_inside_another = IS_CAUGHT.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(work));
    IS_CAUGHT.set(is_inside_another);
    outcome.map_err(|panic| match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => match panic.downcast::<&str>() {
            Ok(message) => (*message).to_owned(),
            Err(_) => "a panic without a message".to_owned(),
        },
    })
}

/// Keeps panics that [`catch_panic`] catches off standard error, where Rust prints every panic: who caught it reports it.
///
/// For programs, once, when they start: the hook belongs to the whole process.
pub fn silence_caught_panics() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !IS_CAUGHT.get() {
            print(panic);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message_and_the_thread_goes_on() {
        assert_eq!(catch_panic(|| 7), Ok(7));
        let inner = || catch_panic(|| -> u8 { panic!("{} nodes", 3) });
        assert_eq!(catch_panic(inner), Ok(Err("3 nodes".to_owned())));
        assert_eq!(catch_panic(|| -> u8 { panic!("a ring") }), Err("a ring".to_owned()));
        let other = catch_panic(|| -> u8 { panic::panic_any(3_u8) });
        assert_eq!(other, Err("a panic without a message".to_owned()));
        assert!(!IS_CAUGHT.get());
    }
}
