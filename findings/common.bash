# shellcheck shell=bash
# What the scripts of this folder share. They source it; by itself it does nothing.
#
# It makes a temporary folder, has Maven copy pinned jars there, starts brokers and MirrorMaker 2 on free ports of this
# host, and removes all of it when the script ends.

# Longest wait for anything, in seconds: for slow machines, not how long it takes.
CEILING=180
JAVA="${JAVA_HOME:+$JAVA_HOME/bin/}java"
JVM=(-Xms32m -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.awt.headless=true)
PIDS=()

missing() {
    echo "missing: $*" >&2
    exit 2
}

java_version() {
    "$JAVA" -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java.specification.version = //p'
}

command -v "$JAVA" > /dev/null || missing "a JDK, version 17 or later (java)"
command -v mvn > /dev/null || missing "Apache Maven (mvn)"
command -v timeout > /dev/null || missing "GNU coreutils (timeout)"
[ "$(java_version | cut -d. -f1)" -ge 17 ] || missing "a JDK, version 17 or later; this one is $(java_version)"

WORK="$(mktemp -d)"

end() {
    local pid
    for pid in "${PIDS[@]}"; do kill -9 "$pid" 2> /dev/null || true; done
    wait 2> /dev/null || true
    rm -rf "$WORK"
}
trap end EXIT
trap 'exit 130' INT TERM

# The folder of the jars that brokers, tools and MirrorMaker 2 are started with; what `fetch` filled last.
LIBS=""

# fetch FOLDER GROUP:NAME:VERSION...: copies these jars from Maven Central, and what they need, to $WORK/FOLDER.
fetch() {
    local artifact group name version
    LIBS="$WORK/$1"
    shift
    {
        echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        echo '<groupId>findings</groupId><artifactId>jars</artifactId><version>1</version><packaging>pom</packaging>'
        echo '<dependencies>'
        for artifact in "$@" org.slf4j:slf4j-simple:1.7.36; do
            IFS=: read -r group name version <<< "$artifact"
            echo "<dependency><groupId>$group</groupId><artifactId>$name</artifactId>"
            echo "<version>$version</version></dependency>"
        done
        echo '</dependencies></project>'
    } > "$WORK/pom.xml"
    echo "fetching $*"
    # Kafka 3's own logger needs a file of its own; slf4j-simple takes its place.
    mvn -q -B -f "$WORK/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
        -DexcludeArtifactIds=slf4j-reload4j,reload4j -DoutputDirectory="$LIBS" > "$WORK/mvn.log" 2>&1 || {
        cat "$WORK/mvn.log" >&2
        missing "these jars (see Maven's messages above)"
    }
}

# fetch_kafka VERSION [GROUP:NAME:VERSION...]: the broker, its tools and MirrorMaker 2, and these.
fetch_kafka() {
    local group=org.apache.kafka
    fetch "kafka-$1" "$group:kafka_2.13:$1" "$group:kafka-tools:$1" "$group:connect-mirror:$1" "${@:2}"
}

# run ARGUMENTS...: java with the jars; its log goes to $WORK/run.log, which is shown if it fails.
run() {
    timeout --foreground "$CEILING" "$JAVA" "${JVM[@]}" -Djava.io.tmpdir="$WORK" \
        -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$LIBS/*" "$@" 2> "$WORK/run.log" || {
        if [ $? = 124 ]; then
            echo "changed: what ${1##*/} waits for did not happen within $CEILING s" >&2
        else
            tail -n 40 "$WORK/run.log" >&2
        fi
        return 1
    }
}

# topic ADDRESS NAME: creates a topic of one partition.
topic() {
    run org.apache.kafka.tools.TopicCommand --bootstrap-server "$1" --create --topic "$2" --partitions 1 > /dev/null
}

