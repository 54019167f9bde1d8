//! What MirrorMesh is to reach, judged by the figures of one run.

use serde::Serialize;

use crate::copy_proxy::Floor;
use crate::measure::Measured;
use crate::subject::Subject;

/// One judged figure.
#[derive(Clone, Debug, Serialize)]
pub struct Target {
    /// Workload.
    pub workload: String,
    /// Subject.
    pub subject: String,
    /// What is judged.
    pub figure: &'static str,
    /// What is wanted of it.
    pub wanted: String,
    /// What was measured.
    pub measured: String,
    /// Whether that is what is wanted.
    pub met: bool,
}

/// Judges every figure that has what it is compared with in this run.
pub fn judge(all: &[Measured], floor: Option<&Floor>) -> Vec<Target> {
    let mut targets = Vec::new();
    for measured in all {
        let mm2 = all
            .iter()
            .find(|other| other.workload == measured.workload && other.subject == Subject::Mm2.to_string());
        let (least_ratio, most_memory) = match measured.subject.as_str() {
            "records" => (2.5, 1.0 / 3.0),
            "passthrough" => (20.0, 0.1),
            _ => continue,
        };
        let mut add = |figure, wanted: String, got: String, met| {
            let (workload, subject) = (measured.workload.clone(), measured.subject.clone());
            targets.push(Target { workload, subject, figure, wanted, measured: got, met });
        };
        if let Some(mm2) = mm2 {
            let ratio = ratio(measured, mm2);
            add(
                "bytes per CPU-second / MM2's",
                format!("≥ {least_ratio}"),
                format!("{ratio:.1}"),
                ratio >= least_ratio,
            );
            let memory = measured.peak_resident_bytes as f64 / mm2.peak_resident_bytes as f64;
            add(
                "peak RSS / MM2's",
                format!("≤ {most_memory:.2}"),
                format!("{memory:.2}"),
                memory <= most_memory,
            );
        }
        if measured.subject != Subject::Passthrough.to_string() {
            continue;
        }
        let start = measured.course.start_seconds;
        add("start to first record", "< 1 s".to_owned(), format!("{start:.2} s"), start < 1.0);
        if let (Some(ours), Some(theirs)) = (measured.latency, mm2.and_then(|mm2| mm2.latency)) {
            let wanted = format!("≤ {:.1} ms, MM2's p50", theirs.p50_ms);
            add(
                "p99 at 200 records/s",
                wanted,
                format!("{:.1} ms", ours.p99_ms),
                ours.p99_ms <= theirs.p50_ms,
            );
        }
        if let Some(floor) = floor.filter(|_| measured.workload == crate::FLOOR_WORKLOAD.to_string()) {
            let ratio =
                measured.course.second_half.cpu_seconds_per_gigabyte() / floor.cpu_seconds_per_gigabyte();
            add("CPU per GB / copy proxy's", "≤ 2.5".to_owned(), format!("{ratio:.2}"), ratio <= 2.5);
        }
    }
    targets
}

/// How many times as many bytes a CPU-second carries as MirrorMaker 2's.
///
/// Over the second half of the data: by then the JVM has compiled most of what it runs, which is only fair.
pub fn ratio(measured: &Measured, mm2: &Measured) -> f64 {
    measured.course.second_half.megabytes_per_cpu_second() / mm2.course.second_half.megabytes_per_cpu_second()
}
