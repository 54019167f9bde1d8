#!/usr/bin/env bash
# MirrorMaker 2 and Kafka Streams of Apache Kafka 4.3.1.
#
# Two applications of Kafka Streams, alike but for `group.protocol`, read a topic to its end and commit: `billing` has
# the classic protocol, `packing` the streams protocol (KIP-1071). MirrorMaker 2 follows all groups, its default.
#
# Seen: both have committed 100; `billing` gets a checkpoint and `packing` gets none, then or later. MirrorMaker 2 lists
# groups of the classic and the consumer protocol only. So an application whose protocol was changed has no offsets to
# go on from after a failover, and no warning says so.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.bash
. "$(dirname "${BASH_SOURCE[0]}")/common.bash"
fetch_kafka 4.3.1 org.apache.kafka:kafka-streams:4.3.1

cat > "$WORK/Probe.java" << 'JAVA'
import java.time.Duration;
import java.util.*;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.*;
import org.apache.kafka.connect.mirror.RemoteClusterUtils;
import org.apache.kafka.streams.*;
import org.apache.kafka.streams.kstream.Consumed;

public class Probe {
    static final TopicPartition ORDERS = new TopicPartition("orders", 0);
    static final int RECORDS = 100;

    public static void main(String[] args) throws Exception {
        Map<String, Object> source = Map.of("bootstrap.servers", args[0]);
        Map<String, Object> target = Map.of("bootstrap.servers", args[1]);
        try (Admin admin = Admin.create(source)) {
            var bytes = new ByteArraySerializer();
            try (var producer = new KafkaProducer<>(source, bytes, bytes)) {
                for (int i = 0; i < RECORDS; i++)
                    producer.send(new ProducerRecord<>("orders", 0, null, ("order " + i).getBytes()));
            }
            // In this order: when the second has its checkpoint, the first has been passed over.
            stream(args[0], "packing", "streams");
            stream(args[0], "billing", "classic");
            var packing = admin.listStreamsGroupOffsets(Map.of("packing", new ListStreamsGroupOffsetsSpec()));
            var billing = admin.listConsumerGroupOffsets("billing");
            System.out.println("billing " + at(billing.partitionsToOffsetAndMetadata().get())
                + ", packing " + at(packing.partitionsToOffsetAndMetadata("packing").get()));
            await(target, "billing");
            // A group that comes later still: its checkpoint shows that one more round is through.
            admin.alterConsumerGroupOffsets("reports", Map.of(ORDERS, new OffsetAndMetadata(1))).all().get();
            await(target, "reports");
            System.out.println("billing " + (translate(target, "billing").isEmpty() ? "no" : "yes")
                + ", packing " + (translate(target, "packing").isEmpty() ? "no" : "yes"));
        }
    }

    static long at(Map<TopicPartition, OffsetAndMetadata> committed) {
        return committed.get(ORDERS).offset();
    }

    /** Runs an application until it has read everything; closing commits. */
    static void stream(String source, String id, String protocol) throws Exception {
        Properties settings = new Properties();
        settings.putAll(Map.of("bootstrap.servers", source, "application.id", id, "group.protocol", protocol,
            "state.dir", System.getProperty("java.io.tmpdir") + "/" + id, "auto.offset.reset", "earliest"));
        var latch = new CountDownLatch(RECORDS);
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream("orders", Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
            .foreach((key, value) -> latch.countDown());
        try (KafkaStreams streams = new KafkaStreams(builder.build(), settings)) {
            streams.start();
            latch.await();
        }
    }

    static void await(Map<String, Object> target, String group) throws Exception {
        while (translate(target, group).isEmpty()) Thread.sleep(200);
    }

    static Map<TopicPartition, OffsetAndMetadata> translate(Map<String, Object> target, String group) throws Exception {
        return RemoteClusterUtils.translateOffsets(target, "A", group, Duration.ofSeconds(10));
    }
}
JAVA

clusters group.streams.initial.rebalance.delay.ms=0
mirror
seen="$(run "$WORK/Probe.java" "$SOURCE" "$TARGET")"
same "committed on the source" "billing 100, packing 100" "$(head -n 1 <<< "$seen")"
same "checkpoints on the target" "billing yes, packing no" "$(tail -n 1 <<< "$seen")"
finish
