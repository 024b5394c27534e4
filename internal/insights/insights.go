// Package insights puts a report on the commit of a Bitbucket pipeline, from inside of that
// pipeline. It needs no credential and has none: a proxy that runs beside each step adds one.
// Nobody waits for a report: it is sent once, within a few seconds.
package insights

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
)

// Where the proxy listens, as a step and as a pipe's container see it. Nothing else counts:
// no variable, no input and no answer leads anywhere else.
//
// Source: https://support.atlassian.com/bitbucket-cloud/docs/code-insights/, Authentication;
// for pipes https://github.com/reviewdog/reviewdog/pull/996
const (
	besideStep = "http://localhost:29418"
	besidePipe = "http://host.docker.internal:29418"
)

// cloudREST is where the proxy takes a request to. The way to the proxy is plain HTTP, which
// does not leave the machine; the proxy goes on over TLS.
const cloudREST = "http://api.bitbucket.org"

// longest bounds the sending of a report, from the first connection to the last answer.
const longest = 5 * time.Second

// Send puts a report on the commit of a build, in the place of the one with the same ID.
// agent is what it calls itself. On an error the report may be there in part.
func Send(ctx context.Context, build bitbucket.Build, report bitbucket.Insights, agent string) error {
	return senderFor(build).send(ctx, build, report, agent)
}

func senderFor(build bitbucket.Build) sender {
	if build.Pipe {
		return sender{besidePipe, longest}
	}
	return sender{besideStep, longest}
}

type sender struct {
	proxy string
	limit time.Duration
}

func (s sender) send(ctx context.Context, build bitbucket.Build, report bitbucket.Insights, agent string) error {
	ctx, stop := context.WithTimeoutCause(ctx, s.limit, fmt.Errorf("it took longer than %s", s.limit))
	defer stop()
	clients, err := transport.New(transport.Options{UserAgent: agent, Environ: []string{"HTTP_PROXY=" + s.proxy}, Once: true})
	if err != nil {
		return err
	}
	defer clients.Close()
	address := cloudREST + report.Path(build)
	do := func(method, address string, body []byte) error {
		status, err := ask(ctx, clients.Writes, method, address, body)
		switch {
		case err != nil:
			return fmt.Errorf("through the proxy %s: %w", s.proxy, err)
		case method != http.MethodDelete && (status < 200 || status > 299): // without a report there is nothing to delete
			return fmt.Errorf("%s %s: the answer is %d", method, address, status)
		}
		return nil
	}
	// Annotations of an earlier run would stay beside ours, for what was fixed since.
	err = do(http.MethodDelete, address, nil)
	if err == nil {
		err = do(http.MethodPut, address, report.Report)
	}
	for _, list := range report.Annotations {
		if err == nil {
			err = do(http.MethodPost, address+"/annotations", list)
		}
	}
	return err
}

// ask sends one request and returns the status of its answer, of which nothing else is used.
func ask(ctx context.Context, client *transport.Client, method, address string, body []byte) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}
