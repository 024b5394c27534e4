// Package insights puts a report on the commit of a Bitbucket pipeline, from inside that
// pipeline. It has no credential: a proxy that runs with each step adds one. A report is sent
// once, within a few seconds, and never again.
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

// The addresses of the proxy, for a step and for a pipe's container. No variable, input or
// answer changes them.
//
// Source: https://support.atlassian.com/bitbucket-cloud/docs/code-insights/, Authentication;
// for pipes https://github.com/reviewdog/reviewdog/pull/996
const (
	besideStep = "http://localhost:29418"
	besidePipe = "http://host.docker.internal:29418"
)

// cloudREST is the server to which the proxy forwards requests. The connection to the proxy
// is plain HTTP and does not leave the machine. The proxy itself uses TLS.
const cloudREST = "http://api.bitbucket.org"

// longest bounds the sending of a report, from the first connection to the last answer.
const longest = 5 * time.Second

// Send puts a report on the commit of a build and replaces the one with the same ID. agent is
// the User-Agent. After an error, a part of the report may exist.
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
	// Without this, annotations of an earlier run would stay, also for what is fixed now.
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

// ask sends one request and returns the status of the answer. It does not use the rest.
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
