//! Walks a flow over a live call.
//!
//! Whatever goes wrong, the call goes back to the dialplan with a word on what it was: only a hang-up, a
//! transfer or an answer by somebody ends it elsewhere. What was queued is delivered all the same.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::select;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{info, warn};

use super::action::{WebhookAction, data_of, hook_document, stored_hook, wait_of};
use super::desk::{Desk, DeskError, StoredFlow, WebhookAnswer};
use super::flow::{FETCHES, Flow, Kind, Node, Rules};
use super::modules::{Act, Application, MENU_VARIABLE, Scene};
use super::path::Path;
use super::report::{Outcome, Report, WebhookResult};
use super::schema::Data;
use super::text::REMOTE_VARIABLES;
use crate::call::{TrackerConfig, fact_of_action};
use crate::esl::{Limits, Outbound, OutboundError};
use crate::hook::{Hook, Verb};

/// Steps of a call at most.
pub(super) const STEPS: usize = 100;
/// The header with the state that a leg is in or is about to be in.
const STATE: &str = "Channel-State-Number";
/// How long the store may take for a webhook.
const COMMIT: Duration = Duration::from_secs(1);

/// How callflows are run.
#[derive(Debug, Clone)]
pub struct CallflowConfig {
    /// Calls at once; the next is handed back at once.
    pub sessions: usize,
    /// How long the switch may take for what takes it no time.
    pub patience: Duration,
    /// How large a frame of the switch may be.
    pub limits: Limits,
    /// The modules that a flow fetched by GET may use (`[callflow] remote_modules`).
    pub remote_modules: Vec<String>,
    /// The channel variables that it may set (`[callflow] remote_variables`): names, or with a `*` at the end how
    /// they begin.
    pub remote_variables: Vec<String>,
    /// The domain of users and mailboxes (`[callflow] domain`); the call's own where there is none.
    pub domain: Option<String>,
    /// How a leg is read (`[events]`).
    pub tracker: TrackerConfig,
}

/// The modules that a flow fetched by GET may use, unless `[callflow] remote_modules` says otherwise.
pub const REMOTE_MODULES: [&str; 8] = [
    "play",
    "say",
    "sleep",
    "set_variables",
    "menu",
    "response",
    "hangup",
    "webhook",
];

impl Default for CallflowConfig {
    fn default() -> Self {
        Self {
            sessions: 2_000,
            patience: Duration::from_secs(5),
            limits: Limits {
                head: 1024 * 1024,
                body: 1024 * 1024,
            },
            remote_modules: REMOTE_MODULES.map(str::to_owned).to_vec(),
            remote_variables: REMOTE_VARIABLES.map(str::to_owned).to_vec(),
            domain: None,
            tracker: TrackerConfig::default(),
        }
    }
}

/// How a walk ended with the call still ours.
pub(super) enum Ended {
    /// There is no next step.
    Done,
    /// Somebody answered, and the switch hangs up when they have talked; or the call was sent elsewhere.
    Answered,
    /// The call is to be sent elsewhere.
    Leave(Application),
}

/// Why a walk does not go on.
enum Halt {
    /// The call is gone.
    Over(OutboundError),
    /// It must not; the report says why.
    Stop,
}

/// A node to be visited, and how many fetches led to it.
struct Place {
    node: Arc<Node>,
    fetches: usize,
}

/// One call on its way through a flow.
pub(super) struct Walk<'a, D> {
    call: &'a mut Outbound,
    desk: &'a Arc<D>,
    config: &'a CallflowConfig,
    report: &'a mut Report,
    account: Arc<str>,
    /// The state in which the call is as long as it is in `socket`: CS_EXECUTE, for most.
    state: Option<Vec<u8>>,
    /// The callflows that it is or was in.
    visited: Vec<Arc<str>>,
    places: Vec<Place>,
    steps: usize,
}

impl<'a, D: Desk> Walk<'a, D> {
    pub(super) fn new(
        call: &'a mut Outbound,
        desk: &'a Arc<D>,
        config: &'a CallflowConfig,
        report: &'a mut Report,
    ) -> Self {
        let fact = fact_of_action(call.channel(), &desk.accounts(), &config.tracker);
        let state = call.channel().raw(STATE).map(<[u8]>::to_vec);
        Self {
            state,
            call,
            desk,
            config,
            report,
            account: fact.account_id,
            visited: Vec::new(),
            places: Vec::new(),
            steps: 0,
        }
    }

