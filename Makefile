# The two commands of a newcomer are "make run" and "make test".

GO         ?= go
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOTESTSUM   = gotest.tools/gotestsum@v1.13.0
OUT         = .test

# Trees of which "make cover" tells how much the tests run.
TREES   = cms pod balancer elastic
COVERED = ./cms/...,./pod/...,./balancer/...,./elastic/...

# $(call tests,NAME,FLAGS AND PACKAGES) runs tests, writes what "go test -json"
# says to $(OUT)/NAME.json, and fails where a test fails or is skipped.
tests = @mkdir -p $(OUT) && PATH="$$PATH:/usr/sbin:/sbin" $(GO) run $(GOTESTSUM) --format pkgname --format-icons text --format-hide-empty-pkg \
	--jsonfile $(OUT)/$(1).json --raw-command -- $(GO) test -json $(2) && .ci/passed $(OUT)/$(1).json

# Debian packages, and a command of each that shows that it is there.
PACKAGES = gcc:gcc docker.io:dockerd haproxy:haproxy iproute2:ip openssh-server:sshd chromium:chromium npm:npm systemd:systemd-analyze prometheus:promtool

# Packages whose tests start real engines, balancers and processes and mostly
# wait for them, and those that measure time and so run one after another.
REAL  = ./pod/... ./balancer/... ./cms/serve/... ./examples/... ./internal/dockertest/...
TIMED = ./examples/server/dashboard/... ./internal/openloop/...

.PHONY: run mutants cover test e2e chaos lint deps build clean help toolchain

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# Go before 1.21 does not fetch the version that go.mod asks for.
toolchain:
	@command -v $(GO) >/dev/null || { echo "Go is missing: install 1.26 or newer, see https://go.dev/dl/ and put its bin directory into PATH" >&2; exit 1; }
	@case "$$($(GO) env GOVERSION)" in ""|go1.[0-9]|go1.[0-9].*|go1.1[0-9]*|go1.20*) \
	echo "$$($(GO) version) is too old: install 1.26 or newer, see https://go.dev/dl/" >&2; exit 1;; esac

run: toolchain ## the demo: processes and the built-in balancer, nothing to install
	@mkdir -p $(OUT)
	@echo "building the server; the first time takes a minute or two"
	@$(GO) build -o $(OUT)/server ./examples/server
	@exec $(OUT)/server --demo # not "go run", which fails where Ctrl-C ends the server well

build: toolchain ## the server and the cloud command, static, into bin/
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags="-s -w" -o bin/ ./examples/server ./examples/cloud

deps: ## installs what the tests need (Debian, as root), or says what is missing
	@export PATH="$$PATH:/usr/sbin:/sbin"; missing=; \
	for p in $(PACKAGES); do command -v "$${p#*:}" >/dev/null || missing="$$missing $${p%%:*}"; done; \
	[ -z "$$missing" ] && exit 0; \
	if [ "$$(id -u)" != 0 ]; then echo "The tests need these Debian packages; install them as root:$$missing" >&2; exit 1; fi; \
	echo "Installing$$missing"; \
	apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $$missing >/dev/null

lint: toolchain ## gofmt, vet, staticcheck
	@bad="$$(gofmt -l $$(git ls-files '*.go'))"; [ -z "$$bad" ] || { echo "gofmt would change:"; echo "$$bad"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags e2e ./internal/e2e/
	$(GO) run $(STATICCHECK) -tags e2e ./...

test: toolchain deps ## every test but the long ones, with the race detector; needs root for Docker
	@[ "$$(id -u)" = 0 ] || { echo "The tests start Docker Engines of their own, so they need root: sudo make test" >&2; exit 1; }
	$(call tests,pure,-race $$($(GO) list ./... | grep -vxF "$$($(GO) list $(REAL) $(TIMED))"))
	$(call tests,real,-race -p 2 -timeout 10m $$($(GO) list $(REAL) | grep -vxF "$$($(GO) list $(TIMED))"))
	$(call tests,timed,-race -p 1 -timeout 10m $(TIMED))

e2e: toolchain deps ## the end-to-end tests, on both stacks
	@[ "$$(id -u)" = 0 ] || { echo "The tests start Docker Engines of their own, so they need root: sudo make e2e" >&2; exit 1; }
	$(call tests,e2e,-tags e2e -timeout 60m ./internal/e2e/)

chaos: toolchain deps ## every fault many times, for about an hour; prints what each did
	@[ "$$(id -u)" = 0 ] || { echo "The tests start Docker Engines of their own, so they need root: sudo make chaos" >&2; exit 1; }
	@mkdir -p $(OUT); PATH="$$PATH:/usr/sbin:/sbin" CHAOS=long $(GO) test -tags e2e -run 'TestFault' -timeout 80m -v ./internal/e2e/ >$(OUT)/chaos.log 2>&1; code=$$?; \
	sed -n '/^fault  *|/,/^[^|]*$$/p' $(OUT)/chaos.log | grep '|'; grep -E '^ *--- (FAIL|SKIP)' $(OUT)/chaos.log; \
	[ $$code = 0 ] || echo "failed; all that was said is in $(OUT)/chaos.log"; exit $$code

mutants: toolchain ## small bugs, planted into cms/reconcile one at a time, that the tests must notice; takes long
	$(GO) run ./internal/mutants -skip Allocates -timeout 60s -args '-rapid.nofailfile -rapid.shrinktime=1ms' ./cms/reconcile $$(cd cms/reconcile && ls *.go | grep -v _test.go)

# Without the race detector. A statement counts whichever package's test runs it.
cover: toolchain deps ## how much of cms, pod, balancer and elastic the tests run, 85 % at least; takes minutes
	@[ "$$(id -u)" = 0 ] || { echo "The tests start Docker Engines of their own, so they need root: sudo make cover" >&2; exit 1; }
	$(call tests,cover,-p 2 -timeout 10m -coverprofile $(OUT)/cover.out -coverpkg $(COVERED) $(TREES:%=./%/...) ./internal/apifuzz/)
	@awk -v min=85 -v trees="$(TREES)" -f .ci/covered.awk $(OUT)/cover.out

clean: ## removes what was built
	rm -rf bin $(OUT)
