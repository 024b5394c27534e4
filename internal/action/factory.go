package action

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/factory"
)

// A plan does not know the ID of an environment that it creates. It writes unknownID in its
// place, which newID replaces before anything is shown.
const (
	unknownID = "UnknownEnvironmentOfThisPlan"
	newID     = "(ID of the new environment)"
)

// wire writes into the factory's definition, where the inputs name one, what Oz has now.
// With write false it only shows the changes. It runs before the writes to Oz too, because
// a definition that cannot be wired ends the job there.
func (r run) wire(w work, write bool) work {
	if r.job.Factory == nil || w.Err != nil {
		return w
	}
	diff, err := r.wired(w, write)
	if err != nil {
		if w.Err = fmt.Errorf("factory: %w", err); write {
			w.Err = fmt.Errorf("%w\nOz is up to date; the factory's definition is not written, or only in part; fix that and run the job again", w.Err)
		}
		return w
	}
	if !slices.Equal(diff, w.Factory) {
		defer r.on.Group("Factory")()
		for _, line := range diff {
			r.log.Info(line)
		}
	}
	if w.Factory = diff; write || w.DryRun {
		w.FactoryChanged = strconv.FormatBool(len(diff) > 0)
	}
	if write && len(diff) > 0 {
		r.log.Info("the factory's definition is changed in the checkout; nothing is committed")
	}
	return w
}

// wired makes the edits of each file and returns them as a diff. With write false it only
// computes them.
func (r run) wired(w work, write bool) (diff []string, err error) {
	into := *r.job.Factory
	revise := func(name string, edit func(text string) (factory.Edit, error)) error {
		return r.on.Revise(into.Folder, name, func(text string) (string, error) {
			made, err := edit(text)
			if err != nil {
				return "", err
			}
			for _, line := range made.Lines(filepath.Join(into.Folder, name)) {
				diff = append(diff, strings.ReplaceAll(line, unknownID, newID))
			}
			if !write {
				return text, nil
			}
			return made.Text, nil
		})
	}
	if into.Runner != "" {
		commands := desired(r.job, r.entry, w.proof).SetupCommands
		if err := revise(factory.RunnerFile(into.Runner), func(text string) (factory.Edit, error) { return factory.SetCommands(text, commands) }); err != nil {
			return nil, err
		}
	}
	return diff, revise(factory.File, func(text string) (factory.Edit, error) {
		return factory.Wire(text, r.entry.SecretName, r.environmentToWire(w))
	})
}

// environmentToWire returns the ID of the environment; "" when there is none to wire.
func (r run) environmentToWire(w work) string {
	switch {
	case len(w.Plan.Environments) == 0:
		return ""
	case len(w.Applied.Environments) > 0 && w.Applied.Environments[0].UID != "":
		return w.Applied.Environments[0].UID
	case w.Plan.Environments[0].UID != "":
		return w.Plan.Environments[0].UID
	}
	return unknownID
}