    /// Runs what the call asks for.
    ///
    /// # Errors
    /// The call is gone.
    pub(super) async fn run(mut self, path: Path) -> Result<Ended, OutboundError> {
        let ended = match path {
            Path::Webhook => self.run_variables().await,
            Path::Hook(id) => self.run_hook(&id).await,
            Path::Callflow(id) => {
                let desk = Arc::clone(self.desk);
                let account = Arc::clone(&self.account);
                let what = format!("account {account} has no callflow {id:?}");
                self.run_stored(desk.callflow(&account, &id), &what).await
            }
            Path::Number => {
                let desk = Arc::clone(self.desk);
                let account = Arc::clone(&self.account);
                let number = self.call.channel().text("Caller-Destination-Number");
                let number = number.unwrap_or_default().into_owned();
                let what = format!(
                    "account {account} has no callflow with the number {number:?} or \"no_match\""
                );
                self.run_stored(desk.callflow_for_number(&account, &number), &what)
                    .await
            }
            Path::Unknown(path) => {
                self.not_found(&format!("nothing is run by the path /{path}"));
                Ok(Ended::Done)
            }
        };
        match ended {
            Ok(ended) => Ok(ended),
            Err(Halt::Stop) => Ok(Ended::Done),
            Err(Halt::Over(reason)) => Err(reason),
        }
    }

    /// `/webhook`: a flow of one action, its data from the channel variables.
    async fn run_variables(&mut self) -> Result<Ended, Halt> {
        let channel = self.call.channel();
        let data = data_of(|field| channel.variable(&format!("webhook_{field}")));
        let flow = data.and_then(|data| {
            let flow = json!({ "module": "webhook", "data": data });
            Flow::read(&flow, &Rules::variables())
        });
        match flow {
            Ok(flow) => self.walk(flow).await,
            Err(mistakes) => {
                self.complain(&format!("the variables webhook_*: {mistakes}"));
                Ok(Ended::Done)
            }
        }
    }

    /// `/webhook/ID`: a stored hook as an action.
    async fn run_hook(&mut self, id: &str) -> Result<Ended, Halt> {
        let desk = Arc::clone(self.desk);
        let hook = match stored_hook(&self.account, id, |account, id| desk.hook(account, id)) {
            Ok(hook) => hook,
            Err(error) => {
                self.not_found(&error.to_string());
                return Ok(Ended::Done);
            }
        };
        let said = self.call.channel().variable("webhook_wait_ms");
        let said = said.and_then(|ms| ms.trim().parse::<u64>().ok());
        let answer = self.send(&hook, said.map(|ms| ms.min(60_000))).await?;
        if let Some(flow) = self.instructions(&hook, answer, "webhook", 0) {
            self.places.push(Place {
                node: flow.root,
                fetches: 1,
            });
        }
        self.go().await
    }

    async fn run_stored(
        &mut self,
        find: impl Future<Output = Result<Option<StoredFlow>, DeskError>>,
        what: &str,
    ) -> Result<Ended, Halt> {
        match self.find(find).await {
            Ok(Some((id, flow))) => {
                self.visited.push(id);
                self.walk(flow).await
            }
            Ok(None) => {
                self.not_found(what);
                Ok(Ended::Done)
            }
            Err(halt) => Err(halt),
        }
    }

    /// Looks a callflow up, and reads it.
    async fn find(
        &mut self,
        find: impl Future<Output = Result<Option<StoredFlow>, DeskError>>,
    ) -> Result<Option<(Arc<str>, Flow)>, Halt> {
        let found = timeout(self.config.patience, find).await;
        let problem = match found {
            Ok(Ok(None)) => return Ok(None),
            Ok(Ok(Some(stored))) => match Flow::read(&stored.flow, &Rules::running()) {
                Ok(flow) => return Ok(Some((stored.id, flow))),
                Err(mistakes) => format!("callflow {}: {mistakes}", stored.id),
            },
            Ok(Err(error)) => format!("the callflow cannot be looked up: {error}"),
            Err(_) => format!(
                "the callflow cannot be looked up: the store did not answer within {:?}",
                self.config.patience
            ),
        };
        self.complain(&problem);
        Err(Halt::Stop)
    }

    async fn walk(&mut self, flow: Flow) -> Result<Ended, Halt> {
        self.places = vec![Place {
            node: flow.root,
            fetches: 0,
        }];
        self.go().await
    }

