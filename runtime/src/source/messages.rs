//! Inputs from MQTT: an image or a tensor published to `PREFIX/DEVICE/input` is answered.
//!
//! Owns: the connection on which inputs come, and which message asked for what. Must not know: parts, frames.
//! A message is acknowledged only after its answer: whoever asks again after a failure of ours asks the broker, not us.
//! Where it has a response topic, the answer goes there too, with its correlation data (MQTT 5.0 section 4.10).

use std::collections::HashMap;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use kerf_wire::InferenceResult;

use super::{Answers, Input, Reader, Source, SourceError};
use crate::broker::{Broker, Delivery, DeliveryToken, Message};

/// How long one wait for a message is.
const WAIT: Duration = Duration::from_mins(1);
/// How long an answer may wait for the outgoing slot.
const SLOT_WAIT: Duration = Duration::from_secs(5);
/// Longest response topic, bytes.
const MAX_RESPONSE_TOPIC_BYTES: usize = 512;

/// Who asked.
struct Asked {
    token: DeliveryToken,
    response_topic: Option<String>,
    correlation: Option<Vec<u8>>,
}

/// Inputs from the broker.
pub struct Messages {
    broker: Box<dyn Broker>,
    reader: Reader,
    asked: HashMap<String, Asked>,
    answers: Receiver<(String, InferenceResult)>,
    count: u64,
    /// When the last input was there.
    begun: Option<Instant>,
}

impl Messages {
    /// Inputs from this connection, which has subscribed to the input topic, and the way back for their answers. The
    /// connection's receive maximum bounds how many wait for an answer.
    pub fn new(broker: Box<dyn Broker>, reader: Reader) -> (Self, Answers) {
        let (back, answers) = Answers::new(Some(broker.waker()));
        let messages = Self {
            broker,
            reader,
            asked: HashMap::new(),
            answers,
            count: 0,
            begun: None,
        };
        (messages, back)
    }

    fn take(&mut self, delivery: Delivery) -> Option<Input> {
        self.count += 1;
        let label = format!("message {}", self.count);
        let Message {
            payload,
            response_topic,
            correlation,
            ..
        } = delivery.message;
        let plain = |topic: &String| topic.len() <= MAX_RESPONSE_TOPIC_BYTES && !topic.contains(['+', '#', '\0']);
        let asked = Asked {
            token: delivery.token,
            response_topic: response_topic.filter(plain),
            correlation,
        };
        match self.reader.decode(&payload, &label) {
            Ok(input) => {
                self.asked.insert(label, asked);
                Some(input)
            }
            Err(why) => {
                let why = why.to_string();
                log::warn!("event=input_refused why={why:?}");
                let document = serde_json::json!({ "error": why });
                self.respond(asked, document.to_string().into_bytes());
                None
            }
        }
    }

    /// Answers whoever asked, and acknowledges the question.
    fn respond(&mut self, asked: Asked, json: Vec<u8>) {
        if let Some(topic) = asked.response_topic {
            let mut message = Message::new(topic, json);
            message.correlation = asked.correlation;
            match self.broker.publish(&message, SLOT_WAIT) {
                Ok(true) => {}
                Ok(false) => log::warn!("event=not_answered why=\"the broker takes nothing\""),
                Err(why) => log::warn!("event=not_answered why={:?}", why.to_string()),
            }
        }
        if let Err(why) = self.broker.ack(asked.token) {
            log::debug!("event=not_acknowledged why={:?}", why.to_string());
        }
    }
}

impl Source for Messages {
    fn next(&mut self) -> Result<Option<Input>, SourceError> {
        loop {
            while let Ok((label, result)) = self.answers.try_recv() {
                if let Some(asked) = self.asked.remove(&label) {
                    self.respond(asked, serde_json::to_vec(&result).unwrap_or_default());
                }
            }
            match self.broker.receive(WAIT) {
                Ok(Some(delivery)) => {
                    self.begun = Some(Instant::now());
                    if let Some(input) = self.take(delivery) {
                        return Ok(Some(input));
                    }
                }
                Ok(None) => {}
                Err(why) => log::debug!("event=not_received why={:?}", why.to_string()),
            }
        }
    }

    fn begun(&self) -> Option<Instant> {
        self.begun
    }
}
