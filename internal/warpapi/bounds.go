package warpapi

import "github.com/oz-bitbucket/oz-bitbucket/internal/transport"

// How much an answer of Oz may come to. Each bound is several times what ten thousand
// environments need, and what it lets through stays below 200 MB in memory.
var (
	// one is for one object, and for short lists: a run, an environment with thousands of
	// setup commands (mostModels bounds its model too), the caller's teams.
	one = transport.Bound{Bytes: 1 << 20, Elements: 20_000, Members: 20_000}

	// environments is for all environments that the caller sees: 2 KB each, twenty
	// commands and secrets, and up to 150 bytes in memory for each element.
	environments = transport.Bound{Bytes: 32 << 20, Elements: 250_000, Members: 500_000}

	// batch is for a hundred environments of 80 KB: a larger batch is split.
	batch = transport.Bound{Bytes: 8 << 20, Elements: 100_000, Members: 100_000}

	// schedules is for all schedules that the caller sees: 2 KB each, most of it the
	// prompt.
	schedules = transport.Bound{Bytes: 16 << 20, Elements: 50_000, Members: 250_000}

	// secrets is for all secrets that the caller sees, with names and descriptions.
	secrets = transport.Bound{Bytes: 8 << 20, Elements: 20_000, Members: 200_000}

	// runs is for a page of a hundred runs, each with its prompt and its configuration.
	runs = transport.Bound{Bytes: 16 << 20, Elements: 50_000, Members: 100_000}

	// factories is for one page; transport.Pages bounds the list.
	factories = transport.Bound{Bytes: 4 << 20, Elements: 20_000, Members: 100_000}

	// conversation is for a whole transcript. Only one at a time is in memory.
	conversation = transport.Bound{Bytes: 64 << 20, Elements: 500_000, Members: 2_000_000}
)

const (
	// longestReason is how many bytes are read of an answer that is not 2xx.
	longestReason = 64 << 10

	// longestWords is how much of a server's reason for a refusal is kept.
	longestWords = 2000

	// mostModels bounds the models of all environments that one job reads whole, in
	// bytes, because they stay in memory. It is twice the need of ten thousand models
	// of 2 KB.
	mostModels = 48 << 20

	// longestName bounds the name of an environment, in bytes. The name is in every line,
	// output and summary about the environment.
	longestName = 1 << 10

	// longestReply bounds the text of a message of a transcript.
	longestReply = 4 << 20
)
