package action

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestVersionIsWhatTheBuildKnows(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, linked string
		build        *debug.BuildInfo
		want         string
	}{
		{"a release's image", "1.2.3", &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "1.2.3"},
		{"make in a checkout", "v1.2.3-4-g0123abc-dirty", &debug.BuildInfo{Main: debug.Module{Version: "v1.2.4-0.20261128000000-0123456789ab+dirty"}}, "v1.2.3-4-g0123abc-dirty"},
		{"go install ...@v1.2.3", "", &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}, "v1.2.3"},
		{"go build in a checkout", "", &debug.BuildInfo{Main: debug.Module{Version: "v0.0.0-20261128000000-0123456789ab"}}, "v0.0.0-20261128000000-0123456789ab"},
		{"go build elsewhere", "", &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "dev"},
		{"go test", "", &debug.BuildInfo{}, "dev"},
		{"another build system", "", nil, "dev"},
	} {
		assert.Equal(t, tt.want, versionOf(tt.linked, tt.build), tt.name)
	}
}
