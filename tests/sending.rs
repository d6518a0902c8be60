// SPDX-License-Identifier: Apache-2.0
//! Sending over a transport that takes what it likes. Sending: a timed-out partial send forgets
//! its position and desynchronises the stream (Zephyr's client).

mod support;

use std::time::Duration;

use embedded_io::{ErrorType, Read, Write};
use proptest::prelude::*;
use support::*;
use zephyr_websocket::{
    CloseCode, Error, MIN_RX_BUFFER, MIN_TX_BUFFER, MessageKind, Sender, Server, State, Transport,
    UsageError, WebSocket,
};

/// Sends until the transport has taken it all.
fn send_patiently<T: Transport, R: End>(
    sender: &mut Sender<'_, T, R>,
    kind: MessageKind,
    payload: &[u8],
    fin: bool,
) where
    T::Error: PartialEq,
{
    let mut result = sender.send_fragment(kind, payload, fin);
    while result == Err(Error::TimedOut) {
        result = if sender.is_frame_begun() {
            sender.resume(payload)
        } else {
            sender.send_fragment(kind, payload, fin)
        };
    }
    assert!(result.is_ok());
}

/// The design's promise: one small message is one call of the socket, the payload not copied.
#[test]
fn a_message_of_a_server_is_one_write_of_header_and_the_applications_own_payload() {
    for len in [1, 125, 126, 5000, 70_000] {
        let payload = vec![0xAB; len];
        let mut wire = Wire::default();
        let mut buffers = Buffers::default();
        buffers.open::<Server>(&mut wire).sender().send_binary(&payload).unwrap();
        let [(head, offered, taken)] = wire.writes()[..] else { panic!("{:?}", wire.calls) };
        assert_eq!(offered, Place::of(&payload));
        assert_eq!(head.len, header(0, None, len as u64).len());
        assert_eq!(taken, wire.sent.len());
        assert!(wire.sent == unmasked(FIN | BINARY, &payload));
    }
}

/// The same for a client, as far as its transmit buffer reaches; the rest follows in pieces.
#[test]
fn a_message_of_a_client_that_fits_its_buffer_is_one_write() {
    let room = 1000;
    let control_frame = 131;
    for (len, writes) in
        [(0, 1), (1, 1), (room - 8, 1), (room - 7, 2), (3 * room - 8, 3), (3 * room, 4)]
    {
        let payload = vec![0xAB; len];
        let mut wire = Wire::default();
        let mut buffers = Buffers::of(MIN_RX_BUFFER, control_frame + room);
        buffers.open::<TestClient>(&mut wire).sender().send_binary(&payload).unwrap();
        assert!(wire.sent == masked(FIN | BINARY, &payload));
        assert_eq!(wire.writes().len(), writes, "{len}");
    }
}

