//! The demo's own MQTT broker: in this process, in memory, on loopback only. Not for production.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use mqtt5::broker::config::{StorageBackend, StorageConfig};
use mqtt5::broker::server::BrokerShutdownHandle;
use mqtt5::broker::{BrokerConfig, MqttBroker};

/// A broker that stops when it is dropped.
pub(crate) struct Loopback {
    address: SocketAddr,
    shutdown: BrokerShutdownHandle,
    thread: Option<JoinHandle<()>>,
}

impl Loopback {
    /// Starts a broker on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// Why it did not start, in words.
    pub(crate) fn start() -> Result<Self, String> {
        let (sender, started) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("broker".into())
            .spawn(move || serve(&sender))
            .map_err(|error| error.to_string())?;
        let started = started.recv_timeout(Duration::from_secs(10));
        let (address, shutdown) = started.map_err(|_| "the broker did not start")??;
        Ok(Self { address, shutdown, thread: Some(thread) })
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("mqtt://{}", self.address)
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.shutdown.shutdown();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

type Started = Result<(SocketAddr, BrokerShutdownHandle), String>;

fn serve(sender: &mpsc::Sender<Started>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = sender.send(Err(error.to_string()));
            return;
        }
    };
    runtime.block_on(async {
        let storage = StorageConfig::new().with_backend(StorageBackend::Memory);
        let mut config = BrokerConfig::new()
            .with_bind_address(SocketAddr::from(([127, 0, 0, 1], 0)))
            .with_max_packet_size(dunlin_protocol::limits::PACKET_BYTES_MAX);
        config.storage_config = storage;
        let mut broker = match MqttBroker::with_config(config).await {
            Ok(broker) => broker,
            Err(error) => {
                let _ = sender.send(Err(error.to_string()));
                return;
            }
        };
        let Some(address) = broker.local_addr() else {
            let _ = sender.send(Err("the broker has no address".into()));
            return;
        };
        let _ = sender.send(Ok((address, broker.shutdown_handle())));
        if let Err(error) = broker.run().await {
            log::error!("the demo's broker stopped: {error}");
        }
    });
}
