//! A host with scripted answers, so that a plugin's tests run natively and without a model.
//!
//! It gives what its scripts say, fails with `denied` where nothing is scripted, and remembers what it was asked.

mod in_force;
mod inside;
mod treated;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::{
    About, Chat, Completion, ContinuationScore, Exchange, Finish, Host, HostError, Level, Model, ModelInfo,
    Prompt, Sampling, ScoreRequest, Verdict,
};

pub use in_force::InForce;

type Generate = Box<dyn FnMut(&Prompt, &Sampling, &InForce) -> Result<Completion, HostError>>;
type Score = Box<dyn FnMut(&ScoreRequest, &InForce) -> Result<Vec<ContinuationScore>, HostError>>;
type Read = Box<dyn Fn(&[u32]) -> String>;
type Assess = Box<dyn FnMut(&Exchange) -> Result<Verdict, HostError>>;

/// A scripted host.
#[derive(Default)]
pub struct MockHost {
    models: RefCell<HashMap<String, Rc<RefCell<Script>>>>,
    judges: RefCell<HashMap<String, Assess>>,
    exchanges: RefCell<Vec<(String, Exchange)>>,
    lines: RefCell<Vec<(Level, String)>>,
}

/// What one model is to answer, and what it was asked.
struct Script {
    info: ModelInfo,
    sampling: Sampling,
    generate: Option<Generate>,
    score: Option<Score>,
    read: Option<Read>,
    prompts: Vec<(Prompt, Sampling)>,
    scored: Vec<ScoreRequest>,
    inside: inside::Inside,
}

/// A model of a [`MockHost`].
pub struct MockModel {
    script: Rc<RefCell<Script>>,
    in_force: InForce,
}

impl MockHost {
    /// A host that offers nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Offers a model that gives these replies, one after the other, and then fails.
    #[must_use]
    pub fn replies<'a>(self, role: &str, replies: impl IntoIterator<Item = &'a str>) -> Self {
        let mut replies = replies.into_iter().map(str::to_owned).collect::<Vec<_>>().into_iter();
        self.completions(role, move |_, _| replies.next().map(|text| completion(&text)).ok_or_else(exhausted))
    }

    /// Offers a model whose completions a function gives.
    #[must_use]
    pub fn completions(
        self,
        role: &str,
        mut generate: impl FnMut(&Prompt, &Sampling) -> Result<Completion, HostError> + 'static,
    ) -> Self {
        self.completions_under(role, move |prompt, sampling, _| generate(prompt, sampling))
    }

    /// Offers a model whose completions a function gives that also sees what was changed in the model.
    #[must_use]
    pub fn completions_under(
        self,
        role: &str,
        generate: impl FnMut(&Prompt, &Sampling, &InForce) -> Result<Completion, HostError> + 'static,
    ) -> Self {
        self.script(role).borrow_mut().generate = Some(Box::new(generate));
        self
    }

    /// Offers a model whose scores a function gives.
    #[must_use]
    pub fn scores(
        self,
        role: &str,
        mut score: impl FnMut(&ScoreRequest) -> Result<Vec<ContinuationScore>, HostError> + 'static,
    ) -> Self {
        self.scores_under(role, move |request, _| score(request))
    }

    /// Offers a model whose scores a function gives that also sees what was changed in the model.
    #[must_use]
    pub fn scores_under(
        self,
        role: &str,
        score: impl FnMut(&ScoreRequest, &InForce) -> Result<Vec<ContinuationScore>, HostError> + 'static,
    ) -> Self {
        self.script(role).borrow_mut().score = Some(Box::new(score));
        self
    }

    /// Offers a model that renders tokens as a function writes them; else they are a list of numbers.
    #[must_use]
    pub fn token_texts(self, role: &str, read: impl Fn(&[u32]) -> String + 'static) -> Self {
        self.script(role).borrow_mut().read = Some(Box::new(read));
        self
    }

    /// Offers a model without a chat template.
    #[must_use]
    pub fn without_chat_template(self, role: &str) -> Self {
        self.script(role).borrow_mut().info.has_chat_template = false;
        self
    }

    /// Offers a model whose residual stream is so wide.
    #[must_use]
    pub fn with_width(self, role: &str, width: u32) -> Self {
        self.script(role).borrow_mut().info.width = width;
        self
    }

    /// Binds a judge that gives these verdicts, one after the other, and then fails.
    #[must_use]
    pub fn verdicts(self, judge: &str, verdicts: impl IntoIterator<Item = Verdict>) -> Self {
        let mut verdicts = verdicts.into_iter().collect::<Vec<_>>().into_iter();
        self.judge_with(judge, move |_| verdicts.next().ok_or_else(exhausted))
    }

    /// Binds a judge whose verdicts a function gives.
    #[must_use]
    pub fn judge_with(
        self,
        judge: &str,
        assess: impl FnMut(&Exchange) -> Result<Verdict, HostError> + 'static,
    ) -> Self {
        self.judges.borrow_mut().insert(judge.to_owned(), Box::new(assess));
        self
    }

    /// The prompts that a role's model was given, in order.
    pub fn prompts(&self, role: &str) -> Vec<Prompt> {
        self.asked(role).into_iter().map(|(prompt, _)| prompt).collect()
    }

    /// The prompts that a role's model was given with the sampling settings of each, in order.
    pub fn asked(&self, role: &str) -> Vec<(Prompt, Sampling)> {
        self.models.borrow().get(role).map(|script| script.borrow().prompts.clone()).unwrap_or_default()
    }

    /// What a role's model was asked to score, in order.
    pub fn score_requests(&self, role: &str) -> Vec<ScoreRequest> {
        self.models.borrow().get(role).map(|script| script.borrow().scored.clone()).unwrap_or_default()
    }

    /// The exchanges that a judge was shown, in order.
    pub fn exchanges(&self, judge: &str) -> Vec<Exchange> {
        let shown = self.exchanges.borrow();
        shown.iter().filter(|(name, _)| name == judge).map(|(_, exchange)| exchange.clone()).collect()
    }

    /// What was written to the log.
    pub fn lines(&self) -> Vec<(Level, String)> {
        self.lines.borrow().clone()
    }

    fn script(&self, role: &str) -> Rc<RefCell<Script>> {
        let mut models = self.models.borrow_mut();
        Rc::clone(models.entry(role.to_owned()).or_insert_with(|| Rc::new(RefCell::new(Script::new(role)))))
    }
}

