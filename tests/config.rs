//! The configuration as an operator meets it: files, drop-ins, and what the commands say of them.

mod support;

use std::process::Output;

use support::daemon::Home;
use toml::Table;

const SECRETS: [&str; 2] = ["p4ssw0rd-of-the-switch", "t0ken-of-the-admin"];

/// A home with its configuration in files, and nothing in the environment.
fn home(files: &[(&str, &str)]) -> Home {
    let home = Home::new(1);
    std::fs::create_dir(home.path().join("conf.d")).unwrap();
    for (name, text) in files {
        std::fs::write(home.path().join(name), text).unwrap();
    }
    home
}

async fn run(home: &Home, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let file = home.path().join("switchhook.toml");
    let mut command = home.bare_command(arguments);
    command.arg("--config").arg(file).envs(environment.to_vec());
    command.output().await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn drop_ins_are_read_in_the_order_of_their_names_and_config_says_what_is_in_force() {
    let main = format!(
        "[switch]\nhost = \"192.0.2.1\"\nport = 1\npassword = \"{}\"\n",
        SECRETS[0]
    );
    let drop_in = format!(
        "[switch]\nport = 3\n[api]\nadmin_token = \"{}\"\n",
        SECRETS[1]
    );
    let home = home(&[
        ("switchhook.toml", main.as_str()),
        ("conf.d/20-b.toml", drop_in.as_str()),
        (
            "conf.d/10-a.toml",
            "[switch]\nport = 2\n[delivery]\nendpoint_rate = 5\n",
        ),
        ("conf.d/.30-swap.toml", "what an editor leaves"),
        ("conf.d/40-old.toml.bak", "what an administrator leaves"),
    ]);
    let environment = [
        ("SWITCHHOOK_LOG__LEVEL", "warn"),
        ("SWITCHHOOK_DELIVERY__DENY_NETWORKS", "10.0.0.0/8"),
    ];
    let shown = run(&home, &["config"], &environment).await;
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    let shown = text(&shown.stdout);
    let in_force: Table = shown.parse().expect("it is TOML");
    assert_eq!(in_force["switch"]["host"].as_str(), Some("192.0.2.1"));
    assert_eq!(in_force["switch"]["port"].as_integer(), Some(3));
    assert_eq!(in_force["delivery"]["endpoint_rate"].as_integer(), Some(5));
    assert_eq!(in_force["log"]["level"].as_str(), Some("warn"));
    assert_eq!(in_force["store"]["retention_days"].as_integer(), Some(7));
    let line = |key: &str| shown.lines().find(|line| line.contains(key)).unwrap();
    assert!(line("port = 3").ends_with("conf.d/20-b.toml:2"), "{shown}");
    assert!(
        line("endpoint_rate").ends_with("conf.d/10-a.toml:4"),
        "{shown}"
    );
    assert!(
        line("level = ").ends_with("# SWITCHHOOK_LOG__LEVEL"),
        "{shown}"
    );
    assert_eq!(line("retention_days"), "retention_days = 7");
    assert!(
        line("# password is set").ends_with("switchhook.toml:4"),
        "{shown}"
    );
    assert!(
        line("# admin_token is set").ends_with("20-b.toml:4"),
        "{shown}"
    );

    let json = text(&run(&home, &["config", "--json"], &environment).await.stdout);
    let parsed: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(parsed["switch"]["port"]["value"], 3);
    assert_eq!(parsed["store"]["retention_days"]["source"], "default");
    assert_eq!(parsed["switch"]["password"]["set"], true);
    for secret in SECRETS {
        assert!(
            !shown.contains(secret) && !json.contains(secret),
            "{secret}"
        );
    }

    // What it prints configures the same.
    let again = self::home(&[("switchhook.toml", &*shown)]);
    let twice: Table = text(&run(&again, &["config"], &[]).await.stdout)
        .parse()
        .unwrap();
    assert_eq!(in_force, twice);
}

#[tokio::test]
async fn check_names_every_mistake_with_its_file_and_line() {
    let home = home(&[
        (
            "switchhook.toml",
            "[api]\nlisten = \"here\"\n[switch]\nport = 0\n",
        ),
        ("conf.d/10.toml", "[switch]\nport = 8021\n\nhots = 1\n"),
        ("conf.d/20.toml", "[log]\nlevel = \n"),
    ]);
    std::fs::create_dir(home.path().join("conf.d/30.toml")).unwrap();
    let environment = [("SWITCHHOOK_API__LISTN", "x")];
    let checked = run(&home, &["check"], &environment).await;
    assert_eq!(checked.status.code(), Some(2));
    let said = text(&checked.stderr);
    // In the order in which one reads the files.
    let mut rest = said.as_str();
    for mistake in [
        "conf.d/30.toml: cannot be read",
        "switchhook.toml:2: api.listen: \"here\" is no address",
        "switchhook.toml:4: switch.port: must be at least 1",
        "conf.d/10.toml:4: switch.hots: is no key; [switch] has host",
        "conf.d/20.toml:2: is no TOML here",
        "SWITCHHOOK_API__LISTN: api.listn: is no key",
        "has 6 mistake(s)",
    ] {
        let found = rest.split_once(mistake);
        (_, rest) = found.unwrap_or_else(|| panic!("{mistake}: {said}"));
    }
}
