//! The `sonde` binary: reads the command line, calls one command, turns its end into words and an exit code.
//!
//! Results go to standard output, progress and remarks to standard error. Exit codes: 0 all went well, 1 some samples
//! failed or a verification found a difference, 2 the command could not be carried out, 130 interrupted.

/// `println!` for results: a closed pipe is an error that `main` knows, not a panic.
macro_rules! out {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        writeln!(std::io::stdout(), $($text)*)
    }};
}

/// `eprintln!` for progress and remarks, which nobody has to be there to read.
macro_rules! remark {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

mod arguments;
mod commands;
mod guarding;
mod progress;
mod threads;
mod words;

use std::io::Write;

use clap::Parser;

use crate::arguments::{Arguments, Command, ModelCommand, PluginCommand, TreatmentCommand};

/// How a command ended, when it could be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// All went well.
    Success,
    /// Some samples failed, or something differs.
    Partial,
    /// Stopped by the user.
    Interrupted,
}

fn main() {
    threads::wait_briefly();
    let code = code_of(Arguments::parse());
    let _ = std::io::stdout().flush();
    end_at_once(code)
}

/// Ends the program without what C++ does at exit: llama.cpp's threads may still be computing, and crash when the
/// library is taken apart under them. Everything of ours is written by then.
fn end_at_once(code: i32) -> ! {
    signal_hook::low_level::exit(code)
}

fn code_of(arguments: Arguments) -> i32 {
    let runtime = tokio::runtime::Runtime::new();
    let end = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(carry_out(arguments.command)));
    match end {
        Ok(End::Success) => 0,
        Ok(End::Partial) => 1,
        Ok(End::Interrupted) => 130,
        Err(error) if is_broken_pipe(&error) => 0,
        Err(error) => {
            remark!("sonde: {}", sonde_runtime::printable(&in_words(&error)));
            2
        }
    }
}

/// The error and its causes, without those that the sentence before tells already.
fn in_words(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.is_empty() {
        true => cause,
        false if told.contains(&cause) => told,
        false => format!("{told}: {cause}"),
    })
}

/// `sonde show … | head` is no failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

async fn carry_out(command: Command) -> anyhow::Result<End> {
    match command {
        Command::Run(arguments) => commands::run::run(arguments).await,
        Command::Treat(arguments) => commands::run::treat(arguments).await,
        Command::Rejudge(arguments) => commands::rejudge::rejudge(arguments).await,
        Command::JudgeQuality(arguments) => commands::judge_quality::judge_quality(arguments).await,
        Command::Show(arguments) => commands::show::show(&arguments),
        Command::Runs(arguments) => commands::runs::runs(&arguments),
        Command::Compare(arguments) => commands::compare::compare(&arguments).await,
        Command::Verify(arguments) => commands::verify::verify(&arguments).await,
        Command::Plugin(PluginCommand::Inspect(arguments)) => commands::plugin::inspect(&arguments).await,
        Command::Plugin(PluginCommand::List) => commands::plugin::list().await,
        Command::Model(ModelCommand::Info(arguments)) => commands::model::info(&arguments),
        Command::Model(ModelCommand::Compare(arguments)) => commands::model::compare(&arguments).await,
        Command::Treatment(TreatmentCommand::Show(arguments)) => commands::treatment::show(&arguments),
        Command::Treatment(TreatmentCommand::Export(arguments)) => commands::treatment::export(&arguments),
        Command::Generate(arguments) => commands::generate::generate(arguments).await,
        Command::Guard(arguments) => commands::guard::guard(arguments).await,
        Command::Score(arguments) => commands::score::score(arguments).await,
        Command::Completions { shell } => commands::completions::completions(shell),
    }
}
