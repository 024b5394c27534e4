package bitbucketapi

import "github.com/oz-bitbucket/oz-bitbucket/internal/transport"

// one is how much an answer of the REST may come to, a page of a hundred tokens or
// users included: these are about a kilobyte each.
var one = transport.Bound{Bytes: 1 << 20, Elements: 10_000, Members: 50_000}

// longestToken is several times what any token of Bitbucket's is long.
const longestToken = 1024

// A list of refs needs no bound beside the transport's time: it is read line by line,
// a line is at most 64 KiB by its nature, and nothing but three hashes is kept. Of an
// answer that is not 2xx, beginning reads the first of it.