/// A control frame is one write too.
#[test]
fn a_control_frame_is_one_write() {
    fn rule<R: End>() {
        let mut wire = Wire::bringing([R::from_peer(PING, &[7; 125])]);
        let mut buffers = Buffers::default();
        let mut websocket = buffers.open::<R>(&mut wire);
        websocket.sender().ping(&[1; 125]).unwrap();
        websocket.receive().unwrap();
        websocket.sender().close(Some(CloseCode::NORMAL_CLOSURE), "bye").unwrap();
        assert_eq!(wire.writes().len(), 3);
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// Sending: the position within header, key and payload is kept.
#[test]
fn a_frame_that_was_interrupted_at_any_byte_goes_on_with_the_next() {
    fn rule<R: End>() {
        let payload: Vec<u8> = (0..300).map(|index| (index * 7) as u8).collect();
        for tx in MIN_TX_BUFFER..MIN_TX_BUFFER + 5 {
            let mut expected = Wire::default();
            Buffers::of(MIN_RX_BUFFER, tx)
                .open::<R>(&mut expected)
                .sender()
                .send_binary(&payload)
                .unwrap();
            for taken in 0..expected.sent.len() {
                let mut wire = Wire::default();
                let mut left = taken;
                for (_, _, len) in expected.writes() {
                    let count = left.min(len);
                    if count > 0 {
                        wire.make_room([Room::Interrupted, Room::Bytes(count)]);
                    }
                    left -= count;
                }
                wire.make_room([Room::TimedOut]);
                let mut buffers = Buffers::of(MIN_RX_BUFFER, tx);
                let mut websocket = buffers.open::<R>(&mut wire);
                send_patiently(websocket.sender(), MessageKind::Binary, &payload, true);
                assert!(wire.sent == expected.sent, "{tx} {taken}");
            }
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// The transport's contract: 0 means that nothing will ever be taken.
#[test]
fn a_transport_that_takes_nothing_is_disconnected() {
    fn rule<R: End>() {
        let mut wire = Wire::default();
        wire.make_room([Room::Bytes(0)]);
        let mut buffers = Buffers::default();
        let sent = buffers.open::<R>(&mut wire).sender().send_text("x");
        assert_eq!(sent, Err(Error::Disconnected));
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// Sending: nothing gets between the parts of a frame.
#[test]
fn until_a_frame_is_complete_every_other_one_is_refused() {
    fn rule<R: End>() {
        let mut wire = Wire::default();
        wire.make_room([Room::Bytes(5), Room::TimedOut]);
        let mut buffers = Buffers::of(MIN_RX_BUFFER, 300);
        let mut websocket = buffers.open::<R>(&mut wire);
        let sender = websocket.sender();
        assert_eq!(sender.send_text("a text to be sent in part"), Err(Error::TimedOut));
        let refused = Err(UsageError::FrameInProgress.into());
        assert_eq!(sender.send_text("another"), refused);
        assert_eq!(sender.send_binary(b"another"), refused);
        assert_eq!(sender.send_fragment(MessageKind::Text, b"", false), refused);
        assert_eq!(sender.ping(b""), refused);
        assert_eq!(sender.pong(b""), refused);
        assert_eq!(sender.close(None, ""), refused);
        sender.resume(b"a text to be sent in part").unwrap();
        assert!(!sender.is_frame_begun());
        sender.send_text("another").unwrap();
        let expected = [
            (FIN | TEXT, b"a text to be sent in part".to_vec()),
            (FIN | TEXT, b"another".to_vec()),
        ];
        assert_eq!(contents(&wire.sent), expected);
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// `resume` promises [`UsageError::NoFrameToResume`].
#[test]
fn resume_without_a_frame_in_part_or_with_too_short_a_payload_is_refused() {
    let mut wire = Wire::default();
    wire.make_room([Room::Bytes(12), Room::TimedOut]);
    let mut buffers = Buffers::default();
    let mut server = buffers.open::<Server>(&mut wire);
    let refused = Err(UsageError::NoFrameToResume.into());
    assert_eq!(server.sender().resume(b"none"), refused);
    assert_eq!(server.sender().send_binary(&[9; 100]), Err(Error::TimedOut));
    assert_eq!(server.sender().resume(&[9; 89]), refused);
    server.sender().resume(&[9; 100]).unwrap();
    assert_eq!(server.sender().resume(&[9; 100]), refused);
    assert_eq!(contents(&wire.sent), [(FIN | BINARY, vec![9; 100])]);
}

/// `Sender` promises: "If nothing had been begun because an earlier control frame still blocks
/// the transport, `resume` fails [...]: send again".
#[test]
fn a_message_behind_a_control_frame_sent_in_part_is_not_begun_and_can_be_sent_again() {
    fn rule<R: End>() {
        let mut wire = Wire::default();
        wire.make_room([Room::Bytes(1), Room::TimedOut, Room::TimedOut]);
        let mut buffers = Buffers::default();
        let mut websocket = buffers.open::<R>(&mut wire);
        let sender = websocket.sender();
        sender.ping(b"first").unwrap();
        assert_eq!(sender.send_text("second"), Err(Error::TimedOut));
        assert!(!sender.is_frame_begun());
        assert_eq!(sender.resume(b"second"), Err(UsageError::NoFrameToResume.into()));
        sender.send_text("second").unwrap();
        let expected = [(PING, b"first".to_vec()), (FIN | TEXT, b"second".to_vec())];
        assert_eq!(contents(&wire.sent), expected);
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// `Sender::close` promises: still `Open` means that nothing was begun.
#[test]
fn a_close_behind_a_control_frame_sent_in_part_is_not_begun_and_can_be_called_again() {
    fn rule<R: End>() {
        let mut wire = Wire::default();
        wire.make_room([Room::Bytes(1), Room::TimedOut, Room::TimedOut, Room::Bytes(9)]);
        let mut buffers = Buffers::default();
        let mut websocket = buffers.open::<R>(&mut wire);
        websocket.sender().ping(b"first").unwrap();
        assert_eq!(websocket.sender().close(None, ""), Err(Error::TimedOut));
        assert_eq!(websocket.state(), State::Open);
        websocket.sender().close(None, "").unwrap();
        assert_eq!(websocket.state(), State::Closing);
        assert_eq!(contents(&wire.sent), [(PING, b"first".to_vec()), (CLOSE, vec![])]);
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// A transport that cannot write two slices at once.
struct OneSlice<'w>(&'w mut Wire);

impl ErrorType for OneSlice<'_> {
    type Error = WireError;
}

impl Read for OneSlice<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, WireError> {
        self.0.read(buffer)
    }
}

impl Write for OneSlice<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, WireError> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> Result<(), WireError> {
        Ok(())
    }
}

impl Transport for OneSlice<'_> {
    fn set_deadline(&mut self, _after: Option<Duration>) {}

    fn shutdown(&mut self) -> Result<(), WireError> {
        Ok(())
    }
}

/// `Transport::write_gather` has a default for such a stream.
#[test]
fn a_transport_without_gather_writes_sends_the_same_bytes() {
    let mut wire = Wire::default();
    let (mut rx, mut tx) = ([0; MIN_RX_BUFFER], [0; MIN_TX_BUFFER]);
    let mut server = WebSocket::new(OneSlice(&mut wire), Server, &mut rx, &mut tx).unwrap();
    server.sender().send_text("two slices").unwrap();
    server.sender().send_binary(b"").unwrap();
    let expected = [(FIN | TEXT, b"two slices".to_vec()), (FIN | BINARY, vec![])];
    assert_eq!(contents(&wire.sent), expected);
}

fn room() -> impl Strategy<Value = Room> {
    prop_oneof![
        4 => (1..40usize).prop_map(Room::Bytes),
        1 => (40..400usize).prop_map(Room::Bytes),
        2 => Just(Room::TimedOut),
        1 => Just(Room::Interrupted),
    ]
}

fn fragments() -> impl Strategy<Value = Vec<(Vec<u8>, bool)>> {
    let len = prop_oneof![0..20usize, 100..300usize, Just(66_000usize)];
    let payload = (len, any::<u8>())
        .prop_map(|(len, seed)| (0..len).map(|index| (index as u8).wrapping_mul(seed)).collect());
    prop::collection::vec((payload, any::<bool>()), 1..6)
}

fn check_same_bytes<R: End>(room: &[Room], tx: usize, fragments: &[(Vec<u8>, bool)]) {
    let send = |room: &[Room]| {
        let mut wire = Wire::default();
        wire.make_room(room.iter().copied());
        let mut buffers = Buffers::of(MIN_RX_BUFFER, tx);
        let mut websocket = buffers.open::<R>(&mut wire);
        for (payload, fin) in fragments {
            send_patiently(websocket.sender(), MessageKind::Binary, payload, *fin);
        }
        wire.sent
    };
    assert!(send(room) == send(&[]));
}

fn check_control_frames<R: End>(room: &[Room], fragments: &[(Vec<u8>, bool)], pings: usize) {
    let mut wire = Wire::default();
    wire.make_room(room.iter().copied());
    let mut buffers = Buffers::default();
    let mut websocket = buffers.open::<R>(&mut wire);
    let mut number = 0u16;
    for (payload, fin) in fragments {
        let mut result = websocket.sender().send_fragment(MessageKind::Binary, payload, *fin);
        loop {
            for _ in 0..pings {
                websocket.transport().bring(&R::from_peer(PING, &number.to_be_bytes()));
                number += 1;
            }
            assert_eq!(receive_until_error(&mut websocket).error, Error::TimedOut);
            let sender = websocket.sender();
            result = match result {
                Ok(()) => break,
                Err(Error::TimedOut) if sender.is_frame_begun() => sender.resume(payload),
                Err(Error::TimedOut) => sender.send_fragment(MessageKind::Binary, payload, *fin),
                Err(error) => panic!("{error:?}"),
            };
        }
    }
    websocket.transport().unblock_writes();
    assert_eq!(receive_until_error(&mut websocket).error, Error::TimedOut);
    websocket.sender().close(None, "").unwrap();

    let mut expected = fragments.iter().map(|(payload, _)| payload);
    let mut pongs = Vec::new();
    let sent = frames(&wire.sent);
    let (close, others) = sent.split_last().unwrap();
    assert_eq!((close.first, &close.payload[..]), (CLOSE, &[][..]));
    for frame in others {
        if frame.first == PONG {
            pongs.push(u16::from_be_bytes(frame.payload[..].try_into().unwrap()));
        } else {
            assert_eq!(Some(&frame.payload), expected.next());
        }
    }
    assert_eq!(expected.next(), None);
    assert!(pongs.is_sorted_by(|one, next| one < next), "{pongs:?}");
    assert_eq!(pongs.last().copied(), number.checked_sub(1));
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) }
}

proptest! {
    #![proptest_config(config())]

    /// Sending: whatever the transport takes and refuses, the peer reads the same bytes.
    #[test]
    fn no_pattern_of_short_writes_changes_the_bytes_of_a_server(
        room in prop::collection::vec(room(), 0..60),
        fragments in fragments(),
    ) {
        check_same_bytes::<Server>(&room, MIN_TX_BUFFER, &fragments);
    }

    #[test]
    fn no_pattern_of_short_writes_changes_the_bytes_of_a_client(
        room in prop::collection::vec(room(), 0..60),
        tx in prop_oneof![MIN_TX_BUFFER..MIN_TX_BUFFER + 9, 200..2000usize],
        fragments in fragments(),
    ) {
        check_same_bytes::<TestClient>(&room, tx, &fragments);
    }

    /// RFC 6455 section 5.4: control frames stand between frames, not within; Control frames: the
    /// last Ping is always answered.
    #[test]
    fn control_frames_that_queue_up_come_out_whole_between_the_frames_of_a_server(
        room in prop::collection::vec(room(), 0..60),
        fragments in fragments(),
        pings in 0..4usize,
    ) {
        check_control_frames::<Server>(&room, &fragments, pings);
    }

    #[test]
    fn control_frames_that_queue_up_come_out_whole_between_the_frames_of_a_client(
        room in prop::collection::vec(room(), 0..60),
        fragments in fragments(),
        pings in 0..4usize,
    ) {
        check_control_frames::<TestClient>(&room, &fragments, pings);
    }
}
