//! The plugins as `scripts/build-plugins` built them: each becomes a component, and all it can reach is the contract.
//! Nothing to check before the first build.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly, outside its test functions too")]

use std::path::{Path, PathBuf};

use wasmparser::{Parser, Payload};
use wit_component::ComponentEncoder;

fn built() -> Vec<PathBuf> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/plugins/dist"));
    let files = std::fs::read_dir(folder).map(|files| files.map(|file| file.unwrap().path()).collect());
    let plugins: Vec<PathBuf> = files.unwrap_or_default();
    if plugins.is_empty() {
        println!("skipped: run scripts/build-plugins first");
    }
    plugins.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "wasm")).collect()
}

/// Names of a component's own imports and exports; those of the modules within it are left out.
fn ports(component: &[u8]) -> (Vec<String>, Vec<String>) {
    let (mut imports, mut exports, mut depth) = (Vec::new(), Vec::new(), 0);
    for payload in Parser::new(0).parse_all(component) {
        match payload.unwrap() {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                imports.extend(section.into_iter().map(|import| import.unwrap().name.name.to_owned()));
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                exports.extend(section.into_iter().map(|export| export.unwrap().name.name.to_owned()));
            }
            _ => {}
        }
    }
    (imports, exports)
}

#[test]
fn a_built_plugin_is_a_component_that_imports_nothing_but_the_contract() {
    for path in built() {
        let module = std::fs::read(&path).unwrap();
        let component = ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap();
        let (imports, exports) = ports(&component);
        assert!(
            imports.iter().all(|name| name.starts_with("sonde:plugin/")),
            "{}: {imports:?}",
            path.display()
        );
        let exports: Vec<&str> = exports
            .iter()
            .filter_map(|name| name.strip_prefix("sonde:plugin/")?.strip_suffix("@0.1.0"))
            .collect();
        assert!(
            matches!(
                exports.as_slice(),
                ["benchmark" | "judge" | "diagnostic" | "treatment"]
                    | ["streaming-judge", "judge"]
                    | ["judge", "streaming-judge"]
            ),
            "{}: {exports:?}",
            path.display()
        );
        println!("{}: {imports:?}", path.display());
    }
}
