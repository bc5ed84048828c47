//! The contract's worlds as Rust traits and types, generated from `wit/`. Only this crate sees them.
//!
//! Host functions are async (a call suspends the plugin's fiber) and may trap (a broken limit stops the plugin).

wasmtime::component::bindgen!({
    path: "../../wit/sonde-0.1.0",
    world: "benchmark-plugin",
    imports: { default: async | trappable },
    exports: { default: async },
    with: { "sonde:plugin/generation.model": crate::host::OpenModel },
});

/// The judges' world, on the same types.
pub mod judge_world {
    wasmtime::component::bindgen!({
        path: "../../wit/sonde-0.1.0",
        world: "judge-plugin",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "sonde:plugin/types": super::sonde::plugin::types,
            "sonde:plugin/generation": super::sonde::plugin::generation,
            "sonde:plugin/judging": super::sonde::plugin::judging,
            "sonde:plugin/activations": super::diagnostic_world::sonde::plugin::activations,
            "sonde:plugin/weights": super::diagnostic_world::sonde::plugin::weights,
            "sonde:plugin/results": super::sonde::plugin::results,
            "sonde:plugin/log": super::sonde::plugin::log,
        },
    });
}

/// The streaming judges' world, on the same types, and what only they import.
pub mod streaming_world {
    wasmtime::component::bindgen!({
        path: "../../wit/sonde-0.1.0",
        world: "streaming-judge-plugin",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "sonde:plugin/types": super::sonde::plugin::types,
            "sonde:plugin/generation": super::sonde::plugin::generation,
            "sonde:plugin/judging": super::sonde::plugin::judging,
            "sonde:plugin/activations": super::diagnostic_world::sonde::plugin::activations,
            "sonde:plugin/weights": super::diagnostic_world::sonde::plugin::weights,
            "sonde:plugin/results": super::sonde::plugin::results,
            "sonde:plugin/log": super::sonde::plugin::log,
        },
    });
}

/// The diagnostics' world, on the same types, and what only diagnostics import.
pub mod diagnostic_world {
    wasmtime::component::bindgen!({
        path: "../../wit/sonde-0.1.0",
        world: "diagnostic-plugin",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "sonde:plugin/types": super::sonde::plugin::types,
            "sonde:plugin/generation": super::sonde::plugin::generation,
            "sonde:plugin/results": super::sonde::plugin::results,
            "sonde:plugin/log": super::sonde::plugin::log,
            "sonde:plugin/activations.captured": crate::host::OpenCapture,
        },
    });
}

/// The treatments' world, on the same types, and what only treatments import.
pub mod treatment_world {
    wasmtime::component::bindgen!({
        path: "../../wit/sonde-0.1.0",
        world: "treatment-plugin",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "sonde:plugin/types": super::sonde::plugin::types,
            "sonde:plugin/generation": super::sonde::plugin::generation,
            "sonde:plugin/judging": super::sonde::plugin::judging,
            "sonde:plugin/activations": super::diagnostic_world::sonde::plugin::activations,
            "sonde:plugin/weights": super::diagnostic_world::sonde::plugin::weights,
            "sonde:plugin/results": super::sonde::plugin::results,
            "sonde:plugin/log": super::sonde::plugin::log,
            "sonde:plugin/training.adapter": crate::host::OpenAdapter,
        },
    });
}

pub use diagnostic_world::sonde::plugin::{activations, gradients, weights};
pub use sonde::plugin::{generation, judging, log, results, types};
pub use streaming_world::sonde::plugin::reply_stream;
pub use treatment_world::exports::sonde::plugin::treatment;
pub use treatment_world::sonde::plugin::training;
