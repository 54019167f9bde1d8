//! Log lines: text for people or one JSON object a line, on standard error.

use std::io::IsTerminal;

use opentelemetry_sdk::trace::SdkTracer;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use super::TelemetryError;
use crate::topology::{LogFormat, TelemetrySpec};

/// Quietens libraries whose chatter says nothing to an operator; a directive of the user's wins over these.
/// Failed exports are told by [`super::export`] once, not by OpenTelemetry at every attempt; actors' lives are
/// told by the mesh.
const QUIET: &str = "ractor=warn,hyper=warn,hyper_util=warn,h2=warn,reqwest=warn,opentelemetry=warn,\
                     opentelemetry_sdk=warn,opentelemetry-otlp=off,opentelemetry_otlp=off";

/// Installs the process's log subscriber, writing to standard error. Only a binary calls this, once.
///
/// Colours appear only on a terminal, and not when `NO_COLOR` is set to something (no-color.org).
///
/// With a tracer, the spans of the mesh's own work (claims, look-ups, topics) go to it.
///
/// # Errors
/// The filter can't be read, or a subscriber is already installed.
pub fn init(spec: &TelemetrySpec, tracer: Option<SdkTracer>) -> Result<(), TelemetryError> {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colours = std::io::stderr().is_terminal() && !no_color;
    subscriber(spec, colours, std::io::stderr, tracer)?
        .try_init()
        .map_err(|error| TelemetryError::LogsAlreadySet(error.to_string()))
}

/// The subscriber that [`init`] installs, writing to `writer`; nothing global happens here.
///
/// # Errors
/// The filter can't be read.
pub fn subscriber<W>(
    spec: &TelemetrySpec,
    colours: bool,
    writer: W,
    tracer: Option<SdkTracer>,
) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = filter(&spec.log_filter)?;
    // Only our own spans: those of a library would live as long as its connections.
    let ours = Targets::new().with_target("mirrormesh", LevelFilter::DEBUG);
    let spans = tracer.map(|tracer| tracing_opentelemetry::layer().with_tracer(tracer).with_filter(ours));
    let registry = tracing_subscriber::registry().with(spans);
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colours);
    Ok(match spec.log_format {
        LogFormat::Text => Box::new(registry.with(layer.with_filter(lines))),
        LogFormat::Json => {
            let layer = layer.json().flatten_event(true).with_current_span(false).with_span_list(false);
            Box::new(registry.with(layer.with_filter(lines)))
        }
    })
}

/// The user's directives over [`QUIET`]; an empty text means `info`.
fn filter(directives: &str) -> Result<EnvFilter, TelemetryError> {
    let given = if directives.trim().is_empty() { "info" } else { directives };
    EnvFilter::try_new(format!("{QUIET},{given}"))
        .map_err(|error| TelemetryError::Filter { filter: directives.to_owned(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::testing::{Lines, spec};

    fn lines(filter: &str, format: LogFormat, colours: bool, body: impl FnOnce()) -> Vec<String> {
        let lines = Lines::default();
        let spec = TelemetrySpec { log_filter: filter.to_owned(), log_format: format, ..spec() };
        let subscriber = subscriber(&spec, colours, lines.clone(), None).expect("the filter is sound");
        tracing::subscriber::with_default(subscriber, body);
        lines.take()
    }

    #[test]
    fn json_lines_carry_their_fields_at_the_top() {
        let lines = lines("info", LogFormat::Json, false, || {
            tracing::info!(flow = "west", records = 3, "mirrored");
        });
        let value: serde_json::Value = serde_json::from_str(&lines[0]).expect("a JSON object");
        assert_eq!(lines.len(), 1);
        assert_eq!(value["message"], "mirrored");
        assert_eq!(value["flow"], "west");
        assert_eq!(value["records"], 3);
        assert_eq!(value["level"], "INFO");
    }

    #[test]
    fn text_has_colours_only_when_asked() {
        let say = || tracing::warn!(flow = "west", "stalled");
        let plain = lines("info", LogFormat::Text, false, say);
        let coloured = lines("info", LogFormat::Text, true, say);
        assert!(plain[0].contains("stalled") && plain[0].contains("flow="), "{plain:?}");
        assert!(!plain[0].contains('\u{1b}'), "{plain:?}");
        assert!(coloured[0].contains('\u{1b}'), "{coloured:?}");
    }

    #[test]
    fn the_filter_is_followed_and_libraries_are_quiet_unless_asked() {
        let say = || {
            tracing::debug!("hidden");
            tracing::info!(target: "ractor", "actor started");
            tracing::error!("shown");
        };
        assert_eq!(lines("info", LogFormat::Text, false, say).len(), 1);
        assert_eq!(lines("", LogFormat::Text, false, say).len(), 1);
        assert_eq!(lines("debug,ractor=info", LogFormat::Text, false, say).len(), 3);
        assert_eq!(lines("off", LogFormat::Text, false, say).len(), 0);
    }

    #[test]
    fn a_bad_filter_is_named_with_key_and_value() {
        let spec = TelemetrySpec { log_filter: "mirrormesh=loud".to_owned(), ..spec() };
        let error = subscriber(&spec, false, Lines::default(), None).err().expect("refused").to_string();
        assert!(error.contains("telemetry.log_filter") && error.contains("mirrormesh=loud"), "{error}");
    }
}