impl Script {
    fn new(role: &str) -> Self {
        let info = ModelInfo {
            name: role.to_owned(),
            architecture: "mock".to_owned(),
            quantisation: "F32".to_owned(),
            layers: 1,
            width: 1,
            vocabulary: 256,
            context: 1024,
            has_chat_template: true,
        };
        Self {
            info,
            sampling: sampling(),
            generate: None,
            score: None,
            read: None,
            prompts: Vec::new(),
            scored: Vec::new(),
            inside: inside::Inside::default(),
        }
    }
}

impl Host for MockHost {
    type Model = MockModel;

    fn model(&self, role: &str) -> Result<MockModel, HostError> {
        let script = self.models.borrow().get(role).map(Rc::clone);
        let model = script.map(|script| MockModel { script, in_force: InForce::default() });
        model.ok_or_else(|| HostError::Denied(format!("no model is scripted as `{role}`")))
    }

    fn assess(&self, judge: &str, exchanges: &[Exchange]) -> Vec<Result<Verdict, HostError>> {
        self.exchanges
            .borrow_mut()
            .extend(exchanges.iter().map(|exchange| (judge.to_owned(), exchange.clone())));
        let mut judges = self.judges.borrow_mut();
        let mut answer = |exchange: &Exchange| match judges.get_mut(judge) {
            Some(assess) => assess(exchange),
            None => Err(HostError::Denied(format!("no judge is scripted as `{judge}`"))),
        };
        exchanges.iter().map(&mut answer).collect()
    }

    fn log(&self, level: Level, text: &str) {
        self.lines.borrow_mut().push((level, text.to_owned()));
    }

    fn progress(&self, done: u64, total: u64, what: &str) {
        self.log(Level::Info, &format!("{done}/{total} {what}"));
    }
}

impl Model for MockModel {
    fn info(&self) -> ModelInfo {
        self.script.borrow().info.clone()
    }

    fn sampling(&self) -> Sampling {
        self.script.borrow().sampling.clone()
    }

    /// A prompt has as many tokens as words.
    fn count_tokens(&self, prompt: &Prompt) -> Result<u32, HostError> {
        let tokens = self.tokenize(prompt)?.len();
        u32::try_from(tokens).map_err(|_| HostError::Limit("too many words".to_owned()))
    }

