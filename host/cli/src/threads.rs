//! How the engines' threads wait for each other, and how many candle has.
//!
//! Between two steps of a computation the OpenMP runtime lets its threads spin for milliseconds before they sleep. On a
//! machine that does anything else at the time, a spinning thread keeps the one it waits for off its core, and two
//! threads become many times slower than one (docs/bench.md). The runtime reads its settings when it is loaded, before
//! `main`, so the program starts itself once more with a short spin.

/// GNU's OpenMP: iterations of the waiting loop before a thread sleeps; what it takes itself when it knows that
/// it has more threads than cores.
const SPIN: (&str, &str) = ("GOMP_SPINCOUNT", "1000");
/// candle: threads of a matrix product. Left unset it looks the processor up for every single product, which on small
/// models takes longer than the product.
const PRODUCT_THREADS: &str = "RAYON_NUM_THREADS";
/// A user who set any of these has chosen.
const CHOSEN: [&str; 3] = ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "KMP_BLOCKTIME"];

/// Replaces this process by the same one with the settings made, unless they are there. Returns where that is not possible:
/// then the program runs as it is.
#[cfg(unix)]
pub(crate) fn wait_briefly() {
    use std::os::unix::process::CommandExt;

    if CHOSEN.iter().any(|name| std::env::var_os(name).is_some()) {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut words = std::env::args_os();
    let mut again = std::process::Command::new(program);
    if let Some(name) = words.next() {
        again.arg0(name);
    }
    if let (None, Ok(cores)) = (std::env::var_os(PRODUCT_THREADS), std::thread::available_parallelism()) {
        again.env(PRODUCT_THREADS, cores.to_string());
    }
    // Only returns on failure, which is harmless.
    let _ = again.args(words).env(SPIN.0, SPIN.1).exec();
}

/// Other systems use other runtimes.
#[cfg(not(unix))]
pub(crate) fn wait_briefly() {}
