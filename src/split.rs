// SPDX-License-Identifier: Apache-2.0
//! A WebSocket whose receiving side and sending side belong to different threads.
//!
//! Two locks, neither of which is held while a thread waits for the network:
//!
//! - `sender` guards the connection's state and what is on its way, for one step that does not
//!   wait: taking a frame off the receive buffer, or passing the transport what it takes at once.
//! - `turn` is held by the thread whose message is being sent, until that is complete. It keeps
//!   the frames of other messages out. The receiving side never takes it.
//!
//! So the receiving side always goes on, whatever the senders wait for, and two peers that both
//! send more than the network holds still drain each other.
//!
//! A control frame that cannot leave has one thread that will send it: the thread whose data frame
//! it waits for, or else the receiving side, which then waits for room as well as for bytes.

use core::ops::Range;
use core::time::Duration;

use embedded_io::Read;

use crate::buffer::{ReceiveBuffer, copy, uninterrupted};
use crate::close::CloseCode;
use crate::connection::State;
use crate::error::{Error, UsageError};
use crate::event::{Event, MessageKind};
use crate::frame::{MAX_CONTROL_PAYLOAD_LEN, Opcode};
use crate::role::{KeySource, Role};
use crate::sender::Sender;
use crate::transport::Transport;
use crate::websocket::WebSocket;

/// A value that several threads use, one at a time.
pub trait Lock<S> {
    /// A lock around `value`.
    fn new(value: S) -> Self;

    /// Waits until no other thread uses the value, and uses it. `operation` must not use the same
    /// lock again.
    fn with<O>(&self, operation: impl FnOnce(&mut S) -> O) -> O;

    /// The value.
    fn into_inner(self) -> S;
}

/// A kind of [`Lock`]: `host::Mutexes` (feature `std`), `zephyr::Mutexes` (feature `zephyr`), or
/// one of the application. The lock should lend the priority of who waits to who holds it.
pub trait Locks {
    /// The lock around an `S`.
    type Lock<S>: Lock<S>;
}

/// A transport that one thread may read while another writes.
pub trait SplitTransport: Transport {
    /// The second way to the same stream.
    type Handle: Handle<Error = Self::Error>;

    /// A handle of this stream, which has no deadline yet. It is of no use after the transport is
    /// gone.
    ///
    /// # Errors
    /// The system has no handle left.
    fn handle(&self) -> Result<Self::Handle, Self::Error>;
}

/// Reads a stream, or waits for room in it, while other threads write to it.
///
/// # Contract
/// As for [`Transport`], and:
/// - It MUST NOT write, and MUST NOT keep the transport or another handle from doing so while it
///   waits.
/// - Its deadline MUST be its own, and it MUST honour that though the transport never waits.
pub trait Handle: Read {
    /// As [`Transport::read_or_writable`].
    fn read_or_writable(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Self::Error>;

    /// Waits until the stream takes bytes, has failed, or perhaps does neither: the caller tries
    /// again. `refused` says that it took none although the last call said that it would: then
    /// this MUST wait a few milliseconds, for what else it lacks, and no longer.
    ///
    /// # Errors
    /// [`embedded_io::ErrorKind::TimedOut`] when the deadline has passed.
    fn wait_writable(&mut self, refused: bool) -> Result<(), Self::Error>;

    /// As [`Transport::set_deadline`], for this handle.
    fn set_deadline(&mut self, after: Option<Duration>);
}

/// A [`WebSocket`] that one thread receives from while others send: see
/// [`WebSocket::split`].
pub struct Split<'b, T: SplitTransport, R: Role, L: Locks> {
    received: ReceiveBuffer<'b>,
    owed: OwedPong,
    reader: T::Handle,
    shared: Shared<'b, T, R, L>,
}

struct Shared<'b, T, R: Role, L: Locks> {
    turn: L::Lock<()>,
    sender: L::Lock<Sender<'b, T, R>>,
}

