//! The snippets in contrib/freeswitch: well-formed, and of nothing that switchhook does not read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use roxmltree::Document;

fn folder(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), name].iter().collect()
}

/// Every file below a folder that ends so, with its text.
fn files(folder: &Path, ending: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path, ending)),
            false if path.to_string_lossy().ends_with(ending) => {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
            false => {}
        }
    }
    found
}

fn snippet(name: &str) -> String {
    std::fs::read_to_string(folder("contrib/freeswitch").join(name)).unwrap()
}

/// The value of a `<param name=… value=…/>`.
fn param<'a>(document: &'a Document<'_>, name: &str) -> Option<&'a str> {
    let mut params = document
        .descendants()
        .filter(|node| node.has_tag_name("param"));
    params
        .find(|param| param.attribute("name") == Some(name))?
        .attribute("value")
}

#[test]
fn every_snippet_is_xml() {
    let snippets = files(&folder("contrib/freeswitch"), ".xml");
    assert!(snippets.len() >= 4, "{snippets:?}");
    for (path, text) in snippets {
        if let Err(problem) = Document::parse(&text) {
            panic!("{}: {problem}", path.display());
        }
    }
}

/// The variables that a dialplan snippet sets, and those of an originate string.
#[test]
fn every_variable_that_is_set_is_one_that_is_read() {
    let dialplan = snippet("dialplan/switchhook.xml");
    let document = Document::parse(&dialplan).unwrap();
    let setting = document
        .descendants()
        .filter(|node| matches!(node.attribute("application"), Some("set" | "export")));
    let mut set: BTreeSet<String> = setting
        .map(|node| {
            node.attribute("data")
                .unwrap()
                .split('=')
                .next()
                .unwrap()
                .to_owned()
        })
        .collect();
    let originate = snippet("originate.txt");
    for line in originate
        .lines()
        .filter(|line| line.starts_with("originate {"))
    {
        let variables = line["originate {".len()..].split('}').next().unwrap();
        set.extend(
            variables
                .split(',')
                .map(|pair| pair.split('=').next().unwrap().to_owned()),
        );
    }
    // The switch's own.
    assert!(set.remove("origination_caller_id_number"));
    let sources: String = files(&folder("src"), ".rs")
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    let ours: BTreeSet<&str> = [
        "account_id",
        "click_to_call",
        "switchhook_answered_by",
        "switchhook_call_type",
        "switchhook_events",
        "switchhook_format",
        "switchhook_mask_dtmf",
        "switchhook_uri",
        "switchhook_verb",
    ]
    .into();
    assert_eq!(
        set.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        ours
    );
    for variable in set {
        assert!(
            sources.contains(&format!("\"{variable}\"")),
            "nobody reads {variable}"
        );
    }
}

#[test]
fn the_event_socket_is_open_to_this_machine_alone() {
    let socket = snippet("autoload_configs/event_socket.conf.xml");
    let socket = Document::parse(&socket).unwrap();
    assert_eq!(param(&socket, "listen-ip"), Some("127.0.0.1"));
    let list = param(&socket, "apply-inbound-acl").unwrap();
    let acl = snippet("autoload_configs/acl.conf.xml");
    let acl = Document::parse(&acl).unwrap();
    let list = acl
        .descendants()
        .find(|node| node.attribute("name") == Some(list))
        .unwrap();
    assert_eq!(list.attribute("default"), Some("deny"));
    for node in list.children().filter(roxmltree::Node::is_element) {
        let network: ipnet::IpNet = node.attribute("cidr").unwrap().parse().unwrap();
        assert!(network.addr().is_loopback(), "{network}");
    }
    let profile = snippet("sip_profiles/call_id.xml");
    let profile = Document::parse(&profile).unwrap();
    assert_eq!(param(&profile, "inbound-use-callid-as-uuid"), Some("true"));
}
