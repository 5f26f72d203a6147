//! A TCP path to a server that can be made to fail.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// A listener on 127.0.0.1 that forwards to a server, faithfully until told otherwise. Dropping it closes the listener
/// and every connection.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    path: Arc<Path>,
    listening: AbortHandle,
}

#[derive(Debug)]
struct Path {
    server: AtomicU16,
    fault: watch::Sender<Fault>,
    /// Rises to end the connections so far.
    resets: watch::Sender<u64>,
    /// Rises to silence the connections so far.
    strandings: watch::Sender<u64>,
    /// Bytes of replies that were dropped.
    dropped: watch::Sender<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Delay(Duration),
    DropReplies,
    Blackhole,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Requests,
    Replies,
}

impl Proxy {
    /// A path to the server that listens on `port` of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be listened on.
    pub async fn to(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let own_port = listener.local_addr()?.port();
        let path = Arc::new(Path {
            server: AtomicU16::new(port),
            fault: watch::Sender::new(Fault::None),
            resets: watch::Sender::new(0),
            strandings: watch::Sender::new(0),
            dropped: watch::Sender::new(0),
        });
        let listening = tokio::spawn(path.clone().listen(listener)).abort_handle();
        Ok(Self { port: own_port, path, listening })
    }

    /// The port that leads to the server.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://127.0.0.1:<port>`.
    #[must_use]
    pub fn redis_url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Connections from now on lead to the server on another port, as after a failover.
    pub fn lead_to(&self, port: u16) {
        self.path.server.store(port, Ordering::Relaxed);
    }

    /// Every chunk takes this much longer, in each direction.
    pub fn delay(&self, by: Duration) {
        self.path.fault.send_replace(Fault::Delay(by));
    }

    /// Requests reach the server, its replies vanish.
    pub fn drop_replies(&self) {
        self.path.fault.send_replace(Fault::DropReplies);
    }

    /// Nothing passes in either direction; it arrives late if the path heals. New connections hang too.
    pub fn blackhole(&self) {
        self.path.fault.send_replace(Fault::Blackhole);
    }

    /// Forwards faithfully again. A connection that lost replies is reset, for what follows would answer other requests.
    pub fn heal(&self) {
        self.path.fault.send_replace(Fault::None);
    }

    /// Resets every connection; new ones are served.
    pub fn reset(&self) {
        self.path.resets.send_modify(|count| *count += 1);
    }

    /// The connections so far fall silent for ever without being closed; new ones are served.
    pub fn strand(&self) {
        self.path.strandings.send_modify(|count| *count += 1);
    }

    /// Waits until replies were dropped, which shows that the server got a request.
    pub async fn reply_dropped(&self) {
        let mut dropped = self.path.dropped.subscribe();
        // The sender lives as long as this proxy does.
        let _ = dropped.wait_for(|bytes| *bytes > 0).await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
        self.reset();
    }
}

impl Path {
    async fn listen(self: Arc<Self>, listener: TcpListener) {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(self.clone().serve(client));
        }
    }

    async fn serve(self: Arc<Self>, client: TcpStream) {
        let mut resets = self.resets.subscribe();
        let strandings = self.strandings.subscribe();
        let mut fault = self.fault.subscribe();
        // A failed wait means that the proxy is gone.
        let _ = fault.wait_for(|fault| *fault != Fault::Blackhole).await;
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.server.load(Ordering::Relaxed))).await else {
            return;
        };
        let (_, _) = (client.set_nodelay(true), server.set_nodelay(true));
        let (from_client, mut to_client) = client.into_split();
        let (from_server, mut to_server) = server.into_split();
        let requests = self.pump(Direction::Requests, from_client, &mut to_server, strandings.clone());
        let replies = self.pump(Direction::Replies, from_server, &mut to_client, strandings);
        tokio::select! {
            () = requests => {}
            () = replies => {}
            _ = resets.changed() => {
                // Closing with no time to linger sends RST instead of FIN.
                let _ = to_client.as_ref().set_zero_linger();
            }
        }
    }

    /// Forwards one direction until its end.
    async fn pump(
        &self,
        direction: Direction,
        mut from: OwnedReadHalf,
        to: &mut OwnedWriteHalf,
        strandings: watch::Receiver<u64>,
    ) {
        let mut fault = self.fault.subscribe();
        let mut lost_some = false;
        let mut chunk = vec![0; 64 * 1024];
        loop {
            let read = tokio::select! {
                read = from.read(&mut chunk) => read,
                _ = fault.changed(), if lost_some => return,
            };
            let Ok(size @ 1..) = read else { return };
            if strandings.has_changed().unwrap_or(false) {
                return std::future::pending().await;
            }
            let now = *fault.borrow_and_update();
            match now {
                Fault::None => {}
                Fault::Delay(by) => sleep(by).await,
                Fault::Blackhole => {
                    let _ = fault.wait_for(|fault| *fault != Fault::Blackhole).await;
                }
                Fault::DropReplies if direction == Direction::Replies => {
                    lost_some = true;
                    self.dropped.send_modify(|bytes| *bytes += size);
                    continue;
                }
                Fault::DropReplies => {}
            }
            if to.write_all(&chunk[..size]).await.is_err() {
                return;
            }
        }
    }
}
