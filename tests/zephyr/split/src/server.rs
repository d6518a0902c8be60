// SPDX-License-Identifier: Apache-2.0
//! The server's end, for clients from outside: tests/zephyr/pytest/test_split.py. It serves one
//! after the other: two threads send until the connection is closed, while this one receives.

use log::info;
use static_cell::{ConstStaticCell, StaticCell};
use zephyr::kconfig::CONFIG_SPLIT_PORT;
use zephyr_websocket::handshake::server::Acceptance;
use zephyr_websocket::zephyr::{Mutex, TcpListener, TcpStream, config};
use zephyr_websocket::{CloseCode, Error, Event, Incoming, Lock, MessageKind, Server, UsageError};

use crate::{Cell, ENDED, LATER, Result, STACK_SIZE, Sender, check, end, message, wait_for_ended};

/// How many clients are served.
const CONNECTIONS: usize = 3;

/// The longest message that is sent: more than TCP has on its way to a PC at a time.
const MAX_LEN: usize = 20_000;

type Buffers = ([u8; config::RX_BUFFER_SIZE], [u8; config::TX_BUFFER_SIZE]);

static SPLITS: [Cell<Server>; CONNECTIONS] = [const { StaticCell::new() }; CONNECTIONS];
static BUFFERS: ConstStaticCell<[Buffers; CONNECTIONS]> = ConstStaticCell::new(
    [const { ([0; config::RX_BUFFER_SIZE], [0; config::TX_BUFFER_SIZE]) }; CONNECTIONS],
);

/// How many messages each of the two threads has sent.
static SENT: Mutex<[u32; 2]> = Mutex::new([0; 2]);

pub fn run() -> Result<()> {
    let listener = TcpListener::bind(CONFIG_SPLIT_PORT as u16).map_err(Error::Transport)?;
    info!("listening on port {}", listener.local_port());
    for (split, buffers) in SPLITS.iter().zip(BUFFERS.take()) {
        serve(listener.accept(None).map_err(Error::Transport)?, split, buffers)?;
    }
    Ok(())
}

fn serve(
    stream: TcpStream,
    split: &'static Cell<Server>,
    buffers: &'static mut Buffers,
) -> Result<()> {
    let fd = stream.fd();
    let (rx, tx) = buffers;
    let websocket = Incoming::read(stream, rx, tx)?.accept(&Acceptance::default())?;
    let (mut receiver, sender) = split.init(websocket.split()?).halves()?;
    ENDED.with(|ended| *ended = 0);
    sends(sender.duplicate()?, b'a').start();
    sends(sender, b'b').start();

    let (mut len, mut pings) = (0, 0);
    loop {
        receiver.set_deadline(Some(LATER));
        match receiver.receive()? {
            Event::Data { kind: MessageKind::Binary, payload, .. } => {
                let expected = (len..).map(|index| (index % 251) as u8);
                check(payload.iter().copied().eq(expected.take(payload.len())), "a payload");
                len += payload.len();
            }
            Event::Data { payload: b"close", .. } => {
                receiver.close(Some(CloseCode::NORMAL_CLOSURE), "as asked")?;
            }
            Event::Data { .. } => info!("so far {} bytes", len),
            Event::Ping(_) => pings += 1,
            Event::Pong(_) => {}
            Event::Close(_) => break,
        }
    }
    wait_for_ended(2);
    let [a, b] = SENT.with(|sent| *sent);
    info!("received {} bytes and {} Pings, sent {} and {} messages", len, pings, a, b);
    // The split remains, and leaves the descriptor alone.
    drop(TcpStream::from_fd(fd));
    Ok(())
}

#[zephyr::thread(stack_size = STACK_SIZE + MAX_LEN, pool_size = 2 * CONNECTIONS)]
fn sends(mut sender: Sender<Server>, name: u8) {
    end(send_until_closed(&mut sender, name), "the server sends");
}

/// One thread sends each message in one frame, the other in two.
fn send_until_closed(sender: &mut Sender<Server>, name: u8) -> Result<()> {
    let mut buffer = [0; MAX_LEN];
    for index in 0.. {
        sender.set_deadline(Some(LATER));
        let message = message(name, index, &mut buffer);
        let (first, last) = message.split_at(if name == b'b' { message.len() / 2 } else { 0 });
        let result = sender.turn(|turn| {
            if !first.is_empty() {
                turn.send_fragment(MessageKind::Binary, first, false)?;
            }
            turn.send_fragment(MessageKind::Binary, last, true)
        });
        SENT.with(|sent| sent[usize::from(name == b'b')] = index + u32::from(result.is_ok()));
        match result {
            Err(Error::Usage(UsageError::NotOpen)) => break,
            result => result?,
        }
    }
    Ok(())
}
