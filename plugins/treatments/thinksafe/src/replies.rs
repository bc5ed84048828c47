//! The model's own replies: asked for, checked for think tags, and shown to the guard.

use std::collections::BTreeMap;

use sonde_sdk::{Error, Exchange, Finish, Host, HostError, Model, Prompt, Safety, Verdict};
use sonde_treatments::thinksafe::{answer, steered};

use crate::parameters::{GuardReads, Parameters};

/// Replies that are generated, or judged, in one call.
const AT_ONCE: usize = 64;

/// Which kind of prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// Asked with the steering prefix.
    Harmful,
    /// Asked as they are.
    Benign,
}

impl Half {
    /// Of its dataset, and of its label in the records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Harmful => "harmful",
            Self::Benign => "benign",
        }
    }
}

/// A reply that may be trained on.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The prompt as it stands in the dataset: never with the prefix.
    pub prompt: String,
    /// What the model wrote after its template, thinking and all.
    pub written: String,
    /// The same with its opening tag: what the guard reads, if it is to read all of it, and the record keeps.
    pub whole: String,
}

/// What became of a half's prompts.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many there were.
    pub prompts: u64,
    /// How many replies were kept.
    pub kept: u64,
    /// How many were dropped, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
}

impl Tally {
    fn drop(&mut self, reason: &'static str) {
        *self.dropped.entry(reason).or_default() += 1;
    }
}

/// One reply to each prompt, of those that can be used.
pub fn generated<H: Host>(
    host: &H,
    model: &H::Model,
    half: Half,
    prompts: Vec<String>,
    parameters: &Parameters,
    tally: &mut Tally,
) -> Result<Vec<Reply>, Error> {
    let sampling = parameters.sampling(model);
    let total = prompts.len() as u64;
    let what = format!("replies to {} prompts", half.name());
    tally.prompts = total;
    let mut replies = Vec::new();
    for (chunk, prompts) in (0..).zip(prompts.chunks(AT_ONCE)) {
        let first = chunk * AT_ONCE;
        host.progress(first as u64, total, &what);
        let asked: Vec<_> = prompts
            .iter()
            .map(|prompt| match half {
                Half::Harmful => steered(prompt),
                Half::Benign => prompt.clone(),
            })
            .map(|text| Prompt::user(text).thinking(parameters.thinking()))
            .collect();
        for ((row, prompt), reply) in (first..).zip(prompts).zip(model.generate(&asked, &sampling)) {
            let reply = match reply {
                Ok(reply) => reply,
                Err(HostError::ContextOverflow(_)) => {
                    tally.drop("does not fit into the context");
                    continue;
                }
                Err(error) => {
                    return Err(Error::from(error).during(&format!("row {row} of `{}`", half.name())));
                }
            };
            match reply.finish {
                Finish::Stop => {}
                Finish::Length => {
                    tally.drop("cut off");
                    continue;
                }
                Finish::Guarded => {
                    tally.drop("ended by the run's guard");
                    continue;
                }
                Finish::Cancelled => {
                    return Err(Error::new("the run was interrupted while replies were being written"));
                }
            }
            // The completion's own fields part the thinking from the reply; what is trained on is every token of it.
            let written = model.render(&Prompt::Tokens(reply.tokens))?;
            match parameters.think_tags.checked(&written) {
                Ok(whole) if whole.trim().is_empty() => tally.drop("empty"),
                Ok(whole) => replies.push(Reply { prompt: prompt.clone(), written, whole }),
                Err(_) => tally.drop("no </think>"),
            }
        }
    }
    host.progress(total, total, &what);
    Ok(replies)
}

/// The replies that the guard finds safe, read together with the original prompt. What it cannot read is never kept.
pub fn guarded(
    host: &impl Host,
    half: Half,
    replies: Vec<Reply>,
    parameters: &Parameters,
    tally: &mut Tally,
) -> Result<Vec<Reply>, Error> {
    let total = replies.len() as u64;
    let what = format!("replies to {} prompts judged", half.name());
    let mut kept = Vec::new();
    for (done, replies) in (0..).step_by(AT_ONCE).zip(replies.chunks(AT_ONCE)) {
        host.progress(done, total, &what);
        let shown = |reply: &Reply| match parameters.guard_reads {
            GuardReads::Whole => reply.whole.clone(),
            GuardReads::Answer => answer(&reply.whole).to_owned(),
        };
        let exchanges: Vec<_> =
            replies.iter().map(|reply| Exchange::new(reply.prompt.clone(), shown(reply))).collect();
        let verdicts = host.assess("guard", &exchanges);
        if verdicts.len() != exchanges.len() {
            return Err(format!("asked for {} verdicts and got {}", exchanges.len(), verdicts.len()).into());
        }
        for (reply, verdict) in replies.iter().zip(verdicts) {
            let reason = match verdict {
                Ok(verdict) => rejected(&verdict, half, parameters)?,
                Err(HostError::ContextOverflow(_)) => Some("too long for the guard"),
                Err(error) => return Err(Error::from(error).during("judge `guard`")),
            };
            match reason {
                Some(reason) => tally.drop(reason),
                None => kept.push(reply.clone()),
            }
        }
    }
    host.progress(total, total, &what);
    tally.kept = kept.len() as u64;
    Ok(kept)
}

/// Why a reply with this verdict is dropped, if it is.
fn rejected(verdict: &Verdict, half: Half, parameters: &Parameters) -> Result<Option<&'static str>, Error> {
    if !verdict.parsed {
        return Ok(Some("the guard's verdict could not be read"));
    }
    let over_refusal = parameters.drop_benign_refusals && half == Half::Benign;
    match verdict.safety {
        Some(Safety::Unsafe) => Ok(Some("unsafe")),
        Some(Safety::Controversial) => Ok(Some("controversial")),
        Some(Safety::Safe) if over_refusal && verdict.refusal == Some(true) => Ok(Some("refuses a benign prompt")),
        Some(Safety::Safe) => Ok(None),
        None => Err(format!(
            "the judge bound to `guard` says \"{}\", which tells no harm; bind a guard, such as llama-guard or qwen3guard",
            verdict.label
        )
        .into()),
    }
}