    /// Equal words are equal tokens.
    fn tokenize(&self, prompt: &Prompt) -> Result<Vec<u32>, HostError> {
        if let Prompt::Tokens(tokens) = prompt {
            return Ok(tokens.clone());
        }
        let token = |word: &str| {
            word.bytes().fold(0, |token: u32, byte| token.wrapping_mul(31).wrapping_add(u32::from(byte)))
        };
        Ok(self.render(prompt)?.split_whitespace().map(token).collect())
    }

    fn render(&self, prompt: &Prompt) -> Result<String, HostError> {
        Ok(match prompt {
            Prompt::Text(text) => text.clone(),
            Prompt::Chat(chat) if self.script.borrow().info.has_chat_template => rendered(chat),
            Prompt::Chat(_) => {
                return Err(HostError::Unsupported("this model has no chat template".to_owned()));
            }
            Prompt::Tokens(tokens) => match &self.script.borrow().read {
                Some(read) => read(tokens),
                None => format!("{tokens:?}"),
            },
        })
    }

    fn generate(&self, prompts: &[Prompt], sampling: &Sampling) -> Vec<Result<Completion, HostError>> {
        let answer = |prompt: &Prompt| {
            self.render(prompt)?;
            let mut script = self.script.borrow_mut();
            script.prompts.push((prompt.clone(), sampling.clone()));
            match &mut script.generate {
                Some(generate) => generate(prompt, sampling, &self.in_force),
                None => Err(exhausted()),
            }
        };
        prompts.iter().map(answer).collect()
    }

    fn score(&self, requests: &[ScoreRequest]) -> Vec<Result<Vec<ContinuationScore>, HostError>> {
        let answer = |request: &ScoreRequest| {
            self.render(&request.prompt)?;
            let mut script = self.script.borrow_mut();
            script.scored.push(request.clone());
            match &mut script.score {
                Some(score) => score(request, &self.in_force),
                None => Err(exhausted()),
            }
        };
        requests.iter().map(answer).collect()
    }
}

/// A completion that ended by itself, without reasoning.
pub fn completion(text: &str) -> Completion {
    Completion {
        text: text.to_owned(),
        reasoning: None,
        tokens: Vec::new(),
        prompt_tokens: 1,
        finish: Finish::Stop,
        logprobs: Vec::new(),
        flagged: None,
    }
}

/// Scores with these log-likelihoods.
pub fn scores(logprobs: impl IntoIterator<Item = f32>) -> Vec<ContinuationScore> {
    let score = |logprob| ContinuationScore { logprob, token_logprobs: vec![logprob], is_greedy: false };
    logprobs.into_iter().map(score).collect()
}

/// Greedy, 256 tokens.
pub fn sampling() -> Sampling {
    Sampling {
        max_tokens: 256,
        temperature: 0.0,
        top_p: 1.0,
        top_k: 0,
        min_p: 0.0,
        repetition_penalty: 1.0,
        seed: None,
        stop: Vec::new(),
        grammar: None,
        logprobs: None,
        thinking: None,
    }
}

/// Checks that a plugin's parameters are what its description says: the defaults of the schema are those of the type,
/// each name is known to the type, those of numbers and lists without a default among them, and another name is refused.
///
/// # Errors
/// When they differ; the text says where.
pub fn check_parameters<P: DeserializeOwned + Default + PartialEq>(about: &About) -> Result<(), String> {
    let schema: Json = serde_json::from_str(&about.parameters_schema).map_err(|error| error.to_string())?;
    let properties =
        schema.get("properties").and_then(Json::as_object).ok_or("the schema lists no properties")?;
    // One without a default is for the plugin to choose: null reads as an `Option` and as nothing else.
    let default = |property: &Json| property.get("default").cloned().unwrap_or(Json::Null);
    let defaults: serde_json::Map<String, Json> =
        properties.iter().map(|(name, property)| (name.clone(), default(property))).collect();
    let read: P = crate::export::read_parameters(&Json::from(defaults).to_string())?;
    if read != P::default() {
        return Err("the schema's defaults differ from the type's".to_owned());
    }
    match crate::export::read_parameters::<P>(r#"{"no-such-parameter": 1}"#) {
        Ok(_) => Err("an unknown parameter was not refused".to_owned()),
        Err(_) => Ok(()),
    }
}

fn exhausted() -> HostError {
    HostError::Engine("the script has no answer left".to_owned())
}

fn rendered(chat: &Chat) -> String {
    chat.messages.iter().map(|message| format!("{:?}: {}\n", message.role, message.content)).collect()
}