impl<'b, T: SplitTransport, R: KeySource> WebSocket<'b, T, R> {
    /// Lets one thread receive while others send. `L` says which locks there are:
    ///
    /// ```
    /// # use std::net::{TcpListener, TcpStream};
    /// use zephyr_websocket::host::{Mutexes, TcpTransport};
    /// use zephyr_websocket::{Error, Event, Server, WebSocket};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let mut peer = TcpStream::connect(listener.local_addr()?)?;
    /// # std::io::Write::write_all(&mut peer, b"\x88\x80\x01\x02\x03\x04")?;
    /// # let transport = TcpTransport::new(listener.accept()?.0)?;
    /// # let (mut rx, mut tx) = ([0; 256], [0; 256]);
    /// let websocket = WebSocket::new(transport, Server, &mut rx, &mut tx)?;
    /// let mut split = websocket.split::<Mutexes>()?;
    /// let (mut receiver, mut sender) = split.halves()?;
    /// std::thread::scope(|scope| {
    ///     scope.spawn(move || sender.send_text("from another thread"));
    ///     loop {
    ///         match receiver.receive() {
    ///             Ok(Event::Close(_)) => break Ok(()),
    ///             Ok(event) => println!("{event:?}"),
    ///             Err(error) => break Err(error),
    ///         }
    ///     }
    /// })?;
    /// split.join().finish(std::time::Duration::from_secs(1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Transport`]: the system has no handle left.
    pub fn split<L: Locks>(self) -> Result<Split<'b, T, R, L>, Error<T::Error>> {
        let (received, mut sender) = self.into_parts();
        let reader = sender.transport.handle().map_err(Error::from_transport)?;
        // Under the lock nothing waits.
        sender.transport.set_deadline(Some(Duration::ZERO));
        let shared = Shared { turn: L::Lock::new(()), sender: L::Lock::new(sender) };
        Ok(Split { received, owed: OwedPong::NONE, reader, shared })
    }
}

impl<'b, T: SplitTransport, R: KeySource, L: Locks> Split<'b, T, R, L> {
    /// The two halves. There is one that receives; the other can be
    /// [duplicated](SendHalf::duplicate).
    ///
    /// Threads that outlive their maker need a `Split` that does so too, such as one in a
    /// `StaticCell`.
    ///
    /// # Errors
    /// [`Error::Transport`]: the system has no handle left.
    #[expect(clippy::type_complexity, reason = "a name for the pair would say less")]
    pub fn halves(
        &mut self,
    ) -> Result<(ReceiveHalf<'_, 'b, T, R, L>, SendHalf<'_, 'b, T, R, L>), Error<T::Error>> {
        let Self { received, owed, reader, shared } = self;
        let shared = &*shared;
        let sender = SendHalf::new(shared)?;
        Ok((ReceiveHalf { received, owed, reader, shared }, sender))
    }

    /// Makes one of the halves again, for [`finish`](WebSocket::finish) and for going on in one
    /// thread. It has no deadline.
    #[must_use]
    pub fn join(self) -> WebSocket<'b, T, R> {
        let mut sender = self.shared.sender.into_inner();
        sender.transport.set_deadline(None);
        WebSocket::from_parts(self.received, sender)
    }
}

/// The Pong that is owed while another control frame was sent in part. Of several Pongs only the
/// last is owed (RFC 6455 section 5.5.3).
struct OwedPong {
    payload: [u8; MAX_CONTROL_PAYLOAD_LEN],
    len: Option<u8>,
}

impl OwedPong {
    const NONE: Self = Self { payload: [0; MAX_CONTROL_PAYLOAD_LEN], len: None };

    fn put(&mut self, payload: &[u8]) {
        // A control frame's payload fits.
        self.len = Some(copy(&mut self.payload, payload) as u8);
    }

    /// Passes it to `sender`, once that can take it.
    fn settle<T: Transport, R: KeySource>(
        &mut self,
        sender: &mut Sender<'_, T, R>,
    ) -> Result<(), Error<T::Error>> {
        if sender.is_control_begun() {
            return Ok(());
        }
        let Some(len) = self.len.take() else { return Ok(()) };
        sender.answer(Opcode::Ping, self.payload.get(..usize::from(len)).unwrap_or_default())
    }
}

/// The receiving side of a [`Split`].
///
/// It answers Pings and the Close frame by itself, as [`WebSocket::receive`] does. While another
/// thread's data frame is being sent, the answer waits for its end, and that thread sends it; of
/// several Pings that arrive meanwhile the last is answered.
pub struct ReceiveHalf<'a, 'b, T: SplitTransport, R: Role, L: Locks> {
    received: &'a mut ReceiveBuffer<'b>,
    owed: &'a mut OwedPong,
    reader: &'a mut T::Handle,
    shared: &'a Shared<'b, T, R, L>,
}

/// What the receiving side does next.
enum Step {
    /// Hand a frame out.
    Event(Opcode, bool, Range<usize>),
    /// Look at the next frame.
    Next,
    /// Wait for bytes, or for room as well.
    Read { or_writable: bool },
    /// Wait for room.
    Room,
}

