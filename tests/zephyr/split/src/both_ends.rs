// SPDX-License-Identifier: Apache-2.0
//! Both ends of a connection in this image, each with a thread that receives and threads that send
//! more than the network holds.

use log::info;
use static_cell::StaticCell;
use zephyr_websocket::zephyr::{Csprng, TcpListener, TcpStream};
use zephyr_websocket::{
    Client, CloseCode, Error, Event, KeySource, MIN_RX_BUFFER, MIN_TX_BUFFER, MessageKind, Server,
    WebSocket,
};

use crate::{
    Cell, LATER, Receiver, Result, STACK_SIZE, Sender, check, end, message, wait_for_ended,
};

/// How many messages each of the server's two threads sends, the longest, and the length of the
/// client's only one: more than the buffers of the PC's loopback interface hold.
const COUNT: u32 = 300;
const MAX_LEN: usize = 700;
const LONG: usize = 12_000_000;

static SERVER: Cell<Server> = StaticCell::new();
static CLIENT: Cell<Client<Csprng>> = StaticCell::new();

pub fn run() -> Result<()> {
    static BUFFERS: StaticCell<[[u8; MIN_TX_BUFFER]; 4]> = StaticCell::new();
    const _: () = assert!(MIN_TX_BUFFER >= MIN_RX_BUFFER);
    let [rx, tx, far_rx, far_tx] = BUFFERS.init([[0; MIN_TX_BUFFER]; 4]);
    let (near, far) = pair().map_err(Error::Transport)?;
    let near = SERVER.init(WebSocket::new(near, Server, rx, tx)?.split()?);
    let far = CLIENT.init(WebSocket::new(far, Client(Csprng), far_rx, far_tx)?.split()?);

    let (mut receiver, sender) = near.halves()?;
    for name in [b'a', b'b'] {
        server_sends(sender.duplicate()?, name).start();
    }
    let (far_receiver, far_sender) = far.halves()?;
    client_receives(far_receiver, far_sender.duplicate()?).start();
    client_sends(far_sender).start();

    let (mut len, mut pings, mut messages) = (0, 0, 0);
    loop {
        receiver.set_deadline(Some(LATER));
        match receiver.receive()? {
            Event::Data { kind, payload, fin } => {
                if kind == MessageKind::Binary {
                    check(payload.iter().all(|byte| *byte == 0xA5), "the long message");
                    len += payload.len();
                }
                messages += u32::from(fin);
                // The long one, and that the client has received all.
                if fin && messages == 2 {
                    receiver.close(Some(CloseCode::NORMAL_CLOSURE), "")?;
                }
            }
            Event::Pong(_) => {}
            Event::Ping(_) => pings += 1,
            Event::Close(_) => break,
        }
    }
    wait_for_ended(4);
    check(len == LONG, "the length of the long message");
    check(pings > 0, "no Ping arrived");
    info!("{} bytes and {} Pings, beside {} messages", len, pings, 2 * COUNT);
    Ok(())
}

/// Both ends of a connection.
fn pair() -> core::result::Result<(TcpStream, TcpStream), zephyr_websocket::zephyr::Error> {
    let listener = TcpListener::bind(0)?;
    let near = TcpStream::connect(c"127.0.0.1", listener.local_port(), LATER)?;
    Ok((near, listener.accept(Some(LATER))?))
}

#[zephyr::thread(stack_size = STACK_SIZE, pool_size = 2)]
fn server_sends(mut sender: Sender<Server>, name: u8) {
    let mut buffer = [0; MAX_LEN];
    let mut send = |index| {
        sender.set_deadline(Some(LATER));
        sender.send_binary(message(name, index, &mut buffer))
    };
    end((0..COUNT).try_for_each(&mut send), "the server sends");
}

#[zephyr::thread(stack_size = STACK_SIZE)]
fn client_sends(mut sender: Sender<Client<Csprng>>) {
    static PAYLOAD: [u8; LONG] = [0xA5; LONG];
    sender.set_deadline(Some(LATER));
    end(sender.send_binary(&PAYLOAD), "the client sends");
}

#[zephyr::thread(stack_size = STACK_SIZE)]
fn client_receives(mut receiver: Receiver<Client<Csprng>>, mut sender: Sender<Client<Csprng>>) {
    end(verify(&mut receiver, &mut sender), "the client receives");
}

/// Counts the messages of the server's threads, and pings.
fn verify<R: KeySource>(receiver: &mut Receiver<R>, sender: &mut Sender<R>) -> Result<()> {
    let (mut next, mut pongs, mut len) = ([0; 2], 0, 0);
    let (mut arrived, mut expected) = ([0; MAX_LEN], [0; MAX_LEN]);
    let mut is_told = false;
    receiver.ping(b"0")?;
    loop {
        if next == [COUNT; 2] && !is_told {
            is_told = true;
            sender.set_deadline(Some(LATER));
            sender.send_text("over")?;
        }
        receiver.set_deadline(Some(LATER));
        match receiver.receive()? {
            Event::Data { payload, fin, .. } => {
                arrived[len..len + payload.len()].copy_from_slice(payload);
                len += payload.len();
                if fin {
                    let thread = usize::from(arrived[4] == b'b');
                    let sent = message([b'a', b'b'][thread], next[thread], &mut expected);
                    check(arrived[..len] == *sent, "a message that is not whole, or not in order");
                    next[thread] += 1;
                    len = 0;
                }
            }
            Event::Pong(_) => {
                pongs += 1;
                match receiver.ping(b"again") {
                    // Another control frame waits.
                    Ok(()) | Err(Error::TimedOut) => {}
                    result => result?,
                }
            }
            Event::Ping(_) => {}
            Event::Close(_) => {
                check(pongs > 0, "no Pong arrived");
                return Ok(());
            }
        }
    }
}
