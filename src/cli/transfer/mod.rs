//! `switchhook export` and `import`: accounts, webhooks and callflows in a file, for keeping them in git and for
//! many servers that are to have the same.

mod canonical;
mod daemon;
mod file;
mod kazoo;
mod plan;

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use reqwest::Method;
use serde_json::Value;
use switchhook::config::Config;
use switchhook::store::StoreError;

use self::file::{Account, Format, Tree};
use self::plan::{Action, Difference, Kind, Plan, Step, plan};
use super::rest::{Rest, RestError, part};
use super::{EXIT_FAILURE, EXIT_USAGE, counted, printable, runtime};

/// What `export` takes.
#[derive(clap::Args)]
pub(super) struct Export {
    /// How it is written
    #[arg(long, value_enum, default_value = "json")]
    format: Format,
    /// Only this account and those below it
    #[arg(long, short = 'A')]
    account: Option<String>,
    /// With the signing secrets, which are read from the database
    #[arg(long)]
    secrets: bool,
}

/// What `import` takes.
#[derive(clap::Args)]
pub(super) struct Import {
    /// What `export` wrote, or a file like it; - for standard input
    file: PathBuf,
    /// Only show what would be another
    #[arg(long)]
    dry_run: bool,
    /// Remove webhooks and callflows that the file does not have, of the accounts whose webhooks or callflows it names
    #[arg(long)]
    prune: bool,
    /// The file has webhook documents of Kazoo: of its database, or answers of its API
    #[arg(long)]
    kazoo: bool,
    /// With --kazoo: the account that gets all of them, instead of the one that each names
    #[arg(long, short = 'A', requires = "kazoo")]
    account: Option<String>,
}

/// Why it did not work.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    Rest(#[from] RestError),
    #[error("cannot read the secrets: {0}")]
    Secrets(#[from] StoreError),
    #[error("{0}")]
    Unsayable(String),
    #[error("there is no account {0}")]
    NoAccount(String),
    /// Each is named, and nothing was changed.
    #[error("{}\n{} mistake(s); nothing was changed", .0.join("\n"), .0.len())]
    Mistakes(Vec<String>),
    #[error(
        "{what}: {source}\n{done} of {all} changes were made before; mend this and import again"
    )]
    Halfway {
        what: String,
        source: Box<RestError>,
        done: usize,
        all: usize,
    },
}

pub(super) fn export(config: &Config, options: &Export) -> ExitCode {
    finish(run(write_out(config, options)))
}

pub(super) fn import(config: &Config, options: &Import) -> ExitCode {
    finish(run(bring_in(config, options)))
}

fn run(work: impl Future<Output = Result<(), Problem>>) -> Result<(), Problem> {
    match runtime() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => Err(Problem::Unsayable(error.to_string())),
    }
}

fn finish(done: Result<(), Problem>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(match problem {
                Problem::Mistakes(_) => EXIT_USAGE,
                _ => EXIT_FAILURE,
            })
        }
    }
}

async fn write_out(config: &Config, options: &Export) -> Result<(), Problem> {
    let rest = Rest::of(config)?;
    let mut tree = daemon::accounts(&rest).await?;
    if let Some(top) = &options.account {
        if !tree.contains_key(top) {
            return Err(Problem::NoAccount(top.clone()));
        }
        let below: Vec<Value> = rest
            .list(
                &format!("/v2/accounts/{}/descendants", part(top)),
                usize::MAX,
            )
            .await?;
        tree.retain(|id, _| id == top || below.iter().any(|account| account["id"] == **id));
    }
    let secrets = match options.secrets {
        true => daemon::secrets(config)?,
        false => HashMap::new(),
    };
    let mut headers = 0;
    for (id, account) in &mut tree {
        let mut webhooks = daemon::webhooks(&rest, id, &secrets).await?;
        for webhook in webhooks.values_mut() {
            if !options.secrets {
                webhook.shift_remove("secret");
            }
            *webhook = canonical::webhook_without_defaults(webhook);
            headers += usize::from(webhook.contains_key("custom_request_headers"));
        }
        account.webhooks = Some(webhooks);
        account.callflows = Some(daemon::callflows(&rest, id).await?);
    }
    let text = file::write(&tree, options.format).map_err(Problem::Unsayable)?;
    say!("{}", text.trim_end());
    if headers > 0 {
        eprintln!(
            "{} with custom_request_headers, which are written as they are: where they hold passwords, keep the file as you keep those",
            counted(headers, "webhook")
        );
    }
    Ok(())
}

async fn bring_in(config: &Config, options: &Import) -> Result<(), Problem> {
    let in_file = |mistakes: Vec<String>| {
        let place = options.file.display();
        Problem::Mistakes(
            mistakes
                .iter()
                .map(|mistake| format!("{place}: {mistake}"))
                .collect(),
        )
    };
    let text = text_of(&options.file).map_err(|error| in_file(vec![error.to_string()]))?;
    let format = format_of(&options.file, &text);
    let rest = Rest::of(config)?;
    let mut wanted = match options.kazoo {
        true => {
            let found = kazoo::read(&text, options.account.as_deref()).map_err(in_file)?;
            found.report();
            found.tree
        }
        false => file::read(&text, format).map_err(in_file)?,
    };
    let mut present = daemon::accounts(&rest).await?;
    if options.kazoo {
        kazoo::name_accounts(&mut wanted, &present);
    }
    let secrets = match names_secrets(&wanted) {
        true => daemon::secrets(config)?,
        false => HashMap::new(),
    };
    for id in wanted.keys() {
        if let Some(account) = present.get_mut(id) {
            account.webhooks = Some(daemon::webhooks(&rest, id, &secrets).await?);
            account.callflows = Some(daemon::callflows(&rest, id).await?);
        }
    }
    let plan = plan(&wanted, &present, options.prune).map_err(in_file)?;
    carry_out(&rest, &plan, options.dry_run).await?;
    sum_up(&plan, options.dry_run);
    Ok(())
}