impl<'b, T: SplitTransport, R: KeySource, L: Locks> ReceiveHalf<'_, 'b, T, R, L> {
    /// Waits for what the peer sends next. No lock is held meanwhile, nor while the event is
    /// looked at.
    ///
    /// # Errors
    /// As [`WebSocket::receive`]. After an error that ends the connection, threads that send get
    /// one at their next call.
    pub fn receive(&mut self) -> Result<Event<'_>, Error<T::Error>> {
        let (opcode, fin, payload) = self.next()?;
        Ok(Event::of(opcode, fin, self.received.at(payload)))
    }

    fn next(&mut self) -> Result<(Opcode, bool, Range<usize>), Error<T::Error>> {
        // Whether the stream has just said that it takes bytes.
        let mut is_promised = false;
        loop {
            match self.step()? {
                Step::Event(opcode, fin, payload) => return Ok((opcode, fin, payload)),
                Step::Next => {}
                Step::Read { or_writable } => {
                    let reader = &mut *self.reader;
                    if or_writable && is_promised {
                        // For a moment: receiving must go on.
                        uninterrupted(|| reader.wait_writable(true))?;
                    }
                    let count = self.received.fill_by(|room| {
                        if or_writable {
                            reader.read_or_writable(room)
                        } else {
                            reader.read(room).map(Some)
                        }
                    })?;
                    if count == Some(0) {
                        return Err(Error::Disconnected);
                    }
                    is_promised = count.is_none();
                }
                Step::Room => {
                    uninterrupted(|| self.reader.wait_writable(is_promised))?;
                    is_promised = !is_promised;
                }
            }
        }
    }

    fn step(&mut self) -> Result<Step, Error<T::Error>> {
        let Self { received, owed, shared, .. } = self;
        shared.sender.with(|sender| {
            if sender.connection.is_receive_over() {
                return Err(Error::Closed);
            }
            sender.answer_now()?;
            owed.settle(sender)?;
            let is_blocked = sender.is_control_begun();
            // A Pong can be owed. A Close frame is answered at once, which holds nobody up: the
            // peer sends no more, and still reads.
            if is_blocked
                && received.unread().first() == Some(&CLOSE)
                && is_answer(received, sender)
            {
                return Ok(Step::Room);
            }
            let mut input = received.unread_mut();
            let arrived = input.len();
            let frame = match sender.connection.receive(&mut input) {
                Ok(frame) => frame.map(|frame| (frame.opcode, frame.fin, frame.payload.len())),
                Err(error) => {
                    sender.fail(error.close_code());
                    return Err(error.into());
                }
            };
            let consumed = arrived.wrapping_sub(input.len());
            let end = received.consume(consumed);
            Ok(match frame {
                None => Step::Read { or_writable: sender.wants_to_answer() },
                Some((Opcode::Text | Opcode::Binary, false, 0)) => Step::Next,
                Some((opcode, fin, len)) => {
                    let payload = end.wrapping_sub(len)..end;
                    if is_blocked && opcode == Opcode::Ping {
                        owed.put(received.at(payload.clone()));
                    } else {
                        sender.answer(opcode, received.at(payload.clone()))?;
                    }
                    Step::Event(opcode, fin, payload)
                }
            })
        })
    }

    /// Sends a Ping without waiting: it leaves at once, or with the next room there is. A Pong or
    /// Close that is owed before then takes its place.
    ///
    /// # Errors
    /// - [`Error::TimedOut`]: nothing was begun, as another control frame waits for room. The call
    ///   can be repeated.
    /// - [`Error::Usage`], [`Error::Entropy`], [`Error::Disconnected`] and [`Error::Transport`] as
    ///   of [`Sender::ping`].
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error<T::Error>> {
        self.shared.sender.with(|sender| sender.ping_now(payload))
    }

    /// Begins the closing handshake without waiting: the Close frame leaves at once, or with the
    /// next room there is; where another thread's data frame is being sent, at its end. Then go on
    /// receiving, until the peer's Close frame comes.
    ///
    /// # Errors
    /// - [`Error::TimedOut`]: nothing was begun, as another control frame was sent in part. The
    ///   call can be repeated after the next [`receive`](Self::receive).
    /// - [`Error::Usage`], [`Error::Entropy`], [`Error::Disconnected`] and [`Error::Transport`] as
    ///   of [`Sender::close`].
    pub fn close(&mut self, code: Option<CloseCode>, reason: &str) -> Result<(), Error<T::Error>> {
        self.shared.sender.with(|sender| sender.close_now(code, reason))
    }

    /// Fails the connection, as the receiving of a message that is too big does.
    pub(crate) fn fail(&mut self, code: CloseCode) {
        self.shared.sender.with(|sender| sender.fail(code));
    }

    /// Lets [`receive`](Self::receive) fail with [`Error::TimedOut`] once `after` has passed from
    /// now; `None` lets it wait for ever.
    pub fn set_deadline(&mut self, after: Option<Duration>) {
        self.reader.set_deadline(after);
    }

    /// How far the connection is.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared.sender.with(|sender| sender.connection.state())
    }
}

