# make demo    build, start the simulators, provision a sample repository twice
# make test    every test; those in containers where Docker runs
# make bench   speed, memory and size, in less than ten minutes; docs/measurements.md quotes it
# make fuzz    each fuzz test for a bounded time

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS := -s -w -X github.com/oz-bitbucket/oz-bitbucket/internal/action.version=$(VERSION)
FUZZTIME := 20s
REPEATED := RoundTrips|Peers|Version|Image

.PHONY: build demo test bench fuzz
build:
	CGO_ENABLED=0 go build -trimpath -ldflags "$(LDFLAGS)" -o bin/oz-bitbucket .

demo: build
	go run ./test/simulator -- sh test/demo.sh

# ./test is first because it takes longest and waits for programs: two others run beside it.
# .ci/run vets everything by itself. With -trimpath all checkouts of this machine share what was compiled.
# GOGC is for the compiler, the linker and the tests; the program under test does not get it.
test:
	GOGC=400 go run ./test/tally -vet=off -trimpath -shuffle=on -count=1 -p=3 -parallel=12 -timeout=30m ./test ./...

bench:
	go test -run '^$$' -bench '$(REPEATED)' -benchtime 3x ./test
	go test -run '^$$' -bench . -skip '$(REPEATED)' -benchtime 1x ./test # the smoke test takes a minute

fuzz:
	@for package in $$(go list ./internal/...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
		done; \
	done
