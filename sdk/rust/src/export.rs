//! What stands between the exported functions and the author's traits: JSON in, errors out, panics into the log.

use serde::de::DeserializeOwned;

use crate::bindings::benchmark::sonde::plugin::log;
use crate::bindings::benchmark::sonde::plugin::results::Dataset;
use crate::bindings::treatment::exports::sonde::plugin::treatment;
use crate::{
    About, Benchmark, Chat, Diagnosis, Diagnostic, Exchange, GuestHost, GuestReply, Judge, Level, Outcome,
    StreamingJudge, Summary, Treatment, Verdict,
};

/// `benchmark.describe`.
pub fn describe_benchmark<B: Benchmark>() -> About {
    report_panics();
    B::about()
}

/// `benchmark.run`.
///
/// # Errors
/// When the row or the parameters are not what the plugin expects, or `run` fails.
pub fn run<B: Benchmark>(row: &str, parameters: &str, seed: u64) -> Result<Outcome, String> {
    report_panics();
    let parameters = read_parameters(parameters)?;
    let row = serde_json::from_str(row).map_err(|error| format!("the row does not fit: {error}"))?;
    B::run(&GuestHost, row, &parameters, seed).map_err(|error| error.to_string())
}

/// `benchmark.summarize`.
///
/// # Errors
/// When the parameters are not what the plugin expects.
pub fn summarize<B: Benchmark>(outcomes: &[Outcome], parameters: &str) -> Result<Summary, String> {
    report_panics();
    Ok(B::summarize(outcomes, &read_parameters(parameters)?))
}

/// `judge.describe`.
pub fn describe_judge<J: Judge>() -> About {
    report_panics();
    J::about()
}

/// `judge.assess`.
///
/// # Errors
/// When the parameters are not what the plugin expects, or no judgement comes about.
pub fn assess<J: Judge>(exchange: Exchange, parameters: &str) -> Result<Verdict, String> {
    report_panics();
    let parameters = read_parameters(parameters)?;
    J::assess(&GuestHost, exchange, &parameters).map_err(|error| error.to_string())
}

/// `diagnostic.describe`.
pub fn describe_diagnostic<D: Diagnostic>() -> About {
    report_panics();
    D::about()
}

/// `diagnostic.run`.
///
/// # Errors
/// When the parameters are not what the plugin expects, or `run` fails.
pub fn diagnose<D: Diagnostic>(
    datasets: Vec<Dataset>,
    parameters: &str,
    seed: u64,
) -> Result<Diagnosis, String> {
    report_panics();
    let parameters = read_parameters(parameters)?;
    D::run(&GuestHost, &datasets.into(), &parameters, seed).map_err(|error| error.to_string())
}

/// `treatment.describe`.
pub fn describe_treatment<T: Treatment>() -> About {
    report_panics();
    T::about()
}

/// `treatment.derive`.
///
/// # Errors
/// When the parameters are not what the plugin expects, or `derive` fails.
pub fn derive<T: Treatment>(
    datasets: Vec<Dataset>,
    parameters: &str,
    seed: u64,
) -> Result<treatment::Derived, String> {
    report_panics();
    let parameters = read_parameters(parameters)?;
    let derived = T::derive(&GuestHost, &datasets.into(), &parameters, seed);
    derived.and_then(treatment::Derived::try_from).map_err(|error| error.to_string())
}

/// `judge.describe` of a streaming judge.
pub fn describe_streaming_judge<J: StreamingJudge>() -> About {
    report_panics();
    J::about()
}

/// `judge.assess` of a streaming judge.
///
/// # Errors
/// As [`assess`].
pub fn assess_streaming<J: StreamingJudge>(exchange: Exchange, parameters: &str) -> Result<Verdict, String> {
    report_panics();
    let parameters = read_parameters(parameters)?;
    J::assess(&GuestHost, exchange, &parameters).map_err(|error| error.to_string())
}

/// `streaming-judge.watch`.
///
/// # Errors
/// When the parameters are not what the plugin expects, or the reply cannot be watched.
pub fn watch<J: StreamingJudge>(conversation: Chat, parameters: &str) -> Result<(), String> {
    report_panics();
    let parameters = read_parameters(parameters)?;
    J::watch(&GuestHost, conversation, &mut GuestReply, &parameters).map_err(|error| error.to_string())
}

/// Parameters from JSON; none at all are the defaults.
pub fn read_parameters<P: DeserializeOwned + Default>(parameters: &str) -> Result<P, String> {
    match parameters.trim() {
        "" | "null" => Ok(P::default()),
        json => serde_json::from_str(json).map_err(|error| format!("the parameters do not fit: {error}")),
    }
}

/// A panic ends in a trap that carries no words: the hook writes them into the run file first.
fn report_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|panic| log::write(Level::Error, &panic.to_string())));
    });
}

/// Exports a type that implements [`Benchmark`](crate::Benchmark) as this crate's plugin.
#[macro_export]
macro_rules! export_benchmark {
    ($benchmark:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Component;

            impl $crate::bindings::benchmark::exports::sonde::plugin::benchmark::Guest for Component {
                fn describe() -> $crate::About {
                    $crate::export::describe_benchmark::<$benchmark>()
                }

                fn run(row: String, parameters: String, seed: u64) -> Result<$crate::Outcome, String> {
                    $crate::export::run::<$benchmark>(&row, &parameters, seed)
                }

                fn summarize(
                    outcomes: Vec<$crate::Outcome>,
                    parameters: String,
                ) -> Result<$crate::Summary, String> {
                    $crate::export::summarize::<$benchmark>(&outcomes, &parameters)
                }
            }

            $crate::bindings::benchmark::export_benchmark_world!(
                Component with_types_in $crate::bindings::benchmark
            );
        };

        // Natively there is nothing to export, but the type is checked all the same.
        #[cfg(not(target_family = "wasm"))]
        const _: fn() -> $crate::About = <$benchmark as $crate::Benchmark>::about;
    };
}

