// SPDX-License-Identifier: Apache-2.0
//! Pairs of streams over TLS. Each end waits for the other in its handshake, so that one needs a
//! thread of its own.

use core::sync::atomic::{AtomicI32, AtomicU16, Ordering};
use core::time::Duration;

use log::error;
use zephyr_websocket::zephyr::tls::{self, Credential, Verify};
use zephyr_websocket::zephyr::{Error, TcpListener, TcpStream};

use crate::{Checked, Failed, HOST, LATER, SOON, check, ok};

const OWN: i32 = 1;
const CA: i32 = 2;

const SERVER: tls::Server<'static> = tls::Server { sec_tags: &[OWN], verify: Verify::None };
const CLIENT: tls::Client<'static> =
    tls::Client { sec_tags: &[CA], hostname: c"localhost", verify: Verify::Required };

/// As long as connecting over TLS may need.
const CONNECT: Duration = Duration::from_secs(10);

/// Where the other thread has to connect, 0 for nowhere.
static PORT: AtomicU16 = AtomicU16::new(0);
/// The connection that it has made, -1 for none.
static CONNECTED: AtomicI32 = AtomicI32::new(-1);

pub fn begin() -> Checked {
    let ca = include_bytes!(concat!(env!("OUT_DIR"), "/ca.der"));
    let certificate = include_bytes!(concat!(env!("OUT_DIR"), "/server.der"));
    let key = include_bytes!(concat!(env!("OUT_DIR"), "/server.key.der"));
    ok(tls::add_credential(CA, Credential::CaCertificate, ca), "the CA")?;
    ok(tls::add_credential(OWN, Credential::PublicCertificate, certificate), "the certificate")?;
    ok(tls::add_credential(OWN, Credential::PrivateKey, key), "the key")?;
    connect().start();
    Ok(())
}

#[zephyr::thread(stack_size = 16384, pool_size = 1)]
fn connect() {
    loop {
        let port = PORT.swap(0, Ordering::AcqRel);
        if port != 0 {
            match TcpStream::connect_tls(HOST, port, &CLIENT, CONNECT) {
                Ok(stream) => {
                    CONNECTED.store(stream.fd(), Ordering::Release);
                    core::mem::forget(stream);
                }
                Err(error) => error!("connect: {}", error),
            }
        }
        pause();
    }
}

fn pause() {
    zephyr::time::sleep(zephyr::time::Duration::millis(1));
}

/// The listener, and both ends of a connection.
pub fn pair() -> Result<(TcpStream, TcpStream), Failed> {
    let listener = ok(TcpListener::bind_tls(0, &SERVER), "bind")?;
    PORT.store(listener.local_port(), Ordering::Release);
    let far = ok(listener.accept(Some(LATER)), "accept")?;
    let near = loop {
        match CONNECTED.swap(-1, Ordering::AcqRel) {
            -1 => pause(),
            fd => break TcpStream::from_fd(fd),
        }
    };
    Ok((near, far))
}

pub fn mistakes() -> Checked {
    let failure = |result: Result<(), Error>| result.err();
    let again = failure(tls::add_credential(CA, Credential::CaCertificate, &[]));
    check(again == Some(Error::Tls(tls::Error::SecTagInUse)), "a sec_tag in use")?;
    let unknown = tls::Client { sec_tags: &[99], ..CLIENT };
    let too_many = tls::Client { sec_tags: &[CA; 100], ..CLIENT };
    let listener = ok(TcpListener::bind(0), "bind")?;
    let connect = |client, timeout| {
        failure(TcpStream::connect_tls(HOST, listener.local_port(), client, timeout).map(drop))
    };
    let expected = Some(Error::Tls(tls::Error::UnknownSecTag));
    check(connect(&unknown, CONNECT) == expected, "an unknown sec_tag")?;
    let expected = Some(Error::Tls(tls::Error::Options));
    check(connect(&too_many, CONNECT) == expected, "too many sec_tags")?;
    let expected = Some(Error::Tls(tls::Error::TimeoutTooShort));
    check(connect(&CLIENT, SOON) == expected, "a short timeout")?;
    let accepting = ok(TcpListener::bind_tls(0, &SERVER), "bind")?;
    check(accepting.accept(Some(Duration::ZERO)).err() == Some(Error::TimedOut), "nobody there")
}
