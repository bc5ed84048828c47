//! The engine under all plugins: compiler, instance pool, compilation cache, and the ticker that interrupts guests.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use wasmtime::{Cache, CacheConfig, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::World;
use crate::error::PluginError;

/// Stack that wasm frames may use.
pub const WASM_STACK: usize = 1 << 20;
/// Stack of a fiber; what wasm leaves of it is for the host functions that run on it.
const FIBER_STACK: usize = 3 << 20;
/// zstd's level for compiled plugins in the cache, wasmtime's own default for new entries.
const BASELINE_COMPRESSION: i32 = 3;
/// How often a computing guest is interrupted to look at its clock and to let others run.
const TICK: Duration = Duration::from_millis(10);
/// Elements that a pooled table has room for.
const TABLE_ELEMENTS: usize = 100_000;
const MOST_INSTANCES: u32 = 1024;

/// How to set up a [`Runtime`].
#[derive(Clone, Debug)]
pub struct RuntimeOptions {
    /// Keep compiled plugins under the user's cache directory (`$XDG_CACHE_HOME/sonde/plugins`), keyed by the plugin's
    /// bytes and the engine's version and settings. Without a writable directory plugins are compiled each time.
    pub cache: bool,
    /// How many instances of benchmarks and diagnostics together, how many of judges, and how many of judges
    /// that judges ask, live at once; more callers
    /// wait. 1 to 1024.
    pub instances: u32,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self { cache: true, instances: 64 }
    }
}

/// Loads plugins. Cheap to clone; all clones share one engine and one pool.
#[derive(Clone)]
pub struct Runtime(Arc<Shared>);

struct Shared {
    engine: Engine,
    cache: Option<Cache>,
    tasks: Semaphore,
    judges: Semaphore,
    asked_by_judges: Semaphore,
}

impl Runtime {
    /// Starts the engine and its ticker thread, which ends with the last clone and the last plugin.
    ///
    /// # Errors
    /// When this machine's processor or operating system is not one that wasmtime supports.
    pub fn new(options: RuntimeOptions) -> Result<Self, PluginError> {
        let directory = if options.cache { cache_directory() } else { None };
        Self::with_cache_directory(options.instances, directory)
    }

    fn with_cache_directory(instances: u32, directory: Option<PathBuf>) -> Result<Self, PluginError> {
        let instances = instances.clamp(1, MOST_INSTANCES);
        let cache = directory.and_then(|directory| {
            let mut config = CacheConfig::new();
            config.with_directory(directory);
            // By itself the cache packs what is used often once more, at a level that takes 150 MiB while it does so.
            config.with_optimized_compression_level(BASELINE_COMPRESSION);
            Cache::new(config).ok()
        });
        let mut config = deterministic();
        config.cache(cache.clone());
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(instances)));
        // A pool reserves address space, which `ulimit -v` may forbid; without one a call is only slower.
        let engine = Engine::new(&config).or_else(|_| {
            config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
            Engine::new(&config)
        });
        let engine = engine.map_err(|error| PluginError::Start(format!("{error:#}")))?;
        start_ticker(&engine).map_err(|error| PluginError::Start(error.to_string()))?;
        // Benchmarks wait for judges while they hold their own instance, and judges for judges: one shared semaphore
        // could lock up.
        let permits = || Semaphore::new(instances as usize);
        Ok(Self(Arc::new(Shared {
            engine,
            cache,
            tasks: permits(),
            judges: permits(),
            asked_by_judges: permits(),
        })))
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// Plugins that were found compiled in the cache since the start, and plugins that had to be compiled.
    #[must_use]
    pub fn cache_hits_and_misses(&self) -> (usize, usize) {
        self.0.cache.as_ref().map_or((0, 0), |cache| (cache.cache_hits(), cache.cache_misses()))
    }

    pub(crate) fn permits(&self, world: World, asked_by_judge: bool) -> &Semaphore {
        match (world, asked_by_judge) {
            (World::Benchmark | World::Diagnostic | World::Treatment, _) => &self.0.tasks,
            (World::Judge, false) => &self.0.judges,
            (World::Judge, true) => &self.0.asked_by_judges,
        }
    }
}

/// Wasm features whose results depend on the machine are off, and NaNs have one form only.
fn deterministic() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(FIBER_STACK)
        .concurrency_support(false)
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .wasm_backtrace_max_frames(None);
    config
}

fn pool(instances: u32) -> PoolingAllocationConfig {
    let all = instances.saturating_mul(3);
    let mut pool = PoolingAllocationConfig::new();
    // A component made from one core module has three core instances; those of Python or JavaScript have more.
    pool.total_component_instances(all)
        .total_core_instances(all.saturating_mul(16))
        .total_memories(all.saturating_mul(2))
        .total_tables(all.saturating_mul(4))
        .total_stacks(all)
        .table_elements(TABLE_ELEMENTS)
        .max_tables_per_module(8)
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(16 << 10)
        .async_stack_keep_resident(32 << 10);
    pool
}

fn start_ticker(engine: &Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    let tick = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    };
    std::thread::Builder::new().name("plugin-ticker".into()).spawn(tick).map(drop)
}

fn cache_directory() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    Some(caches.join("sonde").join("plugins"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    #[tokio::test]
    async fn a_plugin_that_was_compiled_once_comes_from_the_cache_the_next_time() {
        let directory = tempfile::tempdir().unwrap();
        let counts = async || {
            let runtime = Runtime::with_cache_directory(1, Some(directory.path().to_owned())).unwrap();
            // Compiled, and then refused because it exports nothing.
            runtime.load(EMPTY, "empty.wasm").await.unwrap_err();
            runtime.cache_hits_and_misses()
        };
        assert_eq!(counts().await, (0, 1));
        assert_eq!(counts().await, (1, 0));
    }

    #[test]
    fn a_cache_directory_that_cannot_be_made_is_done_without() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let runtime = Runtime::with_cache_directory(1, Some(file.path().join("below"))).unwrap();
        assert_eq!(runtime.cache_hits_and_misses(), (0, 0));
    }
}
