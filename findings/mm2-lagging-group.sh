#!/usr/bin/env bash
# MirrorMaker 2 of Apache Kafka 4.3.1, with its defaults for offset syncs.
#
# A topic of 20,000 records without gaps is mirrored, record by record to the same offset, and all of the 199 offset
# syncs that are due are written. One group has committed 12,345, another 19,900.
#
# Seen: the group near the end is translated to 19,898, the one in the middle to 1, so it would read 12,344 records
# again. Of the syncs a task keeps some that lie ever farther apart, the first one last of all (OffsetSyncStore), and
# behind a sync it counts one record, however many there are.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.bash
. "$(dirname "${BASH_SOURCE[0]}")/common.bash"
fetch_kafka 4.3.1

cat > "$WORK/Probe.java" << 'JAVA'
import java.time.Duration;
import java.util.*;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.connect.mirror.RemoteClusterUtils;

public class Probe {
    static final TopicPartition ORDERS = new TopicPartition("orders", 0);
    static final TopicPartition MIRRORED = new TopicPartition("A.orders", 0);
    static final TopicPartition SYNCS = new TopicPartition("mm2-offset-syncs.B.internal", 0);
    static final int RECORDS = 20_000;
    /** MirrorMaker 2 writes a sync for the first record, then for each that is 101 behind the last (offset.lag.max). */
    static final int STEP = 101;

    public static void main(String[] args) throws Exception {
        Map<String, Object> source = Map.of("bootstrap.servers", args[0]);
        Map<String, Object> target = Map.of("bootstrap.servers", args[1]);
        try (Admin here = Admin.create(source); Admin there = Admin.create(target)) {
            while (end(there, MIRRORED) < 0) Thread.sleep(50);
            write(source, here);
            while (end(there, MIRRORED) < RECORDS) Thread.sleep(50);
            commit(here, "billing", 12_345);
            commit(here, "shipping", 19_900);
        }
        System.out.println("billing 12345 -> " + translation(target, "billing")
            + ", shipping 19900 -> " + translation(target, "shipping"));
    }

    /** Waits for each sync: MirrorMaker 2 leaves some out when it has ten under way. */
    static void write(Map<String, Object> source, Admin here) throws Exception {
        var bytes = new ByteArraySerializer();
        try (var producer = new KafkaProducer<>(source, bytes, bytes)) {
            for (int written = 0, syncs = 0; written < RECORDS; syncs++) {
                for (int until = Math.min(syncs * STEP + 1, RECORDS); written < until; written++)
                    producer.send(new ProducerRecord<>("orders", 0, null, ("order " + written).getBytes()));
                producer.flush();
                while (written < RECORDS && end(here, SYNCS) <= syncs) Thread.sleep(2);
            }
        }
    }

    static void commit(Admin admin, String group, long offset) throws Exception {
        admin.alterConsumerGroupOffsets(group, Map.of(ORDERS, new OffsetAndMetadata(offset))).all().get();
    }

    static long translation(Map<String, Object> target, String group) throws Exception {
        while (true) {
            var offsets = RemoteClusterUtils.translateOffsets(target, "A", group, Duration.ofSeconds(10));
            if (offsets.containsKey(MIRRORED)) return offsets.get(MIRRORED).offset();
            Thread.sleep(200);
        }
    }

    static long end(Admin admin, TopicPartition partition) throws Exception {
        try {
            return admin.listOffsets(Map.of(partition, OffsetSpec.latest())).all().get().get(partition).offset();
        } catch (ExecutionException e) {
            return -1;
        }
    }
}
JAVA

clusters
# The flush interval would add syncs of its own, one a minute; without them the numbers are the same in every run.
mirror 'B.offset.flush.interval.ms = 600000'
seen="$(run "$WORK/Probe.java" "$SOURCE" "$TARGET")"
same "translations on the target" "billing 12345 -> 1, shipping 19900 -> 19898" "$seen"
finish
