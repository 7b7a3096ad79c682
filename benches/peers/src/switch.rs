//! A switch that plays the recordings, as fast as they are read, to whoever logs in.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use switchhook::esl::{Cutter, Limits, peek_name};
use tokio::net::TcpStream;

/// Where it is, and what a reader gets.
pub struct Switch {
    pub port: u16,
    pub events: usize,
    pub bytes: usize,
}

impl Switch {
    /// A switch that plays everything so often to each reader.
    pub fn start(rounds: usize) -> Self {
        let (events, recording) = recording();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let switch = Self {
            port: listener.local_addr().expect("an address").port(),
            events: events * rounds,
            bytes: recording.len() * rounds,
        };
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let mut socket = socket.expect("a connection");
                let greeting = b"Content-Type: auth/request\n\n";
                socket.write_all(greeting).expect("a reader");
                let reader = BufReader::new(socket.try_clone().expect("a socket"));
                for command in reader.lines().map_while(Result::ok) {
                    if command.is_empty() {
                        continue;
                    }
                    let accepted = b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n";
                    let mut played = socket.write_all(accepted);
                    if command.starts_with("auth ") {
                        played = (0..rounds).try_for_each(|_| socket.write_all(&recording));
                        // That was all. A reader goes by itself when it has what it wants.
                        let _ = socket.shutdown(std::net::Shutdown::Both);
                    }
                    if played.is_err() {
                        break;
                    }
                }
            }
        });
        switch
    }
}

/// The plain events of all recordings, as frames.
fn recording() -> (usize, Vec<u8>) {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/captures");
    let (mut events, mut recording) = (0, Vec::new());
    for entry in std::fs::read_dir(directory).expect("the recordings") {
        let path = entry.expect("a file").path();
        if !path.to_string_lossy().ends_with(".plain.esl") {
            continue;
        }
        let stream = std::fs::read(path).expect("a recording");
        let mut buffer = stream.as_slice().into();
        let mut cutter = Cutter::new(Limits::default());
        while let Some(frame) = cutter.cut(&mut buffer).expect("a sound stream") {
            if peek_name(&frame).is_some() {
                let head = "Content-Type: text/event-plain\n\n";
                recording.extend(format!("Content-Length: {}\n{head}", frame.body.len()).bytes());
                recording.extend_from_slice(&frame.body);
                events += 1;
            }
        }
    }
    (events, recording)
}

/// Says the password, for a reader that has no login of its own.
pub async fn log_in(socket: &TcpStream) {
    socket.writable().await.expect("a switch");
    let written = socket.try_write(b"auth ClueCon\n\n");
    assert_eq!(written.expect("room for a line"), b"auth ClueCon\n\n".len());
}
