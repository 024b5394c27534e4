package bitbucketsim_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
)

func TestFaults(t *testing.T) {
	t.Parallel()
	s, repository := cloudWith(t, bitbucketsim.Token{Value: accessToken, Kind: bitbucketsim.AccessToken, Write: true})
	machine := newWorkstation(t, s)
	helper := basicHelper("x-token-auth", accessToken)
	machine.git("-c", helper, "clone", repository.CloneURL())
	checkout := machine.in("sample")
	checkout.git("commit", "--quiet", "--allow-empty", "--message", "Empty")
	before, after := repository.Head(), checkout.git("rev-parse", "HEAD")

	s.Script.Add(fault.Fault{Operation: bitbucketsim.ReceivePack, When: fault.Before, Status: 503, Body: "maintenance"})
	checkout.refused("-c", helper, "push")
	assert.Equal(t, before, repository.Head(), "a fault before the push leaves nothing behind")

	s.Script.Add(fault.Fault{Operation: bitbucketsim.ReceivePack, When: fault.After})
	checkout.refused("-c", helper, "push")
	assert.Equal(t, after, repository.Head(), "a fault after the push loses only the answer")

	authorization := basic("x-token-auth", accessToken)
	s.Script.Add(fault.Fault{Operation: bitbucketsim.UploadPackRefs, Status: 429, Header: http.Header{"Retry-After": {"7"}}, Body: "slow down"})
	got := get(t, s, refs(repository.CloneURL(), "upload-pack"), authorization)
	assert.Equal(t, 429, got.status)
	assert.Equal(t, "7", got.header.Get("Retry-After"))
	assert.Equal(t, "slow down", got.body)

	s.Script.Add(fault.Fault{Operation: bitbucketsim.Connect, Status: 503})
	_, err := newClient(t, s).Get(repository.CloneURL())
	require.ErrorContains(t, err, "Service Unavailable")
	assert.Equal(t, 200, get(t, s, refs(repository.CloneURL(), "upload-pack"), authorization).status)
	assertNoViolations(t, s)
}

func TestJournal(t *testing.T) {
	t.Parallel()
	s, repository := cloudWith(t, bitbucketsim.Token{Value: apiToken, Kind: bitbucketsim.APIToken})
	authorization := basic("ann", apiToken)
	s.Script.Add(fault.Fault{Operation: bitbucketsim.UploadPackRefs, Status: 500})

	get(t, s, refs(repository.CloneURL(), "upload-pack"), authorization)

	requests := s.Journal.All()
	require.Len(t, requests, 2)
	assert.Equal(t, "CONNECT", requests[0].Method)
	assert.Equal(t, "//bitbucket.org:443", requests[0].URL)
	assert.Equal(t, bitbucketsim.Connect, requests[0].Operation)
	assert.Equal(t, "GET", requests[1].Method)
	assert.Equal(t, "https://bitbucket.org/acme/sample.git/info/refs?service=git-upload-pack", requests[1].URL)
	assert.Equal(t, authorization, requests[1].Header.Get("Authorization"))
	assert.Equal(t, bitbucketsim.UploadPackRefs, requests[1].Operation)
	assert.Equal(t, map[string]int{bitbucketsim.Connect: 1, bitbucketsim.UploadPackRefs: 1}, s.Counts())
}

func TestProxyNeverDialsOut(t *testing.T) {
	t.Parallel()
	s := start(t)
	reached := make(chan struct{}, 1)
	outside, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer outside.Close()
	go func() {
		if conn, err := outside.Accept(); err == nil {
			conn.Close()
			reached <- struct{}{}
		}
	}()
	proxy, err := url.Parse(s.CloudProxyURL())
	require.NoError(t, err)
	client := &http.Client{Transport: &http.Transport{
		Proxy:             http.ProxyURL(proxy),
		DisableKeepAlives: true,
	}}

	for _, address := range []string{"https://" + outside.Addr().String(), "https://bitbucket.org:8443", "https://bitbucket.org.evil.test"} {
		_, err := client.Get(address)
		assert.ErrorContains(t, err, "Bad Gateway", address)
	}
	for _, address := range []string{"http://" + outside.Addr().String(), "http://bitbucket.org", s.CloudProxyURL()} {
		response, err := client.Get(address)
		require.NoError(t, err, address)
		response.Body.Close()
		assert.Equal(t, http.StatusBadGateway, response.StatusCode, address)
	}
	assert.Len(t, s.Violations(), 6)
	assert.Empty(t, reached)
}

