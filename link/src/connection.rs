//! One connection, from the dial to the loss. Every connection has a client of its own, so that
//! nothing of rumqttc's state outlives it: neither requests that it would silently forget, nor a
//! packet identifier that it would wait for for ever.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use rumqttc::mqttbytes;
use rumqttc::{
    AsyncClient, ClientError, ConnectReturnCode, ConnectionError, Event, EventLoop, LastWill,
    MqttOptions, NetworkOptions, Outgoing, Packet, Publish, QoS, StateError, SubscribeReasonCode,
    Transport,
};

use dunlin_protocol::limits::PACKET_BYTES_MAX;

use crate::config::{LinkConfig, Will};
use crate::dialer::Dialer;
use crate::item::{Item, Next};
use crate::link::LinkEvent;
use crate::outbox::{Leave, Outbox};
use crate::url::BrokerUrl;

/// What rumqttc writes at the most, in bytes: above our own limit, which is checked before.
const WIRE_BYTES_MAX: usize = 2 * PACKET_BYTES_MAX;
/// Seconds for a dial with its handshakes, and for the writing of one packet.
const NETWORK_TIMEOUT_S: u64 = 60;
/// Publications written and not yet acknowledged at the most.
const IN_FLIGHT: u16 = 16;
/// Requests between the queue and rumqttc at the most.
const REQUESTS: usize = 4;
/// How long a good-bye may take: for the acknowledgements and for the broker to hang up.
const CLOSE_WAIT: Duration = Duration::from_secs(2);
/// A broker that does not answer for so long while there are others to try is left, in seconds.
const DIAL_S: u64 = 15;
/// A connection on which nothing has passed for so long may be ended for new files.
const QUIET: Duration = Duration::from_secs(2);
/// It is ended after so many looks, quiet or not: ten minutes.
const QUIET_LOOKS: u32 = 300;
/// After so many events in a row the other futures get their turn.
const EVENTS_IN_A_ROW: u32 = 8;

/// How a connection ended.
#[derive(Debug)]
pub(crate) enum End {
    /// It was lost, never came about, or the user wanted no more of it.
    Lost(String),
    /// The other side ended it while it stood.
    Cut(String),
    /// We ended it, to connect anew with the files as they are now.
    Renewed,
    /// The broker does not want us.
    Refused(String),
}

/// The user's function that takes the events.
pub(crate) type Sink = dyn FnMut(LinkEvent) -> bool + Send;

/// rumqttc's options; the configuration has been checked, so none of them panics.
pub(crate) fn options(
    config: &LinkConfig,
    url: &BrokerUrl,
    password: Option<&str>,
    transport: Transport,
    will: Option<&Will>,
) -> MqttOptions {
    let mut options = MqttOptions::new(&config.client_id, url.host(), url.port());
    options
        .set_transport(transport)
        .set_clean_session(true)
        .set_keep_alive(Duration::from_secs(u64::from(config.keep_alive_s)))
        .set_max_packet_size(config.incoming_bytes_max(), WIRE_BYTES_MAX)
        .set_inflight(IN_FLIGHT);
    if let Some(username) = &config.username {
        options.set_credentials(username, password.unwrap_or_default());
    }
    if let Some(will) = will {
        let will = LastWill::new(&will.topic, will.payload.clone(), QoS::AtLeastOnce, true);
        options.set_last_will(will);
    }
    options
}

/// Dials and serves one connection until it ends; `on_connected` runs once, when it stands.
pub(crate) async fn serve(
    dialer: &Dialer,
    outbox: &Outbox,
    sink: &mut Sink,
    on_connected: &mut (dyn FnMut() + Send),
) -> End {
    let options = dialer.options(outbox.will().as_ref());
    let patience = options.keep_alive();
    let leaving = Cell::new(false);
    let (client, mut event_loop) = AsyncClient::new(options, REQUESTS);
    let mut network = NetworkOptions::new();
    network.set_connection_timeout(NETWORK_TIMEOUT_S);
    network.set_tcp_nodelay(true);
    event_loop.set_network_options(network);
    // Each future is made once and dropped with the connection: a `poll` that is dropped half-way
    // would leave half a packet in the socket.
    let end = tokio::select! {
        end = receive(&mut event_loop, outbox, dialer.config(), sink, on_connected) => end,
        end = feed(&client, outbox) => end,
        end = stalled(outbox, patience) => end,
        end = left(outbox) => end,
        end = silent(outbox, dialer) => end,
        end = renewed(&client, dialer, outbox, &leaving) => end,
    };
    if leaving.get() && !outbox.ending() { End::Renewed } else { end }
}