/// The first byte of a Close frame.
const CLOSE: u8 = 0x80 | Opcode::Close as u8;

fn is_answer<T, R: Role>(received: &ReceiveBuffer<'_>, sender: &Sender<'_, T, R>) -> bool {
    sender.connection.is_answer_next(received.unread())
}

/// A sending side of a [`Split`], for one thread; another thread sends by a
/// [duplicate](Self::duplicate).
///
/// Whole messages of several threads follow one another in the order in which the threads get
/// their turn. A call waits for its turn first, which the deadlines of the calls before it bound;
/// its own deadline counts from [`set_deadline`](Self::set_deadline) all the same.
///
/// What a call does when its deadline passes is told at [`Sender`]. Until the frame that it began
/// is [resumed](Turn::resume), other threads' calls fail with [`UsageError::FrameInProgress`].
pub struct SendHalf<'a, 'b, T: SplitTransport, R: Role, L: Locks> {
    shared: &'a Shared<'b, T, R, L>,
    handle: T::Handle,
}

impl<'a, 'b, T: SplitTransport, R: KeySource, L: Locks> SendHalf<'a, 'b, T, R, L> {
    fn new(shared: &'a Shared<'b, T, R, L>) -> Result<Self, Error<T::Error>> {
        let handle = shared.sender.with(|sender| sender.transport.handle());
        Ok(Self { shared, handle: handle.map_err(Error::from_transport)? })
    }

    /// Another one, for another thread, which has no deadline yet.
    ///
    /// # Errors
    /// [`Error::Transport`]: the system has no handle left.
    pub fn duplicate(&self) -> Result<Self, Error<T::Error>> {
        Self::new(self.shared)
    }

    /// Lets every call of this half fail with [`Error::TimedOut`] once `after` has passed from
    /// now; `None` lets them wait for ever.
    pub fn set_deadline(&mut self, after: Option<Duration>) {
        self.handle.set_deadline(after);
    }

    /// How far the connection is.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared.sender.with(|sender| sender.connection.state())
    }

    /// Waits for its turn, and keeps it while `operation` sends: for a message in several
    /// fragments, for several messages that belong together, or for [`Turn::resume`].
    pub fn turn<O>(&mut self, operation: impl FnOnce(&mut Turn<'_, 'b, T, R, L>) -> O) -> O {
        let Self { shared, handle } = self;
        shared.turn.with(|()| operation(&mut Turn { shared, handle, is_own: false }))
    }

    /// Sends a text message in one frame, in its turn.
    ///
    /// # Errors
    /// As [`Turn::send_fragment`].
    pub fn send_text(&mut self, text: &str) -> Result<(), Error<T::Error>> {
        self.turn(|turn| turn.send_fragment(MessageKind::Text, text.as_bytes(), true))
    }

    /// Sends a binary message in one frame, in its turn.
    ///
    /// # Errors
    /// As [`Turn::send_fragment`].
    pub fn send_binary(&mut self, payload: &[u8]) -> Result<(), Error<T::Error>> {
        self.turn(|turn| turn.send_fragment(MessageKind::Binary, payload, true))
    }

    /// Sends a Ping, in its turn.
    ///
    /// # Errors
    /// As [`Sender::ping`].
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error<T::Error>> {
        self.turn(|turn| turn.send(|sender| sender.ping(payload)))
    }

    /// Sends a Pong that no Ping asked for, in its turn.
    ///
    /// # Errors
    /// As [`Sender::pong`].
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), Error<T::Error>> {
        self.turn(|turn| turn.send(|sender| sender.pong(payload)))
    }

    /// Begins the closing handshake without waiting for its turn. Where another thread's data frame
    /// is being sent, the Close frame leaves at its end; other threads' next calls fail with
    /// [`UsageError::NotOpen`], also within a message.
    ///
    /// # Errors
    /// As [`Sender::close`].
    pub fn close(&mut self, code: Option<CloseCode>, reason: &str) -> Result<(), Error<T::Error>> {
        let Self { shared, handle } = self;
        advance(shared, handle, |sender| sender.close_now(code, reason))?;
        flush(shared, handle)
    }
}

