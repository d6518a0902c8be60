// SPDX-License-Identifier: Apache-2.0
//! Debian's libwslay through its event API, which checks what this library checks; pieces of a
//! message are handed on unbuffered.

use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::ptr::null_mut;

use crate::cases::{self, Role, Setup};
use crate::link::{KEY, put, read};

const ERR_WOULDBLOCK: c_int = -401;

type Context = *mut c_void;

#[repr(C)]
struct Callbacks {
    recv: extern "C" fn(Context, *mut u8, usize, c_int, *mut c_void) -> isize,
    send: extern "C" fn(Context, *const u8, usize, c_int, *mut c_void) -> isize,
    genmask: extern "C" fn(Context, *mut u8, usize, *mut c_void) -> c_int,
    on_frame_recv_start: Option<extern "C" fn()>,
    on_frame_recv_chunk: extern "C" fn(Context, *const Slice, *mut c_void),
    on_frame_recv_end: extern "C" fn(Context, *mut c_void),
    on_msg_recv: Option<extern "C" fn()>,
}

#[repr(C)]
struct Slice {
    data: *const u8,
    len: usize,
}

#[repr(C)]
struct Message {
    opcode: u8,
    slice: Slice,
}

unsafe extern "C" {
    fn wslay_event_context_server_init(
        context: *mut Context,
        callbacks: *const Callbacks,
        user_data: *mut c_void,
    ) -> c_int;
    fn wslay_event_context_client_init(
        context: *mut Context,
        callbacks: *const Callbacks,
        user_data: *mut c_void,
    ) -> c_int;
    fn wslay_event_context_free(context: Context);
    fn wslay_event_config_set_no_buffering(context: Context, on: c_int);
    fn wslay_event_set_error(context: Context, error: c_int);
    fn wslay_event_recv(context: Context) -> c_int;
    fn wslay_event_queue_msg(context: Context, message: *const Message) -> c_int;
    fn wslay_event_send(context: Context) -> c_int;
}

pub struct Peer<'m> {
    context: Context,
    message: Message,
    /// Set at the end of a frame: nothing more arrives for now.
    _complete: Box<bool>,
    payload: PhantomData<&'m [u8]>,
}

extern "C" fn recv(
    context: Context,
    buffer: *mut u8,
    len: usize,
    _: c_int,
    complete: *mut c_void,
) -> isize {
    // SAFETY: user data is `complete`, and the buffer is writable by wslay's contract.
    unsafe {
        if complete.cast::<bool>().replace(false) {
            wslay_event_set_error(context, ERR_WOULDBLOCK);
            return -1;
        }
        read(std::slice::from_raw_parts_mut(buffer, len)) as isize
    }
}

extern "C" fn send(_: Context, data: *const u8, len: usize, _: c_int, _: *mut c_void) -> isize {
    // SAFETY: by wslay's contract.
    put(unsafe { std::slice::from_raw_parts(data, len) });
    len as isize
}

extern "C" fn genmask(_: Context, buffer: *mut u8, _: usize, _: *mut c_void) -> c_int {
    // SAFETY: a masking key is four bytes.
    unsafe { buffer.cast::<[u8; 4]>().write(KEY) };
    0
}

extern "C" fn chunk(_: Context, chunk: *const Slice, _: *mut c_void) {
    // SAFETY: by wslay's contract.
    put(unsafe { std::slice::from_raw_parts((*chunk).data, (*chunk).len) });
}

extern "C" fn end(_: Context, complete: *mut c_void) {
    // SAFETY: user data is `complete`.
    unsafe { complete.cast::<bool>().write(true) };
}

impl<'m> cases::Peer<'m> for Peer<'m> {
    const NAME: &'static str = "wslay";
    const CHECKS_UTF8: bool = true;

    fn new(setup: Setup<'m>) -> Self {
        let callbacks = Callbacks {
            recv,
            send,
            genmask,
            on_frame_recv_start: None,
            on_frame_recv_chunk: chunk,
            on_frame_recv_end: end,
            on_msg_recv: None,
        };
        let mut complete = Box::new(false);
        let user_data = (&raw mut *complete).cast();
        let mut context = null_mut();
        // SAFETY: wslay copies the callbacks; what it points to lives as long as the context.
        let result = unsafe {
            match setup.role {
                Role::Server => {
                    wslay_event_context_server_init(&mut context, &callbacks, user_data)
                }
                Role::Client => {
                    wslay_event_context_client_init(&mut context, &callbacks, user_data)
                }
            }
        };
        assert_eq!(result, 0);
        // SAFETY: the context is valid.
        unsafe { wslay_event_config_set_no_buffering(context, 1) };
        let slice = Slice { data: setup.payload.as_ptr(), len: setup.payload.len() };
        let message = Message { opcode: if setup.text { 1 } else { 2 }, slice };
        Self { context, message, _complete: complete, payload: PhantomData }
    }

    fn receive(&mut self) {
        // SAFETY: the context is valid.
        assert_eq!(unsafe { wslay_event_recv(self.context) }, 0);
    }

    fn send(&mut self) {
        // SAFETY: the context is valid, and wslay copies the message.
        let sent = unsafe {
            wslay_event_queue_msg(self.context, &self.message) == 0
                && wslay_event_send(self.context) == 0
        };
        assert!(sent);
    }
}

impl Drop for Peer<'_> {
    fn drop(&mut self) {
        // SAFETY: the context is valid and not used again.
        unsafe { wslay_event_context_free(self.context) };
    }
}