/// Polls rumqttc and hands events to the user. It never waits for the client: that would be a
/// deadlock as soon as the channel between them is full.
async fn receive(
    event_loop: &mut EventLoop,
    outbox: &Outbox,
    config: &LinkConfig,
    sink: &mut Sink,
    on_connected: &mut (dyn FnMut() + Send),
) -> End {
    let patience = event_loop.mqtt_options.keep_alive();
    let mut in_a_row = 0;
    loop {
        match event_loop.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                outbox.connected();
                on_connected();
                if !sink(LinkEvent::Connected) {
                    return End::Lost("the program did not take the news of the connection".into());
                }
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                deliver(publish, outbox, config.message_bytes_max, sink);
            }
            Ok(Event::Incoming(Packet::PubAck(answer))) => outbox.acknowledged(answer.pkid),
            Ok(Event::Incoming(Packet::SubAck(answer))) => {
                let topic = outbox.subscribe_answered(answer.pkid);
                if answer.return_codes.contains(&SubscribeReasonCode::Failure) {
                    let topic = topic.unwrap_or_default();
                    log::warn!("the broker refused the subscription to {topic}; check its ACL");
                    sink(LinkEvent::SubscribeRefused { topic });
                }
            }
            Ok(Event::Outgoing(Outgoing::Publish(packet))) => outbox.published(packet),
            Ok(Event::Outgoing(Outgoing::Subscribe(packet))) => outbox.subscribe_written(packet),
            Ok(Event::Incoming(_) | Event::Outgoing(_)) => {}
            Err(error) => {
                if let Some(bytes) = overlong(&error) {
                    outbox.count_overlong();
                    let most = config.incoming_bytes_max();
                    let text = format!("the broker sent a packet of {bytes} bytes, over {most}");
                    return End::Lost(text);
                }
                return failure(&error, patience.as_secs());
            }
        }
        in_a_row += 1;
        if in_a_row == EVENTS_IN_A_ROW {
            in_a_row = 0;
            tokio::task::yield_now().await;
        }
    }
}

fn deliver(publish: Publish, outbox: &Outbox, bytes_max: usize, sink: &mut Sink) {
    outbox.arrived(publish.payload.len());
    if publish.topic.len() + publish.payload.len() > bytes_max {
        log::debug!("dropped {} bytes from {}: too long", publish.payload.len(), publish.topic);
        outbox.count_dropped();
        return;
    }
    let payload = Vec::from(publish.payload);
    if !sink(LinkEvent::Message { topic: publish.topic, payload }) {
        outbox.count_dropped();
    }
}

/// Moves the queue into rumqttc's channel and waits there when it is full. Ends never.
async fn feed(client: &AsyncClient, outbox: &Outbox) -> End {
    loop {
        let handed = match outbox.next() {
            Next::Item(Item::Publish { topic, payload, retain }) => {
                client.publish(topic, QoS::AtLeastOnce, retain, payload).await
            }
            Next::Item(Item::Subscribe(topic, qos)) => client.subscribe(topic, qos).await,
            Next::Item(Item::Unsubscribe(topic)) => client.unsubscribe(topic).await,
            Next::Wait => {
                outbox.work.notified().await;
                Ok(())
            }
            Next::Disconnect => {
                let handed = client.disconnect().await;
                if handed.is_ok() {
                    // The rest is up to the broker, which hangs up.
                    std::future::pending::<()>().await;
                }
                handed
            }
        };
        if let Err(ClientError::Request(_) | ClientError::TryRequest(_)) = handed {
            return End::Lost("the MQTT client takes no more requests".into());
        }
    }
}

/// Ends when something waits to be sent or acknowledged and nothing moves for twice `patience`.
async fn stalled(outbox: &Outbox, patience: Duration) -> End {
    let mut still = 0;
    let (mut last, _) = outbox.progress();
    loop {
        tokio::time::sleep(patience).await;
        let (progress, waiting) = outbox.progress();
        still = if waiting && progress == last { still + 1 } else { 0 };
        last = progress;
        if still == 2 {
            let waited = 2 * patience.as_secs();
            return End::Lost(format!("nothing could be sent for {waited} s; starting over"));
        }
    }
}

