#!/usr/bin/env bash
# MirrorMaker 2 of Apache Kafka 4.3.1.
#
# A flow has mirrored 1,000 records when its file gets another `replication.policy.separator`, and it is started again.
#
# Seen: the remote topic gets its new name, and is empty but for what is written from then on: none of the 1,000 earlier
# records comes, and no warning says so. Connect keeps a position by the source's topic, not by the topic that
# it was written to. The topic of the old name stays as it is.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.bash
. "$(dirname "${BASH_SOURCE[0]}")/common.bash"
fetch_kafka 4.3.1

cat > "$WORK/Probe.java" << 'JAVA'
import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.*;

/** SOURCE TARGET TOPIC COUNT: writes orders, then more until one of those is in TOPIC; how many of the first are? */
public class Probe {
    public static void main(String[] args) throws Exception {
        String source = args[0], target = args[1], topic = args[2];
        int count = Integer.parseInt(args[3]);
        var out = new StringSerializer();
        var in = new StringDeserializer();
        try (var producer = new KafkaProducer<>(Map.<String, Object>of("bootstrap.servers", source), out, out);
             var consumer = new KafkaConsumer<>(Map.<String, Object>of("bootstrap.servers", target), in, in);
             var admin = Admin.create(Map.<String, Object>of("bootstrap.servers", target))) {
            for (int i = 0; i < count; i++) producer.send(new ProducerRecord<>("orders", 0, null, "earlier"));
            producer.flush();
            while (!admin.listTopics().names().get().contains(topic)) Thread.sleep(100);
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            consumer.seekToBeginning(consumer.assignment());
            Map<String, Integer> seen = new TreeMap<>(Map.of("earlier", 0));
            while (!seen.containsKey("later")) {
                // Not before the topic is there: until it is told of its new file, MirrorMaker 2 uses the old name.
                producer.send(new ProducerRecord<>("orders", 0, null, "later")).get();
                for (var record : consumer.poll(Duration.ofMillis(200))) seen.merge(record.value(), 1, Integer::sum);
            }
            System.out.println(seen.get("earlier"));
        }
    }
}
JAVA

clusters
mirror
seen="$(run "$WORK/Probe.java" "$SOURCE" "$TARGET" A.orders 1000)"
same "earlier records in A.orders" 1000 "$seen"
mirror_stop
mirror 'replication.policy.separator = -'
seen="$(run "$WORK/Probe.java" "$SOURCE" "$TARGET" A-orders 0)"
same "earlier records in A-orders" 0 "$seen"
finish
