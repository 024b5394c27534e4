// Package bitbucket holds Bitbucket's nouns: flavors, repositories and token
// kinds. It is pure: it reads no environment, opens no connection, keeps no
// state and never sees a token, only its prefix.
package bitbucket

// Flavor is one of the two products that are called Bitbucket. The empty
// Flavor stands for "find out from the host".
type Flavor string

// The flavors.
const (
	Cloud      Flavor = "cloud"      // bitbucket.org
	DataCenter Flavor = "datacenter" // a server of one's own, once called Bitbucket Server
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
