import java.util.Map;
import java.util.TreeSet;
import org.apache.kafka.connect.mirror.RemoteClusterUtils;

/**
 * Asks MirrorMaker 2's own client what it sees on a cluster.
 *
 * <p>Arguments: bootstrap servers, then aliases. Prints one line, {@code upstreams a b}, then for each alias a line
 * {@code hops alias number}; −1 means that the alias does not reach the cluster.
 */
public class Upstreams {
    public static void main(String[] args) throws Exception {
        Map<String, Object> properties = Map.of("bootstrap.servers", args[0]);
        System.out.println(
            "upstreams " + String.join(" ", new TreeSet<>(RemoteClusterUtils.upstreamClusters(properties))));
        for (int i = 1; i < args.length; i++) {
            System.out.println("hops " + args[i] + " " + RemoteClusterUtils.replicationHops(properties, args[i]));
        }
    }
}
