#!/usr/bin/env bash
# Kafka's Java client 0.9.0.1 with a broker of Apache Kafka 3.9.1, and MirrorMaker 2 and a broker of 4.3.1.
#
# A client from before Kafka 0.10, whose records have no timestamps, still writes to 3.9. The topic is mirrored to 4.3.
#
# Seen: on the source the records have the timestamp -1, "none". On the target each has the time at which it was
# mirrored: Connect hands -1 to the producer as "not given", and the producer takes the clock. Records that may be years
# old are new there, to retention, to searches by time and to all that read timestamps.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.bash
. "$(dirname "${BASH_SOURCE[0]}")/common.bash"

cat > "$WORK/Old.java" << 'JAVA'
import java.util.Properties;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.StringSerializer;

public class Old {
    public static void main(String[] args) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", args[0]);
        var text = new StringSerializer();
        try (Producer<String, String> producer = new KafkaProducer<>(settings, text, text)) {
            for (int i = 0; i < 3; i++) producer.send(new ProducerRecord<>("orders", 0, "key", "order " + i)).get();
        }
    }
}
JAVA
cat > "$WORK/Read.java" << 'JAVA'
import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/** ADDRESS TOPIC START: prints the timestamps of three records, those from START on as "now". */
public class Read {
    public static void main(String[] args) {
        long start = Long.parseLong(args[2]);
        var text = new StringDeserializer();
        try (var consumer = new KafkaConsumer<>(Map.<String, Object>of("bootstrap.servers", args[0]), text, text)) {
            TopicPartition partition = new TopicPartition(args[1], 0);
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            List<String> seen = new ArrayList<>();
            while (seen.size() < 3)
                for (var record : consumer.poll(Duration.ofMillis(500)))
                    seen.add(record.timestamp() >= start ? "now" : String.valueOf(record.timestamp()));
            System.out.println(String.join(", ", seen));
        }
    }
}
JAVA

fetch old org.apache.kafka:kafka-clients:0.9.0.1
OLD="$LIBS"
fetch_kafka 3.9.1
broker source
SOURCE="$ADDRESS"
topic "$SOURCE" orders
LIBS="$OLD"
run "$WORK/Old.java" "$SOURCE"

fetch_kafka 4.3.1
broker target
TARGET="$ADDRESS"
start="$(date +%s000)"
seen="$(run "$WORK/Read.java" "$SOURCE" orders "$start")"
same "timestamps on the source" "-1, -1, -1" "$seen"
mirror
seen="$(run "$WORK/Read.java" "$TARGET" A.orders "$start")"
same "timestamps on the target" "now, now, now" "$seen"
finish
