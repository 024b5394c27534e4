// Package mint makes Data Center HTTP access tokens, and revokes tokens that it made
// and that were replaced. It reaches Bitbucket only through a Registry, and it waits.
// It passes a token's value on without reading it.
package mint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/grace"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// Registry holds the tokens of an owner. After an error that wraps
// bitbucket.ErrAnswerLost it is unknown whether the change was made.
type Registry interface {
	ListTokens(ctx context.Context, of bitbucket.TokenOwner) ([]bitbucket.TokenRecord, error)
	CreateToken(ctx context.Context, of bitbucket.TokenOwner, name string, p bitbucket.Permission, days int) (bitbucket.TokenRecord, sensitive.String, error)
	DeleteToken(ctx context.Context, of bitbucket.TokenOwner, id string) error
}

// Minter makes the tokens behind one secret.
type Minter struct {
	Registry Registry
	Owner    bitbucket.TokenOwner
	Marker   Marker
	Log      *slog.Logger
}

// Marker is the prefix of the name of every token behind one secret. No other token has
// it. It must not be empty.
type Marker string

// For is the marker of the secret of an owner in Oz:
//
//	oz-bitbucket BITBUCKET_TOKEN Tm0000000000000000000A
func For(secret, owner string) Marker {
	return Marker("oz-bitbucket " + secret + " " + owner)
}

// name is what a token is called:
//
//	oz-bitbucket BITBUCKET_TOKEN Tm0000000000000000000A 2026-11-24T02:17:05Z 5f0c2b1e
func (m Marker) name(at time.Time, attempt string) string {
	return fmt.Sprintf("%s %s %s", m, at.UTC().Format(time.RFC3339), attempt)
}

// marks reports whether a token of this name was made for the marker's secret.
func (m Marker) marks(name string) bool {
	rest, found := strings.CutPrefix(name, string(m)+" ")
	date, _, _ := strings.Cut(rest, " ")
	_, err := time.Parse(time.RFC3339, date)
	return found && err == nil
}

// tries bounds how often a request is made when answers are lost.
const tries = 3

// Both are counted from the moment at which the job is told to stop: GitHub sends
// SIGINT, and SIGTERM 7.5 s later.
//
// Source: actions/runner, ProcessInvoker.cs.
const (
	answerGrace = 3 * time.Second // for the answer to a creation that is under way
	stopGrace   = 7 * time.Second // until a token that was made must be found and revoked
)

// The search for a token whose creation got no answer.
const (
	looks       = 5 // as long as the job is not told to stop
	lookEvery   = 500 * time.Millisecond
	lookLimit   = 8 * time.Second // for one look
	hurriedLook = 2 * time.Second // the same, after the job was told to stop
)

// Request says what to make.
type Request struct {
	Permission bitbucket.Permission
	Days       int // until it expires
	At         time.Time
	Attempt    string // unique to this run of the program
}

// Mint makes a token. When an answer is lost, it finds the token by its name and
// revokes it, because its value is lost too. When ctx ends, Mint sends no new request,
// waits for the answer to the one under way, and within stopGrace revokes the token
// that was made. The error then wraps the context's cause, or bitbucket.ErrAnswerLost
// when no token was found.
func (m Minter) Mint(ctx context.Context, r Request) (bitbucket.TokenRecord, sensitive.String, error) {
	name := m.Marker.name(r.At, r.Attempt)
	failed := func(err error) (bitbucket.TokenRecord, sensitive.String, error) {
		return bitbucket.TokenRecord{}, sensitive.String{}, fmt.Errorf("create token %q of %s: %w", name, m.Owner, err)
	}
	stopping, stop := grace.After(ctx, stopGrace)
	defer stop()
	for try := 1; ctx.Err() == nil; try++ {
		record, token, err := m.create(ctx, name, r)
		switch {
		case err == nil && ctx.Err() == nil:
			m.Log.Info(fmt.Sprintf("token %q of %s: created, expires %s", record.Name, m.Owner, record.Expires.Format(time.DateOnly)))
			return record, token, nil
		case err == nil: // told to stop: the token will not be stored
			return failed(errors.Join(context.Cause(ctx), m.Revoke(stopping, record)))
		case !errors.Is(err, bitbucket.ErrAnswerLost):
			return failed(explain(err, m.Owner))
		}
		m.Log.Info(fmt.Sprintf("looking for token %q of %s: %v", name, m.Owner, err))
		found, lookErr := m.takeBack(ctx, stopping, name)
		switch {
		case lookErr != nil:
			return failed(fmt.Errorf("%w; looking for it afterwards: %w", err, lookErr))
		case try == tries, ctx.Err() != nil && !found:
			return failed(err)
		}
	}
	return failed(context.Cause(ctx))
}

