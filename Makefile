# The README's two commands, and a binary to hand on. Everything else is cargo's own.

# Arguments of the quickstart, or of cargo test: make run ARGS="--for 15s"
ARGS =
BUILT = $${CARGO_TARGET_DIR:-target}

help:
	@echo 'make run    set-up, then the quickstart:     make run ARGS="--for 15s"'
	@echo 'make test   set-up, then every test:         make test ARGS="--test house"'
	@echo 'make dist   a stripped binary and, beside it, its symbols, in target/dist'
	@echo
	@echo 'What is missing is installed after a question; YES=1 says yes to it.'

run:
	@sh .ci/setup run $(ARGS)

test:
	@sh .ci/setup test $(ARGS)

# The name of the symbols is written into the binary: debuggers and backtraces look for them beside it.
# zlib is what the standard library's backtraces can read.
dist:
	cargo build --locked --profile symbols --bin mirrormesh
	mkdir -p $(BUILT)/dist
	objcopy --only-keep-debug --compress-debug-sections=zlib $(BUILT)/symbols/mirrormesh $(BUILT)/dist/mirrormesh.debug
	objcopy --strip-all --add-gnu-debuglink=$(BUILT)/dist/mirrormesh.debug $(BUILT)/symbols/mirrormesh $(BUILT)/dist/mirrormesh
	@ls -l $(BUILT)/dist

.PHONY: help run test dist
