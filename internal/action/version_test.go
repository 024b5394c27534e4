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
		archived     string
		want         string
	}{
		{"a release's image", "1.2.3", &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "0123abc", "1.2.3"},
		{"make in a checkout", "v1.2.3-4-g0123abc-dirty", &debug.BuildInfo{Main: debug.Module{Version: "v1.2.4-0.20261128000000-0123456789ab+dirty"}}, "", "v1.2.3-4-g0123abc-dirty"},
		{"go install ...@v1.2.3", "", &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}, "0123abc", "v1.2.3"},
		{"go build in a checkout", "", &debug.BuildInfo{Main: debug.Module{Version: "v0.0.0-20261128000000-0123456789ab"}}, "$Format:%H$", "v0.0.0-20261128000000-0123456789ab"},
		{"go build in an archive", "", &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "0123abc", "dev+0123abc"},
		{"go build elsewhere", "", &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "$Format:%H$", "dev"},
		{"go test", "", &debug.BuildInfo{}, "$Format:%H$", "dev"},
		{"another build system", "", nil, "", "dev"},
	} {
		assert.Equal(t, tt.want, versionOf(tt.linked, tt.build, tt.archived), tt.name)
	}
}
