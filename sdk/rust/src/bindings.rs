//! Code generated from `wit/`: the types every plugin speaks in, the imported functions, and for each world the macro
//! that exports a plugin. Authors use the re-exports at the crate's root instead.
//!
//! All `unsafe` code of a plugin is generated here: the canonical ABI's lifting and lowering.

/// The world of benchmarks. The types and imports that all worlds share are generated here.
pub mod benchmark {
    wit_bindgen::generate!({
        path: "../../wit/sonde-0.1.0",
        world: "benchmark-plugin",
        additional_derives: [PartialEq, Clone],
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_benchmark_world",
        runtime_path: "::sonde_sdk::wit_bindgen::rt",
    });
}

/// The world of judges.
pub mod judge {
    wit_bindgen::generate!({
        path: "../../wit/sonde-0.1.0",
        world: "judge-plugin",
        with: {
            "sonde:plugin/types@0.1.0": super::benchmark::sonde::plugin::types,
            "sonde:plugin/generation@0.1.0": super::benchmark::sonde::plugin::generation,
            "sonde:plugin/judging@0.1.0": super::benchmark::sonde::plugin::judging,
            "sonde:plugin/activations@0.1.0": super::diagnostic::sonde::plugin::activations,
            "sonde:plugin/weights@0.1.0": super::diagnostic::sonde::plugin::weights,
            "sonde:plugin/results@0.1.0": super::benchmark::sonde::plugin::results,
            "sonde:plugin/log@0.1.0": super::benchmark::sonde::plugin::log,
        },
        additional_derives: [PartialEq, Clone],
        pub_export_macro: true,
        export_macro_name: "export_judge_world",
        runtime_path: "::sonde_sdk::wit_bindgen::rt",
    });
}

/// What makes a judge a streaming one; its plugin exports the judges' world too.
pub mod watcher {
    wit_bindgen::generate!({
        path: "../../wit/sonde-0.1.0",
        world: "reply-watcher",
        with: {
            "sonde:plugin/types@0.1.0": super::benchmark::sonde::plugin::types,
            "sonde:plugin/judging@0.1.0": super::benchmark::sonde::plugin::judging,
        },
        additional_derives: [PartialEq, Clone],
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_reply_watcher_world",
        runtime_path: "::sonde_sdk::wit_bindgen::rt",
    });
}

/// The world of diagnostics. What only diagnostics import is generated here.
pub mod diagnostic {
    wit_bindgen::generate!({
        path: "../../wit/sonde-0.1.0",
        world: "diagnostic-plugin",
        with: {
            "sonde:plugin/types@0.1.0": super::benchmark::sonde::plugin::types,
            "sonde:plugin/generation@0.1.0": super::benchmark::sonde::plugin::generation,
            "sonde:plugin/results@0.1.0": super::benchmark::sonde::plugin::results,
            "sonde:plugin/log@0.1.0": super::benchmark::sonde::plugin::log,
        },
        additional_derives: [PartialEq, Clone],
        // It holds a handle, which can be neither compared nor copied.
        additional_derives_ignore: ["traced"],
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_diagnostic_world",
        runtime_path: "::sonde_sdk::wit_bindgen::rt",
    });
}

/// The world of treatments. What only treatments import is generated here.
pub mod treatment {
    wit_bindgen::generate!({
        path: "../../wit/sonde-0.1.0",
        world: "treatment-plugin",
        with: {
            "sonde:plugin/types@0.1.0": super::benchmark::sonde::plugin::types,
            "sonde:plugin/generation@0.1.0": super::benchmark::sonde::plugin::generation,
            "sonde:plugin/judging@0.1.0": super::benchmark::sonde::plugin::judging,
            "sonde:plugin/activations@0.1.0": super::diagnostic::sonde::plugin::activations,
            "sonde:plugin/weights@0.1.0": super::diagnostic::sonde::plugin::weights,
            "sonde:plugin/results@0.1.0": super::benchmark::sonde::plugin::results,
            "sonde:plugin/log@0.1.0": super::benchmark::sonde::plugin::log,
        },
        additional_derives: [PartialEq, Clone],
        // They may hold a handle, which can be neither compared nor copied.
        additional_derives_ignore: ["change", "derived"],
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_treatment_world",
        runtime_path: "::sonde_sdk::wit_bindgen::rt",
    });
}
