package bitbucketapi_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucketapi"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
)

// hostToken is a token that a host name could hold.
const hostToken = "ATATT3MARKER-host_4f=0A1B2C3D"

// requireNoPart checks that a text holds no longer piece of a token.
func requireNoPart(t *testing.T, text, secret string) {
	t.Helper()
	for _, user := range []string{"", "x-token-auth:"} {
		whole := user + secret
		if user != "" {
			whole = base64.StdEncoding.EncodeToString([]byte(whole))
		}
		for _, form := range []string{whole, url.QueryEscape(whole)} {
			assert.False(t, strings.Contains(text, form[:8]), "the text holds the beginning of a credential")
			assert.False(t, strings.Contains(text, form[len(form)-8:]), "the text holds the end of a credential")
		}
	}
}

// with is a client of a server that presents another token.
func with(t *testing.T, secret string, answer http.HandlerFunc) (*bitbucketapi.Client, bitbucket.Repository) {
	t.Helper()
	_, repository := against(t, answer)
	clients, err := transport.New(transport.Options{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	return bitbucketapi.New(clients).Client(sensitive.New(secret)), repository
}

func TestAnEchoIsHiddenWhereverItStands(t *testing.T) {
	t.Parallel()
	moved := func(w http.ResponseWriter, to string) {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusFound)
	}
	for name, echo := range map[string]func(w http.ResponseWriter, said string){
		"a redirect's host":   func(w http.ResponseWriter, said string) { moved(w, "https://"+said+"/login") },
		"a part of that host": func(w http.ResponseWriter, said string) { moved(w, "https://login."+said+".example/") },
		"a redirect's user":   func(w http.ResponseWriter, said string) { moved(w, "https://"+said+"@sso.example/") },
		"escaped": func(w http.ResponseWriter, said string) {
			http.Error(w, "?token="+url.QueryEscape(said), http.StatusForbidden)
		},
		"where reading ends": func(w http.ResponseWriter, said string) {
			http.Error(w, strings.Repeat(" ", 4<<10-20)+said, http.StatusForbidden)
		},
		"where it ends, escaped": func(w http.ResponseWriter, said string) {
			http.Error(w, strings.Repeat(" ", 4<<10)+url.QueryEscape(said), http.StatusForbidden)
		},
	} {
		for _, secret := range []string{token, hostToken} {
			for _, as := range []bitbucket.Login{bearer, {User: "x-token-auth"}} {
				t.Run(fmt.Sprintf("%s, %.4s, Bearer %t", name, secret, as.Bearer), func(t *testing.T) {
					t.Parallel()
					client, repository := with(t, secret, func(w http.ResponseWriter, r *http.Request) {
						_, said, _ := strings.Cut(r.Header.Get("Authorization"), " ")
						echo(w, said)
					})
					_, err := client.ListRefs(t.Context(), repository, bitbucket.UploadPack, as, "")
					var refused *bitbucket.Refusal
					require.ErrorAs(t, err, &refused)
					requireNoPart(t, refused.Text, secret)
				})
			}
		}
	}
}

// TestAnEchoThatIsNoHTTPIsHidden: net/http quotes a header that it cannot read.
// The request is tried again, so this takes as long as the waits between.
func TestAnEchoThatIsNoHTTPIsHidden(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if request, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.WriteString(conn, "HTTP/1.1 403 Forbidden\r\n"+request.Header.Get("Authorization")+"\r\n\r\n")
			}
			_ = conn.Close()
		}
	}()
	client, repository := against(t, http.NotFound)
	repository.Host = listener.Addr().String()
	_, err = client.ListRefs(t.Context(), repository, bitbucket.UploadPack, bearer, "")
	require.ErrorContains(t, err, "malformed")
	requireNoPart(t, err.Error(), token)
}

func TestTheManagementOfTokensHidesAnEcho(t *testing.T) {
	t.Parallel()
	for name, user := range map[string]string{"a password": "x-token-auth", "a token": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, repository := against(t, func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusUnauthorized)
				_, _ = io.WriteString(w, `{"errors":[{"message":"not `+r.Header.Get("Authorization")+`","exceptionName":"com.atlassian.X"}]}`)
			})
			clients, err := transport.New(transport.Options{Log: slog.New(slog.DiscardHandler)})
			require.NoError(t, err)
			tokens := bitbucketapi.New(clients).Tokens(repository, bitbucketapi.Credential{Username: user, Secret: sensitive.New(token)})
			_, err = tokens.ListTokens(t.Context(), bitbucket.TokenOwner{User: "jane"})
			require.ErrorContains(t, err, "not B")
			requireNoPart(t, err.Error(), token)
		})
	}
}
