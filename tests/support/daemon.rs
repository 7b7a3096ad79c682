//! The real binary, started on a directory of its own and spoken to as its users speak to it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// How long a test waits for the daemon before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// The token of the daemons under test.
pub const ADMIN: &str = "admin-token-of-the-tests";

/// Where a daemon keeps its things, and how it is set up: it outlives the daemon, which can be started on it
/// again.
pub struct Home {
    directory: Arc<TempDir>,
    settings: Vec<(String, String)>,
    prelude: Option<String>,
}

impl Home {
    /// A fresh directory; the switch listens on `switch_port`.
    pub fn new(switch_port: u16) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let mut home = Self {
            directory,
            settings: Vec::new(),
            prelude: None,
        };
        let database = home.database();
        home.set("STORE__PATH", database.display());
        home.set("SWITCH__PORT", switch_port);
        home.set("API__LISTEN", "127.0.0.1:0");
        home.set("API__ADMIN_TOKEN", ADMIN);
        home.set("OUTBOUND__LISTEN", "");
        home.set("DELIVERY__RETRY_BASE_MS", 50);
        home
    }

    /// Sets a key of the configuration (`SECTION__KEY`).
    pub fn set(&mut self, key: &str, value: impl ToString) {
        self.settings
            .push((format!("SWITCHHOOK_{key}"), value.to_string()));
    }

    /// Leaves a key to the configuration's file, or to its default.
    pub fn unset(&mut self, key: &str) {
        self.settings
            .retain(|(name, _)| *name != format!("SWITCHHOOK_{key}"));
    }

    pub fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.set(key, value);
        self
    }

    /// Commands of a shell that becomes the daemon.
    pub fn after(mut self, prelude: &str) -> Self {
        self.prelude = Some(prelude.to_owned());
        self
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn database(&self) -> PathBuf {
        self.path().join("switchhook.db")
    }

    /// A command with this home's settings and nothing else of ours in its environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let binary = env!("CARGO_BIN_EXE_switchhook");
        let mut command = match &self.prelude {
            None => Command::new(binary),
            Some(prelude) => {
                let mut shell = Command::new("sh");
                let script = format!("{prelude}; exec \"$0\" \"$@\"");
                shell.args(["-c", &script, binary]);
                shell
            }
        };
        bare(&mut command, arguments);
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    /// A command with nothing of ours in its environment.
    pub fn bare_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchhook"));
        bare(&mut command, arguments);
        command
    }

    /// Starts the daemon and waits until it says that it is ready.
    pub async fn serve(&self) -> Daemon {
        let mut child = self
            .command(&["serve"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let (counter, lines) = watch::channel(0);
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let written = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok(Some(line)) = stderr.next_line().await {
                written.lock().unwrap().push(line);
                counter.send_modify(|count| *count += 1);
            }
        });
        let mut daemon = Daemon {
            child,
            log,
            lines,
            api: ([127, 0, 0, 1], 0).into(),
            client: reqwest_client(),
            _home: Arc::clone(&self.directory),
        };
        let is_json = (self.settings.iter()).any(|(_, value)| value == "json");
        daemon.api = match is_json {
            false => {
                let ready = daemon.logged("ready api=").await;
                let address = ready.split("api=").nth(1).unwrap();
                address.trim().parse().unwrap()
            }
            true => {
                let ready = daemon.logged("\"message\":\"ready\"").await;
                let ready: Value = serde_json::from_str(&ready).unwrap();
                ready["api"].as_str().unwrap().parse().unwrap()
            }
        };
        daemon
    }
}

fn bare(command: &mut Command, arguments: &[&str]) {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SWITCHHOOK_")) {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
}

fn reqwest_client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// A running daemon.
pub struct Daemon {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    lines: watch::Receiver<usize>,
    api: SocketAddr,
    client: reqwest::Client,
    /// Its files are there for as long as it is.
    _home: Arc<TempDir>,
}

impl Daemon {
    pub fn address(&self) -> SocketAddr {
        self.api
    }

    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Its resident memory in bytes.
    pub fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most that its resident memory ever was, in bytes.
    pub fn most_resident(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.unwrap().trim().trim_end_matches(" kB");
        kilobytes.parse::<u64>().unwrap() * 1024
    }

    /// Sends it a signal, by the name that `kill` knows.
    pub async fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        let kill = kill.args(["-s", name, &self.pid().to_string()]).status();
        assert!(kill.await.unwrap().success());
    }

    /// How it ends.
    pub async fn ended(mut self) -> ExitStatus {
        match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(status) => status.unwrap(),
            Err(_) => panic!("it does not stop; it said:\n{}", self.log_text()),
        }
    }

    /// The first line of the log that has `text` in it, as soon as there is one.
    pub async fn logged(&mut self, text: &str) -> String {
        let find = |log: &Mutex<Vec<String>>| {
            let log = log.lock().unwrap();
            log.iter().find(|line| line.contains(text)).cloned()
        };
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(line) = find(&self.log) {
                    return Some(line);
                }
                if self.lines.changed().await.is_err() {
                    return find(&self.log);
                }
            }
        });
        match found.await {
            Ok(Some(line)) => line,
            _ => panic!(
                "the daemon never said {text:?}; it said:\n{}",
                self.log_text()
            ),
        }
    }

    /// Everything it has logged.
    pub fn log_text(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// A request to its API with the admin token: the status, and the answer.
    pub async fn api(&self, method: &str, path: &str, data: Option<Value>) -> (u16, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self
            .client
            .request(method, format!("http://{}{path}", self.api))
            .header("X-Auth-Token", ADMIN);
        if let Some(data) = data {
            let body = json!({ "data": data }).to_string();
            request = request
                .header("Content-Type", "application/json")
                .body(body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        (status, value)
    }

    /// Adds a hook to the account `default`; its id.
    pub async fn add_hook(&self, hook: Value) -> String {
        let (status, answer) = self
            .api("PUT", "/v2/accounts/default/webhooks", Some(hook))
            .await;
        assert_eq!(status, 201, "{answer}");
        answer["data"]["id"].as_str().unwrap().to_owned()
    }

    /// The attempts of the account `default`, newest first.
    pub async fn attempts(&self) -> Vec<Value> {
        let path = "/v2/accounts/default/webhooks/attempts?paginate=false";
        let (status, answer) = self.api("GET", path, None).await;
        assert_eq!(status, 200, "{answer}");
        answer["data"].as_array().unwrap().clone()
    }

    /// kill -9.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGTERM, and everything it has logged from its start to its end.
    pub async fn whole_log(mut self) -> String {
        self.signal("TERM").await;
        let ended = tokio::time::timeout(PATIENCE, async {
            self.child.wait().await.unwrap();
            // Its standard error has been read to the end when nobody counts lines any more.
            while self.lines.changed().await.is_ok() {}
        });
        assert!(
            ended.await.is_ok(),
            "it does not stop; it said:\n{}",
            self.log_text()
        );
        self.log_text()
    }

    /// SIGTERM, and how it ended.
    pub async fn terminate(self) -> ExitStatus {
        self.signal("TERM").await;
        self.ended().await
    }
}
