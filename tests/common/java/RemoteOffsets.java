import java.time.Duration;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.connect.mirror.MirrorClient;
import org.apache.kafka.connect.mirror.RemoteClusterUtils;

/**
 * Asks MirrorMaker 2's own client where consumer groups go on after a failover.
 *
 * <p>Arguments: bootstrap servers of the target, alias of the source, then groups. For each group and each way to ask, prints a
 * line per partition, sorted: {@code way group topic partition offset metadata}. The ways are {@code utils}
 * (RemoteClusterUtils.translateOffsets), {@code client} (MirrorClient.remoteConsumerOffsets) and {@code pattern} (the former
 * by regular expression).
 */
public class RemoteOffsets {
    private static final Duration TIMEOUT = Duration.ofSeconds(30);

    public static void main(String[] args) throws Exception {
        Map<String, Object> properties = Map.of("bootstrap.servers", args[0]);
        String source = args[1];
        try (MirrorClient client = new MirrorClient(properties)) {
            for (int i = 2; i < args.length; i++) {
                String group = args[i];
                print("utils", group, RemoteClusterUtils.translateOffsets(properties, source, group, TIMEOUT));
                print("client", group, client.remoteConsumerOffsets(group, source, TIMEOUT));
                Pattern pattern = Pattern.compile(Pattern.quote(group));
                RemoteClusterUtils.translateOffsets(properties, source, pattern, TIMEOUT)
                    .forEach((name, offsets) -> print("pattern", name, offsets));
            }
        }
    }

    private static void print(String way, String group, Map<TopicPartition, OffsetAndMetadata> offsets) {
        Map<String, String> lines = new TreeMap<>();
        offsets.forEach((partition, offset) -> lines.put(
            partition.topic() + " " + partition.partition(), offset.offset() + " " + offset.metadata()));
        lines.forEach((partition, offset) -> System.out.println(
            String.join(" ", way, group, partition, offset).trim()));
    }
}