# free_port FROM: a port from FROM to FROM+5999 on which nobody listens.
free_port() {
    local port
    while :; do
        port=$(($1 + RANDOM % 6000))
        (: < "/dev/tcp/127.0.0.1/$port") 2> /dev/null || break
    done
    echo "$port"
}

# await PID LOG TEXT: until LOG has TEXT; fails when the process ends before.
await() {
    local deadline=$((SECONDS + CEILING))
    until grep -q -- "$3" "$2" 2> /dev/null; do
        if ! kill -0 "$1" 2> /dev/null || [ "$SECONDS" -gt "$deadline" ]; then
            tail -n 40 "$2" >&2
            echo "never saw \"$3\" in $2" >&2
            exit 1
        fi
        sleep 0.2
    done
}

ADDRESS="" SOURCE="" TARGET=""

# broker NAME [KEY=VALUE...]: starts a cluster of one broker; its address is then in ADDRESS.
broker() {
    local port controller dir="$WORK/$1" id
    shift
    port="$(free_port 20000)" controller="$(free_port 26000)"
    mkdir -p "$dir"
    {
        echo "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$dir/data
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=4194304"
        printf '%s\n' "$@"
    } > "$dir/server.properties"
    id="$(run kafka.tools.StorageTool random-uuid)"
    run kafka.tools.StorageTool format -t "$id" -c "$dir/server.properties" > /dev/null
    "$JAVA" "${JVM[@]}" -cp "$LIBS/*" kafka.Kafka "$dir/server.properties" > "$dir/log" 2>&1 &
    PIDS+=($!)
    await $! "$dir/log" "Kafka Server started"
    # shellcheck disable=SC2034 # for the script that sources this
    ADDRESS="127.0.0.1:$port"
}

# clusters [KEY=VALUE...]: starts SOURCE, whose broker has these settings, with the topic `orders`, and TARGET.
clusters() {
    broker source "$@"
    SOURCE="$ADDRESS"
    broker target
    TARGET="$ADDRESS"
    topic "$SOURCE" orders
}

# mirror [KEY=VALUE...]: starts MirrorMaker 2 with a flow A->B of `orders` from SOURCE to TARGET, with quick rounds and
# these settings.
mirror() {
    {
        echo "clusters = A, B
A.bootstrap.servers = $SOURCE
B.bootstrap.servers = $TARGET
A->B.enabled = true
A->B.topics = orders
emit.heartbeats.enabled = false
heartbeats.topic.replication.factor = 1
replication.factor = 1
offset-syncs.topic.replication.factor = 1
checkpoints.topic.replication.factor = 1
B.offset.storage.replication.factor = 1
B.config.storage.replication.factor = 1
B.status.storage.replication.factor = 1
B.offset.storage.partitions = 1
B.status.storage.partitions = 1
B.offset.flush.interval.ms = 1000
refresh.topics.interval.seconds = 1
sync.topic.configs.interval.seconds = 1
refresh.groups.interval.seconds = 1
emit.checkpoints.interval.seconds = 1"
        printf '%s\n' "$@"
    } > "$WORK/mm2.properties"
    "$JAVA" "${JVM[@]}" -cp "$LIBS/*" org.apache.kafka.connect.mirror.MirrorMaker "$WORK/mm2.properties" \
        > "$WORK/mm2.log" 2>&1 &
    MIRROR=$!
    PIDS+=("$MIRROR")
    await "$MIRROR" "$WORK/mm2.log" "Kafka MirrorMaker started"
}

# mirror_stop: stops it as an operator does.
mirror_stop() {
    kill "$MIRROR"
    wait "$MIRROR" || true
}

CHANGED=0

# same WHAT EXPECTED SEEN: tells what is seen, and whether it is what was seen when the script was written.
same() {
    if [ "$2" = "$3" ]; then
        echo "same: $1: $3"
    else
        echo "changed: $1: expected $2, saw $3"
        CHANGED=1
    fi
}

# finish: the exit code of a script, after its last `same`.
finish() { exit "$CHANGED"; }
