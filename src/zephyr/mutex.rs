// SPDX-License-Identifier: Apache-2.0

use core::cell::UnsafeCell;

use crate::split::{Lock, Locks};

/// Zephyr's mutexes, for a [`Split`](crate::Split). They lend the priority of the thread that waits
/// to the one that it waits for.
///
/// They need `CONFIG_RUST_WEBSOCKET_SPLIT`, which is on unless it cannot be, and threads that are
/// not in user mode.
#[derive(Clone, Copy, Debug)]
pub enum Mutexes {}

impl Locks for Mutexes {
    type Lock<S> = Mutex<S>;
}

/// What `struct movable_mutex` of `zephyr/mutex.c` takes at the most, in words.
const STORAGE_WORDS: usize = 12;

type Storage = UnsafeCell<[usize; STORAGE_WORDS]>;

// SAFETY: the signatures are those of zephyr/mutex.c.
unsafe extern "C" {
    /// `storage` must be zeros when it is used first, and not move while a thread is in it or waits.
    fn rust_websocket_mutex_lock(storage: *mut [usize; STORAGE_WORDS]);
    /// The thread must have locked `storage`.
    fn rust_websocket_mutex_unlock(storage: *mut [usize; STORAGE_WORDS]);
}

/// A mutex of Zephyr around a value: a [`Lock`].
///
/// A thread that locks it again while it uses the value is ended by a kernel panic.
#[derive(Debug)]
pub struct Mutex<S> {
    storage: Storage,
    value: UnsafeCell<S>,
}

// SAFETY: the value is only used by the thread that has locked the storage, which may be any if the
// value may move between threads.
unsafe impl<S: Send> Sync for Mutex<S> {}

impl<S> Mutex<S> {
    /// A mutex around `value`.
    pub const fn new(value: S) -> Self {
        Self { storage: UnsafeCell::new([0; STORAGE_WORDS]), value: UnsafeCell::new(value) }
    }
}

/// Unlocks when it is dropped.
struct Locked<'a>(&'a Storage);

impl<'a> Locked<'a> {
    fn new(storage: &'a Storage) -> Self {
        // SAFETY: it was zeros at first, and does not move while it is borrowed.
        unsafe { rust_websocket_mutex_lock(storage.get()) };
        Self(storage)
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // SAFETY: `new` has locked it, in the same thread: this type is not `Send`.
        unsafe { rust_websocket_mutex_unlock(self.0.get()) };
    }
}

impl<S> Lock<S> for Mutex<S> {
    fn new(value: S) -> Self {
        Self::new(value)
    }

    fn with<O>(&self, operation: impl FnOnce(&mut S) -> O) -> O {
        let _locked = Locked::new(&self.storage);
        // SAFETY: only this thread has locked the storage, and has done so once.
        operation(unsafe { &mut *self.value.get() })
    }

    fn into_inner(self) -> S {
        self.value.into_inner()
    }
}