/// Ends an attempt that is not answered, where there are other brokers to try.
async fn silent(outbox: &Outbox, dialer: &Dialer) -> End {
    tokio::time::sleep(Duration::from_secs(DIAL_S)).await;
    if dialer.config().urls().count() == 1 || outbox.is_connected() {
        std::future::pending::<()>().await;
    }
    End::Lost(format!("no answer within {DIAL_S} s"))
}

/// Says good-bye in a quiet moment once the files of the connection have changed, so that the last
/// will stays unsaid and nothing on its way is lost.
async fn renewed(
    client: &AsyncClient,
    dialer: &Dialer,
    outbox: &Outbox,
    leaving: &Cell<bool>,
) -> End {
    loop {
        tokio::time::sleep(dialer.config().look).await;
        if outbox.is_connected() && dialer.has_new_files() {
            break;
        }
    }
    let mut last = outbox.traffic();
    for _ in 0..QUIET_LOOKS {
        tokio::time::sleep(QUIET).await;
        let now = outbox.traffic();
        let (.., waiting) = now;
        if now == last && !waiting {
            break;
        }
        last = now;
    }
    leaving.set(true);
    if client.disconnect().await.is_ok() {
        tokio::time::sleep(CLOSE_WAIT).await;
    }
    End::Renewed
}

/// Ends when the user wants to leave, or when the queue ran over.
async fn left(outbox: &Outbox) -> End {
    loop {
        match outbox.leave() {
            Leave::No => outbox.called().await,
            Leave::Overflow => {
                let backlog = "more was queued than the limits of the queue allow";
                return End::Lost(format!("{backlog}; starting over"));
            }
            Leave::Abort => return End::Lost("ended by the program".into()),
            Leave::Close => {
                if outbox.is_connected() {
                    // The broker hangs up sooner, after our good-bye.
                    tokio::time::sleep(CLOSE_WAIT).await;
                }
                return End::Lost("ended by the program".into());
            }
        }
    }
}

/// Tells a refusal, which a person has to mend, from everything that mends itself.
fn failure(error: &ConnectionError, keep_alive_s: u64) -> End {
    if let ConnectionError::ConnectionRefused(code) = error {
        let why = match code {
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
                "user name, password or certificate are not accepted; compare them with the broker's"
                    .to_owned()
            }
            // The code means the client id; some brokers give it for the keep-alive, too.
            ConnectReturnCode::BadClientId => format!(
                "it does not accept this client id, or no keep-alive as long as keep_alive_s = \
                 {keep_alive_s}"
            ),
            ConnectReturnCode::RefusedProtocolVersion => "it does not speak MQTT 3.1.1".to_owned(),
            ConnectReturnCode::ServiceUnavailable | ConnectReturnCode::Success => {
                return End::Lost("the broker is not available now".into());
            }
        };
        return End::Refused(format!("the broker refused the connection: {why}"));
    }
    if is_cut(error) { End::Cut(describe(error)) } else { End::Lost(describe(error)) }
}

/// Length of the packet that is longer than what is read, where the connection ended over one.
#[allow(clippy::wildcard_enum_match_arm)] // which variants there are depends on rumqttc's features
fn overlong(error: &ConnectionError) -> Option<usize> {
    match error {
        ConnectionError::MqttState(StateError::Deserialization(
            mqttbytes::Error::PayloadSizeLimitExceeded(bytes),
        )) => Some(*bytes),
        _ => None,
    }
}

/// What the system said of the connection, wherever rumqttc has put it.
#[allow(clippy::wildcard_enum_match_arm)] // rumqttc's errors depend on its features
fn io_error(error: &ConnectionError) -> Option<&io::Error> {
    match error {
        ConnectionError::Io(error)
        | ConnectionError::MqttState(
            StateError::Io(error) | StateError::Deserialization(mqttbytes::Error::Io(error)),
        ) => Some(error),
        _ => None,
    }
}

/// Whether the other side ended the connection.
fn is_cut(error: &ConnectionError) -> bool {
    use io::ErrorKind as Kind;
    let hung_up = |error: &io::Error| {
        matches!(
            error.kind(),
            Kind::ConnectionReset
                | Kind::BrokenPipe
                | Kind::ConnectionAborted
                | Kind::UnexpectedEof
        )
    };
    matches!(error, ConnectionError::MqttState(StateError::ConnectionAborted))
        || io_error(error).is_some_and(hung_up)
}

