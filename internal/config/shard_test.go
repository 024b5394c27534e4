package config

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/problem"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// TestPartsStay fixes the parts of some secrets: a new release must not move an entry
// while jobs of the old release still run.
func TestPartsStay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		entry Entry
		want  []int // of 2, 3, 7 and 1000
	}{
		{Entry{Scope: warp.TeamOwner, SecretName: "BITBUCKET_API_TOKEN"}, []int{2, 2, 2, 818}},
		{Entry{Scope: warp.TeamOwner, Flavor: "cloud"}, []int{2, 2, 2, 818}},
		{Entry{Scope: warp.TeamOwner, Team: "acme", SecretName: "BITBUCKET_API_TOKEN"}, []int{2, 2, 2, 818}},
		{Entry{Scope: warp.UserOwner, SecretName: "BITBUCKET_API_TOKEN"}, []int{2, 1, 2, 588}},
		{Entry{Scope: warp.TeamOwner, SecretName: "WEB_TOKEN"}, []int{1, 2, 2, 165}},
	} {
		var got []int
		for _, n := range []int{2, 3, 7, 1000} {
			got = append(got, tt.entry.part(n))
		}
		assert.Equal(t, tt.want, got, "%+v", tt.entry)
	}
}

func TestShards(t *testing.T) {
	t.Parallel()
	const none = "shard: is auto, and the host has set none of CI_NODE_INDEX and CI_NODE_TOTAL, BITBUCKET_PARALLEL_STEP and BITBUCKET_PARALLEL_STEP_COUNT, JOB_COMPLETION_INDEX and SHARD_TOTAL; give it as 1/3, or run the job in parallel"
	const bad = "shard: is not a part such as 1/3; give i/n with i from 1 to n, or auto"
	for _, tt := range []struct {
		input     string
		variables map[string]string
		want      Shard
		problem   string
	}{
		{"", nil, Shard{}, ""},
		{"1/1", nil, Shard{1, 1}, ""},
		{"3/3", map[string]string{"CI_NODE_INDEX": "1", "CI_NODE_TOTAL": "2"}, Shard{3, 3}, ""},
		{"0/3", nil, Shard{}, bad},
		{"4/3", nil, Shard{}, bad},
		{"1", nil, Shard{}, bad},
		{"1/", nil, Shard{}, bad},
		{"a/b", nil, Shard{}, bad},
		{"-1/3", nil, Shard{}, bad},
		{"1/99999999999", nil, Shard{}, bad},
		{"1/2/3", nil, Shard{}, bad},
		{"auto", nil, Shard{}, none},
		{"auto", map[string]string{"CI_NODE_TOTAL": "1"}, Shard{}, none}, // as GitLab has it without parallel
		{"auto", map[string]string{"JOB_COMPLETION_INDEX": "0"}, Shard{}, "shard: is auto, and JOB_COMPLETION_INDEX is set without SHARD_TOTAL; set it to the number of parallel jobs"},
		{"auto", map[string]string{"CI_NODE_INDEX": "1", "CI_NODE_TOTAL": "3"}, Shard{1, 3}, ""},
		{"auto", map[string]string{"CI_NODE_INDEX": "3", "CI_NODE_TOTAL": "3"}, Shard{3, 3}, ""},
		{"auto", map[string]string{"BITBUCKET_PARALLEL_STEP": "0", "BITBUCKET_PARALLEL_STEP_COUNT": "2"}, Shard{1, 2}, ""},
		{"auto", map[string]string{"BITBUCKET_PARALLEL_STEP": "1", "BITBUCKET_PARALLEL_STEP_COUNT": "2"}, Shard{2, 2}, ""},
		{"auto", map[string]string{"JOB_COMPLETION_INDEX": "4", "SHARD_TOTAL": " 5\n"}, Shard{5, 5}, ""},
		{"auto", map[string]string{"JOB_COMPLETION_INDEX": "5", "SHARD_TOTAL": "5"}, Shard{}, "shard: is auto, and JOB_COMPLETION_INDEX and SHARD_TOTAL do not hold a part, counted from 0, and the number of parts"},
		{"auto", map[string]string{"CI_NODE_INDEX": "0", "CI_NODE_TOTAL": "3"}, Shard{}, "shard: is auto, and CI_NODE_INDEX and CI_NODE_TOTAL do not hold a part, counted from 1, and the number of parts"},
	} {
		values := map[string]string{"manifest": "oz.yml", "shard": tt.input, "warp_api_key": "wk-1.0f3c5e7a9b1d2f4c6e8a", "bitbucket_token": "opaque"}
		file := func(path string) ([]byte, error) {
			if path != "oz.yml" {
				return nil, errors.New("no such file")
			}
			return []byte("environments:\n- repo_url: https://bitbucket.org/a/b\n- repo_url: https://bitbucket.org/a/c\n- repo_url: https://bitbucket.org/a/d\n  secret_name: B\n"), nil
		}
		job, err := Parse(values, file, func(name string) string { return tt.variables[name] })
		if tt.problem != "" {
			require.Len(t, problem.All(err), 1, "%+v", tt)
			assert.EqualError(t, problem.All(err)[0], tt.problem, "%+v", tt)
			continue
		}
		require.NoError(t, err, "%+v", tt)
		assert.Equal(t, tt.want, job.Shard, "%+v", tt)
		for _, e := range job.Entries {
			assert.True(t, e.in(tt.want))
		}
	}
	_, err := Parse(map[string]string{"repo_url": "https://bitbucket.org/a/b", "shard": "1/2", "warp_api_key": "wk-1.0f3c5e7a9b1d2f4c6e8a", "bitbucket_token": "opaque"}, func(string) ([]byte, error) { return nil, errors.New("no such file") }, nil)
	assert.EqualError(t, err, "shard: does nothing without manifest; give manifest too, or leave it out")
}
