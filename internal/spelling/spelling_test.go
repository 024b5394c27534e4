package spelling_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/spelling"
)

func TestEdits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "ABC", 3},
		{"ABC", "", 3},
		{"REPO_ULR", "REPO_URL", 1},
		{"REPO_UR", "REPO_URL", 1},
		{"REPO_URLS", "REPO_URL", 1},
		{"REPO-URL", "REPO_URL", 1},
		{"WARP_APIKEY", "WARP_API_KEY", 1},
		{"TEAM", "TERM", 1},
		{"AB", "BA", 1},
		{"CA", "ABC", 3},
		{"KITTEN", "SITTING", 3},
	} {
		assert.Equal(t, tt.want, spelling.Edits(tt.a, tt.b), "%s %s", tt.a, tt.b)
		assert.Equal(t, tt.want, spelling.Edits(tt.b, tt.a), "%s %s", tt.b, tt.a)
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	names := []string{"team", "docker_image", "schedule_name", "schedule_cron"}
	for name, want := range map[string]string{
		"docker_imag":              "docker_image",
		"dockerimage":              "docker_image",
		"image":                    "",
		"scheduel_cron":            "schedule_cron",
		"schedule_names":           "schedule_name",
		"taem":                     "team",
		"":                         "",
		"x":                        "",
		strings.Repeat("team", 99): "",
	} {
		assert.Equal(t, want, spelling.Nearest(name, names), name)
	}
	assert.Empty(t, spelling.Nearest("team", nil))
}
