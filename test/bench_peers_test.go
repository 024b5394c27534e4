package test

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// upsert is the usual action that stores a secret: it asks for a key, seals and writes.
const upsert = `import * as core from '@actions/core'
import nacl from 'tweetnacl'
const secret = core.getInput('secret')
core.setSecret(secret)
const url = core.getInput('url')
const { id, key } = await (await fetch(url + '/key')).json()
const pair = nacl.box.keyPair(), nonce = nacl.randomBytes(nacl.box.nonceLength)
const box = nacl.box(Buffer.from(secret), nonce, Buffer.from(key, 'base64'), pair.secretKey)
const sealed = Buffer.concat([pair.publicKey, nonce, box]).toString('base64')
const answer = await fetch(url + '/secret', { method: 'PUT', body: JSON.stringify({ id, sealed }) })
if (!answer.ok) core.setFailed('status ' + answer.status)
`

// list makes Oz's own SDK list the environments. It has no method for that.
const list = `import OzAPI from 'oz-agent-sdk'
const client = new OzAPI({ apiKey: process.env.KEY, baseURL: process.env.URL + '/api/v1' })
const { environments } = await client.get('/agent/environments')
if (environments.length !== 1001) throw new Error('lists ' + environments.length)
`

// BenchmarkPeers compares the program with what else a job could use, in turns: the usual
// action with a rotation, Oz's SDK listing 1,001 environments with a plan among as many, and
// an idle node with --version. The ratios are the program's shortest time and greatest memory
// divided by the peer's. The peers do less: they prove no token and check nothing.
func BenchmarkPeers(b *testing.B) {
	modules := install(b, "@actions/core@3.0.1", "tweetnacl@1.0.3", "oz-agent-sdk@1.0.0-alpha.8")
	script := func(name, text string) string {
		path := filepath.Join(modules, name)
		require.NoError(b, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	upserting, listing := script("upsert.mjs", upsert), script("list.mjs", list)
	node := func(args ...string) *exec.Cmd {
		command := exec.Command("node", args...)
		command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + modules}
		return command
	}
	ours := func(w *world, inputs map[string]string, args ...string) func() *exec.Cmd {
		return func() *exec.Cmd { command, _ := w.command(inputs, args...); return command }
	}

	b.Run("start/node", func(b *testing.B) {
		beside(b, func() *exec.Cmd { return exec.Command(binary, "--version") }, func() *exec.Cmd { return node("--eval", "0") })
	})
	for _, latency := range []time.Duration{0, roundTrip} {
		at := fmt.Sprintf("/%dms", latency.Milliseconds())
		b.Run("rotate/upsert"+at, func(b *testing.B) {
			w := newWorld(b, plain, warpsim.Options{Latency: latency})
			w.environments(1)
			server := keyServer(b, latency)
			beside(b, ours(w, w.rotation(untested)), func() *exec.Cmd {
				command := node(upserting)
				command.Env = append(command.Env, "INPUT_SECRET="+nextToken, "INPUT_URL="+server)
				return command
			})
		})
		b.Run("plan/sdk"+at, func(b *testing.B) {
			w := newWorld(b, plain, warpsim.Options{Latency: latency})
			w.environments(1)
			w.others(1000)
			beside(b, ours(w, w.inputs(untested), "plan"), func() *exec.Cmd {
				command := node(listing)
				command.Env = append(command.Env, "KEY="+apiKey, "URL="+w.oz.URL())
				return command
			})
		})
	}
}

// beside runs two commands in turns.
func beside(b *testing.B, ours, peer func() *exec.Cmd) {
	commands := []func() *exec.Cmd{ours, peer}
	shortest, memory := make([]time.Duration, 2), make([]int64, 2)
	for b.Loop() {
		for i, make := range commands {
			command := make()
			var output bytes.Buffer
			command.Stdout, command.Stderr = &output, &output
			start := time.Now()
			most := watched(b, command)
			took := time.Since(start)
			require.Equal(b, 0, command.ProcessState.ExitCode(), output.String())
			memory[i] = max(memory[i], most)
			if shortest[i] == 0 || took < shortest[i] {
				shortest[i] = took
			}
		}
	}
	for i, name := range []string{"ours", "peer"} {
		b.ReportMetric(float64(shortest[i].Microseconds())/1e3, "ms/"+name)
		b.ReportMetric(float64(memory[i])/1e6, "MB/"+name)
	}
	b.ReportMetric(float64(shortest[0])/float64(shortest[1]), "time-ratio")
	b.ReportMetric(float64(memory[0])/float64(memory[1]), "memory-ratio")
	b.ReportMetric(0, "ns/op") // it would mix both
}

// install fetches packages into a directory of their own. When it cannot, it skips the benchmark.
func install(b *testing.B, packages ...string) string {
	b.Helper()
	directory := b.TempDir()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", append([]string{"install", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0", "--prefix", directory}, packages...)...)
	npm.Dir = directory
	if output, err := npm.CombinedOutput(); err != nil {
		reason, _, _ := strings.Cut(strings.TrimSpace(string(output)), "\n")
		fmt.Printf("%s is skipped: npm install: %v: %s\n", b.Name(), err, reason) // Skip is silent without -v
		b.SkipNow()
	}
	return directory
}

// keyServer is a server that accepts sealed secrets.
func keyServer(b *testing.B, latency time.Duration) string {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	require.NoError(b, err)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /key", func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(latency)
		_ = json.NewEncoder(w).Encode(map[string]string{"id": "1", "key": base64.StdEncoding.EncodeToString(key.PublicKey().Bytes())})
	})
	mux.HandleFunc("PUT /secret", func(w http.ResponseWriter, _ *http.Request) { time.Sleep(latency) })
	server := httptest.NewServer(mux)
	b.Cleanup(server.Close)
	return server.URL
}
