// SPDX-License-Identifier: Apache-2.0
//! The suite's client protocol, on any transport: each case is a connection on which everything is
//! echoed; others ask for the number of cases and have the report written.

use core::fmt::Write;
use core::time::Duration;

use heapless::String;
use zephyr_websocket::handshake::client::Request;
use zephyr_websocket::{
    Connected, Entropy, Error, Message, MessageBuffer, Transport, WebSocket, connect,
};

use crate::echo::echo_next;

const TIMEOUT: Duration = Duration::from_secs(120);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The agent's name in the report.
const AGENT: &str = "zephyr-websocket";

/// Runs every case against the fuzzing server whose `Host` is `host`; `dial` connects to it.
/// Returns how many cases ran.
pub fn run<T: Transport, E: Entropy + Copy>(
    mut dial: impl FnMut() -> Result<T, T::Error>,
    entropy: E,
    host: &str,
    rx: &mut [u8],
    tx: &mut [u8],
) -> Result<usize, Error<T::Error>> {
    let mut open = |resource_name: &str, rx: &mut [u8], tx: &mut [u8], each: Each| {
        let mut transport = dial().map_err(Error::Transport)?;
        transport.set_deadline(Some(TIMEOUT));
        let request = Request::new(host, resource_name);
        let Connected { websocket, .. } = connect(transport, entropy, &request, rx, tx)?;
        match each {
            Each::Count => count(websocket),
            // Most cases break the protocol on purpose: how they end is the suite's to judge.
            Each::Echo => Ok(echo(websocket).map_or(0, |()| 0)),
        }
    };
    let count = open("/getCaseCount", rx, tx, Each::Count)?;
    let mut name: String<64> = String::new();
    for case in 1..=count {
        name.clear();
        // The buffer holds the longest name.
        let _ = write!(name, "/runCase?case={case}&agent={AGENT}");
        open(&name, rx, tx, Each::Echo)?;
    }
    name.clear();
    let _ = write!(name, "/updateReports?agent={AGENT}");
    open(&name, rx, tx, Each::Echo)?;
    Ok(count)
}

#[derive(Clone, Copy)]
enum Each {
    Count,
    Echo,
}

fn count<T: Transport, E: Entropy>(
    mut websocket: WebSocket<'_, T, zephyr_websocket::Client<E>>,
) -> Result<usize, Error<T::Error>> {
    let mut storage = [0; 16];
    let count = match MessageBuffer::new(&mut storage).receive(&mut websocket)? {
        Message::Text(text) => text.parse().unwrap_or(0),
        _ => 0,
    };
    echo(websocket)?;
    Ok(count)
}

fn echo<T: Transport, E: Entropy>(
    mut websocket: WebSocket<'_, T, zephyr_websocket::Client<E>>,
) -> Result<(), Error<T::Error>> {
    let result = loop {
        websocket.set_deadline(Some(TIMEOUT));
        match echo_next(&mut websocket, TIMEOUT) {
            Ok(true) => {}
            Ok(false) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    websocket.finish(CLOSE_TIMEOUT);
    result
}