/// Exports a type that implements [`Judge`](crate::Judge) as this crate's plugin.
#[macro_export]
macro_rules! export_judge {
    ($judge:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Component;

            impl $crate::bindings::judge::exports::sonde::plugin::judge::Guest for Component {
                fn describe() -> $crate::About {
                    $crate::export::describe_judge::<$judge>()
                }

                fn assess(exchange: $crate::Exchange, parameters: String) -> Result<$crate::Verdict, String> {
                    $crate::export::assess::<$judge>(exchange, &parameters)
                }
            }

    $crate::bindings::judge::export_judge_world!(Component with_types_in $crate::bindings::judge);
        };

        // Natively there is nothing to export, but the type is checked all the same.
        #[cfg(not(target_family = "wasm"))]
        const _: fn() -> $crate::About = <$judge as $crate::Judge>::about;
    };
}

/// Exports a type that implements [`StreamingJudge`](crate::StreamingJudge) as this crate's plugin.
#[macro_export]
macro_rules! export_streaming_judge {
    ($judge:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Component;

            impl $crate::bindings::judge::exports::sonde::plugin::judge::Guest for Component {
                fn describe() -> $crate::About {
                    $crate::export::describe_streaming_judge::<$judge>()
                }

                fn assess(exchange: $crate::Exchange, parameters: String) -> Result<$crate::Verdict, String> {
                    $crate::export::assess_streaming::<$judge>(exchange, &parameters)
                }
            }

            impl $crate::bindings::watcher::exports::sonde::plugin::streaming_judge::Guest for Component {
                fn watch(conversation: $crate::Chat, parameters: String) -> Result<(), String> {
                    $crate::export::watch::<$judge>(conversation, &parameters)
                }
            }

    $crate::bindings::judge::export_judge_world!(Component with_types_in $crate::bindings::judge);
            $crate::bindings::watcher::export_reply_watcher_world!(
                Component with_types_in $crate::bindings::watcher
            );
        };

        // Natively there is nothing to export, but the type is checked all the same.
        #[cfg(not(target_family = "wasm"))]
        const _: fn() -> $crate::About = <$judge as $crate::StreamingJudge>::about;
    };
}

/// Exports a type that implements [`Diagnostic`](crate::Diagnostic) as this crate's plugin.
#[macro_export]
macro_rules! export_diagnostic {
    ($diagnostic:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Component;

            impl $crate::bindings::diagnostic::exports::sonde::plugin::diagnostic::Guest for Component {
                fn describe() -> $crate::About {
                    $crate::export::describe_diagnostic::<$diagnostic>()
                }

                fn run(
                    datasets: Vec<$crate::bindings::benchmark::sonde::plugin::results::Dataset>,
                    parameters: String,
                    seed: u64,
                ) -> Result<$crate::Diagnosis, String> {
                    $crate::export::diagnose::<$diagnostic>(datasets, &parameters, seed)
                }
            }

            $crate::bindings::diagnostic::export_diagnostic_world!(
                Component with_types_in $crate::bindings::diagnostic
            );
        };

        // Natively there is nothing to export, but the type is checked all the same.
        #[cfg(not(target_family = "wasm"))]
        const _: fn() -> $crate::About = <$diagnostic as $crate::Diagnostic>::about;
    };
}

/// Exports a type that implements [`Treatment`](crate::Treatment) as this crate's plugin.
#[macro_export]
macro_rules! export_treatment {
    ($treatment:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::bindings::treatment::exports::sonde::plugin::treatment;

            struct Component;

            impl treatment::Guest for Component {
                fn describe() -> $crate::About {
                    $crate::export::describe_treatment::<$treatment>()
                }

                fn derive(
                    datasets: Vec<$crate::bindings::benchmark::sonde::plugin::results::Dataset>,
                    parameters: String,
                    seed: u64,
                ) -> Result<treatment::Derived, String> {
                    $crate::export::derive::<$treatment>(datasets, &parameters, seed)
                }
            }

            $crate::bindings::treatment::export_treatment_world!(
                Component with_types_in $crate::bindings::treatment
            );
        };

        // Natively there is nothing to export, but the type is checked all the same.
        #[cfg(not(target_family = "wasm"))]
        const _: fn() -> $crate::About = <$treatment as $crate::Treatment>::about;
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoParameters;

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Parameters {
        mode: String,
    }

    #[test]
    fn no_parameters_are_the_defaults() {
        for json in ["", "null", "{}"] {
            assert_eq!(read_parameters::<Parameters>(json), Ok(Parameters::default()), "{json:?}");
        }
    }

    #[test]
    fn a_misspelt_parameter_is_refused_by_name() {
        let error = read_parameters::<Parameters>(r#"{"mod": "strict"}"#).unwrap_err();
        assert!(error.contains("`mod`") && error.contains("`mode`"), "{error}");
        assert!(read_parameters::<NoParameters>(r#"{"mode": 1}"#).unwrap_err().contains("`mode`"));
    }
}
