use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::response::Response;
use axum::routing::get;
use millstream_queue::{Client, Error};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::hub::Hub;
use crate::requests::MAX_MESSAGE;
use crate::{relay, session};

/// Beyond this a message isn't even read to its end; between the two it is answered with an error.
const MAX_FRAME: usize = 4 * MAX_MESSAGE;

/// How long the farewells may take at the end.
const GRACE: Duration = Duration::from_secs(5);

/// One process of the signalling service.
pub struct Server {
    listener: TcpListener,
    relays: JoinSet<()>,
    sockets: Sockets,
}

#[derive(Clone)]
struct Sockets {
    hub: Arc<Hub>,
    client: Client,
    stop: CancellationToken,
    running: TaskTracker,
}

impl Server {
    /// Follows all topics, then listens: a client can't connect before nothing can be missed any more.
    ///
    /// # Errors
    /// Those of [`Client::follow`].
    pub async fn start(client: Client, listener: TcpListener) -> Result<Self, Error> {
        let hub = Arc::new(Hub::default());
        let mut relays = JoinSet::new();
        relay::start(&client, &hub, &mut relays).await?;
        let sockets = Sockets { hub, client, stop: CancellationToken::new(), running: TaskTracker::new() };
        Ok(Self { listener, relays, sockets })
    }

    /// Where clients connect, at the path `/ws`.
    ///
    /// # Errors
    /// The operating system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown` is ready, then closes every socket and tells the rooms.
    ///
    /// # Errors
    /// The operating system's, where the listener fails.
    pub async fn run_until(mut self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let Sockets { stop, running, .. } = self.sockets.clone();
        let router = Router::new().route("/ws", get(upgrade)).with_state(self.sockets);
        let serving = axum::serve(self.listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
        let served = tokio::select! {
            served = serving.into_future() => served,
            () = shutdown => Ok(()),
        };
        stop.cancel();
        running.close();
        // The relays go on meanwhile: peers of this process hear of each other's leaving.
        let _ = tokio::time::timeout(GRACE, running.wait()).await;
        self.relays.shutdown().await;
        served
    }
}

async fn upgrade(State(sockets): State<Sockets>, upgrade: WebSocketUpgrade) -> Response {
    let Sockets { hub, client, stop, running } = sockets;
    upgrade
        .max_message_size(MAX_FRAME)
        .max_frame_size(MAX_FRAME)
        .on_upgrade(move |socket| running.track_future(session::run(socket, hub, client, stop)))
}
