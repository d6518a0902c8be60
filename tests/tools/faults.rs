// SPDX-License-Identifier: Apache-2.0
//! Bad networks for endpoints that run elsewhere: see scripts/faults.sh.

#[cfg(target_os = "linux")]
#[path = "../support/proxy.rs"]
mod proxy;
#[cfg(target_os = "linux")]
#[path = "../support/random.rs"]
mod random;
#[path = "../support/mod.rs"]
mod support;
#[cfg(target_os = "linux")]
#[path = "../support/talk.rs"]
mod talk;

use std::process::ExitCode;

const HELP: &str = "\
Talks to an echo server, or lets an echo client talk, through a bad network.

Usage: faults server PORT RUNS SEED   conversations with the server at 127.0.0.1:PORT, in turn
                                      through a slow network and through ones that cut off and
                                      change what passes; every tenth, and the last, must succeed
       faults client PORT KIND SEED   one conversation of the client that connects to PORT with an
                                      echo server; KIND is slow, cut or corrupt

The last line is `N passed, N failed, N skipped`, and the exit status 0 if none failed.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    #[cfg(target_os = "linux")]
    match run(&arguments) {
        Ok(Some(true)) => return ExitCode::SUCCESS,
        Ok(Some(false)) => return ExitCode::FAILURE,
        Ok(None) => {}
        Err(error) => {
            eprintln!("faults: {error}");
            return ExitCode::FAILURE;
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = arguments;
    eprintln!("{HELP}");
    ExitCode::from(2)
}

/// Whether nothing failed; `None` if that is no command.
#[cfg(target_os = "linux")]
fn run(arguments: &[&str]) -> Result<Option<bool>, Box<dyn std::error::Error>> {
    use proxy::Kind;
    match arguments {
        ["server", port, runs, seed] => {
            let address = std::net::SocketAddr::from(([127, 0, 0, 1], port.parse()?));
            Ok(Some(with_server(address, runs.parse()?, seed.parse()?)))
        }
        ["client", port, kind, seed] => {
            let kind = match *kind {
                "slow" => Kind::Slow,
                "cut" => Kind::Cut,
                "corrupt" => Kind::Corrupt,
                _ => return Ok(None),
            };
            with_client(port.parse()?, kind, seed.parse()?).map(Some)
        }
        _ => Ok(None),
    }
}

#[cfg(target_os = "linux")]
fn with_server(address: std::net::SocketAddr, runs: u64, seed: u64) -> bool {
    use proxy::Kind;
    use std::time::Duration;
    use talk::{Client, is_fair, talk};
    /// A server that serves takes no longer, however slow a network or a machine.
    const PATIENT: Duration = Duration::from_secs(20);
    const SOON: Duration = Duration::from_millis(500);
    let (mut passed, mut failed) = (0, 0);
    for run in 0..runs {
        let seed = seed.wrapping_add(run);
        let client = if seed.is_multiple_of(2) { Client::Ours } else { Client::Theirs };
        let (kind, limit) = match run % 10 {
            9 => (Kind::Slow, PATIENT),
            _ if run + 1 == runs => (Kind::Slow, PATIENT),
            digit if digit % 3 == 0 => (Kind::Slow, PATIENT),
            digit if digit % 3 == 1 => (Kind::Cut, SOON),
            _ => (Kind::Corrupt, SOON),
        };
        match talk(client, address, kind, seed, limit) {
            Ok(outcome) if is_fair(kind, &outcome) => passed += 1,
            other => {
                failed += 1;
                println!("seed {seed}, {client:?}, {kind:?}: {other:?}");
            }
        }
    }
    println!("{passed} passed, {failed} failed, 0 skipped");
    failed == 0
}

#[cfg(target_os = "linux")]
fn with_client(
    port: u16,
    kind: proxy::Kind,
    seed: u64,
) -> Result<bool, Box<dyn std::error::Error>> {
    use std::net::{Ipv4Addr, TcpListener};
    use std::time::Duration;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    println!("listening on {}", listener.local_addr()?.port());
    let server = talk::TheirServer::start(Duration::from_secs(2))?;
    proxy::relay_one(&listener, server.address, kind, seed)?;
    let ended = server.end();
    let is_fair = kind != proxy::Kind::Slow || ended.is_ok();
    if !is_fair {
        println!("seed {seed}, {kind:?}: {ended:?}");
    }
    println!("{} passed, {} failed, 0 skipped", u8::from(is_fair), u8::from(!is_fair));
    Ok(is_fair)
}