/// The turn of a thread to send: see [`SendHalf::turn`].
pub struct Turn<'t, 'b, T: SplitTransport, R: Role, L: Locks> {
    shared: &'t Shared<'b, T, R, L>,
    handle: &'t mut T::Handle,
    /// Whether the message in progress was begun, or its frame resumed, in this turn.
    is_own: bool,
}

impl<'b, T: SplitTransport, R: KeySource, L: Locks> Turn<'_, 'b, T, R, L> {
    /// As [`Sender::send_fragment`]. A message must be sent to its end within the turn.
    ///
    /// # Errors
    /// As [`Sender::send_fragment`]. [`UsageError::OtherMessageInProgress`] too if another turn
    /// has left its message without an end, after which only [`close`](SendHalf::close) helps.
    pub fn send_fragment(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        fin: bool,
    ) -> Result<(), Error<T::Error>> {
        let is_own = self.is_own;
        let mut is_begun = false;
        let result = self.send(|sender| {
            if is_begun {
                return sender.resume(payload);
            }
            if !is_own && sender.connection.is_message_begun() && !sender.is_frame_begun() {
                return Err(UsageError::OtherMessageInProgress.into());
            }
            let result = sender.send_fragment(kind, payload, fin);
            is_begun = matches!(result, Err(Error::TimedOut)) && sender.is_frame_begun();
            result
        });
        self.is_own |= is_begun || result.is_ok();
        result
    }

    /// As [`Sender::resume`]; the frame may be one of an earlier turn.
    ///
    /// # Errors
    /// As [`Sender::resume`].
    pub fn resume(&mut self, payload: &[u8]) -> Result<(), Error<T::Error>> {
        let result = self.send(|sender| sender.resume(payload));
        self.is_own |= matches!(result, Ok(()) | Err(Error::TimedOut));
        result
    }

    /// As [`Sender::is_frame_begun`].
    #[must_use]
    pub fn is_frame_begun(&self) -> bool {
        self.shared.sender.with(|sender| sender.is_frame_begun())
    }

    /// As [`SendHalf::set_deadline`].
    pub fn set_deadline(&mut self, after: Option<Duration>) {
        self.handle.set_deadline(after);
    }

    /// Repeats `step` until it is done, and sends the control frame that waited for its end.
    fn send(
        &mut self,
        mut step: impl FnMut(&mut Sender<'b, T, R>) -> Result<(), Error<T::Error>>,
    ) -> Result<(), Error<T::Error>> {
        advance(self.shared, self.handle, |sender| {
            // No use in waiting until the Close frame has left.
            if sender.connection.is_close_sent() && !sender.is_frame_begun() {
                return Err(UsageError::NotOpen.into());
            }
            step(sender)
        })?;
        // The call has done its own part. What fails here, the next call says.
        let _ = flush(self.shared, self.handle);
        Ok(())
    }
}

/// Repeats `step`, which takes no time, until it has not timed out, and waits for room between.
fn advance<'b, T: SplitTransport, R: KeySource, L: Locks>(
    shared: &Shared<'b, T, R, L>,
    handle: &mut T::Handle,
    mut step: impl FnMut(&mut Sender<'b, T, R>) -> Result<(), Error<T::Error>>,
) -> Result<(), Error<T::Error>> {
    let mut is_promised = false;
    loop {
        let (result, is_moving) = shared.sender.with(|sender| {
            let unsent = sender.unsent();
            let result = step(sender);
            (result, sender.unsent() != unsent)
        });
        let Err(Error::TimedOut) = result else { return result };
        let refused = is_promised && !is_moving;
        uninterrupted(|| handle.wait_writable(refused))?;
        is_promised = !refused;
    }
}

/// Sends a control frame that waits, unless it waits for a data frame's end.
fn flush<T: SplitTransport, R: KeySource, L: Locks>(
    shared: &Shared<'_, T, R, L>,
    handle: &mut T::Handle,
) -> Result<(), Error<T::Error>> {
    advance(shared, handle, |sender| {
        sender.answer_now()?;
        if sender.wants_to_answer() { Err(Error::TimedOut) } else { Ok(()) }
    })
}
