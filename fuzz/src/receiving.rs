// SPDX-License-Identifier: Apache-2.0
//! A receiver that checks each step of a connection against what the bytes themselves say.

use zephyr_websocket::{Connection, Event, MessageKind, Opcode, ProtocolError};

use crate::support::{End, Seen, gather};

/// The header of a frame as RFC 6455 section 5.2 has it, whether or not the frame is valid.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    pub first: u8,
    /// The length of the header itself.
    pub len: usize,
    pub payload_len: u64,
    pub key: Option<[u8; 4]>,
}

impl Header {
    /// The one at the start of `bytes`, if all of it is there.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let [first, second, ..] = *bytes else { return None };
        let (payload_len, mut len) = match second & 0x7F {
            126 => (u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into(), 4),
            127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), 10),
            short => (short.into(), 2),
        };
        let mut key = None;
        if second & 0x80 != 0 {
            key = Some(bytes.get(len..len + 4)?.try_into().ok()?);
            len += 4;
        }
        Some(Self { first, len, payload_len, key })
    }

    pub fn is_control(&self) -> bool {
        self.first & 8 != 0
    }

    /// Whether a shorter form could have held the length.
    pub fn is_longer_than_needed(&self) -> bool {
        let length_len = self.len - 2 - self.key.map_or(0, |key| key.len());
        length_len == 2 && self.payload_len < 126 || length_len == 8 && self.payload_len < 0x1_0000
    }

    /// The length of the whole frame.
    pub fn frame_len(&self) -> u64 {
        self.payload_len.saturating_add(self.len as u64)
    }
}

/// What was received, and what ended it.
#[derive(Debug)]
pub struct Received {
    pub seen: Vec<Seen>,
    pub error: Option<ProtocolError>,
    /// Where the frame begins, or its next piece, that was refused.
    pub fault_at: usize,
}

/// A frame of which payload is still to come.
struct Current {
    header: Header,
    taken: u64,
}

/// Unmasks what lies behind `offset` bytes of payload.
fn unmask(key: Option<[u8; 4]>, offset: u64, payload: &[u8]) -> Vec<u8> {
    let mut payload = payload.to_vec();
    let Some(mut key) = key else { return payload };
    key.rotate_left((offset % 4) as usize);
    for part in payload.chunks_mut(4) {
        part.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
    }
    payload
}

/// Lets `pieces` of `bytes` arrive one after the other, and checks that every call consumes what it
/// hands out, and hands out what has arrived.
pub fn receive<R: End>(bytes: &[u8], pieces: &[&[u8]]) -> Received {
    let mut connection = Connection::<R>::new();
    let mut storage = bytes.to_vec();
    let mut received = Received { seen: Vec::new(), error: None, fault_at: 0 };
    let mut current: Option<Current> = None;
    let mut at = 0;
    let mut arrived = 0;
    for piece in pieces {
        arrived += piece.len();
        loop {
            let is_over = connection.is_receive_over();
            let mut input = &mut storage[at..arrived];
            let unread = input.len();
            let result = connection.receive(&mut input);
            let consumed = unread - input.len();
            let from = at;
            at += consumed;
            if is_over {
                assert_eq!((&result, consumed), (&Ok(None), unread), "something after Close");
                break;
            }
            match result {
                Ok(Some(frame)) => {
                    let (header, taken, header_len) = match current.take() {
                        Some(Current { header, taken }) => (header, taken, 0),
                        None => {
                            let header = Header::read(&bytes[from..arrived]);
                            let header = header.expect("a frame before its header");
                            // tungstenite lets any length pass.
                            assert!(!header.is_longer_than_needed());
                            assert_eq!(header.key.is_some(), !R::MASKS);
                            (header, 0, header.len)
                        }
                    };
                    let left = header.payload_len - taken;
                    let available = (unread - header_len) as u64;
                    assert_eq!(frame.payload.len() as u64, left.min(available));
                    assert_eq!(consumed, header_len + frame.payload.len());
                    let taken_now = frame.payload.len() as u64;
                    assert!(taken_now > 0 || left == 0, "an empty piece");
                    assert!(!header.is_control() || taken_now == header.payload_len);
                    let is_end = taken_now == left;
                    assert_eq!(frame.fin, is_end && header.first & 0x80 != 0);
                    if header.first & 0x0F != 0 {
                        assert_eq!(frame.opcode as u8, header.first & 0x0F);
                    }
                    let masked = &bytes[from + header_len..from + consumed];
                    let unmasked = unmask(header.key, taken, masked);
                    assert!(*frame.payload == unmasked, "unmasked wrongly");
                    if !is_end {
                        current = Some(Current { header, taken: taken + taken_now });
                    }
                    gather_frame(&mut received.seen, frame.opcode, frame.fin, &*frame.payload);
                    if frame.opcode == Opcode::Close {
                        let code = frame.close().code.map(|code| code.value());
                        let reason = frame.close().reason().to_owned();
                        received.seen.push(Seen::Close(code, reason));
                    }
                }
                Ok(None) => {
                    if consumed > 0 {
                        assert!(current.is_none());
                        let header = Header::read(&bytes[from..arrived]).expect("no header");
                        assert_eq!((header.len, at), (consumed, arrived));
                        assert!(header.payload_len > 0 && !header.is_control());
                        current = Some(Current { header, taken: 0 });
                    } else if current.is_some() {
                        assert_eq!(unread, 0, "payload was left");
                    } else if let Some(header) = Header::read(&bytes[from..arrived]) {
                        let is_incomplete = header.frame_len() > unread as u64;
                        assert!(header.is_control() && is_incomplete, "a frame was left");
                    }
                    break;
                }
                Err(error) => {
                    assert!(connection.is_receive_over());
                    let mut late = *b"\x81\x00";
                    let mut late = &mut late[..];
                    assert_eq!(connection.receive(&mut late), Err(error));
                    assert!(late.is_empty());
                    return Received { error: Some(error), fault_at: from, ..received };
                }
            }
        }
    }
    received
}

/// Adds a piece of a message, a Ping or a Pong, and passes over what is empty and no end.
fn gather_frame(seen: &mut Vec<Seen>, opcode: Opcode, fin: bool, payload: &[u8]) {
    let kind = match opcode {
        Opcode::Text => MessageKind::Text,
        Opcode::Binary => MessageKind::Binary,
        Opcode::Ping => return gather(seen, Event::Ping(payload)),
        Opcode::Pong => return gather(seen, Event::Pong(payload)),
        Opcode::Close => return,
        Opcode::Continuation => panic!("a piece bears the opcode of its message"),
    };
    if fin || !payload.is_empty() {
        gather(seen, Event::Data { kind, payload, fin });
    }
}

/// Whether `long` goes on where `short` ends, which may be within a message.
pub fn is_start(short: &[Seen], long: &[Seen]) -> bool {
    let Some((last, first)) = short.split_last() else { return true };
    let Some((begun, rest)) = long.get(..short.len()).and_then(|seen| seen.split_last()) else {
        return false;
    };
    let goes_on = match (last, begun) {
        (
            Seen::Data { kind, payload, fin: false },
            Seen::Data { kind: long_kind, payload: long_payload, .. },
        ) => kind == long_kind && long_payload.starts_with(payload),
        _ => last == begun,
    };
    goes_on && first == rest
}
