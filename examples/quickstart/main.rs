//! Two clusters, sample orders written on both, mirrored both ways, shown live and compared at the end.
//!
//! `cargo run --release --example quickstart` needs nothing else: the clusters are brokers inside this process.

mod clusters;
mod mirror;
mod orders;
mod table;
mod verify;

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use clusters::SampleCluster;
use orders::Orders;
use table::LiveTable;

/// How often the table is drawn.
const REFRESH: Duration = Duration::from_millis(500);
/// How long the mesh may take to mirror what was written last.
const CATCH_UP: Duration = Duration::from_secs(20);

/// Mirrors sample orders between two clusters, both ways, until Ctrl-C.
#[derive(Debug, Parser)]
struct Args {
    /// Stops by itself after this long, e.g. 15s or 2m.
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let east = SampleCluster::start("east").await?;
    let west = SampleCluster::start("west").await?;
    let mesh = mirror::start(&east, &west).await?;
    let orders = [Orders::write_to(&east)?, Orders::write_to(&west)?];
    introduce(&east, &west);

    let mut table = LiveTable::new();
    let stop = stop_signal(args.duration);
    tokio::pin!(stop);
    let mut refresh = tokio::time::interval(REFRESH);
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = refresh.tick() => {
                table.show(&mesh.status())?;
                east.forget_requests();
                west.forget_requests();
            }
        }
    }

    let mut written = 0;
    for order in orders {
        written += order.stop()?;
    }
    table.leave();
    println!("\nstopped writing after {written} orders; waiting for the last of them to be mirrored");
    let deadline = Instant::now() + CATCH_UP;
    while verify::compare(&east, &west).is_err() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    table.show(&mesh.status())?;
    let report = mesh.shutdown().await;
    if report.left_behind > 0 {
        return Err(format!("{} partitions were not drained in time", report.left_behind).into());
    }
    let same = verify::compare(&east, &west)?;
    if same != written {
        return Err(format!("{written} orders were acknowledged, but the topics hold {same}").into());
    }
    println!(
        "\nall {same} orders are on both sides: keys, values, headers, timestamps and order are the same"
    );
    Ok(())
}

/// Ends at Ctrl-C, or when the time is up.
async fn stop_signal(duration: Option<Duration>) {
    let time_is_up = async {
        match duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = time_is_up => {}
        // Without a handler for Ctrl-C the system's own ends the process, which is what was asked for.
        _ = tokio::signal::ctrl_c() => {}
    }
}

fn introduce(east: &SampleCluster, west: &SampleCluster) {
    println!("Orders are written to `{}` on both clusters; each is mirrored to the other.", clusters::ORDERS);
    println!("Look at the topics from another terminal, tried with the tools of Apache Kafka 4.3.0");
    println!("(kcat as Debian 12 has it, 1.7.1 on librdkafka 2.0.2, is too old for the sample brokers):\n");
    for (cluster, other) in [(east, west), (west, east)] {
        let (bootstrap, remote) = (cluster.bootstrap(), clusters::remote_topic(other));
        println!("  # {}: its topics, and the orders of {}", cluster.name(), other.name());
        println!("  bin/kafka-topics.sh --bootstrap-server {bootstrap} --list");
        println!(
            "  bin/kafka-console-consumer.sh --bootstrap-server {bootstrap} --topic {remote} --from-beginning\n"
        );
    }
    println!("Ctrl-C ends it.\n");
}
