//! The thread of a link: one connection after the other, with waits between them.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use dunlin_protocol::backoff::Reconnect;
use rumqttc::{MqttOptions, Transport};
use tokio::runtime::{self, Runtime};
use tokio::time::Instant;

use crate::backoff;
use crate::config::LinkConfig;
use crate::connection::{self, End, Sink};
use crate::error::LinkError;
use crate::link::LinkEvent;
use crate::outbox::Outbox;

/// Stack of the thread and of the one that resolves names, in bytes: small boards have many threads
/// and little memory, and a TLS handshake needs less than a quarter of this.
const STACK_BYTES: usize = 512 * 1024;

/// Starts the thread; its value is whether everything was acknowledged at the end.
pub(crate) fn start(
    config: &LinkConfig,
    outbox: Arc<Outbox>,
    mut sink: Box<Sink>,
) -> Result<JoinHandle<bool>, LinkError> {
    let options = connection::options(config, transport(config)?);
    let waits = backoff::waits(&config.client_id);
    let url = config.url.to_string();
    let runtime = runtime()?;
    thread::Builder::new()
        .name("mqtt".into())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let clean = runtime.block_on(run(&options, &url, waits, &outbox, &mut *sink));
            // A name that is still being resolved must not hold up the end.
            runtime.shutdown_background();
            clean
        })
        .map_err(LinkError::Thread)
}

fn runtime() -> Result<Runtime, LinkError> {
    runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(1)
        .thread_stack_size(STACK_BYTES)
        .build()
        .map_err(LinkError::Thread)
}

#[cfg(feature = "tls")]
fn transport(config: &LinkConfig) -> Result<Transport, LinkError> {
    if !config.url.tls() {
        return Ok(Transport::Tcp);
    }
    let client = crate::tls::of_link(config)?;
    Ok(Transport::tls_with_config(rumqttc::TlsConfiguration::Rustls(client)))
}

#[cfg(not(feature = "tls"))]
fn transport(config: &LinkConfig) -> Result<Transport, LinkError> {
    if config.url.tls() { Err(LinkError::NoTls) } else { Ok(Transport::Tcp) }
}

/// One connection after the other until the user wants no more.
async fn run(
    options: &MqttOptions,
    url: &str,
    mut waits: Reconnect,
    outbox: &Outbox,
    sink: &mut Sink,
) -> bool {
    loop {
        let mut since = None;
        let mut on_connected = || {
            log::info!("connected to {url}");
            since = Some(Instant::now());
        };
        let options = connection::with_will(options.clone(), outbox.will());
        let end = connection::serve(options, outbox, sink, &mut on_connected).await;
        let lasted = since.map(|since: Instant| since.elapsed().as_millis());
        let lasted_ms = lasted.map(|lasted| u64::try_from(lasted).unwrap_or(u64::MAX));
        outbox.disconnected();
        if outbox.ending() {
            return outbox.said_everything();
        }
        let (event, wait) = match end {
            End::Refused(reason) => {
                let wait = Duration::from_millis(waits.after_refusal_ms());
                log::error!("{url}: {reason}; next attempt in {} s", wait.as_secs());
                (LinkEvent::Refused { reason: format!("{url}: {reason}") }, wait)
            }
            End::Lost(reason) => {
                let wait = Duration::from_millis(waits.after_loss_ms(lasted_ms));
                log::warn!("{url}: {reason}; next attempt in {} s", wait.as_secs());
                (LinkEvent::Disconnected { reason: format!("{url}: {reason}") }, wait)
            }
        };
        // Not taken: the `Connected` that follows says as much.
        sink(event);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = ended(outbox) => return false,
        }
    }
}

/// Waits until the user wants no more.
async fn ended(outbox: &Outbox) {
    while !outbox.ending() {
        outbox.called().await;
    }
}
