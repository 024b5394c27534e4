// Package bitbucketsim simulates Bitbucket Cloud and Bitbucket Data Center: real bare repositories behind
// git's own smart HTTP (git http-backend), the REST endpoints about tokens and repositories, and the known
// refusals of each product.
//
// It is a second, independent reading of Bitbucket's wire format: it imports nothing from the product. It has
// state (repositories, tokens, commits) and scripted faults. [Server.Violations] lists what a careful client
// must never do.
//
// Cloud has its real names, https://bitbucket.org and https://api.bitbucket.org, which a client reaches
// through [Server.CloudProxyURL] when it trusts [Server.CACertificate]. Data Center is a plain HTTP server on
// loopback, and the same server again as https://git.example.test behind the proxy. The simulator connects to
// no other machine.
//
// # Operations
//
// The names of requests in faults ([Server.Script]), the journal ([Server.Journal]) and [Server.Counts]:
//
//	upload-pack refs         GET  .../info/refs?service=git-upload-pack
//	receive-pack refs        GET  .../info/refs?service=git-receive-pack
//	upload-pack              POST .../git-upload-pack
//	receive-pack             POST .../git-receive-pack
//	cloud repository         GET  https://api.bitbucket.org/2.0/repositories/{workspace}/{slug}
//	cloud repositories       GET  https://api.bitbucket.org/2.0/repositories/{workspace}
//	datacenter repositories  GET  BASE/rest/api/{version}/projects/{key}/repos, and users/{slug}/repos
//	datacenter properties    GET  BASE/rest/api/{version}/application-properties
//	datacenter repository    GET  BASE/rest/api/{version}/projects/{key}/repos/{slug}, and users/{slug}/repos/{slug}
//	permitted repositories   GET  BASE/rest/api/{version}/repos
//	list access tokens       GET    BASE/rest/access-tokens/{version}/{users/SLUG | projects/KEY[/repos/SLUG]}
//	create access token      PUT    the same
//	get access token         GET    the same, and /{id}
//	delete access token      DELETE the same, and /{id}
//	find users               GET    BASE/rest/api/{version}/users
//	connect                  CONNECT of the proxy; a fault strikes instead of opening the tunnel
//
// Every other request has the empty operation. [Removed] is the fault of an address that Cloud has removed.
package bitbucketsim

// The operations, for fault.Fault.Operation and Server.Counts.
const (
	UploadPackRefs         = "upload-pack refs"
	ReceivePackRefs        = "receive-pack refs"
	UploadPack             = "upload-pack"
	ReceivePack            = "receive-pack"
	CloudRepository        = "cloud repository"
	CloudRepositories      = "cloud repositories"
	DataCenterRepositories = "datacenter repositories"
	DataCenterProperties   = "datacenter properties"
	DataCenterRepository   = "datacenter repository"
	ListAccessTokens       = "list access tokens"
	CreateAccessToken      = "create access token"
	GetAccessToken         = "get access token"
	DeleteAccessToken      = "delete access token"
	FindUsers              = "find users"
	Connect                = "connect"
	PermittedRepositories  = "permitted repositories"
)