func TestViolations(t *testing.T) {
	t.Parallel()
	s, cloud := cloudWith(t, bitbucketsim.Token{Value: apiToken, Kind: bitbucketsim.APIToken})
	s.AddToken(bitbucketsim.Token{Value: httpToken, Kind: bitbucketsim.HTTPAccessToken})
	cloudRefs := refs(cloud.CloneURL(), "upload-pack")
	tests := []struct {
		name    string
		request func(t *testing.T)
		want    string
	}{
		{"a token in a query", func(t *testing.T) { get(t, s, cloudRefs+"&access_token="+apiToken, "") }, "the URL carries a token"},
		{"an encoded token in a query", func(t *testing.T) {
			get(t, s, s.DataCenterURL()+"/rest/x?t="+url.QueryEscape(httpToken), "")
		}, "the URL carries a token"},
		{"a Bearer header for Cloud's git", func(t *testing.T) { get(t, s, cloudRefs, "Bearer "+apiToken) }, "Bearer header was sent to Cloud's git"},
		{"a Data Center token for Cloud", func(t *testing.T) { get(t, s, cloudRefs, basic("x-token-auth", httpToken)) }, "a token of datacenter was sent to cloud"},
		{"a Cloud token for Data Center", func(t *testing.T) {
			get(t, s, s.DataCenterURL()+"/rest/api/latest/application-properties", "Bearer "+apiToken)
		}, "a token of cloud was sent to datacenter"},
		{"a token in another header", func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, cloudRefs, nil)
			require.NoError(t, err)
			request.Header.Set("Private-Token", apiToken)
			response, err := newClient(t, s).Do(request)
			require.NoError(t, err)
			response.Body.Close()
		}, "the header Private-Token carries a token"},
		{"two Authorization headers", func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, cloudRefs, nil)
			require.NoError(t, err)
			request.Header["Authorization"] = []string{basic("ann", apiToken), basic("ann", apiToken)}
			request.Header.Set("User-Agent", "git/2.39.5")
			response, err := newClient(t, s).Do(request)
			require.NoError(t, err)
			response.Body.Close()
		}, "two Authorization headers"},
		{"another host's name in a tunnel", func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, cloudRefs, nil)
			require.NoError(t, err)
			request.Host = "api.bitbucket.org"
			response, err := newClient(t, s).Do(request)
			require.NoError(t, err)
			response.Body.Close()
			assert.Equal(t, http.StatusMisdirectedRequest, response.StatusCode)
		}, `the connection belongs to "bitbucket.org"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := len(s.Violations())
			test.request(t)
			require.Len(t, s.Violations(), before+1)
			assert.Contains(t, s.Violations()[before], test.want)
		})
	}
	for _, violation := range s.Violations() {
		assert.NotContains(t, violation, apiToken)
		assert.NotContains(t, violation, httpToken)
	}
}

func TestThirdFailedLoginIsAViolation(t *testing.T) {
	t.Parallel()
	s, repository := dataCenterWith(t, bitbucketsim.Token{})
	address := refs(repository.CloneURL(), "upload-pack")

	get(t, s, address, "Bearer wrong")
	get(t, s, address, basic("x-token-auth", "wrong"))
	assertNoViolations(t, s)

	get(t, s, address, "Bearer wrong")
	assert.Equal(t, []string{"3 failed authentications with one token value"}, s.Violations())
	assert.Equal(t, 3, s.FailedLogins("wrong"))
	assert.Zero(t, s.FailedLogins(httpToken))
}

func TestCertificateAuthorityIsNeeded(t *testing.T) {
	t.Parallel()
	s, repository := cloudWith(t, bitbucketsim.Token{})
	machine := newWorkstation(t, s)
	require.Contains(t, machine.environ, s.TrustEnviron()[0])
	machine.environ = slices.DeleteFunc(machine.environ, func(variable string) bool { return variable == s.TrustEnviron()[0] })

	machine.refused("ls-remote", repository.CloneURL())

	file, err := os.ReadFile(s.CACertificate())
	require.NoError(t, err)
	assert.Equal(t, s.CACertificatePEM(), string(file))
	other := start(t)
	assert.NotEqual(t, other.CACertificatePEM(), s.CACertificatePEM())
}

func TestCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	// An hour of latency: Close must not wait for it.
	s := bitbucketsim.Start(bitbucketsim.Options{Latency: time.Hour})
	repository := s.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.Cloud, Owner: "acme", Slug: "sample"})
	path := repository.Path()
	require.DirExists(t, path)
	failed := make(chan error)
	held := make(chan struct{})
	trace := &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { close(held) }}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace), http.MethodGet, repository.CloneURL(), nil)
	require.NoError(t, err)
	client := newClient(t, s)
	go func() {
		_, err := client.Do(request)
		failed <- err
	}()
	<-held

	s.Close()
	s.Close()

	require.Error(t, <-failed)
	assert.NoFileExists(t, s.CACertificate())
	assert.NoDirExists(t, path)
	for _, address := range []string{s.CloudProxyURL(), s.DataCenterURL()} {
		parsed, err := url.Parse(address)
		require.NoError(t, err)
		_, err = net.Dial("tcp", parsed.Host)
		assert.Error(t, err, address)
	}
}

func TestStartOnTakenAddressPanics(t *testing.T) {
	t.Parallel()
	s := start(t)
	taken := strings.TrimPrefix(s.CloudProxyURL(), "http://")
	assert.Panics(t, func() { bitbucketsim.Start(bitbucketsim.Options{DataCenterAddress: taken}) })
}
