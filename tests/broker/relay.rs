//! A relay between a client and the broker that holds bytes back and counts connections.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::world::{PATIENCE, nap};

/// How often a relay looks whether it should go on waiting.
const LOOK: Duration = Duration::from_millis(10);

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From the client to the broker.
    Up,
    /// From the broker to the client.
    Down,
}

/// A dam in one direction: so many bytes more, then none.
struct Dam {
    way: Way,
    left: usize,
    reached: bool,
}

#[derive(Default)]
struct Shared {
    dam: Mutex<Option<Dam>>,
    changed: Condvar,
    open: Mutex<Vec<TcpStream>>,
    connections: AtomicU32,
    ended: AtomicBool,
}

/// A TCP relay on a loopback port of its own.
pub(super) struct Relay {
    port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// A relay to the broker on this port; it need not be up.
    pub(super) fn to(broker: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || accept(&listener, broker, &theirs));
        Self { port, shared, thread: Some(thread) }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Connections that clients have made so far.
    pub(super) fn connections(&self) -> u32 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Lets `bytes` more pass this way and then holds everything back that goes there.
    pub(super) fn hold_after(&self, way: Way, bytes: usize) {
        *self.shared.dam.lock().unwrap() = Some(Dam { way, left: bytes, reached: false });
    }

    /// Waits until bytes are held back.
    pub(super) fn wait_held(&self) {
        let dam = self.shared.dam.lock().unwrap();
        let waiting = |dam: &mut Option<Dam>| dam.as_ref().is_some_and(|dam| !dam.reached);
        let (dam, late) = self.shared.changed.wait_timeout_while(dam, PATIENCE, waiting).unwrap();
        let left = dam.as_ref().map(|dam| dam.left);
        assert!(!late.timed_out(), "the bytes to be held back never came: {left:?} left");
    }

    /// Lets everything pass.
    pub(super) fn release(&self) {
        *self.shared.dam.lock().unwrap() = None;
        self.shared.changed.notify_all();
    }

    /// Ends every connection at both ends and lets everything pass on the next ones.
    pub(super) fn cut(&self) {
        for socket in self.shared.open.lock().unwrap().drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
        self.release();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        self.cut();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, broker: u16, shared: &Arc<Shared>) {
    while !shared.ended.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((client, _)) => {
                shared.connections.fetch_add(1, Ordering::Relaxed);
                if let Ok(broker) = TcpStream::connect(("127.0.0.1", broker)) {
                    join(client, broker, shared);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => nap(LOOK),
            Err(_) => return,
        }
    }
}

fn join(client: TcpStream, broker: TcpStream, shared: &Arc<Shared>) {
    let over = Arc::new(AtomicBool::new(false));
    for socket in [&client, &broker] {
        socket.set_nonblocking(false).unwrap();
        socket.set_nodelay(true).unwrap();
        shared.open.lock().unwrap().push(socket.try_clone().unwrap());
    }
    let ways = [(Way::Up, &client, &broker), (Way::Down, &broker, &client)];
    for (way, from, to) in ways {
        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        let (shared, over) = (Arc::clone(shared), Arc::clone(&over));
        std::thread::spawn(move || {
            let _ = carry(way, &from, &to, &shared, &over);
            over.store(true, Ordering::Relaxed);
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
}

fn carry(
    way: Way,
    mut from: &TcpStream,
    mut to: &TcpStream,
    shared: &Shared,
    over: &AtomicBool,
) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        let mut sent = 0;
        while sent < read {
            let pass = shared.admit(way, read - sent, over);
            if pass == 0 {
                return Ok(());
            }
            to.write_all(&buffer[sent..sent + pass])?;
            sent += pass;
        }
    }
}

impl Shared {
    /// How many of `bytes` may pass now; waits at the dam. 0 when the connection is over.
    fn admit(&self, way: Way, bytes: usize, over: &AtomicBool) -> usize {
        let mut dam = self.dam.lock().unwrap();
        loop {
            match dam.as_mut() {
                Some(dam) if dam.way == way => {
                    if dam.left > 0 {
                        let pass = bytes.min(dam.left);
                        dam.left -= pass;
                        return pass;
                    }
                    dam.reached = true;
                    self.changed.notify_all();
                }
                Some(_) | None => return bytes,
            }
            if over.load(Ordering::Relaxed) || self.ended.load(Ordering::Relaxed) {
                return 0;
            }
            dam = self.changed.wait_timeout(dam, LOOK).unwrap().0;
        }
    }
}
