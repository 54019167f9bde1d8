//! Spans of batches: a `receive` and a `send`, linked to the contexts of sampled records.
//!
//! A mirror is an intermediary: the context in a record is that of whoever created it and passes untouched; our
//! spans only link to it. Attributes follow OpenTelemetry's messaging conventions.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    Link, Span, SpanContext, SpanKind, TraceContextExt, TraceFlags, TraceState, Tracer,
};
use opentelemetry::{Context, KeyValue, SpanId, TraceId};
use opentelemetry_sdk::trace::SdkTracer;

use super::clock;
use crate::model::{Alias, FlowName, TopicName};

/// Records of a batch that its spans link to, at most.
pub const MAX_LINKS: usize = 16;
/// Time between two traced batches: ten a second show what goes on, and cost nothing against thousands mirrored.
const PACE: Duration = Duration::from_millis(100);

/// A batch on its way, told after its acknowledgement.
#[derive(Clone, Debug)]
pub struct BatchTrace<'a> {
    /// The flow.
    pub flow: &'a FlowName,
    /// The source cluster.
    pub from: &'a Alias,
    /// The target cluster.
    pub to: &'a Alias,
    /// Topic on the source.
    pub source_topic: &'a TopicName,
    /// Topic on the target.
    pub target_topic: &'a TopicName,
    /// Partition index, the same on both sides.
    pub partition: i32,
    /// First source offset.
    pub source_base: i64,
    /// First target offset, when it is known.
    pub target_base: Option<i64>,
    /// Records in the batch.
    pub records: u32,
    /// When the batch was asked for, and when it had arrived.
    pub received: (SystemTime, SystemTime),
    /// When it was handed to the target, and when that acknowledged it.
    pub sent: (SystemTime, SystemTime),
}

/// Makes spans of batches; cheap to clone, and nearly free while no endpoint is configured.
#[derive(Clone)]
pub struct Spans(Option<Arc<Paced>>);

struct Paced {
    tracer: SdkTracer,
    /// Milliseconds since the epoch before which no batch is traced.
    next_ms: AtomicI64,
}

impl Spans {
    /// Spans on `tracer`, or none at all.
    pub(super) fn new(tracer: Option<SdkTracer>) -> Self {
        Self(tracer.map(|tracer| Arc::new(Paced { tracer, next_ms: AtomicI64::new(0) })))
    }

    /// Whether spans are made at all: where not, a caller needn't note times.
    pub fn enabled(&self) -> bool {
        self.0.is_some()
    }

    /// Whether a batch that ends now would be traced; where not, its records needn't be looked at.
    pub fn due(&self) -> bool {
        self.0.as_ref().is_some_and(|paced| clock::now_ms() >= paced.next_ms.load(Ordering::Relaxed))
    }

    /// Makes the two spans of a batch. At most ten batches a second are traced; of the others `contexts` is not
    /// even read.
    ///
    /// `contexts` are the `traceparent` headers of the batch's records, as bytes (W3C Trace Context); the first 16
    /// sampled ones are linked.
    pub fn batch_mirrored<'c>(&self, batch: &BatchTrace<'_>, contexts: impl IntoIterator<Item = &'c [u8]>) {
        let Some(paced) = &self.0 else { return };
        if !paced.takes(batch.sent.1) {
            return;
        }
        let links: Vec<Link> = contexts
            .into_iter()
            .filter_map(parse_traceparent)
            .filter(SpanContext::is_sampled)
            .take(MAX_LINKS)
            .map(Link::with_context)
            .collect();
        let mut receive = paced
            .tracer
            .span_builder(format!("receive {}", batch.source_topic))
            .with_kind(SpanKind::Consumer)
            .with_start_time(batch.received.0)
            .with_attributes(attributes(
                batch,
                "receive",
                batch.from,
                batch.source_topic,
                Some(batch.source_base),
            ))
            .with_links(links.clone())
            .start_with_context(&paced.tracer, &Context::new());
        receive.end_with_timestamp(batch.received.1);
        let parent = Context::new().with_remote_span_context(receive.span_context().clone());
        let mut send = paced
            .tracer
            .span_builder(format!("send {}", batch.target_topic))
            .with_kind(SpanKind::Client)
            .with_start_time(batch.sent.0)
            .with_attributes(attributes(batch, "send", batch.to, batch.target_topic, batch.target_base))
            .with_links(links)
            .start_with_context(&paced.tracer, &parent);
        send.end_with_timestamp(batch.sent.1);
    }
}

