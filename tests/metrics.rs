//! What an operator sees: the numbers after calls that went well and calls that did not, and whether dashboard,
//! alerts and the README speak of the numbers that there are.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use support::daemon::{ADMIN, Daemon, Home};
use support::exchange::Exchange;
use support::receiver::{Behaviour, Receiver};
use tokio::net::TcpSocket;
use tokio::process::Command;

/// Calls of a story, each of two legs.
const CALLS: u64 = 5;

/// A page of `/metrics` in the older text form.
#[derive(Debug, Default)]
struct Page {
    /// Families and their types.
    types: BTreeMap<String, String>,
    /// Numbers by name and labels, as they are written.
    numbers: BTreeMap<String, f64>,
}

impl Page {
    fn parse(text: &str) -> Self {
        let mut page = Self::default();
        for line in text.lines() {
            if let Some(family) = line.strip_prefix("# TYPE ") {
                let (name, kind) = family.split_once(' ').unwrap();
                page.types.insert(name.to_owned(), kind.to_owned());
            } else if !line.starts_with('#') {
                let (name, value) = line.rsplit_once(' ').unwrap();
                page.numbers.insert(name.to_owned(), value.parse().unwrap());
            }
        }
        page
    }

    fn of(&self, name: &str) -> f64 {
        let name = format!("switchhook_{name}");
        let found = self.numbers.get(&name);
        *found.unwrap_or_else(|| panic!("there is no {name} in {:#?}", self.numbers))
    }

    /// All numbers of a family together.
    fn sum(&self, family: &str) -> f64 {
        let start = format!("switchhook_{family}{{");
        let all = self.numbers.iter();
        all.filter(|(name, _)| name.starts_with(&start))
            .map(|(_, value)| value)
            .sum()
    }

    /// The names of the numbers, with the values that each of their labels has.
    fn labels(&self) -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
        let mut names: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        for number in self.numbers.keys() {
            let (name, labels) = number.split_once('{').unwrap_or((number, ""));
            let known = names.entry(name.to_owned()).or_default();
            for (label, value) in matchers(labels.trim_end_matches('}')) {
                let (label, value) = (label.trim_end_matches('='), value);
                known
                    .entry(label.to_owned())
                    .or_default()
                    .insert(value.to_owned());
            }
        }
        names
    }
}

/// `a="b",c=~"d"` as `a=`, `b` and `c=~`, `d`. No value of ours has a quotation mark in it.
fn matchers(text: &str) -> Vec<(&str, &str)> {
    let parts: Vec<&str> = text.split('"').collect();
    parts
        .chunks_exact(2)
        .map(|pair| (pair[0].trim_matches([',', ' ']), pair[1]))
        .collect()
}

async fn metrics(daemon: &Daemon) -> Page {
    let (status, text) = daemon.api("GET", "/metrics", None).await;
    assert_eq!(status, 200, "{text}");
    Page::parse(text.as_str().unwrap())
}

