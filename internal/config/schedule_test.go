package config_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
)

// scheduled are the inputs of a job with a scheduled agent, with changes.
func scheduled(changes ...map[string]string) map[string]string {
	daily := map[string]string{"schedule_cron": "0 3 * * *", "schedule_prompt": "Fix the build."}
	return cloud(append([]map[string]string{daily}, changes...)...)
}

func TestSchedule(t *testing.T) {
	t.Parallel()
	assert.Nil(t, parse(t, cloud()).Schedule, "schedules are not touched")
	job := parse(t, scheduled())
	assert.Equal(t, &config.Schedule{Cron: "0 3 * * *", Prompt: "Fix the build.", Enabled: true}, job.Schedule)
	assert.Empty(t, job.Warnings)
}

func TestScheduleRefusals(t *testing.T) {
	t.Parallel()
	requireRefused(t, []refusal{
		{"a prompt alone", cloud(with("schedule_prompt", "x")), "schedule_prompt: does nothing without schedule_cron; give schedule_cron and schedule_prompt too, or leave it out"},
		{"a name alone", cloud(with("schedule_name", "x")), "schedule_name: does nothing without schedule_cron; give schedule_cron and schedule_prompt too, or leave it out"},
		{"a pause alone", cloud(with("schedule_enabled", "false")), "schedule_enabled: does nothing without schedule_cron; give schedule_cron and schedule_prompt too, or leave it out"},
		{"a cron alone", scheduled(with("schedule_prompt", "")), "schedule_prompt: is missing: schedule_cron is given; say what the agent should do"},
		{"a personal one", scheduled(with("scope", "personal")), "schedule_cron: cannot be used with scope: personal: scheduled runs never get personal secrets, so they could not clone; use scope: team, or leave the schedule out"},
		{"a name of two lines", scheduled(with("schedule_name", "a\nb")), "schedule_name: holds a line break or another control character; use one line of text"},
		{"a token in the prompt", scheduled(with("schedule_prompt", "use "+apiToken)), "schedule_prompt: holds the value of bitbucket_token; take it out; in setup_commands, write $BITBUCKET_API_TOKEN"},
	})
	for cron, want := range map[string]string{"@daily": "0 0 * * *", "0 0 30 2 *": "ever comes", "0 3 * * 7": "0", "nonsense": "five", "CRON_TZ=Asia/Tokyo 0 3 * * *": "UTC"} {
		found := problems(t, scheduled(with("schedule_cron", cron)), nil)
		if assert.Len(t, found, 1, cron) {
			assert.Contains(t, found[0], "schedule_cron: ", cron)
			assert.Contains(t, found[0], want, cron)
		}
	}
}

func TestAScheduleThatRunsMoreThanHourlyIsAWarning(t *testing.T) {
	t.Parallel()
	for cron, warned := range map[string]bool{"* * * * *": true, "*/30 * * * *": true, "0 * * * *": false, "0 9 * * MON-FRI": false} {
		assert.Equal(t, warned, len(parse(t, scheduled(with("schedule_cron", cron))).Warnings) == 1, cron)
	}
}

func TestDryRun(t *testing.T) {
	t.Parallel()
	plan := parse(t, cloud(with("dry_run", "true"), with("bitbucket_token", "")))
	assert.Equal(t, []any{config.Plan, true}, []any{plan.Mode, plan.DryRun}, "apply with it is a plan")
	assert.True(t, parse(t, cloud(with("dry_run", "true"), with("mode", "rotate"))).DryRun)
	assert.False(t, parse(t, cloud(with("mode", "rotate"))).DryRun)
	requireRefused(t, []refusal{
		{"a dry test", cloud(with("mode", "test"), with("dry_run", "true")), "dry_run: does nothing in mode test; leave it out; a test writes nothing anyway"},
		{"a test without one", cloud(with("mode", "test"), with("smoke_test", "false")), "smoke_test: is false, but mode test does nothing else; leave it out"},
		{"force elsewhere", cloud(with("force", "true")), "force: does nothing in mode apply; set mode: destroy, or leave it out"},
		{"delete_secret elsewhere", cloud(with("delete_secret", "true"), with("mode", "rotate")), "delete_secret: does nothing in mode rotate; set mode: destroy, or leave it out"},
	})
}

func TestDestroyAndTestNeedNoToken(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"test", "destroy"} {
		job := parse(t, map[string]string{"mode": mode, "warp_api_key": warpAPIKey, "environment_name": "acme-api"})
		assert.Equal(t, []any{"acme-api", "", false}, []any{job.EnvironmentName, job.SecretName, job.SecretNameGiven}, mode)
		job = parse(t, cloud(with("mode", mode), with("bitbucket_token", "")))
		assert.Equal(t, []any{"acme-api", "BITBUCKET_API_TOKEN", false}, []any{job.EnvironmentName, job.SecretName, job.SecretNameGiven}, mode)
	}
	destroy := parse(t, cloud(with("mode", "destroy"), with("delete_secret", "true"), with("force", "True"), with("schedule_name", "nightly")))
	assert.Equal(t, []any{true, true, &config.Schedule{Name: "nightly"}}, []any{destroy.DeleteSecret, destroy.Force, destroy.Schedule})
}
