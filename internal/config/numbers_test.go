package config_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

func TestNumbersHaveBounds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		input string
		good  []string
		bad   []string
		want  string
	}{
		{"concurrency", []string{"1", "64", "08"}, []string{"0", "65", "-1", "1.5", "many", "99999999999999999999"}, "concurrency: is not a whole number from 1 to 64"},
		{"smoke_test_max", []string{"0", "10000"}, []string{"10001", "-1", "all"}, "smoke_test_max: is not a whole number from 0 to 10000"},
	} {
		for _, value := range tt.good {
			assert.Empty(t, problems(t, cloud(with(tt.input, value)), nil), value)
		}
		for _, value := range tt.bad {
			assert.Equal(t, []string{tt.want}, problems(t, cloud(with(tt.input, value)), nil), value)
		}
	}
}

func TestEachSecretIsListedOnce(t *testing.T) {
	t.Parallel()
	token, other := sensitive.New("one"), sensitive.New("two")
	job := config.Job{Entries: []config.Entry{{Token: token}, {Token: other}, {Token: sensitive.New("one")}, {}}}
	assert.Equal(t, []sensitive.String{token, other}, job.Secrets())
}
