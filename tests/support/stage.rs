//! Callflows as their user has them: the real binary with its outbound socket, a receiver, and a switch that hands
//! calls over.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;

use super::caller::{Caller, Story};
use super::daemon::{Daemon, Home};
use super::receiver::Receiver;
use super::switch::{Script, Switch};

/// A daemon that takes calls, a receiver, and a switch that has nothing else to tell.
pub struct Stage {
    _switch: Switch,
    /// Bound and never listened on: nobody else is given the port.
    _port: TcpSocket,
    outbound: SocketAddr,
    pub home: Home,
    pub daemon: Daemon,
    pub receiver: Receiver,
}

impl Stage {
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// The same with these keys of the configuration set.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        let switch = Switch::start([Script::subscribed()]).await;
        let port = TcpSocket::new_v4().unwrap();
        port.set_reuseaddr(true).unwrap();
        port.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let outbound = port.local_addr().unwrap();
        let mut home = Home::new(switch.port())
            .with("OUTBOUND__LISTEN", outbound)
            .with("CALLFLOW__DOMAIN", "pbx.test");
        for (key, value) in settings {
            home.set(key, value);
        }
        Self {
            daemon: home.serve().await,
            receiver: Receiver::start().await,
            _switch: switch,
            _port: port,
            outbound,
            home,
        }
    }

    /// Stores a callflow; its id.
    pub async fn store(&self, numbers: &[&str], flow: Value) -> String {
        let callflow = json!({"numbers": numbers, "flow": flow});
        let (status, answer) = self
            .daemon
            .api("PUT", "/v2/accounts/default/callflows", Some(callflow))
            .await;
        assert_eq!(status, 201, "{answer}");
        answer["data"]["id"].as_str().unwrap().to_owned()
    }

    pub fn dialling(&self, caller: Caller) -> JoinHandle<Story> {
        tokio::spawn(caller.dial(self.outbound))
    }

    pub async fn dial(&self, caller: Caller) -> Story {
        ended(self.dialling(caller)).await
    }

    /// The attempts, newest first, once there are so many.
    pub async fn attempts(&self, count: usize) -> Vec<Value> {
        let reached = async {
            loop {
                let attempts = self.daemon.attempts().await;
                if attempts.len() >= count {
                    return attempts;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), reached)
            .await
            .unwrap_or_else(|_| panic!("there are never {count} attempts"))
    }
}

pub async fn ended(story: JoinHandle<Story>) -> Story {
    let story = tokio::time::timeout(Duration::from_secs(20), story).await;
    story.expect("the call is let go").unwrap()
}

/// A call whose dialplan runs `socket 127.0.0.1:8084/PATH async full`.
pub fn caller(path: &str) -> Caller {
    let socket = format!("127.0.0.1:8084/{path} async full");
    Caller::new()
        .with("socket_path", path)
        .with("current_application_data", &socket)
}
