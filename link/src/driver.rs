//! The thread of a link: one connection after the other, with waits between them.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::runtime::{self, Runtime};
use tokio::time::Instant;

use crate::attempts::Attempts;
use crate::backoff;
use crate::connection::{self, End, Sink};
use crate::counters::Oversize;
use crate::dialer::Dialer;
use crate::error::LinkError;
use crate::link::LinkEvent;
use crate::outbox::Outbox;
use crate::url::BrokerUrl;

/// Stack of the thread and of the one that resolves names, in bytes: small boards have many threads
/// and little memory, and a TLS handshake needs less than a quarter of this.
const STACK_BYTES: usize = 512 * 1024;

/// Starts the thread; its value is whether everything was acknowledged at the end.
pub(crate) fn start(
    dialer: Dialer,
    outbox: Arc<Outbox>,
    mut sink: Box<Sink>,
) -> Result<JoinHandle<bool>, LinkError> {
    let attempts = Attempts::new(backoff::waits(&dialer.config().client_id));
    let runtime = runtime()?;
    thread::Builder::new()
        .name("mqtt".into())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let clean = runtime.block_on(run(&dialer, attempts, &outbox, &mut *sink));
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

/// One connection after the other until the user wants no more.
async fn run(dialer: &Dialer, mut attempts: Attempts, outbox: &Outbox, sink: &mut Sink) -> bool {
    loop {
        let url = dialer.url();
        let mut since = None;
        let mut on_connected = || {
            log::info!("connected to {url}");
            since = Some(Instant::now());
        };
        let end = connection::serve(dialer, outbox, sink, &mut on_connected).await;
        let lasted = since.map(|since: Instant| since.elapsed().as_millis());
        let lasted_ms = lasted.map(|lasted| u64::try_from(lasted).unwrap_or(u64::MAX));
        let oversize = outbox.disconnected(matches!(end, End::Cut(_)));
        if outbox.ending() {
            return outbox.said_everything();
        }
        let wait = attempts.wait_after(&end, lasted_ms, dialer);
        let event = event(end, oversize, url, dialer.url());
        log::debug!("{event:?}; next attempt in {} ms", wait.as_millis());
        // Not taken: the `Connected` that follows says as much.
        sink(event);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = ended(outbox) => return false,
        }
    }
}

/// What the user hears of the end of a connection to `url`; `next` is dialled after it.
fn event(end: End, oversize: Option<Oversize>, url: &BrokerUrl, next: &BrokerUrl) -> LinkEvent {
    let then = if next == url { String::new() } else { format!("; tries {next} next") };
    match end {
        End::Refused(reason) => LinkEvent::Refused { reason: format!("{url}: {reason}{then}") },
        End::Renewed => {
            let reason = format!("{url}: connects anew, with files that have changed");
            LinkEvent::Disconnected { reason }
        }
        End::Lost(reason) | End::Cut(reason) => {
            let long = oversize.map(too_long).unwrap_or_default();
            LinkEvent::Disconnected { reason: format!("{url}: {reason}{long}{then}") }
        }
    }
}

/// What a packet's length may have to do with the end of a connection.
fn too_long(oversize: Oversize) -> String {
    let Oversize { bytes, passed, times } = oversize;
    let again = if times > 1 { format!(", {times} times in a row") } else { String::new() };
    format!(
        "; that came right after a packet of {bytes} bytes was written{again}, and the longest that \
         this connection had passed before has {passed}: the broker's limit for packets may be lower \
         (max_packet_size, message_size_limit, max_payload): raise it, or make chunks smaller \
         (updates.chunk_kib of the aggregator)"
    )
}

/// Waits until the user wants no more.
async fn ended(outbox: &Outbox) {
    while !outbox.ending() {
        outbox.called().await;
    }
}
