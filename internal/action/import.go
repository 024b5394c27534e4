package action

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucketapi"
	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
	"github.com/oz-bitbucket/oz-bitbucket/internal/inventory"
	"github.com/oz-bitbucket/oz-bitbucket/internal/manifest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/platform"
	"github.com/oz-bitbucket/oz-bitbucket/internal/plural"
	"github.com/oz-bitbucket/oz-bitbucket/internal/preflight"
	"github.com/oz-bitbucket/oz-bitbucket/internal/problem"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warpapi"
)

// importCommand is the first argument of a call that prints a manifest of what exists.
const importCommand = "import"

// importManifest runs the command import. It prints only the manifest on stdout, and
// everything else on stderr. It writes nothing to Oz.
func importManifest(ctx context.Context, args, environ []string, stdout, stderr io.Writer) (code int) {
	on := platform.DetectAside(environ, stdout, stderr)
	on.Mask(nil, transport.ProxyPasswords(environ)...)
	log := on.Log()
	defer told(log, &code)
	platform.Capture(log)
	asked, err := readImport(on, args, environ)
	on.Mask(nil, asked.Job.Secrets()...)
	warn(log, asked.Job.Entries[0].Warnings)
	if err == nil {
		var text string
		if text, err = describe(ctx, asked, log, environ); err == nil {
			err = on.Print(text)
		}
	}
	var signal Interrupted
	switch problems := problem.All(err); {
	case err == nil:
		return ExitOK
	case problems != nil:
		for _, p := range problems {
			log.Error(p.Error())
		}
		return ExitInputs
	case errors.As(context.Cause(ctx), &signal):
		log.Error(interruption{"nothing was written", err}.Error())
		return exitSignal + int(signal)
	}
	log.Error(err.Error())
	return ExitFailed
}

// readImport gathers the inputs of an import and validates them.
func readImport(on platform.Aside, args, environ []string) (config.Import, error) {
	var names []string
	for _, input := range config.Inputs() {
		names = append(names, input.Name)
	}
	values := on.Inputs(names, importCommand)
	delete(values, "mode")
	asked, err := config.ParseImport(values, on.ReadFile)
	if len(asked.Job.Entries) == 0 {
		asked.Job.Entries = make([]config.Entry, 1)
	}
	mistyped(on, names, &asked.Job)
	var list problem.List
	surroundings(args, environ, &list)
	if list.Err() == nil {
		return asked, err
	}
	list.Append(problem.All(err)...)
	return asked, list.Err()
}

// describe returns the manifest of what exists.
func describe(ctx context.Context, asked config.Import, log *slog.Logger, environ []string) (string, error) {
	clients, err := transport.New(transport.Options{
		CACertificates: asked.Job.CACertificate, UserAgent: "oz-bitbucket/" + Version(), Log: log, Environ: environ, Multiplexed: ozHost,
	})
	if err != nil {
		return "", err
	}
	defer clients.Close()
	bounded, cancel := context.WithTimeoutCause(ctx, wholeTimeout, fmt.Errorf("it took longer than %s", wholeTimeout))
	defer cancel()
	if asked.Place != (bitbucket.Place{}) {
		return listPlace(bounded, asked, log, bitbucketapi.New(clients).Client(asked.Job.Entries[0].Token))
	}
	return listOz(bounded, asked, log, warpapi.New(asked.Job.WarpServerURL, asked.Job.WarpAPIKey, clients, Version(), log))
}

const schemaLine = "yaml-language-server: $schema=" + config.SchemaURL

// listPlace returns a manifest of the repositories of a project or workspace.
func listPlace(ctx context.Context, asked config.Import, log *slog.Logger, client *bitbucketapi.Client) (string, error) {
	repositories, err := client.ListRepositories(ctx, asked.Place, asked.Login)
	if err != nil {
		return "", err
	}
	var drafts []manifest.Draft
	entries := 0
	for _, r := range repositories {
		d := manifest.Draft{Values: map[string]any{"repo_url": r.CloneURL()}}
		if r.InClear() {
			d.Values["allow_http"] = true
		}
		if r.Unusable == "" {
			entries++
		} else {
			d.IsOff, d.Notes = true, []string{"left out: " + r.Unusable}
		}
		drafts = append(drafts, d)
	}
	log.Info(fmt.Sprintf("repositories of %s: %d in the file, %d left out, each with the reason", asked.Place, entries, len(drafts)-entries))
	return manifest.Write([]string{schemaLine}, config.ManifestKeys(), drafts), nil
}

// listOz returns a manifest of the environments that exist.
func listOz(ctx context.Context, asked config.Import, log *slog.Logger, oz reconcile.Reader) (string, error) {
	w, err := reconcile.Survey(ctx, oz, inventory.Clones)
	if err != nil {
		return "", err
	}
	found := inventory.Of(w, asInputs{asked})
	head := []string{schemaLine}
	entries, variables := 0, false
	for _, d := range found.Drafts {
		if !d.IsOff {
			entries++
		}
		_, named := d.Values["bitbucket_token_variable"]
		variables = variables || named
	}
	if variables {
		head = append(head, "apply reads the token of each secret from the variable that bitbucket_token_variable names")
	}
	for _, name := range found.Hidden {
		text := fmt.Sprintf("environment %s is left out: it holds what looks like a token, or a secret of this job; take it out, and revoke it if it is real", name)
		head = append(head, text)
		log.Warn(text)
	}
	log.Info(fmt.Sprintf("environments: %d in the file, %d left out, each with the reason; not listed: %s, which belong to another owner or have no clone from Bitbucket that this program recognises",
		entries, len(found.Drafts)-entries+len(found.Hidden), plural.Of(len(w.Listings)-len(found.Drafts)-len(found.Hidden), "other")))
	return manifest.Write(head, config.ManifestKeys(), found.Drafts), nil
}

// asInputs reads drafts of entries in the same way as inputs.
type asInputs struct{ config.Import }

// Desired returns the state that an entry asks for.
func (i asInputs) Desired(d manifest.Draft) (reconcile.Desired, error) {
	entry, err := i.DesiredEntry(manifest.Write(nil, config.ManifestKeys(), []manifest.Draft{d}))
	if err != nil {
		return reconcile.Desired{}, err
	}
	return desired(i.Job, entry, preflight.Proof{}), nil
}

// IsInput reports whether a variable belongs to an input.
func (asInputs) IsInput(variable string) bool { return config.IsInput(variable) }

// UsualSecret returns the default name of the secret.
func (asInputs) UsualSecret(flavor bitbucket.Flavor) string { return config.DefaultSecretName(flavor) }
