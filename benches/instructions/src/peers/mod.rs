// SPDX-License-Identifier: Apache-2.0
//! An adapter for each library, as small as its API allows.

mod edge_ws;
mod embedded_websocket;
mod ours;
mod websocket_sans_io;
mod ws_framer;

#[cfg(not(target_os = "none"))]
mod fastwebsockets;
#[cfg(not(target_os = "none"))]
mod tungstenite;
#[cfg(not(target_os = "none"))]
mod wslay;

use core::fmt::Debug;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use crate::cases::{Case, MEMORY, Role, run};

/// Runs all cases of peers, some of which have a type for each role.
macro_rules! run_peers {
    ($($server:ty $(| $client:ty)?),*) => {{
        let mut memory = MEMORY.0.borrow_mut();
        $(for case in Case::all() {
            $(if case.role() == Role::Client {
                run::<$client>(&mut memory, case);
                continue;
            })?
            run::<$server>(&mut memory, case);
        })*
    }};
}

pub fn run_all() {
    run_peers!(
        ours::Ours<'_, zephyr_websocket::Server> | ours::Ours<'_, zephyr_websocket::Client>,
        websocket_sans_io::Peer<'_>,
        ws_framer::Peer<'_>,
        embedded_websocket::Peer<'_, ::embedded_websocket::Server>
            | embedded_websocket::Peer<'_, ::embedded_websocket::Client>,
        edge_ws::Peer<'_>
    );
    #[cfg(not(target_os = "none"))]
    run_peers!(tungstenite::Peer, fastwebsockets::Peer<'_>, wslay::Peer<'_>);
}

/// What is no error. Other than `expect` it is inlined at every opt-level, so that it costs no peer
/// what an application does not do either.
#[inline(always)]
fn right<T, E: Debug>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error:?}"),
    }
}

/// Runs what never waits.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("memory is always ready"),
    }
}
