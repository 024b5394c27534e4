package bitbucketapi

import "github.com/oz-bitbucket/oz-bitbucket/internal/transport"

// one bounds one answer of the REST API. A page of a hundred tokens or users fits: each is
// about a kilobyte.
var one = transport.Bound{Bytes: 1 << 20, Elements: 10_000, Members: 50_000}

// longestToken is several times the length of any Bitbucket token.
const longestToken = 1024

// A list of refs needs no bound but the transport's timeout: it is read line by line, the
// format limits a line to 64 KiB, and only three hashes are kept. Of an answer other than
// 2xx only the first part is read, by the function beginning.
