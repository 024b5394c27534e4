package reconcile_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
)

func TestReadNote(t *testing.T) {
	t.Parallel()
	day := func(y, m, d int) time.Time { return time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC) }
	tests := []struct {
		description string
		want        reconcile.Note
	}{
		{"", reconcile.Note{}},
		{"for builds", reconcile.Note{}},
		{"rotated by oz-bitbucket on 2026-11-24", reconcile.Note{Rotated: day(2026, 11, 24)}},
		{"for builds; rotated by oz-bitbucket on 2026-11-24, expires 2027-02-22", reconcile.Note{Rotated: day(2026, 11, 24), Expires: day(2027, 2, 22)}},
		{"rotated by oz-bitbucket on 2026-11-24, says Jane", reconcile.Note{}},
		{"rotated by oz-bitbucket on 2026-99-99", reconcile.Note{}},
	}
	for _, tt := range tests {
		note := reconcile.ReadNote(tt.description)
		assert.Equal(t, tt.want, note, tt.description)
		assert.Equal(t, note, reconcile.ReadNote(note.String()), "it reads what it writes")
	}
}
