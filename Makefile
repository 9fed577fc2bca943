# Bulkhead. `make run` and `make test` are the two commands; the rest is for developers.
# Everything that needs root says so and stops if it is not.

TARGET  := x86_64-unknown-linux-gnu
OUT     := target/release
ROOTBIN := bulkhead-shim bulkhead-init bulkhead-hello bulkhead
BIN     := bulkhead bulkhead-apid bulkhead-shim bulkhead-worker bulkhead-init bulkhead-hello
# Static programs: nothing of an image or a host library is ever loaded into them.
STATIC  := RUSTFLAGS="-C target-feature=+crt-static -C relocation-model=pie" cargo build --locked --target $(TARGET)
PREFIX  ?= /usr/local
LIBEXEC ?= $(PREFIX)/libexec/bulkhead
RUNROOT ?= /var/tmp/bulkhead-run

.PHONY: build run stop test bench check fix install uninstall packages test-packages user test-vm

## build: all programs, static, in target/release
build: packages
	@# The root process alone, or Cargo would give its crates the features that others ask for.
	$(STATIC) --profile privileged -p bulkhead-shim
	$(STATIC) --profile privileged -p bulkhead-init
	$(STATIC) --profile privileged -p bulkhead-hello
	$(STATIC) --profile privileged -p bulkhead-cli
	$(STATIC) --release -p bulkhead-worker
	mkdir -p $(OUT)
	install -m 755 $(addprefix target/$(TARGET)/privileged/,$(ROOTBIN)) $(OUT)/
	BULKHEAD_HELLO=$(CURDIR)/$(OUT)/bulkhead-hello $(STATIC) --release -p bulkhead-apid --features embedded-hello
	install -m 755 $(addprefix target/$(TARGET)/release/,$(filter-out $(ROOTBIN),$(BIN))) $(OUT)/

## run: an engine of its own below /var/tmp, and its first container
run: build user
	$(OUT)/bulkhead up --root $(RUNROOT)
	@echo
	DOCKER_HOST=unix://$(RUNROOT)/run/api/docker.sock $(OUT)/bulkhead run --rm bulkhead/hello
	@echo
	@echo "The engine runs. Type:"
	@echo "  export DOCKER_HOST=unix://$(RUNROOT)/run/api/docker.sock PATH=$(CURDIR)/$(OUT):\$$PATH"
	@echo "  bulkhead ps -a                 # or docker ps -a"
	@echo "  bulkhead run --rm bulkhead/hello"
	@echo "To stop it and remove what it left: make stop"

## stop: end the engine of `make run`, with its containers
stop:
	$(OUT)/bulkhead down --root $(RUNROOT) --all

## test: everything, privileged tests included; ends with "N passed, N failed, N skipped"
test: test-packages build user
	scripts/test.sh

## test-vm: the same in a QEMU guest with cgroup v2, systemd and Debian's kernel
test-vm: build
	scripts/test-vm.sh

## bench: ratios in one run, beside the peers that are installed
bench: build user
	cargo build --release --locked -p bulkhead-tests --bin floor
	cargo run --release --locked -p bulkhead-tests --bin bench

## check: fmt, clippy, docs, layering, tidy
check:
	cargo fmt --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --quiet
	cargo test --locked --quiet -p bulkhead-tests --test layering --test tidy

fix:
	cargo fmt

## install: plain files below PREFIX; units are not part of it yet
install: build user
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(LIBEXEC)
	install -m 755 $(OUT)/bulkhead $(DESTDIR)$(PREFIX)/bin/
	install -m 755 $(filter-out $(OUT)/bulkhead,$(BIN:%=$(OUT)/%)) $(DESTDIR)$(LIBEXEC)/
	rm -f $(DESTDIR)$(LIBEXEC)/bulkhead

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/bulkhead
	rm -rf $(DESTDIR)$(LIBEXEC)

packages:
	scripts/packages.sh build

test-packages:
	scripts/packages.sh test

user:
	scripts/user.sh
