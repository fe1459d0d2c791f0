# Everything a contributor needs: `make` alone lists it.

VERSION = $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS = -X main.version=$(VERSION)

# The race detector is written in C: without a C compiler tests run without it.
RACE = $(shell test "$$(go env CGO_ENABLED)" = 1 && command -v "$$(go env CC)" >/dev/null 2>&1 && echo -race)

LINT = go tool -modfile=tools/go.mod golangci-lint

.PHONY: help
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build ./fanfare, one static binary
	CGO_ENABLED=0 go build -trimpath -ldflags "$(LDFLAGS)" -o fanfare ./cmd/fanfare

.PHONY: run
run: build ## build and start the demo: a throw-away database, a receiver and a feed of changes
	./fanfare demo

.PHONY: test
test: ## run every test, under the race detector where there is a C compiler
	@./scripts/test-deps
	@$(MAKE) --no-print-directory go-test

# Apart from test, so that RACE is found after a compiler was installed.
.PHONY: go-test
go-test:
	@test -n "$(RACE)" || echo "No C compiler: the tests run without the race detector."
	go test $(RACE) ./...

.PHONY: lint
lint: ## check formatting, style and the import rules
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not formatted by gofmt:"; echo "$$unformatted"; exit 1; }
	$(LINT) run ./...

# A pipe fails when any of its programs does.
simulate crash: SHELL = bash
simulate crash: .SHELLFLAGS = -o pipefail -c

.PHONY: simulate
simulate: ## simulate thousands of worlds in which everything fails (SEEDS= for how many)
	FANFARE_SEEDS=$(or $(SEEDS),2000) go test -count=1 -v -run TestNothingIsLost ./internal/simulation | grep -Ev '^ *(===|---) '

.PHONY: crash
crash: ## kill nodes, disks and databases hundreds of times under load (CRASHES= for how often each)
	FANFARE_CRASHES=$(or $(CRASHES),100) go test -count=1 -v -timeout 3h -run 'Kill|CuttingThePower|AFullDisk|SIGTERM' ./cmd/fanfare \
		| grep -E '^ *(---|panic)|_test\.go:|^(ok|FAIL)'

.PHONY: interop-env
interop-env:
	@./scripts/interop-env

.PHONY: interop
interop: interop-env ## drive a node with the official SDKs (needs Python, Node.js and their package registries)
	FANFARE_INTEROP=$(CURDIR)/.interop go test -count=1 -tags interop -run 'TestTheOfficial|TestTheDocument' ./cmd/fanfare

.PHONY: axe-env
axe-env:
	npm install --silent --no-audit --no-fund --prefix .axe axe-core@4.14.1

.PHONY: axe
axe: axe-env ## look for what people with disabilities stumble over, on every page (needs npm and its registry)
	FANFARE_AXE=$(CURDIR)/.axe/node_modules/axe-core/axe.min.js go test -count=1 -run TestEveryPageInABrowser ./internal/portal

.PHONY: openapi
openapi: ## write the OpenAPI documents that the code makes to docs/openapi
	FANFARE_UPDATE=1 go test -count=1 -run TestTheDocumentInTheRepository ./internal/api/...

.PHONY: bench
bench: build ## measure this machine: Fanfare against a relay that stores nothing (BENCH= for flags)
	./fanfare bench $(BENCH)

.PHONY: bench-full
bench-full: build ## the same with a million deliveries waiting and ten million messages stored: 40 GB of disk, an hour
	./fanfare bench -backlog 1000000 -batch 1000 -history 10000,100000,1000000,10000000 $(BENCH)

.PHONY: bench-go
bench-go: ## run the benchmarks of single functions
	go test -run '^$$' -bench . ./...

.PHONY: pictures
pictures: ## take the pictures in the documentation anew
	FANFARE_PICTURES=$(CURDIR)/internal/portal/static go test -count=1 -run TestTheGuideOfSlack ./cmd/fanfare

.PHONY: clean
clean: ## remove what the other targets made
	rm -f fanfare coverage.out coverage.html
