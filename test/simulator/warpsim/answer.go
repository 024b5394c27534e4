package warpsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// answer is a response that has not been sent yet, so that a fault can still lose it.
type answer struct {
	status      int
	contentType string
	body        []byte
}

func (a answer) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", a.contentType)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // the client may have gone
}

// ok answers 200 with v as JSON.
func ok(v any) answer {
	return answer{http.StatusOK, "application/json", mustMarshal(v)}
}

// problem is Warp's error document.
//
// Source: https://docs.warp.dev/reference/api-and-sdk/troubleshooting/errors/, RFC 7807.
func problem(c *call, status int, code, detail string) answer {
	title := strings.ToUpper(code[:1]) + strings.ReplaceAll(code[1:], "_", " ")
	return answer{status, "application/problem+json", mustMarshal(map[string]any{
		"type":      "https://docs.warp.dev/reference/api-and-sdk/troubleshooting/errors/" + code,
		"title":     title,
		"status":    status,
		"detail":    detail,
		"instance":  c.URL.Path,
		"error":     title + ": " + detail,
		"retryable": retryable(code),
		"trace_id":  newTraceID(),
	})}
}

func invalidRequest(c *call, format string, args ...any) answer {
	return problem(c, http.StatusBadRequest, "invalid_request", fmt.Sprintf(format, args...))
}

// unauthorized answers a request whose key is unknown, in the format of the endpoint.
func unauthorized(c *call) answer {
	if strings.HasPrefix(c.URL.Path, "/api/") {
		return problem(c, http.StatusUnauthorized, "authentication_required", "the API key is unknown, expired or revoked")
	}
	body := mustMarshal(map[string]string{"error": "Invalid API key"})
	return answer{http.StatusUnauthorized, "application/json", body}
}

func retryable(code string) bool {
	return code == "conflict" || code == "resource_unavailable" || code == "internal_error"
}

// mustMarshal is for values that the simulator has made itself.
func mustMarshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("warpsim: %v", err))
	}
	return b
}
