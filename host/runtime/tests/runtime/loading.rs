//! What can be loaded, and what is told of what cannot.

use std::sync::Arc;

use sonde_contract::Digest;

use crate::answers::{Answers, invocation};
use crate::guests::{embed_contract, encode, evil, hostile_bytes, hostile_describing, judge_bytes, runtime};

async fn refusal(bytes: &[u8]) -> String {
    let text = runtime().load(bytes, "my/plugin.wasm").await.unwrap_err().to_string();
    text.strip_prefix("my/plugin.wasm is not a plugin that can be loaded: ").unwrap().to_owned()
}

#[tokio::test]
async fn a_core_module_and_its_component_give_the_same_answers() {
    let (runtime, services, module) = (runtime(), Arc::new(Answers::default()), hostile_bytes());
    let component = encode(&module);
    let (from_module, from_component) =
        (runtime.load(&module, "a.wasm").await.unwrap(), runtime.load(&component, "b.wasm").await.unwrap());
    assert_eq!(from_module.about(), from_component.about());
    assert_eq!(from_module.imports(), from_component.imports());
    assert_eq!((from_module.digest(), from_module.size()), (Digest::of(&module), module.len() as u64));
    assert_eq!(from_component.digest(), Digest::of(&component));
    for evil in ["", "ask", "score", "judge", "own-error"].map(evil) {
        let row = r#"{"prompt":"hello"}"#;
        let first = from_module.run(invocation(&services), row, &evil, 9).await;
        assert_eq!(first, from_component.run(invocation(&services), row, &evil, 9).await);
    }
}

#[tokio::test]
async fn a_description_is_read_with_its_columns_and_slots() {
    let plugin = runtime().load(&hostile_bytes(), "a.wasm").await.unwrap();
    assert_eq!(plugin.source(), "a.wasm");
    assert_eq!((plugin.about().name.as_str(), plugin.about().version.as_str()), ("hostile-plugin", "0.1.0"));
    assert_eq!((plugin.about().models[0].name.as_str(), plugin.about().models[0].required), ("target", true));
    assert_eq!(plugin.about().columns[0].aliases, ["Prompt"]);
}

#[tokio::test]
async fn a_file_that_is_not_wasm_is_refused() {
    let not_wasm = "it is not WebAssembly: it does not begin with the bytes \\0asm";
    assert_eq!(refusal(b"GGUF\x03\0\0\0").await, not_wasm);
    assert_eq!(refusal(b"").await, not_wasm);
    let version = "it is WebAssembly of a version that does not exist, or cut short";
    assert_eq!(refusal(b"\0asm\x07\0\0\0").await, version);
    assert_eq!(refusal(b"\0asm\x01").await, version);
}

#[tokio::test]
async fn a_file_that_was_cut_short_is_refused() {
    let module = hostile_bytes();
    let text = refusal(&module[..module.len() / 2]).await;
    assert!(text.starts_with("it is damaged or cut short ("), "{text}");
    let component = encode(&module);
    let text = refusal(&component[..component.len() / 2]).await;
    assert!(text.starts_with("it is damaged, cut short, or uses what wasmtime does not support ("), "{text}");
}

#[tokio::test]
async fn a_core_module_without_our_contract_is_told_how_to_carry_it() {
    let module = wat::parse_str(r#"(module (import "env" "now" (func)) (func (export "main")))"#).unwrap();
    assert_eq!(
        refusal(&module).await,
        "it is a core module that does not carry our contract (it imports env.now); build it for \
         wasm32-unknown-unknown with the Sonde SDK, or with wit-bindgen on the WIT of sonde:plugin 0.1.0"
    );
}

#[tokio::test]
async fn imports_from_outside_the_contract_are_named_one_by_one() {
    let component = r#"(component
        (import "wasi:filesystem/types@0.2.3" (instance (export "open" (func))))
        (import "wasi:clocks/wall-clock@0.2.3" (instance (export "now" (func)))))"#;
    assert_eq!(
        refusal(&wat::parse_str(component).unwrap()).await,
        "it imports wasi:clocks/wall-clock@0.2.3, wasi:filesystem/types@0.2.3; a plugin can import nothing but \
         sonde:plugin: no files, network, clock or randomness; build it for wasm32-unknown-unknown"
    );
    let module = r#"(module
        (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32))))"#;
    assert_eq!(
        refusal(&embed_contract(module, "judge-plugin")).await,
        "it imports wasi_snapshot_preview1.fd_write, wasi_snapshot_preview1.random_get; a plugin can import nothing \
         but sonde:plugin: no files, network, clock or randomness; build it for wasm32-unknown-unknown"
    );
}

