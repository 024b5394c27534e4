package warpapi

import "github.com/oz-bitbucket/oz-bitbucket/internal/transport"

// How much an answer of Oz may come to. Each bound is several times what ten thousand
// environments need, and what it lets through stays below 200 MB in memory.
var (
	// one is for one thing, and for lists of a few: a run, an environment with
	// thousands of setup commands (whose model is checked once more), the caller's teams.
	one = transport.Bound{Bytes: 1 << 20, Elements: 20_000, Members: 20_000}

	// environments is for all that the caller sees: 2 KB each, twenty commands and
	// secrets, and up to 150 bytes in memory for each element.
	environments = transport.Bound{Bytes: 32 << 20, Elements: 250_000, Members: 500_000}

	// batch is for a hundred environments of 80 KB: one that comes to more is asked for in
	// smaller parts.
	batch = transport.Bound{Bytes: 8 << 20, Elements: 100_000, Members: 100_000}

	// schedules is for all that the caller sees: 2 KB each, most of it the prompt.
	schedules = transport.Bound{Bytes: 16 << 20, Elements: 50_000, Members: 250_000}

	// secrets is for all that the caller sees, with names and descriptions.
	secrets = transport.Bound{Bytes: 8 << 20, Elements: 20_000, Members: 200_000}

	// runs is for a page of a hundred, each with its prompt and its configuration.
	runs = transport.Bound{Bytes: 16 << 20, Elements: 50_000, Members: 100_000}

	// factories is for one page; transport.Pages bounds the list.
	factories = transport.Bound{Bytes: 4 << 20, Elements: 20_000, Members: 100_000}

	// conversation is for all that an agent said, did and saw. One at a time is in memory.
	conversation = transport.Bound{Bytes: 64 << 20, Elements: 500_000, Members: 2_000_000}
)

const (
	// longestReason is how much is read of an answer that is not 2xx.
	longestReason = 64 << 10

	// longestWords is how much is kept of why a server refuses.
	longestWords = 2000

	// mostModels bounds the models of all the environments that one job reads whole, in
	// bytes. They are kept: 2 KB each, of ten thousand, twice over.
	mostModels = 48 << 20

	// longestName bounds the name of an environment, in bytes. It is in every line, output
	// and summary that is about the environment.
	longestName = 1 << 10

	// longestReply bounds a message of a transcript whose text is looked at.
	longestReply = 4 << 20
)
