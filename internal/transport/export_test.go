package transport

import "net/http"

// NewOver is New over networks that the test has changed, such as ones in memory.
func NewOver(o Options, change func(*http.Transport)) (Clients, error) {
	network, ofGit := newNetwork(o, trust(o)), newNetwork(o, trust(o))
	change(network)
	change(ofGit)
	return newClients(network, ofGit, o), nil
}
