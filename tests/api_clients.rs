//! Clients that others wrote: Kazoo's own library, and Schemathesis over the description of the API.
//!
//! They come from PyPI into a virtual environment below `target/`, at the first run. Where PyPI is out of
//! reach they are left out, and say so.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::api::{ADMIN, Api};
use switchhook::api::SwitchHealth;
use switchhook::delivery::Guard;

/// An environment with one package, made where it is not there yet; `None` where it cannot be made.
fn environment(package: &str) -> Option<PathBuf> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(package.replace("==", "-"));
    let bin = directory.join("bin");
    if directory.join("complete").exists() {
        return Some(bin);
    }
    let tried = (|| {
        // What an earlier try left half done.
        let _ = std::fs::remove_dir_all(&directory);
        run(Command::new("python3").args(["-m", "venv"]).arg(&directory))?;
        run(Command::new(bin.join("pip")).args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--retries",
            "1",
            "--timeout",
            "10",
            package,
        ]))?;
        std::fs::write(directory.join("complete"), package).map_err(|error| error.to_string())
    })();
    match tried {
        Ok(()) => Some(bin),
        Err(problem) => {
            println!("LEFT OUT: {package} could not be installed from PyPI: {problem}");
            None
        }
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(text(&output)),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}

fn text(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&text).into_owned()
}

/// Runs a client while the API goes on answering; it has to end well.
async fn ends_well(mut command: Command) {
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    let text = text(&output);
    println!("{text}");
    assert!(output.status.success(), "{text}");
}

#[tokio::test]
async fn kazoos_own_client_library_works_unchanged() {
    let Some(bin) = tokio::task::spawn_blocking(|| environment("kazoo-sdk==0.2.4"))
        .await
        .unwrap()
    else {
        return;
    };
    let api = Api::start().await;
    let account = api.make_account("default", "Customer").await;
    let path = format!("/accounts/{account}/api_key");
    let made = api.call("GET", &path).await;
    let key = made.data(200)["api_key"].as_str().unwrap();
    let mut command = Command::new(bin.join("python"));
    command
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/python/kazoo_client.py"
        ))
        .arg(format!("http://{}/v2", api.address))
        .args([&account, key]);
    ends_well(command).await;
}

/// Takes a minute or two: `cargo test --test api_clients -- --ignored`.
#[tokio::test]
#[ignore = "takes minutes; run with --ignored"]
async fn schemathesis_finds_no_answer_outside_the_description() {
    let Some(bin) = tokio::task::spawn_blocking(|| environment("schemathesis==4.32.5"))
        .await
        .unwrap()
    else {
        return;
    };
    // It tries wrong tokens at every path, and wants to be told 401 each time.
    let switch = SwitchHealth {
        connected: true,
        ..SwitchHealth::default()
    };
    // And it makes up receivers, to which nothing may go.
    let nowhere = ["0.0.0.0/0", "::/0"].map(|network| network.parse().unwrap());
    let guard = Guard {
        deny_private: true,
        deny_networks: nowhere.to_vec(),
    };
    let api = Api::start_for(switch, 100_000, guard).await;
    api.make_hook(
        "default",
        serde_json::json!({ "name": "there", "uri": "http://127.0.0.1:9/", "hook": "all", "retries": 0 }),
    )
    .await;
    let scratch = tempfile::tempdir().unwrap();
    // The modules of a flow check more than a schema says: how long all waits together are, which variables
    // make the switch run something. What the schema refuses must be refused there, too.
    let rules = "[[operations]]\ninclude-path-regex = \"/callflows\"\n\
                 [operations.checks]\npositive_data_acceptance.enabled = false\n";
    std::fs::write(scratch.path().join("schemathesis.toml"), rules).unwrap();
    let mut command = Command::new(bin.join("schemathesis"));
    command
        .current_dir(scratch.path())
        .arg("run")
        .arg(format!("http://{}/openapi.json", api.address))
        .args(["--header", &format!("X-Auth-Token: {ADMIN}")])
        // It would listen for ever.
        .args(["--exclude-path", "/v2/events"])
        // Texts with a NUL are refused wherever they stand, which no schema of free-form keys can say.
        .args(["--generation-allow-x00", "false"])
        .args([
            "--max-examples",
            "50",
            "--seed",
            "1",
            "--no-color",
            "--workers",
            "2",
        ]);
    ends_well(command).await;
}
