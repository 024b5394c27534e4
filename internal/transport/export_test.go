package transport

import "net/http"

// NewOver is New over a network that the test has changed, such as one in
// memory.
func NewOver(o Options, change func(*http.Transport)) (Clients, error) {
	network := newNetwork(o)
	change(network)
	return newClients(network, o), nil
}