    async fn go(&mut self) -> Result<Ended, Halt> {
        while let Some(place) = self.places.pop() {
            self.steps += 1;
            if self.steps > STEPS {
                self.complain(&format!("a call takes {STEPS} steps at most"));
                return Err(Halt::Stop);
            }
            let ended = self.step(&place).await?;
            if self.has_left() {
                return Ok(Ended::Answered);
            }
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
        Ok(Ended::Done)
    }

    /// Takes a step, and notes where to go from there.
    async fn step(&mut self, place: &Place) -> Result<Option<Ended>, Halt> {
        let node = &place.node;
        let (module, data) = match &node.kind {
            Kind::Module(module, data) if !node.skip => (module, data),
            Kind::Module(..) => {
                self.proceed(place, &[]);
                return Ok(None);
            }
            Kind::Unknown(id) => {
                warn!(
                    call_id = %self.call.uuid(),
                    path = node.path,
                    "there is no module {id:?}: passed over"
                );
                self.proceed(place, &[]);
                return Ok(None);
            }
        };
        let domain = self.domain();
        let keys: Vec<&str> = node.children.iter().map(|(key, _)| &**key).collect();
        let scene = Scene {
            domain: domain.as_deref(),
            keys: &keys,
        };
        let act = (module.act)(data, &scene);
        if !matches!(act, Act::Webhook) {
            self.tell_news().await?;
        }
        match act {
            Act::Run(applications) => {
                self.execute_all(&applications).await?;
                self.proceed(place, &[]);
            }
            Act::End(applications) => {
                self.execute_all(&applications).await?;
                return Ok(Some(Ended::Done));
            }
            Act::Leave(application) => return Ok(Some(Ended::Leave(application))),
            Act::Bridge(bridge) => match self.bridge(&bridge).await? {
                true => return Ok(Some(Ended::Answered)),
                false => self.proceed(place, &[]),
            },
            Act::Menu(applications) => {
                self.execute_all(&applications).await?;
                let pressed = self.call.channel().variable(MENU_VARIABLE);
                let invalid = format!("{MENU_VARIABLE}_invalid");
                let refused = self.call.channel().variable(&invalid).is_some();
                match pressed {
                    Some(pressed) => {
                        let pressed = pressed.into_owned();
                        self.proceed(place, &[&pressed]);
                    }
                    None if refused => self.proceed(place, &[]),
                    None => self.proceed(place, &["timeout"]),
                }
            }
            Act::Jump(id) => self.jump(place, id).await?,
            Act::Webhook => self.webhook(place, data).await?,
        }
        Ok(None)
    }

    /// Goes on to the child with one of these keys, or to `_`.
    fn proceed(&mut self, place: &Place, keys: &[&str]) {
        if let Some((_, node)) = place.node.next(keys) {
            self.places.push(Place {
                node: Arc::clone(node),
                fetches: place.fetches,
            });
        }
    }

    async fn execute_all(&mut self, applications: &[Application]) -> Result<(), Halt> {
        // What they change is told and restored later: a socket that is not asynchronous would not say.
        self.follow().await?;
        for application in applications {
            let limit = application.limit;
            let ran = self
                .call
                .execute(application.name, &application.argument, limit)
                .await;
            self.outlive(ran)?;
            if self.has_left() {
                break;
            }
        }
        Ok(())
    }

    async fn follow(&mut self) -> Result<(), Halt> {
        let followed = self.call.follow().await;
        self.outlive(followed)
    }

    /// What goes wrong is noted and the walk goes on, unless the call is gone or is still busy.
    fn outlive(&mut self, done: Result<(), OutboundError>) -> Result<(), Halt> {
        match done {
            Ok(()) => Ok(()),
            Err(reason) if reason.is_over() => Err(Halt::Over(reason)),
            Err(reason) => {
                self.complain(&reason.to_string());
                match reason {
                    OutboundError::TimedOut { .. } => Err(Halt::Stop),
                    _ => Ok(()),
                }
            }
        }
    }

    /// Calls somebody; whether somebody answered.
    async fn bridge(&mut self, bridge: &Application) -> Result<bool, Halt> {
        // Without the one the switch hangs up on a caller whom nobody answers, without the other it would
        // keep one whose partner has left. Both are put back as they were.
        const RULES: [&str; 2] = ["continue_on_fail", "hangup_after_bridge"];
        self.follow().await?;
        let before = RULES.map(|name| {
            let value = self.call.channel().variable(name);
            (name, value.unwrap_or_default().into_owned())
        });
        let [fail, after] = RULES;
        let set = self
            .call
            .set(&[
                (fail, "true"),
                (after, "true"),
                ("originate_disposition", ""),
                ("cc_cause", ""),
            ])
            .await;
        self.outlive(set)?;
        let ran = self
            .call
            .execute(bridge.name, &bridge.argument, bridge.limit)
            .await;
        self.outlive(ran)?;
        if self.is_answered() {
            return Ok(true);
        }
        let before = before.each_ref().map(|(name, value)| (*name, &**value));
        let set = self.call.set(&before).await;
        self.outlive(set)?;
        Ok(false)
    }

    /// Whether somebody has answered what was just run, and the call is still there.
    fn is_answered(&self) -> bool {
        let channel = self.call.channel();
        // mod_callcenter is done as soon as it has bridged the agent: they begin to talk now.
        if channel.variable("cc_cause").as_deref() == Some("answered") {
            return true;
        }
        // `originate_disposition` is SUCCESS for early media as well. Had somebody answered, the call would be
        // hung up by now, unless it was sent elsewhere.
        self.has_left()
    }

    /// Whether the call has left `socket`: somebody has hung it up or sent it elsewhere. What we say is still
    /// heard there, and would be run in the midst of what it does now.
    fn has_left(&self) -> bool {
        let state = self.call.channel().raw(STATE);
        state.is_some() && state != self.state.as_deref()
    }

    async fn jump(&mut self, place: &Place, id: String) -> Result<(), Halt> {
        if self.visited.iter().any(|visited| **visited == *id) {
            self.complain(&format!(
                "{}: callflow {id} leads back to itself",
                place.node.path
            ));
            return Err(Halt::Stop);
        }
        let desk = Arc::clone(self.desk);
        let account = Arc::clone(&self.account);
        match self.find(desk.callflow(&account, &id)).await? {
            Some((id, flow)) => {
                self.visited.push(id);
                self.places = vec![Place {
                    node: flow.root,
                    fetches: 0,
                }];
            }
            None => {
                warn!(
                    call_id = %self.call.uuid(),
                    path = place.node.path,
                    "there is no callflow {id:?}: passed over"
                );
                self.proceed(place, &[]);
            }
        }
        Ok(())
    }

    /// The webhook module: sends, waits, and runs what was answered before the child.
    async fn webhook(&mut self, place: &Place, data: &Data) -> Result<(), Halt> {
        let path = &place.node.path;
        let callflow = self.visited.last();
        let name = match callflow {
            Some(id) => format!("callflow {id} {path}"),
            None => path.clone(),
        };
        let document = hook_document(data.document(), &name);
        let hook = match Hook::ad_hoc(&self.account, document) {
            Ok(hook) => Arc::new(hook),
            Err(mistakes) => {
                self.complain(&format!("{path}: {mistakes}"));
                self.proceed(place, &["failure"]);
                return Ok(());
            }
        };
        let said = data
            .document()
            .get("wait_ms")
            .and_then(Value::as_f64)
            .map(|ms| ms as u64);
        let answer = self.send(&hook, said).await?;
        let keys: &[&str] = match &answer {
            Sent::Queued => &[],
            Sent::Answered(answer) if answer.success => &["success"],
            _ => &["failure"],
        };
        self.proceed(place, keys);
        if let Some(flow) = self.instructions(&hook, answer, path, place.fetches) {
            self.places.push(Place {
                node: flow.root,
                fetches: place.fetches + 1,
            });
        }
        Ok(())
    }

    /// Queues an action and waits for its answer as long as the call may wait.
    async fn send(&mut self, hook: &Arc<Hook>, said: Option<u64>) -> Result<Sent, Halt> {
        let started = Instant::now();
        let wait = wait_of(said, hook.settings.verb);
        let accounts = self.desk.accounts();
        let fact = fact_of_action(self.call.channel(), &accounts, &self.config.tracker);
        let action = WebhookAction {
            fact,
            hook: Arc::clone(hook),
            wait,
            // No more than STEPS.
            step: u16::try_from(self.steps).unwrap_or(u16::MAX),
        };
        let sent = self.exchange(action, started + wait).await?;
        let (result, status) = match &sent {
            Sent::Queued => (WebhookResult::Queued, None),
            Sent::Answered(answer) if answer.success => (WebhookResult::Success, answer.status),
            Sent::Answered(answer) => (WebhookResult::Failure, answer.status),
            Sent::Unsent => (WebhookResult::Failure, None),
            Sent::TimedOut => (WebhookResult::Timeout, None),
        };
        self.report.webhook(Outcome {
            result,
            status,
            time: started.elapsed(),
        });
        Ok(sent)
    }

    async fn exchange(&mut self, action: WebhookAction, deadline: Instant) -> Result<Sent, Halt> {
        let wait = action.wait;
        let off = (!action.hook.is_on()).then(|| format!("webhook {} is disabled", action.hook.id));
        let desk = Arc::clone(self.desk);
        // A task of its own: a caller who hangs up does not keep it from being stored.
        let queueing = tokio::spawn(async move { desk.queue(action).await });
        let queued = select! {
            queued = timeout(COMMIT.max(wait), queueing) => queued,
            reason = self.call.over() => return Err(Halt::Over(reason)),
        };
        let problem = match queued {
            Ok(Ok(Ok(answer))) => match off {
                None if wait.is_zero() => return Ok(Sent::Queued),
                None => {
                    return select! {
                        answer = timeout_at(deadline, answer) => Ok(match answer {
                            Ok(Ok(answer)) => Sent::Answered(answer),
                            Ok(Err(_)) => Sent::Unsent,
                            Err(_) => Sent::TimedOut,
                        }),
                        reason = self.call.over() => Err(Halt::Over(reason)),
                    };
                }
                Some(off) => off,
            },
            Ok(Ok(Err(error))) => format!("the webhook cannot be stored: {error}"),
            Ok(Err(panic)) => format!("the webhook cannot be stored: {panic}"),
            Err(_) => "the webhook cannot be stored: the store did not answer in time".to_owned(),
        };
        self.complain(&problem);
        Ok(Sent::Unsent)
    }

    /// The flow in an answer, where the action has asked for one.
    fn instructions(
        &mut self,
        hook: &Hook,
        sent: Sent,
        path: &str,
        fetches: usize,
    ) -> Option<Flow> {
        let Sent::Answered(answer) = sent else {
            return None;
        };
        if hook.settings.verb != Verb::Get || !answer.success {
            return None;
        }
        let config = self.config;
        let rules = Rules::remote(path, &config.remote_modules, &config.remote_variables);
        match Flow::read_answer(&answer.body, &rules) {
            Ok(flow) if fetches < FETCHES => flow,
            Ok(None) => None,
            Ok(Some(_)) => {
                self.complain(&format!(
                    "{path}: flows fetched by flows go {FETCHES} levels deep at most"
                ));
                None
            }
            Err(mistakes) => {
                self.complain(&format!("the answer cannot be run: {mistakes}"));
                None
            }
        }
    }

    /// Sets the variables of the last webhook action before anything else happens to the call.
    async fn tell_news(&mut self) -> Result<(), Halt> {
        let Some(news) = self.report.news() else {
            return Ok(());
        };
        let news: Vec<(&str, &str)> = news.iter().map(|(name, value)| (*name, &**value)).collect();
        let set = self.call.set(&news).await;
        self.outlive(set)
    }

    /// The domain of users and mailboxes.
    fn domain(&self) -> Option<String> {
        // A dialplan often takes it from what the caller's phone says: nothing but a name may come of it.
        let is_name = |name: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
            name.chars().all(plain)
        };
        let own = || self.call.channel().variable("domain_name");
        match &self.config.domain {
            Some(domain) => Some(domain.clone()),
            None => own()
                .filter(|name| is_name(name))
                .map(|name| name.into_owned()),
        }
    }

    fn complain(&mut self, problem: &str) {
        warn!(call_id = %self.call.uuid(), account_id = %self.account, "callflow: {problem}");
        self.report.complain(problem);
    }

    fn not_found(&mut self, what: &str) {
        info!(call_id = %self.call.uuid(), account_id = %self.account, "callflow: {what}");
        *self.report = Report::not_found(what);
    }
}

/// What came of sending.
enum Sent {
    Queued,
    Answered(WebhookAnswer),
    TimedOut,
    /// There will be no answer.
    Unsent,
}