// create makes one request. When ctx ends, it waits answerGrace for the answer.
func (m Minter) create(ctx context.Context, name string, r Request) (bitbucket.TokenRecord, sensitive.String, error) {
	answering, stop := grace.After(ctx, answerGrace)
	defer stop()
	return m.Registry.CreateToken(answering, m.Owner, name, r.Permission, r.Days)
}

// takeBack revokes the token of this name, and reports whether there was one. The
// server may still be making it, so takeBack looks several times, and after a stop as
// long as there is time. The error is that of the last look.
func (m Minter) takeBack(ctx, stopping context.Context, name string) (found bool, err error) {
	for look := 1; ; look++ {
		found, err = m.revokeNamed(ctx, stopping, name)
		enough := found || look >= looks && ctx.Err() == nil
		if enough || !pause(stopping, lookEvery) {
			return found, err
		}
	}
}

// revokeNamed looks once. When a stop interrupts it, takeBack looks again with a new
// limit.
func (m Minter) revokeNamed(ctx, stopping context.Context, name string) (found bool, err error) {
	within, limit := ctx, lookLimit
	if ctx.Err() != nil {
		within, limit = stopping, hurriedLook
	}
	looking, stop := context.WithTimeout(within, limit)
	defer stop()
	records, err := m.Registry.ListTokens(looking, m.Owner)
	if err != nil {
		return false, err
	}
	var failures []error
	for _, record := range records {
		if record.Name == name {
			found = true
			failures = append(failures, m.Revoke(stopping, record))
		}
	}
	return found, errors.Join(failures...)
}

// pause waits, and reports false when the context has ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Revoke revokes one token, whose name must have the marker. After a lost answer it
// asks again: revoking twice does no harm.
func (m Minter) Revoke(ctx context.Context, record bitbucket.TokenRecord) error {
	if !m.Marker.marks(record.Name) {
		return fmt.Errorf("revoke token %q of %s: this program did not make it", record.Name, m.Owner)
	}
	for try := 1; ; try++ {
		err := m.Registry.DeleteToken(ctx, m.Owner, record.ID)
		if err == nil {
			m.Log.Info(fmt.Sprintf("token %q of %s: revoked", record.Name, m.Owner))
			return nil
		}
		if try == tries || !errors.Is(err, bitbucket.ErrAnswerLost) {
			return fmt.Errorf("revoke token %q of %s: %w", record.Name, m.Owner, explain(err, m.Owner))
		}
	}
}

// Never as the time to wait means that replaced tokens are not revoked.
const Never = time.Duration(-1)

// RevokeReplaced revokes the marker's tokens that current replaced, once the time after
// has passed since then, by the server's own clock. Using is the ID of the credential
// that manages the tokens; it is never revoked. Tokens that are newer than current
// belong to another job and stay.
func (m Minter) RevokeReplaced(ctx context.Context, current bitbucket.TokenRecord, using string, after time.Duration) error {
	if after == Never {
		return nil
	}
	records, err := m.Registry.ListTokens(ctx, m.Owner)
	if err != nil {
		return fmt.Errorf("list the tokens of %s: %w", m.Owner, explain(err, m.Owner))
	}
	var failures []error
	for _, record := range replaced(records, m.Marker, current, after) {
		if record.ID == using {
			m.Log.Warn(fmt.Sprintf("token %q is the one that manages the tokens; it is not revoked", record.Name))
			continue
		}
		failures = append(failures, m.Revoke(ctx, record))
	}
	return errors.Join(failures...)
}

// replaced are the marker's tokens whose successor, current or an older token, has
// existed for the time after. It is pure.
func replaced(records []bitbucket.TokenRecord, marker Marker, current bitbucket.TokenRecord, after time.Duration) []bitbucket.TokenRecord {
	var ours []bitbucket.TokenRecord
	for _, record := range records {
		if marker.marks(record.Name) && record.ID != current.ID && !record.Created.After(current.Created) {
			ours = append(ours, record)
		}
	}
	slices.SortFunc(ours, func(a, b bitbucket.TokenRecord) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	var due []bitbucket.TokenRecord
	for i, record := range ours {
		successor := current
		if i+1 < len(ours) {
			successor = ours[i+1]
		}
		if current.Created.Sub(successor.Created) >= after {
			due = append(due, record)
		}
	}
	return due
}
