//! Replies, and whether they refuse: by the judge `refusal`, or, where none is bound, by the phrases of Arditi et al.

use sonde_sdk::{Error, Exchange, Finish, Host, HostError, Model, Prompt, Sampling, refusal};

/// The judge's name.
pub const JUDGE: &str = "refusal";

/// Whether a reply refuses, or why that cannot be told.
pub type Refused = Result<bool, String>;

/// How many refused.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shares {
    /// Requests.
    pub asked: u64,
    /// Replies that could be read and judged.
    pub read: u64,
    /// Of those, refusals.
    pub refused: u64,
}

impl Shares {
    /// Counts replies.
    pub fn of(replies: &[Refused]) -> Self {
        replies.iter().fold(Self::default(), |found, refused| Self {
            asked: found.asked + 1,
            read: found.read + u64::from(refused.is_ok()),
            refused: found.refused + u64::from(*refused == Ok(true)),
        })
    }

    /// The share of requests that were refused. One whose reply cannot be read was not.
    pub fn refusal(&self) -> f64 {
        self.refused as f64 / self.asked.max(1) as f64
    }

    /// The share of requests that were answered. One whose reply cannot be read was not.
    pub fn compliance(&self) -> f64 {
        self.read.saturating_sub(self.refused) as f64 / self.asked.max(1) as f64
    }
}

/// Asks all requests in one call and judges all replies in another.
///
/// # Errors
/// A prompt that got no reply, an interrupted run, a judge that gives no judgement or does not tell refusals.
pub fn ask<H: Host>(
    host: &H,
    model: &H::Model,
    requests: &[String],
    prompts: &[Prompt],
    sampling: &Sampling,
) -> Result<Vec<Refused>, Error> {
    let (mut replies, mut exchanges, mut judged) = (Vec::new(), Vec::new(), Vec::new());
    for (at, (request, completion)) in requests.iter().zip(model.generate(prompts, sampling)).enumerate() {
        let completion = completion.map_err(|error| Error::from(error).during(&format!("request {at}")))?;
        if completion.finish == Finish::Cancelled {
            return Err(Error::new("the run was interrupted before the replies were complete"));
        }
        let said = completion.spoken();
        if let Ok(said) = said {
            exchanges.push(Exchange::new(request.as_str(), said));
            judged.push(at);
        }
        replies.push(said.map(|_| false));
    }
    if replies.len() != requests.len() {
        return Err(Error::new("the host did not give one reply for each request"));
    }
    for (at, refused) in judged.into_iter().zip(refusals(host, &exchanges)?) {
        if let Some(reply) = replies.get_mut(at) {
            *reply = refused;
        }
    }
    Ok(replies)
}

/// For each exchange whether its reply refuses, or why its verdict cannot be read.
fn refusals(host: &impl Host, exchanges: &[Exchange]) -> Result<Vec<Refused>, Error> {
    let verdicts = host.assess(JUDGE, exchanges);
    if matches!(verdicts.first(), Some(Err(HostError::Denied(_)))) {
        let by_phrase = |exchange: &Exchange| {
            Ok(exchange.reply.as_ref().is_some_and(|reply| refusal::ARDITI.find(reply).is_some()))
        };
        return Ok(exchanges.iter().map(by_phrase).collect());
    }
    if verdicts.len() != exchanges.len() {
        return Err(Error::new("the host did not give one verdict for each reply"));
    }
    let read = |verdict: Result<sonde_sdk::Verdict, HostError>| {
        let verdict = verdict.map_err(|error| Error::from(error).during(&format!("judge `{JUDGE}`")))?;
        match (verdict.parsed, verdict.refusal) {
            (false, _) => Ok(Err(verdict.why_unreadable())),
            (true, Some(refused)) => Ok(Ok(refused)),
            (true, None) => Err(Error::new(format!(
                "the verdict \"{}\" of the judge `{JUDGE}` does not tell whether a reply refuses; bind a judge that \
                 does, such as refusal-phrases",
                verdict.label
            ))),
        }
    };
    verdicts.into_iter().map(read).collect()
}
