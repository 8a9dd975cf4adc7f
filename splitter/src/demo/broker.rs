//! A broker for one desk: MQTT v5 on a free loopback port, in memory, as long as this process lives.
//!
//! Owns: sockets and their threads; sessions and routing are in [`hub`]. Must not know: what a payload means.
//! Not for production: no TLS, no passwords, no disk, QoS 0 and 1. Everywhere else Kerf uses a real broker.
//! Packets are read and written by rumqttc's own codec. rumqttd was weighed and left: 190 crates, 0.5 GB of memory,
//! and no TCP_NODELAY, which costs 48 ms a round trip.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::v5::mqttbytes::Error as PacketError;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, ConnAckProperties, Connect, ConnectReturnCode, LastWill, Packet, PingResp, PubAck, Publish, UnsubAck,
    UnsubAckReason,
};

mod hub;

use hub::Hub;

/// Longest packet, bytes: the largest activation of a 224×224 network and room around it.
pub(crate) const MAX_PACKET_BYTES: u32 = 32 * 1024 * 1024;
/// Bytes read from a socket at once.
const READ_BYTES: usize = 64 * 1024;
/// A reader that takes nothing for so long is cut off.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection must introduce itself within this time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The running broker. Its threads end with the process.
pub(crate) struct DeskBroker {
    address: SocketAddr,
    hub: Arc<Hub>,
}

impl DeskBroker {
    /// Listens on a free loopback port.
    ///
    /// # Errors
    /// When no port or thread is to be had.
    pub(crate) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let hub = Arc::new(Hub::default());
        let ours = Arc::clone(&hub);
        thread::Builder::new().name("desk-broker".into()).spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                let hub = Arc::clone(&hub);
                let connection = thread::Builder::new().name("desk-broker-connection".into());
                let started = connection.spawn(move || {
                    if let Err(why) = serve(&stream, &hub) {
                        log::debug!("desk broker: connection ended: {why}");
                    }
                });
                if let Err(why) = started {
                    log::warn!("desk broker: connection refused: {why}");
                }
            }
        })?;
        Ok(Self { address, hub: ours })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether within `wait` a client subscribes to a filter that has this in it.
    pub(crate) fn wait_for_subscriber(&self, part: &str, wait: Duration) -> bool {
        self.hub.wait_for_filter(part, wait)
    }
}

/// One connection, from CONNECT to its end.
fn serve(stream: &TcpStream, hub: &Arc<Hub>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    stream.set_read_timeout(Some(CONNECT_TIMEOUT))?;
    let mut reader = PacketReader::new(stream.try_clone()?);
    let Some(Packet::Connect(connect, will, _)) = reader.next()? else {
        return Err(io::Error::other("the first packet is no CONNECT"));
    };
    // The specification's one and a half keep-alive periods; 0 switches it off.
    let silence = Duration::from_millis(u64::from(connect.keep_alive) * 1500);
    stream.set_read_timeout((!silence.is_zero()).then_some(silence))?;
    let (client, connection) = open(hub, &connect);
    let writer = {
        let (hub, client, stream) = (Arc::clone(hub), client.clone(), stream.try_clone()?);
        thread::Builder::new()
            .name("desk-broker-writer".into())
            .spawn(move || write_out(stream, &hub, &client, connection))?
    };
    let ended = read_in(&mut reader, hub, &client);
    hub.close(&client, connection);
    drop(stream.shutdown(std::net::Shutdown::Both));
    if let (Some(will), false) = (will, matches!(ended, Ok(End::Normal))) {
        hub.publish(will_message(will));
    }
    drop(writer.join());
    ended.map(drop)
}

