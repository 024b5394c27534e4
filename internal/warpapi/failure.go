package warpapi

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/redact"
	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// errRedirected marks a redirect: the request had no effect.
var errRedirected = errors.New("redirected")

// failure turns an answer other than 2xx into an error. It is a *warp.Refusal for a
// 4xx, except for 408, after which it is unknown what happened.
func failure(answer *http.Response, content []byte) error {
	switch status := answer.StatusCode; {
	case status/100 == 3:
		return fmt.Errorf("%s: %w to %s, which is not followed; check warp_server_url", answer.Status, errRedirected, host(answer))
	case status/100 != 4 || status == http.StatusRequestTimeout:
		return fmt.Errorf("%s: %s%s", answer.Status, excerpt(content), later(answer))
	}
	refusal := refusal(answer.StatusCode, content)
	if code := answer.Header.Get("X-Warp-Error-Code"); code != "" {
		refusal.Kind = beginning(code)
	}
	if answer.StatusCode == http.StatusUnauthorized {
		refusal.Message += "; Oz does not accept warp_api_key: it may be expired, revoked or cut off; create one as " + warp.KeysPage + " says"
	}
	refusal.Message += later(answer)
	return refusal
}

// later is `; Oz asks to wait 1h0m0s`, empty when Oz asks for less than half a
// second.
func later(answer *http.Response) string {
	asked, _ := transport.RetryAfter(answer)
	if asked = asked.Round(time.Second); asked == 0 {
		return ""
	}
	return fmt.Sprintf("; Oz asks to wait %s", asked)
}

// refusal reads a problem document, or the older {"error": "..."}. The error
// code is the last segment of the problem's type.
//
// Source: agent-api-openapi.yaml, schema Error.
func refusal(status int, content []byte) *warp.Refusal {
	var document struct {
		Type, Title, Detail, Error string
		UserDisplayMessage         string `json:"userDisplayMessage"`
	}
	if json.Unmarshal(content, &document) != nil {
		return &warp.Refusal{Status: status, Message: excerpt(content)}
	}
	var code string
	if document.Type != "" && document.Type != "about:blank" {
		code = strings.ReplaceAll(path.Base(strings.TrimRight(document.Type, "/")), "-", "_")
	}
	message := cmp.Or(document.UserDisplayMessage, document.Detail, document.Title, document.Error)
	return &warp.Refusal{Status: status, Kind: beginning(code), Message: cmp.Or(beginning(message), excerpt(content))}
}

// beginning cuts a server's message to a readable length. An answer may be megabytes
// long, and escaping it for the log would take many times that.
func beginning(words string) string {
	if len(words) > longestWords {
		return strings.ToValidUTF8(words[:longestWords], "") + " ..."
	}
	return words
}

func host(answer *http.Response) string {
	if at, err := answer.Location(); err == nil {
		return at.Scheme + "://" + at.Host
	}
	return "another place"
}

// excerpt is the beginning of a server's answer on one line.
func excerpt(content []byte) string {
	const longest = 300
	text := redact.OneLine(strings.ToValidUTF8(string(content[:min(len(content), longest)]), ""))
	if len(content) > longest {
		text += " ..."
	}
	return cmp.Or(text, "(empty)")
}
