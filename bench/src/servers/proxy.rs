//! Counts round trips on the wire: what a server gets after it has answered begins a new one.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;

/// Passes everything on to a server.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    trips: Arc<AtomicU64>,
}

impl Proxy {
    /// Listens on a port of its own until the process ends.
    pub(crate) fn to(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (address, trips) = (listener.local_addr()?, Arc::<AtomicU64>::default());
        let counter = trips.clone();
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if let Ok(server) = TcpStream::connect(server) {
                    drop(pass_on(&client, &server, &counter));
                }
            }
        });
        Ok(Self { address, trips })
    }

    /// Round trips so far, on all connections together.
    pub(crate) fn trips(&self) -> u64 {
        self.trips.load(SeqCst)
    }
}

fn pass_on(client: &TcpStream, server: &TcpStream, trips: &Arc<AtomicU64>) -> io::Result<()> {
    let answered = Arc::new(AtomicBool::new(true));
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from, to, (is_answered, trips)) =
        (client.try_clone()?, server.try_clone()?, (answered.clone(), trips.clone()));
    copy(from, to, move || {
        if is_answered.swap(false, SeqCst) {
            trips.fetch_add(1, SeqCst);
        }
    });
    copy(server.try_clone()?, client.try_clone()?, move || answered.store(true, SeqCst));
    Ok(())
}

fn copy(mut from: TcpStream, mut to: TcpStream, each: impl Fn() + Send + 'static) {
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            each();
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        drop(to.shutdown(Shutdown::Both));
    });
}
