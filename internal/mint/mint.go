// Package mint makes Data Center HTTP access tokens and revokes those of its own
// making that were replaced. It reaches Bitbucket only through the Registry that
// it is handed; a token's value passes through and is not read here.
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
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// Registry holds the tokens of an owner. An error that wraps
// bitbucket.ErrAnswerLost says that nobody knows whether a change was made.
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

// Marker begins the name of every token behind one secret, and of no other. It
// must not be empty.
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

// tries bounds how often a lost answer is made good.
const tries = 3

// lookLimit bounds the look for a token whose creation had no answer, which goes
// on when the job is told to stop.
const lookLimit = 8 * time.Second

// Request says what to make.
type Request struct {
	Permission bitbucket.Permission
	Days       int // until it expires
	At         time.Time
	Attempt    string // unique to this run of the program
}

// Mint makes a token. One that was made by a request whose answer was lost is
// found by its name and revoked, because nobody can learn its value.
func (m Minter) Mint(ctx context.Context, r Request) (bitbucket.TokenRecord, sensitive.String, error) {
	name := m.Marker.name(r.At, r.Attempt)
	for try := 1; ; try++ {
		record, token, err := m.Registry.CreateToken(ctx, m.Owner, name, r.Permission, r.Days)
		if err == nil {
			return record, token, nil
		}
		err = fmt.Errorf("create token %q of %s: %w", name, m.Owner, explain(err, m.Owner))
		if !errors.Is(err, bitbucket.ErrAnswerLost) {
			return record, token, err
		}
		m.Log.Info(fmt.Sprintf("looking for the token: %v", err))
		looking, stop := context.WithTimeout(context.WithoutCancel(ctx), lookLimit)
		lookErr := m.revokeNamed(looking, name)
		stop()
		if lookErr != nil {
			return record, token, fmt.Errorf("%w; looking for it afterwards: %w", err, lookErr)
		}
		if try == tries || ctx.Err() != nil {
			return record, token, err
		}
	}
}

func (m Minter) revokeNamed(ctx context.Context, name string) error {
	records, err := m.Registry.ListTokens(ctx, m.Owner)
	if err != nil {
		return err
	}
	for _, record := range records {
		if record.Name == name {
			if err := m.Revoke(ctx, record); err != nil {
				return err
			}
		}
	}
	return nil
}

// Revoke revokes one token, which must be one of the marker's. A lost answer is
// made good by asking again: revoking twice does no harm.
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

// Never is the time to wait before revoking that never ends.
const Never = time.Duration(-1)

// RevokeReplaced revokes the tokens of the marker that current replaced, once
// they have been replaced for the time after, by the server's own clock. Using
// is the ID of the credential that manages the tokens; it is never revoked.
// Tokens that are newer than current are another job's.
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

// replaced are the marker's tokens that have had a successor, current or one
// before it, for the time after. It is pure.
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