/// Opens or resumes the client's session and answers its CONNECT.
fn open(hub: &Hub, connect: &Connect) -> (String, u64) {
    let assigned = connect.client_id.is_empty().then(|| hub.fresh_name());
    let client = assigned.clone().unwrap_or_else(|| connect.client_id.clone());
    let receive_max = connect.properties.as_ref().and_then(|p| p.receive_maximum);
    let (connection, session_present) = hub.open(&client, connect.clean_start, receive_max);
    let properties = ConnAckProperties {
        session_expiry_interval: None,
        receive_max: None,
        max_qos: Some(1),
        retain_available: Some(1),
        max_packet_size: Some(MAX_PACKET_BYTES),
        assigned_client_identifier: assigned,
        topic_alias_max: None,
        reason_string: None,
        user_properties: Vec::new(),
        wildcard_subscription_available: Some(1),
        subscription_identifiers_available: Some(0),
        shared_subscription_available: Some(1),
        server_keep_alive: None,
        response_information: None,
        server_reference: None,
        authentication_method: None,
        authentication_data: None,
    };
    let answer = ConnAck {
        session_present,
        code: ConnectReturnCode::Success,
        properties: Some(properties),
    };
    hub.send_first(&client, Packet::ConnAck(answer));
    (client, connection)
}

/// How a client left.
enum End {
    /// It said so: no last will.
    Normal,
    /// It was gone.
    Lost,
}

fn read_in(reader: &mut PacketReader, hub: &Hub, client: &str) -> io::Result<End> {
    while let Some(packet) = reader.next()? {
        match packet {
            Packet::Publish(publish) => {
                let pkid = publish.pkid;
                hub.publish(publish);
                if pkid != 0 {
                    hub.send(client, Packet::PubAck(PubAck::new(pkid, None)));
                }
            }
            Packet::PubAck(ack) => hub.acknowledge(client, ack.pkid),
            Packet::Subscribe(subscribe) => hub.subscribe(client, &subscribe),
            Packet::Unsubscribe(unsubscribe) => {
                hub.unsubscribe(client, &unsubscribe.filters);
                let reasons = vec![UnsubAckReason::Success; unsubscribe.filters.len()];
                let (pkid, properties) = (unsubscribe.pkid, None);
                hub.send(
                    client,
                    Packet::UnsubAck(UnsubAck {
                        pkid,
                        reasons,
                        properties,
                    }),
                );
            }
            Packet::PingReq(_) => hub.send(client, Packet::PingResp(PingResp)),
            Packet::Disconnect(_) => return Ok(End::Normal),
            other => return Err(io::Error::other(format!("unexpected packet {other:?}"))),
        }
    }
    Ok(End::Lost)
}

fn write_out(mut stream: TcpStream, hub: &Hub, client: &str, connection: u64) {
    let mut buffer = BytesMut::new();
    while let Some(packet) = hub.next_packet(client, connection) {
        buffer.clear();
        let written = packet.write(&mut buffer, None).map_err(io::Error::other);
        if let Err(why) = written.and_then(|_| stream.write_all(&buffer)) {
            log::debug!("desk broker: {client} takes nothing more: {why}");
            break;
        }
    }
    drop(stream.shutdown(std::net::Shutdown::Both));
}

fn will_message(will: LastWill) -> Publish {
    Publish {
        qos: will.qos,
        retain: will.retain,
        topic: will.topic,
        payload: will.message,
        ..Publish::default()
    }
}

/// Packets out of a stream of bytes.
struct PacketReader {
    stream: TcpStream,
    buffer: BytesMut,
    chunk: Vec<u8>,
}

impl PacketReader {
    fn new(stream: TcpStream) -> Self {
        let (buffer, chunk) = (BytesMut::new(), vec![0; READ_BYTES]);
        Self { stream, buffer, chunk }
    }

    /// The next packet; none at the end of the stream.
    fn next(&mut self) -> io::Result<Option<Packet>> {
        loop {
            // A DISCONNECT without a body is valid, but the codec wants one.
            if self.buffer.starts_with(&[0xE0, 0x00]) {
                self.buffer.clear();
                self.buffer.extend_from_slice(&[0xE0, 0x02, 0x00, 0x00]);
            }
            match Packet::read(&mut self.buffer, Some(MAX_PACKET_BYTES)) {
                Ok(packet) => return Ok(Some(packet)),
                Err(PacketError::InsufficientBytes(_)) => {}
                Err(why) => return Err(io::Error::other(why)),
            }
            let got = self.stream.read(&mut self.chunk)?;
            let Some(read) = self.chunk.get(..got).filter(|read| !read.is_empty()) else {
                return Ok(None);
            };
            self.buffer.extend_from_slice(read);
        }
    }
}

#[cfg(test)]
mod tests;
