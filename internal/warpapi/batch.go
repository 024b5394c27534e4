package warpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/Khan/genqlient/graphql"

	"github.com/oz-bitbucket/oz-bitbucket/internal/group"
	"github.com/oz-bitbucket/oz-bitbucket/internal/plural"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

const (
	// mostInBatch is how many environments one document asks for. The server's limit is
	// not documented: when it refuses, the next document asks for half as many.
	mostInBatch = 100

	// mostBatches is how many documents are under way at a time: their answers may have
	// some megabytes each. mostSingles is the same for documents that ask for one
	// environment.
	mostBatches, mostSingles = 2, 16
)

// GetEnvironments returns for each UID, in their order, what GetEnvironment does. It asks
// for up to a hundred in one document. When the server refuses that, it asks for half as
// many, down to one, and stays with the number that was accepted.
func (c *Client) GetEnvironments(ctx context.Context, uids []string) []warp.Answer {
	answers := make([]warp.Answer, len(uids))
	open := make([]int, len(uids)) // indexes without an answer so far
	for i := range open {
		open[i] = i
	}
	for len(open) > 0 {
		size := int(c.batch.Load())
		batches := slices.Collect(slices.Chunk(open, size))
		refused := make([]error, len(batches))
		reads := group.New()
		if reads.SetLimit(mostBatches); size == 1 {
			reads.SetLimit(mostSingles)
		}
		for i, batch := range batches {
			reads.Go(func() error {
				if len(batch) > int(c.batch.Load()) { // meanwhile a smaller limit was found
					refused[i] = errSmaller
				} else {
					refused[i] = c.readBatch(ctx, uids, batch, answers)
				}
				return nil
			})
		}
		_ = reads.Wait() // errors are in the answers, or in refused
		open = nil
		for i, err := range refused {
			if err != nil {
				open = append(open, batches[i]...)
			}
		}
	}
	return answers
}

var (
	errSmaller = errors.New("the server accepts only smaller documents")
	errModels  = fmt.Errorf("%w: the environments of this job come to more than %d MiB", warp.ErrTooLong, mostModels>>20)
)

// readBatch fills in the answers of some places. Its error says that the server takes no
// document of this size; then there are none.
func (c *Client) readBatch(ctx context.Context, uids []string, places []int, answers []warp.Answer) error {
	if c.models.Load() > mostModels { // the rest would be refused all the same
		for _, at := range places {
			answers[at].Err = errModels
		}
		return nil
	}
	if len(places) == 1 {
		at := places[0]
		answers[at].Environment, answers[at].Err = c.GetEnvironment(ctx, uids[at])
		return nil
	}
	asked := make([]string, len(places))
	for i, at := range places {
		asked[i] = uids[at]
	}
	var found map[string]json.RawMessage
	err := c.queries.MakeRequest(ctx, batchOf(asked, c.about), &graphql.Response{Data: &found})
	if isTooMuch(err) {
		c.halve(len(places), err)
		return err
	}
	for i, at := range places {
		if answers[at].Err = err; err == nil {
			answers[at].Environment, answers[at].Err = c.readOne(uids[at], found[alias(i)])
		}
	}
	return nil
}

// isTooMuch reports whether an error may be about the size of a document or of its
// answer, and not about the caller.
func isTooMuch(err error) bool {
	var refused *warp.Refusal
	if errors.As(err, &refused) {
		return !slices.Contains([]int{http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests}, refused.Status)
	}
	return errors.Is(err, warp.ErrTooLong)
}

// halve makes the next documents half as large as one that was refused, and says so the
// first time.
func (c *Client) halve(size int, why error) {
	was := c.batch.Load()
	for half := int64(size / 2); half < was && !c.batch.CompareAndSwap(was, half); {
		was = c.batch.Load()
	}
	if was == mostInBatch {
		c.log.Info(fmt.Sprintf("Oz refuses to be asked for %s at once, so they are read in smaller parts: %v", plural.Of(size, "environment"), why))
	}
}

// readOne reads the answer about one environment.
func (c *Client) readOne(uid string, answer json.RawMessage) (warp.Environment, error) {
	var object Object
	if len(answer) > 0 {
		if err := __unmarshalObject(answer, &object); err != nil {
			return warp.Environment{}, fmt.Errorf("the answer is not what Oz sends: %w", err)
		}
	}
	return c.whole(uid, object, nil)
}

func alias(place int) string { return fmt.Sprintf("o%d", place) }

// batchOf is one document that asks what GetCloudObject asks, for each UID under an
// alias of its own:
//
//	query GetCloudObjects($requestContext: RequestContext!, $o0: ID!, $o1: ID!) {
//	  o0: cloudObject(input: {uid: $o0}, requestContext: $requestContext) { ... }
//	  o1: cloudObject(input: {uid: $o1}, requestContext: $requestContext) { ... }
//	}
func batchOf(uids []string, about RequestContext) *graphql.Request {
	variables := map[string]any{"requestContext": about}
	var declared, fields strings.Builder
	for i, uid := range uids {
		name := alias(i)
		variables[name] = uid
		fmt.Fprintf(&declared, ", $%s: ID!", name)
		fmt.Fprintf(&fields, "  %s: cloudObject(input: {uid: $%s}, requestContext: $requestContext) { __typename ...Found ...Refused }\n", name, name)
	}
	query := "query GetCloudObjects($requestContext: RequestContext!" + declared.String() + ") {\n" + fields.String() + "}\n" +
		"fragment Found on CloudObjectOutput { object { __typename ...Stored } }\n" + fragments
	return &graphql.Request{OpName: "GetCloudObjects", Query: query, Variables: variables}
}

// fragments are those of GetCloudObject, Stored and Refused.
var fragments = GetCloudObject_Operation[strings.Index(GetCloudObject_Operation, "fragment "):]
