# The README's two commands. Everything else is cargo's own.

# Arguments of the quickstart, or of cargo test: make run ARGS="--for 15s"
ARGS =

help:
	@echo 'make run    set-up, then the quickstart:     make run ARGS="--for 15s"'
	@echo 'make test   set-up, then every test:         make test ARGS="--test house"'
	@echo
	@echo 'What is missing is installed after a question; YES=1 says yes to it.'

run:
	@sh .ci/setup run $(ARGS)

test:
	@sh .ci/setup test $(ARGS)

.PHONY: help run test
