// Package bitbucket holds Bitbucket's nouns: flavors, repositories and token kinds. It
// is pure: it reads no environment variables, opens no connection and keeps no state.
// Of a token it sees only the prefix.
package bitbucket

// Flavor is one of the two products that are called Bitbucket. The empty Flavor means
// that the host decides.
type Flavor string

// The flavors.
const (
	Cloud      Flavor = "cloud"      // bitbucket.org
	DataCenter Flavor = "datacenter" // self-hosted; formerly Bitbucket Server
)

// TokenKinds lists the kinds of token that the flavor has and git can use,
// the most common one first. An unknown flavor has none.
func (f Flavor) TokenKinds() []TokenKind {
	switch f {
	case Cloud:
		return []TokenKind{APIToken, AccessToken}
	case DataCenter:
		return []TokenKind{HTTPAccessToken}
	}
	return nil
}
