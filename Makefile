# make help lists the targets. Everything that CI runs is `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

# One static binary; only the race detector wants C.
export CGO_ENABLED := 0
# Go 1.26 as it is installed; none is downloaded.
export GOTOOLCHAIN ?= local

GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUZZTIME ?= 30s
BENCH ?= .
COUNT ?= 1

.PHONY: help test check tools fmt vet arch tidy unit race e2e screenshots fuzz bench scale model mutants torture build lint

help: ## list the targets
	@sed -nE 's/^([a-z0-9]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

test: tools fmt vet tidy unit race e2e ## run every test, after installing what they need

check: fmt vet arch tidy unit ## the quick part, for every commit

tools: ## install what is missing of go, node, npm, Chromium, Apache and a C compiler
	@.ci/tools

fmt: ## fail on a file that gofmt would change
	@bad=$$(gofmt -l cmd internal e2e/*.go); if [ -n "$$bad" ]; then echo "not gofmt-ed:"; echo "$$bad"; exit 1; fi

vet:
	go vet ./...
	go vet -tags scale,e2e ./...

arch: ## who may import whom
	go test ./internal/arch

tidy: ## fail if go.mod or go.sum is not what the imports ask for
	go mod tidy -diff

unit: ## go test, in two minutes: without the race detector, and without what has the tag scale
	go test ./...

race: ## go test -race, with the tag scale: PostgreSQL held to the store's contract, the model, torture in short
	CGO_ENABLED=1 go test -race -timeout 20m ./...

e2e: e2e/node_modules/.package-lock.json ## other people's clients and a real browser against a running server
	go test -tags e2e -count=1 -v ./e2e

screenshots: e2e/node_modules/.package-lock.json ## docs/screenshots, by the tests that look at the pages
	@mkdir -p docs/screenshots
	go test -tags e2e -count=1 -run 'TestHostedPagesInChromium|TestDemoRelyingPartiesInChromium' ./e2e -screenshots $(CURDIR)/docs/screenshots

# No install script of a package runs; the lock file holds the hash of each.
e2e/node_modules/.package-lock.json: e2e/package-lock.json e2e/package.json e2e/.npmrc
	cd e2e && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

fuzz: ## every fuzz target for FUZZTIME (30s)
	@grep -rlE '^func Fuzz' --include='*_test.go' internal | xargs -r -n1 dirname | sort -u | while read -r dir; do \
		for target in $$(go test -list '^Fuzz' "./$$dir" | grep '^Fuzz'); do \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "./$$dir"; \
		done; \
	done

bench: ## benchmarks; BENCH=pattern COUNT=n
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) ./internal/...

# What takes its time has a tag, so that the rest can be run alone and often.
race scale model mutants torture: export GOFLAGS := -tags=scale

scale: ## only what has the tag scale, without the race detector
	go test -count=1 ./internal/store/storetest ./internal/model ./internal/torture

model: ## every state of the model, and a minute of random steps on each database
	go test -count=1 -timeout 0 -v -run 'TestPromises|TestFlaws' ./internal/model -depth 0
	go test -count=1 -timeout 0 -v -run 'DoesAsTheModel|TestInterleavings' ./internal/model -budget 60s -rapid.checks 100000

mutants: ## break the code in each way of internal/model/testdata/mutants: a test must notice
	go run ./internal/model/mutants

torture: ## kill, restart, cut off and fill up real processes for six minutes or more; prints the table of docs/reliability.md
	go test -count=1 -timeout 1h -v ./internal/torture -long

build: ## bin/tallystick, stripped
	go build -trimpath -ldflags '-s -w' -o bin/tallystick ./cmd/tallystick

lint: ## golangci-lint, built from source at a pinned version
	go run $(GOLANGCI_LINT) run ./...
