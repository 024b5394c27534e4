package warpsim

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

// leaks holds what must not be written in the clear, and what has been written. Each new item of one kind is
// compared with all items of the other, so the order of writes does not matter.
type leaks struct {
	secrets []labelled
	texts   []labelled
}

type labelled struct{ label, text string }

// shortestSecret is the least length of a value that is searched for; a shorter one may be ordinary text.
const shortestSecret = 6

// learn adds a plaintext, and its base64, to what must not be written. The caller holds the lock.
func (s *Server) learn(label, secret string) {
	if len(secret) < shortestSecret {
		return
	}
	for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))} {
		s.leaks.secrets = append(s.leaks.secrets, labelled{label, form})
		for _, t := range s.leaks.texts {
			s.compare(labelled{label, form}, t)
		}
	}
}

// watch adds a text that a client has written. JSON is also looked at unescaped. The caller holds the lock.
func (s *Server) watch(label, text string) {
	written := labelled{label, text + "\n" + unescaped(text)}
	s.leaks.texts = append(s.leaks.texts, written)
	for _, secret := range s.leaks.secrets {
		s.compare(secret, written)
	}
}

func (s *Server) compare(secret, written labelled) {
	if strings.Contains(written.text, secret.text) {
		s.flag("%s stands in the clear in %s", secret.label, written.label)
	}
}

// unescaped returns the strings inside a JSON text, keys included, one a line; "" when it is not JSON.
func unescaped(text string) string {
	var value any
	if json.Unmarshal([]byte(text), &value) != nil {
		return ""
	}
	var b strings.Builder
	var visit func(any)
	visit = func(value any) {
		switch value := value.(type) {
		case string:
			b.WriteString(value + "\n")
		case []any:
			for _, element := range value {
				visit(element)
			}
		case map[string]any:
			for key, element := range value {
				b.WriteString(key + "\n")
				visit(element)
			}
		}
	}
	visit(value)
	return b.String()
}
