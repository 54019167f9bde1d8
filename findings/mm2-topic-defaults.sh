#!/usr/bin/env bash
# MirrorMaker 2 and a broker of Apache Kafka 4.3.1.
#
# A topic has no configuration of its own. Its brokers give it three things: segment.bytes as a cluster-wide dynamic
# default, retention.ms by log.retention.hours and segment.ms by log.roll.ms, both in server.properties.
#
# Seen: to describeConfigs the first is a DYNAMIC_DEFAULT_BROKER_CONFIG, the second a DEFAULT_CONFIG (as if nobody had
# set it), the third a STATIC_BROKER_CONFIG. MirrorMaker 2 writes the first to the remote topic, as that topic's own.
# `use.defaults.from = source` at the top of its file does nothing: it belongs to a filter, and only keys of connectors
# are taken from there. For the flow (`A->B.use.defaults.from`) it copies the second and still not the third.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.bash
. "$(dirname "${BASH_SOURCE[0]}")/common.bash"
fetch_kafka 4.3.1

cat > "$WORK/Probe.java" << 'JAVA'
import java.util.*;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.admin.ConfigEntry.ConfigSource;
import org.apache.kafka.common.config.ConfigResource;
import static org.apache.kafka.common.config.ConfigResource.Type.*;

/** SOURCE: sets the default, tells where entries come from. SOURCE TARGET MARK: tells the remote topic's overrides. */
public class Probe {
    static final List<String> SHOWN = List.of("segment.bytes", "retention.ms", "segment.ms");

    public static void main(String[] args) throws Exception {
        try (Admin here = Admin.create(Map.of("bootstrap.servers", args[0]))) {
            if (args.length == 1) {
                set(here, new ConfigResource(BROKER, ""), "log.segment.bytes", "16777216");
                // The broker applies it a moment later.
                while (entry(here, "orders", "segment.bytes").source() == ConfigSource.DEFAULT_CONFIG) Thread.sleep(50);
                show(name -> entry(here, "orders", name).source().toString());
                return;
            }
            try (Admin there = Admin.create(Map.of("bootstrap.servers", args[1]))) {
                // What is set on the topic itself is copied: once it arrives, a round that saw all of this is through.
                set(here, new ConfigResource(TOPIC, "orders"), "max.message.bytes", args[2]);
                while (!args[2].equals(override(there, "max.message.bytes"))) Thread.sleep(100);
                show(name -> override(there, name));
            }
        }
    }

    interface Shown { String of(String name) throws Exception; }

    static void show(Shown shown) throws Exception {
        List<String> all = new ArrayList<>();
        for (String name : SHOWN) all.add(name + " " + shown.of(name));
        System.out.println(String.join(", ", all));
    }

    static void set(Admin admin, ConfigResource resource, String name, String value) throws Exception {
        AlterConfigOp op = new AlterConfigOp(new ConfigEntry(name, value), AlterConfigOp.OpType.SET);
        admin.incrementalAlterConfigs(Map.of(resource, List.of(op))).all().get();
    }

    static ConfigEntry entry(Admin admin, String name, String key) throws Exception {
        ConfigResource topic = new ConfigResource(TOPIC, name);
        return admin.describeConfigs(List.of(topic)).all().get().get(topic).get(key);
    }

    static String override(Admin admin, String key) throws Exception {
        try {
            ConfigEntry entry = entry(admin, "A.orders", key);
            return entry.source() == ConfigSource.DYNAMIC_TOPIC_CONFIG ? entry.value() : "none";
        } catch (ExecutionException e) {
            return "no topic yet";
        }
    }
}
JAVA

clusters log.retention.hours=48 log.roll.ms=3600000
seen="$(run "$WORK/Probe.java" "$SOURCE")"
same "where the source's entries come from" \
    "segment.bytes DYNAMIC_DEFAULT_BROKER_CONFIG, retention.ms DEFAULT_CONFIG, segment.ms STATIC_BROKER_CONFIG" "$seen"

mirror 'use.defaults.from = source'
seen="$(run "$WORK/Probe.java" "$SOURCE" "$TARGET" 1000001)"
same "overrides with use.defaults.from at the top" "segment.bytes 16777216, retention.ms none, segment.ms none" "$seen"
mirror_stop

mirror 'A->B.use.defaults.from = source'
seen="$(run "$WORK/Probe.java" "$SOURCE" "$TARGET" 1000002)"
same "overrides with A->B.use.defaults.from" "segment.bytes 16777216, retention.ms 172800000, segment.ms none" "$seen"
finish