#[tokio::test]
async fn a_component_of_another_world_is_told_what_a_plugin_exports() {
    let component = r#"(component
        (core module $m (func (export "greet")))
        (core instance $i (instantiate $m))
        (func $greet (canon lift (core func $i "greet")))
        (instance $api (export "greet" (func $greet)))
        (export "acme:greeter/api@1.0.0" (instance $api)))"#;
    assert_eq!(
        refusal(&wat::parse_str(component).unwrap()).await,
        "it is a component of another world: it exports acme:greeter/api@1.0.0, and a plugin exports \
         sonde:plugin/benchmark@0.1.0, sonde:plugin/judge@0.1.0, sonde:plugin/diagnostic@0.1.0 or sonde:plugin/treatment@0.1.0; build it for \
         wasm32-unknown-unknown with the Sonde SDK, or with wit-bindgen on the WIT of sonde:plugin 0.1.0"
    );
}

#[tokio::test]
async fn what_another_world_imports_is_refused() {
    let importing = |import: &str, export: &str| {
        let component = format!(
            r#"(component (import "sonde:plugin/{import}@0.1.0" (instance (export "f" (func))))
                (instance $api) (export "sonde:plugin/{export}@0.1.0" (instance $api)))"#
        );
        wat::parse_str(component).unwrap()
    };
    for (import, export) in [("gradients", "judge"), ("reply-stream", "judge"), ("weights", "benchmark")] {
        let text = refusal(&importing(import, export)).await;
        assert_eq!(text, format!("it imports sonde:plugin/{import}@0.1.0, which a {export} does not have"));
    }
    let text = refusal(&importing("judging", "diagnostic")).await;
    assert_eq!(text, "it imports sonde:plugin/judging@0.1.0, which a diagnostic does not have");
    let both = r#"(component (instance $api) (export "sonde:plugin/benchmark@0.1.0" (instance $api))
        (export "sonde:plugin/diagnostic@0.1.0" (instance $api)))"#;
    let text = refusal(&wat::parse_str(both).unwrap()).await;
    assert_eq!(text, "it exports a benchmark and a diagnostic; a plugin is one of them");
    let watching = |also: &str| {
        let component = format!(
            r#"(component (instance $api) (export "sonde:plugin/streaming-judge@0.1.0" (instance $api)) {also})"#
        );
        wat::parse_str(component).unwrap()
    };
    let text = refusal(&watching("")).await;
    assert!(text.contains("without sonde:plugin/judge@0.1.0"), "{text}");
    let text = refusal(&watching(r#"(export "sonde:plugin/benchmark@0.1.0" (instance $api))"#)).await;
    assert!(text.contains("is a benchmark; a streaming judge is a judge"), "{text}");
}

#[tokio::test]
async fn another_version_of_the_contract_is_told_apart() {
    let version = "this Sonde speaks sonde:plugin 0.1.0; use a Sonde that knows version 0.9.0, or build the plugin again \
                   for 0.1.0";
    let component = r#"(component (import "sonde:plugin/log@0.9.0" (instance (export "write" (func)))))"#;
    let text = refusal(&wat::parse_str(component).unwrap()).await;
    assert_eq!(text, format!("it speaks sonde:plugin/log@0.9.0, and {version}"));
    let component = r#"(component (instance $api) (export "sonde:plugin/benchmark@0.9.0" (instance $api)))"#;
    let text = refusal(&wat::parse_str(component).unwrap()).await;
    assert_eq!(text, format!("it speaks sonde:plugin/benchmark@0.9.0, and {version}"));
}

#[tokio::test]
async fn interfaces_that_do_not_exist_and_types_that_differ_are_refused() {
    let component = r#"(component (import "sonde:plugin/files@0.1.0" (instance (export "read" (func)))))"#;
    let text = refusal(&wat::parse_str(component).unwrap()).await;
    assert_eq!(text, "it imports sonde:plugin/files@0.1.0, which sonde:plugin 0.1.0 does not have");
    let component = r#"(component (instance $api) (export "sonde:plugin/judge@0.1.0" (instance $api)))"#;
    let text = refusal(&wat::parse_str(component).unwrap()).await;
    assert!(text.starts_with("it does not keep to the contract: "), "{text}");
}

#[tokio::test]
async fn a_description_that_calls_the_host_is_refused() {
    assert_eq!(
        refusal(&hostile_describing(b'1')).await,
        "it called `log.write` while describing itself, and `describe` must not call the host"
    );
    let text = refusal(&hostile_describing(b'3')).await;
    assert!(text.contains("; its last words were: describe gave up ("), "{text}");
}

#[tokio::test]
async fn a_description_without_end_is_stopped() {
    assert_eq!(
        refusal(&hostile_describing(b'2')).await,
        "it could not describe itself: it computed for more than 10 s; `limits.compute_seconds` raises this"
    );
}

#[tokio::test]
async fn a_name_that_is_none_is_refused() {
    let mut bytes = judge_bytes();
    let at = bytes.windows(14).position(|window| window == b"constant-judge").unwrap();
    bytes[at] = b'C';
    assert_eq!(
        refusal(&bytes).await,
        "its description cannot be used: its name is \"Constant-judge\"; a name is 1 to 64 lower-case letters, digits \
         and hyphens and begins with a letter or digit"
    );
}