/// The first page of which `reached` is true.
async fn metrics_when(daemon: &Daemon, reached: impl Fn(&Page) -> bool) -> Page {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(40);
    loop {
        let page = metrics(daemon).await;
        if reached(&page) {
            return page;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "never reached, but {:#?}",
            page.numbers
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A port that nobody listens on, and that nobody else gets while this is kept.
fn dead_port() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let uri = format!("http://{}/", socket.local_addr().unwrap());
    (socket, uri)
}

fn hook(hook: &str, uri: &str) -> Value {
    json!({"name": "test", "hook": hook, "uri": uri, "format": "json"})
}

#[tokio::test]
async fn after_calls_with_a_failing_and_a_dead_receiver_the_numbers_say_so() {
    let mut exchange = Exchange::start().await;
    let home = Home::new(exchange.port())
        .with("DELIVERY__DISABLE_DISABLER", true)
        .with("DELIVERY__ENDPOINT_RATE", 10_000)
        .with("DELIVERY__ENDPOINT_BURST", 10_000);
    let daemon = home.serve().await;
    let good = Receiver::start().await;
    let failing = Receiver::start().await;
    failing.behave(Behaviour::status(500));
    daemon
        .add_hook(hook("channel_create", &good.uri("/")))
        .await;
    let mut once = hook("channel_answer", &failing.uri("/"));
    once["retries"] = json!(1);
    daemon.add_hook(once).await;
    let (_port, dead) = dead_port();
    let doomed = daemon.add_hook(hook("all", &dead)).await;
    let mut off = hook("channel_bridge", &good.uri("/"));
    off["enabled"] = json!(false);
    daemon.add_hook(off).await;
    let (status, _) = daemon
        .api("GET", "/v2/accounts/nobody/webhooks", None)
        .await;
    assert_eq!(status, 404);

    exchange.dial(CALLS, 20);
    exchange.over(CALLS).await;
    let (legs, calls) = (2.0 * CALLS as f64, CALLS as f64);
    let page = metrics_when(&daemon, |page| {
        page.of("facts_total{trigger=\"channel_destroy\"}") == legs
            && page.of("circuits_open") == 1.0
            && page.of("deliveries_total{result=\"delivered\"}") == legs
            && page.of("attempts_total{outcome=\"5xx\"}")
                == 2.0 * page.of("facts_total{trigger=\"channel_answer\"}")
            // Nothing is counted twice and nothing is forgotten.
            && page.sum("matches_total")
                == page.sum("deliveries_total") + page.of("deliveries_pending")
    })
    .await;
    assert_eq!(page.of("switch_connected"), 1.0);
    assert_eq!(page.of("switch_reconnects_total"), 0.0);
    assert_eq!(page.of("events_total{event=\"CHANNEL_CREATE\"}"), legs);
    assert_eq!(page.of("facts_total{trigger=\"channel_create\"}"), legs);
    assert_eq!(page.of("facts_total{trigger=\"call_hangup\"}"), calls);
    assert_eq!(page.of("channels"), 0.0);
    assert_eq!(page.of("hooks{state=\"on\"}"), 3.0);
    assert_eq!(page.of("hooks{state=\"off\"}"), 1.0);
    assert_eq!(
        page.of("deliveries_total{result=\"skipped\"}"),
        page.of("facts_total{trigger=\"channel_bridge\"}"),
        "the hook that is off"
    );
    assert_eq!(
        page.of("matches_total{trigger=\"channel_create\"}"),
        2.0 * legs,
        "the good hook and the dead one"
    );
    assert_eq!(page.of("attempts_total{outcome=\"2xx\"}"), legs);
    assert!(page.of("attempts_total{outcome=\"not_connected\"}") >= 5.0);
    assert_eq!(page.of("attempt_seconds_count"), page.sum("attempts_total"));
    assert_eq!(page.of("event_to_delivery_seconds_count"), legs);
    assert_eq!(
        page.of("event_to_delivery_seconds_bucket{le=\"300.0\"}"),
        legs,
        "the switch's clock and ours are one"
    );
    assert!(page.of("event_to_commit_seconds_count") > 10.0 * calls);
    assert!(page.of("store_transaction_seconds_count") > 0.0);
    assert!(page.of("store_wal_bytes") > 0.0);
    let api = |method: &str, status: &str| {
        page.of(&format!(
            "api_requests_total{{method=\"{method}\",resource=\"webhooks\",status=\"{status}\"}}"
        ))
    };
    assert_eq!((api("PUT", "2xx"), api("GET", "4xx")), (4.0, 1.0));
    assert!(page.of("process_resident_memory_bytes") > 1e6);

    // What waits for the dead receiver is seen without a token, and by its age.
    assert!(page.of("deliveries_pending") > 0.0);
    let older = metrics_when(&daemon, |later| {
        later.of("deliveries_oldest_pending_age_seconds")
            > page.of("deliveries_oldest_pending_age_seconds") + 0.05
    });
    older.await;
    for path in ["/health", "/health/ready"] {
        let (status, health) = daemon.api("GET", path, None).await;
        assert_eq!(status, 200, "{health}");
        let delivery = &health["data"]["delivery"];
        assert!(delivery["pending"].as_u64().unwrap() > 0, "{health}");
        assert!(
            delivery["oldest_pending_seconds"].as_f64().unwrap() > 0.0,
            "{health}"
        );
        assert_eq!(delivery["circuits_open"], 1, "{health}");
    }

    // Once nobody wants anything sent there, it is nobody's trouble.
    let path = format!("/v2/accounts/default/webhooks/{doomed}");
    let (status, _) = daemon
        .api("PATCH", &path, Some(json!({"enabled": false})))
        .await;
    assert_eq!(status, 200);
    assert_eq!(metrics(&daemon).await.of("circuits_open"), 0.0);
    metrics_when(&daemon, |page| {
        page.of("deliveries_pending") == 0.0
            && page.of("deliveries_oldest_pending_age_seconds") == 0.0
            && page.sum("matches_total") == page.sum("deliveries_total")
    })
    .await;
    assert!(daemon.terminate().await.success());
}

#[tokio::test]
async fn the_queue_is_as_deep_after_a_crash_as_before_it() {
    let mut exchange = Exchange::start().await;
    let home = Home::new(exchange.port()).with("DELIVERY__DISABLE_DISABLER", true);
    let daemon = home.serve().await;
    let (_port, dead) = dead_port();
    daemon.add_hook(hook("all", &dead)).await;
    exchange.dial(CALLS, 20);
    exchange.over(CALLS).await;
    let before = metrics_when(&daemon, |page| {
        page.of("circuits_open") == 1.0 && page.of("channels") == 0.0
    })
    .await;
    daemon.kill().await;
    let daemon = home.serve().await;
    let connected = "matches_total{trigger=\"switch_connected\"}";
    let page = metrics_when(&daemon, |page| page.of(connected) == 1.0).await;
    let (before, after) = (
        before.of("deliveries_pending"),
        page.of("deliveries_pending") - page.sum("matches_total"),
    );
    // What is tried meanwhile may be given up.
    assert!(0.0 < after && after <= before, "{after} of {before}");
    assert!(page.of("deliveries_oldest_pending_age_seconds") > 0.0);
    assert!(daemon.terminate().await.success());
}

#[tokio::test]
async fn whoever_asks_for_openmetrics_gets_it() {
    let exchange = Exchange::start().await;
    let daemon = Home::new(exchange.port()).serve().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = async |accept: &str| {
        let request = client.get(format!("http://{}/metrics", daemon.address()));
        let request = request
            .header("X-Auth-Token", ADMIN)
            .header("Accept", accept);
        let answer = request.send().await.unwrap();
        let media_type = answer.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        (media_type, answer.text().await.unwrap())
    };
    // As Prometheus asks.
    let (media_type, text) = ask(
        "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    )
    .await;
    assert!(
        media_type.starts_with("application/openmetrics-text"),
        "{media_type}"
    );
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert!(
        text.contains("# TYPE switchhook_events counter\n"),
        "{text}"
    );
    let (media_type, text) = ask("*/*").await;
    assert!(
        media_type.starts_with("text/plain; version=0.0.4"),
        "{media_type}"
    );
    assert!(
        text.contains("# TYPE switchhook_events_total counter\n"),
        "{text}"
    );
    assert!(!text.contains("# EOF"), "{text}");
}

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(project(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A page of the real daemon after a few calls, with at least one number in each family.
async fn page_after_calls() -> Page {
    let mut exchange = Exchange::start().await;
    let home = Home::new(exchange.port());
    let daemon = home.serve().await;
    let receiver = Receiver::start().await;
    daemon.add_hook(hook("all", &receiver.uri("/"))).await;
    exchange.dial(2, 20);
    exchange.over(2).await;
    metrics_when(&daemon, |page| {
        page.of("deliveries_total{result=\"delivered\"}") > 20.0
    })
    .await
}

/// What Prometheus itself adds to each number.
const SCRAPED: &[&str] = &["instance", "job"];

/// Says which metrics, labels and values of an expression do not exist.
fn mistakes_of(expression: &str, page: &Page, wrong: &mut Vec<String>) -> usize {
    // These have the values that were met; all others are there from the beginning.
    const OPEN: &[&str] = &["event", "method", "resource", "status", "version"];
    let live = page.labels();
    let mut used: BTreeSet<&str> = SCRAPED.iter().copied().collect();
    let mut found = 0;
    for (at, _) in expression.match_indices("switchhook_") {
        let rest = &expression[at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (name, behind) = rest.split_at(end.unwrap_or(rest.len()));
        let Some((name, labels)) = live.get_key_value(name) else {
            wrong.push(format!("there is no {name}: {expression}"));
            continue;
        };
        found += 1;
        used.extend(labels.keys().map(String::as_str));
        let selector = behind
            .strip_prefix('{')
            .and_then(|text| text.split_once('}'));
        for (matcher, value) in matchers(selector.map_or("", |(inside, _)| inside)) {
            let label = matcher.trim_end_matches(['=', '!', '~']);
            if SCRAPED.contains(&label) {
                continue;
            }
            let Some(values) = labels.get(label) else {
                wrong.push(format!("{name} has no label {label}: {expression}"));
                continue;
            };
            // Of the patterns only alternatives are ours.
            let unknown = value.split('|').find(|value| !values.contains(*value));
            if let (Some(value), false) = (unknown, OPEN.contains(&label)) {
                wrong.push(format!("{name} has no {label}={value}: {expression}"));
            }
        }
    }
    for (_, rest) in expression
        .match_indices("by (")
        .map(|(at, by)| (at, &expression[at + by.len()..]))
    {
        for label in rest.split(')').next().unwrap().split(',') {
            if !used.contains(label.trim()) {
                wrong.push(format!("nothing has a label {label}: {expression}"));
            }
        }
    }
    found
}

#[tokio::test]
async fn dashboard_and_alerts_ask_for_numbers_that_there_are() {
    let page = page_after_calls().await;
    let mut wrong = Vec::new();
    let mut asked = BTreeSet::new();

    let dashboard: Value = serde_json::from_str(&read("contrib/grafana/switchhook.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "an id twice: {panel}"
        );
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap();
            if mistakes_of(expression, &page, &mut wrong) == 0 {
                wrong.push(format!("asks for nothing of ours: {expression}"));
            }
            asked.extend(families_in(expression, &page));
        }
    }
    let rows = panels.iter().filter(|panel| panel["type"] == "row");
    let rows: Vec<&str> = rows.map(|row| row["title"].as_str().unwrap()).collect();
    assert_eq!(
        rows,
        [
            "Overview",
            "Switch",
            "Deliveries",
            "Latency",
            "Store",
            "API and process"
        ]
    );
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if let Some(query) = variable["definition"].as_str() {
            mistakes_of(query, &page, &mut wrong);
        }
    }
    let unseen: Vec<&String> = page
        .types
        .keys()
        .filter(|family| !asked.contains(&***family))
        .collect();
    assert!(unseen.is_empty(), "the dashboard does not show {unseen:?}");

    let alerts: Value = serde_saphyr::from_str(&read("contrib/prometheus/alerts.yml")).unwrap();
    let rules = alerts["groups"][0]["rules"].as_array().unwrap();
    let mut names = BTreeSet::new();
    for rule in rules {
        let name = rule["alert"].as_str().unwrap();
        assert!(names.insert(name), "{name} stands there twice");
        let expression = rule["expr"].as_str().unwrap();
        let found = mistakes_of(expression, &page, &mut wrong);
        assert!(
            found > 0 || expression.contains("up{"),
            "{name}: {expression}"
        );
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["page", "ticket"].contains(&severity), "{name}: {severity}");
        for part in ["summary", "description"] {
            assert!(
                rule["annotations"][part].as_str().unwrap().len() > 20,
                "{name}: {part}"
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");

    let scrape: Value = serde_saphyr::from_str(&read("contrib/prometheus/prometheus.yml")).unwrap();
    assert_eq!(scrape["scrape_configs"][0]["job_name"], "switchhook");
    assert_eq!(scrape["scrape_configs"][0]["metrics_path"], "/metrics");
}

/// The families that an expression asks for.
fn families_in<'a>(expression: &str, page: &'a Page) -> Vec<&'a str> {
    let words: BTreeSet<&str> = expression
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .collect();
    let is_asked = |family: &str| {
        let suffixes = ["", "_bucket", "_sum", "_count"];
        suffixes
            .iter()
            .any(|suffix| words.contains(&*format!("{family}{suffix}")))
    };
    let families = page.types.keys().map(String::as_str);
    families.filter(|family| is_asked(family)).collect()
}

#[tokio::test]
async fn the_readme_lists_every_metric_and_no_other() {
    let page = page_after_calls().await;
    let mut live = BTreeMap::new();
    let labels = page.labels();
    for (family, kind) in &page.types {
        let number = match kind.as_str() {
            "histogram" => format!("{family}_count"),
            _ => family.clone(),
        };
        let Some(labels) = labels.get(&number) else {
            panic!("there is no number of {family}");
        };
        let labels: Vec<&str> = labels.keys().map(String::as_str).collect();
        live.insert(family.as_str(), (kind.as_str(), labels));
    }
    let readme = read("README.md");
    let mut told = BTreeMap::new();
    for row in readme
        .lines()
        .filter(|line| line.starts_with("| `switchhook_"))
    {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, meaning] = cells[..] else {
            panic!("four cells: {row}");
        };
        assert!(!meaning.is_empty(), "{row}");
        let labels = labels.split(", ").filter(|label| !label.is_empty());
        let mut labels: Vec<&str> = labels.map(|label| label.trim_matches('`')).collect();
        labels.sort_unstable();
        told.insert(name.trim_matches('`'), (kind, labels));
    }
    assert_eq!(told, live);
    let stranger = live.keys().find(|name| !name.starts_with("switchhook_"));
    assert_eq!(stranger, None);
}

#[tokio::test]
async fn prometheus_own_tool_finds_nothing_wrong() {
    let promtool = |arguments: &[&str]| {
        let mut command = Command::new("promtool");
        command
            .args(arguments)
            .current_dir(project("contrib/prometheus"))
            .kill_on_drop(true);
        command
    };
    let checked = match promtool(&["check", "rules", "alerts.yml"]).output().await {
        Ok(checked) => checked,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: there is no promtool here (Debian package prometheus)");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
    let config = ["check", "config", "--syntax-only", "prometheus.yml"];
    let checked = promtool(&config).output().await.unwrap();
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );

    let exchange = Exchange::start().await;
    let daemon = Home::new(exchange.port()).serve().await;
    let (_, text) = daemon.api("GET", "/metrics", None).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("metrics.txt");
    std::fs::write(&file, text.as_str().unwrap()).unwrap();
    let mut check = promtool(&["check", "metrics"]);
    check.stdin(std::fs::File::open(&file).unwrap());
    let checked = check.output().await.unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && said.is_empty(), "{said}");
}