/// What happened, in words; rumqttc's own where they say it well.
#[allow(clippy::wildcard_enum_match_arm)] // which variants there are depends on rumqttc's features
fn describe(error: &ConnectionError) -> String {
    match error {
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            "the broker hung up; its log says why (an unknown certificate, a client id in use, ...)"
                .into()
        }
        ConnectionError::MqttState(StateError::AwaitPingResp) => {
            "the broker did not answer a ping".into()
        }
        ConnectionError::NetworkTimeout => format!("no answer within {NETWORK_TIMEOUT_S} s"),
        ConnectionError::FlushTimeout => {
            format!("a packet could not be written within {NETWORK_TIMEOUT_S} s")
        }
        ConnectionError::MqttState(StateError::Io(error))
        | ConnectionError::MqttState(StateError::Deserialization(mqttbytes::Error::Io(error))) => {
            format!("the connection broke: {error}")
        }
        ConnectionError::MqttState(StateError::Deserialization(error)) => {
            format!("what the broker sent is not MQTT 3.1.1: {error}")
        }
        ConnectionError::NotConnAck(_) => "what answered is not an MQTT 3.1.1 broker".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::QueueLimits;

    /// Runs `future` on a clock that jumps to the next timer: how many seconds it took on it.
    fn seconds_of(future: impl Future<Output = End>) -> u64 {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let start = tokio::time::Instant::now();
            future.await;
            start.elapsed().as_secs()
        })
    }

    fn one_unacknowledged() -> Outbox {
        let outbox = Outbox::new(QueueLimits::default());
        outbox.connected();
        outbox.push(Item::Publish { topic: "t".into(), payload: vec![], retain: false });
        outbox.next();
        outbox.published(1);
        outbox
    }

    #[test]
    fn a_missing_acknowledgement_ends_the_connection_after_two_to_three_keep_alives() {
        let outbox = one_unacknowledged();
        let took = seconds_of(stalled(&outbox, Duration::from_secs(30)));
        assert!((60..=90).contains(&took), "{took}");
    }

    #[test]
    fn an_idle_connection_and_one_that_moves_are_left_alone() {
        let outbox = one_unacknowledged();
        let moving = async {
            for _ in 0..100 {
                tokio::time::sleep(Duration::from_secs(29)).await;
                outbox.published(1);
            }
            outbox.acknowledged(1);
            tokio::time::sleep(Duration::from_secs(3600)).await;
            End::Lost("the test is over".into())
        };
        let took = seconds_of(async {
            tokio::select! {
                end = stalled(&outbox, Duration::from_secs(30)) => end,
                end = moving => end,
            }
        });
        assert_eq!(took, 100 * 29 + 3600);
    }

    #[test]
    fn a_refusal_that_mends_itself_is_no_refusal() {
        let end = |code| failure(&ConnectionError::ConnectionRefused(code), 30);
        assert!(matches!(end(ConnectReturnCode::NotAuthorized), End::Refused(_)));
        assert!(matches!(end(ConnectReturnCode::BadClientId), End::Refused(_)));
        assert!(matches!(end(ConnectReturnCode::ServiceUnavailable), End::Lost(_)));
    }

    #[test]
    fn a_refused_client_id_may_be_a_refused_keep_alive() {
        let refused = ConnectionError::ConnectionRefused(ConnectReturnCode::BadClientId);
        let End::Refused(why) = failure(&refused, 900) else { panic!("no refusal") };
        assert!(why.contains("client id") && why.contains("keep_alive_s = 900"), "{why}");
    }

    #[test]
    fn a_connection_that_breaks_is_told_in_words() {
        let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
        let state = |error| ConnectionError::MqttState(StateError::Deserialization(error));
        let End::Cut(why) = failure(&state(mqttbytes::Error::Io(reset())), 30) else {
            panic!("not cut")
        };
        assert!(why.starts_with("the connection broke") && !why.contains("serial"), "{why}");
        let End::Lost(why) = failure(&state(mqttbytes::Error::MalformedPacket), 30) else {
            panic!("cut")
        };
        assert!(why.contains("not MQTT 3.1.1"), "{why}");
        assert!(matches!(failure(&ConnectionError::Io(reset()), 30), End::Cut(_)));
    }
}