impl Paced {
    /// Whether a batch that ended at `now` is traced; if so, the next one only after [`PACE`].
    fn takes(&self, now: SystemTime) -> bool {
        let now_ms = clock::ms_of(now);
        let next_ms = self.next_ms.load(Ordering::Relaxed);
        let pace_ms = PACE.as_millis() as i64;
        // A clock that was set back must not silence the spans until it has caught up.
        let due = now_ms >= next_ms || next_ms - now_ms > pace_ms;
        due && self
            .next_ms
            .compare_exchange(next_ms, now_ms + pace_ms, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}

fn attributes(
    batch: &BatchTrace<'_>,
    operation: &'static str,
    cluster: &Alias,
    topic: &TopicName,
    offset: Option<i64>,
) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("messaging.system", "kafka"),
        KeyValue::new("messaging.operation.name", operation),
        KeyValue::new("messaging.operation.type", operation),
        KeyValue::new("messaging.destination.name", topic.to_string()),
        KeyValue::new("messaging.destination.partition.id", batch.partition.to_string()),
        KeyValue::new("messaging.batch.message_count", i64::from(batch.records)),
        KeyValue::new("mirrormesh.flow", batch.flow.to_string()),
        KeyValue::new("mirrormesh.cluster", cluster.to_string()),
    ];
    attributes.extend(offset.map(|offset| KeyValue::new("messaging.kafka.offset", offset)));
    attributes
}

/// Reads a `traceparent` header (W3C Trace Context, section 3.2); `None` for what isn't one.
fn parse_traceparent(header: &[u8]) -> Option<SpanContext> {
    let text = std::str::from_utf8(header).ok()?.trim();
    let mut fields = text.split('-');
    let (version, trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let later_version = version != "00";
    if version.len() != 2 || version == "ff" || (fields.next().is_some() && !later_version) {
        return None;
    }
    let lower_hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    if !lower_hex(version, 2) || !lower_hex(trace, 32) || !lower_hex(span, 16) || !lower_hex(flags, 2) {
        return None;
    }
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?),
        true,
        TraceState::NONE,
    );
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use proptest::prelude::*;

    const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_sound_traceparent_is_read() {
        let context = parse_traceparent(SAMPLED.as_bytes()).expect("sound");
        assert!(context.is_sampled() && context.is_remote());
        assert_eq!(context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(context.span_id().to_string(), "b7ad6b7169203331");
        let unsampled = parse_traceparent(SAMPLED.replace("-01", "-00").as_bytes()).expect("sound");
        assert!(!unsampled.is_sampled());
        let later = format!("{}-more", SAMPLED.replacen("00", "01", 1));
        assert!(parse_traceparent(later.as_bytes()).is_some(), "later versions may add fields");
    }

    #[test]
    fn anything_else_is_not() {
        let bad = [
            String::new(),
            SAMPLED.replacen("00", "ff", 1),
            SAMPLED.replace("0af", "0AF"),
            SAMPLED.replace("b7ad6b7169203331", "0000000000000000"),
            SAMPLED.replace("0af7651916cd43dd8448eb211c80319c", "00000000000000000000000000000000"),
            format!("{SAMPLED}-more"),
            SAMPLED[..54].to_owned(),
        ];
        for text in bad {
            assert!(parse_traceparent(text.as_bytes()).is_none(), "{text:?}");
        }
        assert!(parse_traceparent(&[0xff; 55]).is_none());
    }

    #[test]
    fn batches_are_paced_and_a_clock_set_back_goes_on() {
        let tracer = opentelemetry::trace::TracerProvider::tracer(
            &opentelemetry_sdk::trace::SdkTracerProvider::builder().build(),
            "test",
        );
        let paced = Paced { tracer, next_ms: AtomicI64::new(0) };
        let at = |ms: u64| UNIX_EPOCH + Duration::from_millis(1_000_000 + ms);
        let taken: Vec<_> = [0, 1, 99, 100, 150, 200].into_iter().filter(|ms| paced.takes(at(*ms))).collect();
        assert_eq!(taken, [0, 100, 200]);
        assert!(paced.takes(UNIX_EPOCH), "the clock went back");
    }

    #[test]
    fn without_an_endpoint_contexts_are_not_even_read() {
        let spans = Spans::new(None);
        assert!(!spans.enabled());
        let now = clock::now();
        let batch = BatchTrace {
            flow: &"f".into(),
            from: &"a".into(),
            to: &"b".into(),
            source_topic: &"t".into(),
            target_topic: &"a.t".into(),
            partition: 0,
            source_base: 0,
            target_base: None,
            records: 1,
            received: (now, now),
            sent: (now, now),
        };
        spans.batch_mirrored(&batch, std::iter::from_fn(|| -> Option<&[u8]> { panic!("read") }));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some(context) = parse_traceparent(&bytes) {
                prop_assert!(context.is_valid());
            }
        }
    }
}
