//! The web console in a real browser: Debian's chromium, driven by playwright-core, against the real binary.
//!
//! Each story is a script in `tests/console`; pictures of what it saw are kept below `target/tmp/console`. Where
//! chromium, node (20 or later) or the packages from npm cannot be had, the stories are left out, and say so.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

/// Where the stories are.
fn stories() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/console")
}

/// Where chromium is, once node and its packages are there, too; what is lacking otherwise.
fn browser() -> Result<&'static Path, &'static str> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let chromium = PathBuf::from("/usr/bin/chromium");
        if !chromium.exists() {
            return Err("there is no /usr/bin/chromium (apt-get install chromium)".into());
        }
        node()?;
        // What npm has installed last, by its own account.
        let installed = stories().join("node_modules/.package-lock.json");
        let modified = |path: &Path| path.metadata().and_then(|about| about.modified()).ok();
        if modified(&installed) < modified(&stories().join("package-lock.json")) {
            let mut npm = Command::new("npm");
            npm.args(["ci", "--no-audit", "--no-fund", "--fetch-retries=1"]);
            run(npm.current_dir(stories()))?;
        }
        Ok(chromium)
    });
    found.as_deref().map_err(String::as_str)
}

fn run(command: &mut Command) -> Result<String, String> {
    match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok(text(&output)),
        Ok(output) => Err(format!("{command:?}: {}", text(&output))),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}

fn text(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&text).trim().to_owned()
}

/// Whether node is there; what is lacking otherwise.
fn node() -> Result<(), String> {
    let version = run(Command::new("node").arg("--version"))?;
    let major = version.trim_start_matches('v').split('.').next();
    match major.and_then(|major| major.parse::<u32>().ok()) {
        Some(20..) => Ok(()),
        _ => Err(format!(
            "node is too old: {version} (20 or later is needed)"
        )),
    }
}

/// Tells a story to the console at an address; it has to end well.
async fn tell(story: &'static str, chromium: &Path, base: &str, token: &str) {
    let mut node = Command::new("node");
    node.arg(stories().join(format!("{story}.mjs")))
        .env("CONSOLE_CHROMIUM", chromium)
        .env("CONSOLE_BASE", base)
        .env("CONSOLE_TOKEN", token)
        .env(
            "CONSOLE_SHOTS",
            Path::new(env!("CARGO_TARGET_TMPDIR"))
                .join("console")
                .join(story),
        )
        .stdin(Stdio::null());
    let told = tokio::task::spawn_blocking(move || node.output());
    let output = told.await.unwrap().unwrap();
    assert!(output.status.success(), "{story}:\n{}", text(&output));
}

/// `switchhook demo --loop`, as somebody starts it who wants to see what this is.
struct Demo {
    _child: Child,
    output: Lines<BufReader<ChildStdout>>,
    base: String,
    token: String,
}

impl Demo {
    async fn start() -> Self {
        let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_switchhook"))
            .args(["demo", "--loop", "--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut base = None;
        let mut token = None;
        while base.is_none() || token.is_none() {
            let line = output.next_line().await.unwrap();
            let line = line.expect("the demo says where the console is, and its token");
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("console"), Some(address)) => base = Some(address.to_owned()),
                (Some("token"), Some(word)) => token = Some(word.to_owned()),
                _ => {}
            }
        }
        Self {
            _child: child,
            output,
            base: base.unwrap(),
            token: token.unwrap(),
        }
    }

    /// Tells a story while what the demo prints is read, as a terminal does.
    async fn tell(mut self, story: &'static str) {
        let chromium = match browser() {
            Ok(chromium) => chromium,
            Err(lacking) => return println!("LEFT OUT: {story}: {lacking}"),
        };
        tokio::select! {
            () = tell(story, chromium, &self.base, &self.token) => {}
            () = async { while let Ok(Some(_)) = self.output.next_line().await {} } => {
                panic!("{story}: the demo has ended");
            }
        }
    }
}

#[tokio::test]
async fn an_operator_signs_in_and_out() {
    Demo::start().await.tell("sign-in").await;
}

#[tokio::test]
async fn a_callflow_is_built_by_drag_and_drop() {
    Demo::start().await.tell("callflow-drag").await;
}

#[tokio::test]
async fn a_callflow_is_built_by_keyboard() {
    Demo::start().await.tell("callflow-keyboard").await;
}

#[tokio::test]
async fn a_callflow_is_saved_or_thrown_away_as_wanted() {
    Demo::start().await.tell("callflow-saving").await;
}

#[tokio::test]
async fn a_callflow_looks_well_whatever_stands_in_it() {
    Demo::start().await.tell("callflow-looks").await;
}

/// What needs no page is tried without one, by node's own test runner.
#[test]
fn the_tree_of_a_callflow_is_right_before_it_is_drawn() {
    if let Err(lacking) = node() {
        return println!("LEFT OUT: the callflow's model: {lacking}");
    }
    let mut tests = Command::new("node");
    tests
        .arg("--test")
        .arg(stories().join("callflow_model.test.mjs"));
    if let Err(failed) = run(&mut tests) {
        panic!("{failed}");
    }
}
