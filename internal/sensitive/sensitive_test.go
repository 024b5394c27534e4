package sensitive_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

const marker = "MARKER-7f3a"

func TestNoPrintedFormHoldsTheValue(t *testing.T) {
	t.Parallel()
	type hidden struct{ token sensitive.String }
	value := sensitive.New(marker)
	for _, printed := range []any{value, &value, hidden{value}, &hidden{value}, []sensitive.String{value}, map[string]sensitive.String{"a": value}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
			assert.NotContains(t, fmt.Sprintf(verb, printed), marker, "%s of %T", verb, printed)
			assert.NotContains(t, fmt.Sprintf(verb, printed), fmt.Sprintf("%x", marker), "%s of %T", verb, printed)
		}
		encoded, err := json.Marshal(printed)
		require.NoError(t, err)
		assert.NotContains(t, string(encoded), marker)
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", printed)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", printed)
		assert.NotContains(t, log.String(), marker)
	}
}

func TestReveal(t *testing.T) {
	t.Parallel()
	var zero sensitive.String
	assert.True(t, zero.IsEmpty())
	assert.Empty(t, zero.Reveal())
	assert.False(t, zero.In("anything"))

	var read sensitive.String
	require.NoError(t, read.UnmarshalText([]byte(marker)))
	assert.Equal(t, marker, read.Reveal())
	assert.True(t, read.HasPrefix("MARKER-"))
	assert.True(t, read.In("a "+marker+" b"))
	assert.False(t, read.In("a b"))
}

func TestTheValueIsFoundInWhateverCase(t *testing.T) {
	t.Parallel()
	value := sensitive.New(marker)
	for text, in := range map[string]bool{
		"":                              false,
		"nothing":                       false,
		"a MARKER-7f3a b":               true,
		"marker-7F3A":                   true,
		"\u0130 MARKER-7f3a \xff\u00e9": true,
	} {
		assert.Equal(t, in, value.In(text), text)
	}
	assert.False(t, sensitive.String{}.In("text"))
}