fn text_of(path: &Path) -> std::io::Result<String> {
    if path != Path::new("-") {
        return std::fs::read_to_string(path);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

/// By the name of the file; where that says nothing, JSON begins with a brace, which TOML never does.
fn format_of(path: &Path, text: &str) -> Format {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("toml") => Format::Toml,
        Some("json") => Format::Json,
        _ if text.trim_start().starts_with('{') => Format::Json,
        _ => Format::Toml,
    }
}

fn names_secrets(tree: &Tree) -> bool {
    let webhooks = tree
        .values()
        .filter_map(|account: &Account| account.webhooks.as_ref());
    webhooks
        .flat_map(|all| all.values())
        .any(|webhook| webhook.get("secret").is_some_and(Value::is_string))
}

async fn carry_out(rest: &Rest, plan: &Plan, dry_run: bool) -> Result<(), Problem> {
    for (done, step) in plan.steps.iter().enumerate() {
        if !dry_run {
            let (method, path, data) = request(step);
            rest.call(method, &path, data)
                .await
                .map_err(|source| Problem::Halfway {
                    what: title(step),
                    source: Box::new(source),
                    done,
                    all: plan.steps.len(),
                })?;
        }
        show(step);
    }
    Ok(())
}

fn request(step: &Step) -> (Method, String, Option<Value>) {
    let (account, id) = (part(&step.account), part(&step.id));
    let all = match (step.kind, &step.action) {
        (Kind::Account, Action::Make(_, Some(parent))) => format!("/v2/accounts/{}", part(parent)),
        (Kind::Account, _) => "/v2/accounts".into(),
        (kind, _) => format!("/v2/accounts/{account}/{}s", kind.word()),
    };
    let one = format!("{all}/{id}");
    let data = |document: &switchhook::hook::Document| Some(Value::Object(document.clone()));
    match &step.action {
        Action::Make(document, _) => (Method::PUT, format!("{all}?id={id}"), data(document)),
        Action::Change(document) => (Method::POST, one, data(document)),
        Action::Release(patch) => (Method::PATCH, one, data(patch)),
        Action::Remove => (Method::DELETE, one, None),
    }
}

fn title(step: &Step) -> String {
    let path = match step.kind {
        Kind::Account => step.id.clone(),
        _ => format!("{}/{}", step.account, step.id),
    };
    let name = match step.name.is_empty() {
        true => String::new(),
        false => format!(" {:?}", printable(&step.name)),
    };
    format!("{} {path}{name}", step.kind.word())
}

fn show(step: &Step) {
    let sign = match step.action {
        // The change that it is part of is shown.
        Action::Release(_) => return,
        Action::Make(..) => '+',
        Action::Change(_) => '~',
        Action::Remove => '-',
    };
    mention!("{sign} {}", title(step));
    for (field, before, after) in step.differences.iter().map(masked) {
        let text = |value: Option<Value>| value.map(|value| printable(&value.to_string()));
        match (text(before), text(after)) {
            (None, Some(after)) => mention!("    {field}: {after}"),
            (Some(before), None) => mention!("    {field}: {before} → nothing"),
            (before, after) => mention!(
                "    {field}: {} → {}",
                before.unwrap_or_default(),
                after.unwrap_or_default()
            ),
        };
    }
}

/// A difference as a terminal may show it: not what secrets and headers say.
fn masked((field, before, after): &Difference) -> (String, Option<Value>, Option<Value>) {
    let is_hidden = field == "secret" || field.starts_with("custom_request_headers");
    let mask = |value: &Option<Value>| match is_hidden {
        true => value.as_ref().map(|_| "***".into()),
        false => value.clone(),
    };
    (printable(field), mask(before), mask(after))
}

fn sum_up(plan: &Plan, dry_run: bool) {
    let count = |is: fn(&Action) -> bool| plan.steps.iter().filter(|step| is(&step.action)).count();
    let (made, changed, removed) = (
        count(|action| matches!(action, Action::Make(..))),
        count(|action| matches!(action, Action::Change(_))),
        count(|action| matches!(action, Action::Remove)),
    );
    let (make, change, remove) = match dry_run {
        true => ("would make", "change", "remove"),
        false => ("made", "changed", "removed"),
    };
    match made + changed + removed {
        0 => say!("nothing to change: {} as the file says", plan.same),
        _ => say!(
            "{make} {made}, {change} {changed}, {remove} {removed}; {} as the file says",
            plan.same
        ),
    }
    if plan.beyond > 0 {
        say!(
            "{} here that the file does not have (--prune removes them)",
            plan.beyond
        );
    }
}
