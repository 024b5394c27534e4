package reconcile

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/plural"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// DesiredSchedule is the scheduled agent that an entry asks for.
type DesiredSchedule struct {
	Name    string // empty: the environment's
	Cron    string // five fields, UTC; empty only for a removal, which finds it by its name
	Prompt  string
	Enabled bool
}

// SchedulePlan is what happens to a schedule of ours.
type SchedulePlan struct {
	ID      string // empty: it is to be created
	Name    string
	Cron    string
	Enabled bool
	Change  Change
	Fields  []Field

	observed warp.Schedule
}

// String names the schedule as messages do.
func (s SchedulePlan) String() string {
	if s.ID == "" {
		return fmt.Sprintf("%q", s.Name)
	}
	return fmt.Sprintf("%q (%s)", s.Name, s.ID)
}

// The marks of a schedule of ours, in its metadata: who made it, and for which
// environment.
const (
	managedBy      = "managed_by"
	ourselves      = "oz-bitbucket"
	forEnvironment = "oz-bitbucket.environment"
)

// mostMetadata is how many keys of metadata the API accepts.
const mostMetadata = 20

// isMarked reports whether this program has made a schedule for the environment.
func isMarked(s warp.Schedule, environment string) bool {
	marks := s.Metadata()
	return marks[managedBy] == ourselves && cmp.Or(marks[forEnvironment], s.EnvironmentID()) == environment
}

// schedulesOf are the schedules of an environment: ours, which are the marked ones or,
// when none is, those of the name; and those of others. Older servers know no marks.
func (w World) schedulesOf(owner warp.Owner, environment, name string) (ours, foreign []warp.Schedule) {
	var named []warp.Schedule
	for _, s := range w.Connections[owner].Schedules {
		isOwn := s.Owner.Type == "" || owns(owner, s.Owner) // the scope is optional in the API
		switch {
		case isOwn && isMarked(s, environment):
			ours = append(ours, s)
		case s.EnvironmentID() != environment:
		case isOwn && s.Name() == name:
			named = append(named, s)
		default:
			foreign = append(foreign, s)
		}
	}
	if len(ours) == 0 {
		return named, foreign
	}
	return ours, append(foreign, named...)
}

// leftBehind are the schedules of this name that the program made for an environment that
// no longer exists: someone deleted it by hand, and they still start agents that fail.
func (w World) leftBehind(owner warp.Owner, name string) []warp.Schedule {
	var found []warp.Schedule
	for _, s := range w.Connections[owner].Schedules {
		isOwn := s.Owner.Type == "" || owns(owner, s.Owner)
		of := s.Metadata()[forEnvironment]
		if isOwn && s.Name() == name && of != "" && of == s.EnvironmentID() && isMarked(s, of) && !w.isLive(of) {
			found = append(found, s)
		}
	}
	return found
}

// isLive reports whether an environment is listed, and not known to be in the trash.
func (w World) isLive(uid string) bool {
	listed := slices.ContainsFunc(w.Listings, func(l warp.EnvironmentListing) bool { return l.UID == uid })
	return listed && !w.Objects[uid].Trashed
}

// scheduleName is the name of the environment's schedule.
func (e EnvironmentPlan) scheduleName() string {
	if e.desired.Schedule == nil {
		return e.Name
	}
	return cmp.Or(e.desired.Schedule.Name, e.Name)
}

// schedule plans the scheduled agent, where one is desired.
func (e *EnvironmentPlan) schedule(w World) error {
	if e.desired.Schedule == nil {
		return nil
	}
	if err := w.Connections[e.Owner].NoSchedules; err != nil {
		return fmt.Errorf("environment %s: its schedule cannot be planned: %w%s", e.User, err, whyNot(err))
	}
	plan := SchedulePlan{Name: e.scheduleName(), Cron: e.desired.Schedule.Cron, Enabled: e.desired.Schedule.Enabled, Change: Create}
	var before warp.Schedule
	var ours []warp.Schedule
	if e.UID != "" { // else there is none in it yet
		ours, _ = w.schedulesOf(e.Owner, e.UID, plan.Name)
	}
	left := w.leftBehind(e.Owner, plan.Name)
	switch {
	case len(ours) > 1:
		return twins(e.Name, ours)
	case len(ours) == 1:
		before = ours[0]
		plan.ID, plan.observed, plan.Change = before.ID, before, Keep
	case len(left) > 1:
		return twins(e.Name, left)
	case len(left) == 1:
		before = left[0]
		plan.ID, plan.observed, plan.Change = before.ID, before, Update
	}
	_, fields, err := e.editSchedule(before, e.UID)
	if err != nil {
		return err
	}
	if plan.Fields = fields; plan.Change == Keep && len(fields) > 0 {
		plan.Change = Update
	}
	e.Schedules = []SchedulePlan{plan}
	return nil
}

func twins(environment string, found []warp.Schedule) error {
	names := make([]string, len(found))
	for i, s := range found {
		names[i] = s.String()
	}
	slices.Sort(names)
	return fmt.Errorf("environment %q has %s that may be this program's: %s; delete all but one in Oz", environment, plural.Of(len(found), "schedule"), strings.Join(names, ", "))
}

// editSchedule brings the managed fields of a schedule to the desired state and says
// which ones changed; the zero schedule is one that does not exist. The request holds
// everything else that was read, because a PUT replaces, and our marks.
func (e EnvironmentPlan) editSchedule(s warp.Schedule, environment string) (request warp.Model, fields []Field, err error) {
	d := e.desired.Schedule
	exists := s.ID != ""
	if exists {
		if err := s.Check(); err != nil {
			return request, nil, fmt.Errorf("schedule %s: %w, so it is not changed; fix it in Oz, or look for a newer version of this program", s, err)
		}
	}
	m := s.Request()
	config := warp.Schedule{Model: m}.Config()
	change := func(name string, old, desired []string) { fields = append(fields, Field{name, old, desired}) }
	text := func(key, old, desired string) {
		if desired != old {
			m = m.With(key, desired)
			change(key, linesOf(old), linesOf(desired))
		}
	}
	text(warp.KeyName, s.Name(), e.scheduleName())
	if strings.Join(strings.Fields(s.Cron()), " ") != d.Cron {
		text(warp.KeyCron, s.Cron(), d.Cron)
	}
	text(warp.KeyPrompt, s.Prompt(), d.Prompt)
	if m.Raw(warp.KeyEnabled) == nil || s.Enabled() != d.Enabled {
		m = m.With(warp.KeyEnabled, d.Enabled)
		var old []string
		if exists {
			old = []string{strconv.FormatBool(s.Enabled())}
		}
		change(warp.KeyEnabled, old, []string{strconv.FormatBool(d.Enabled)})
	}
	if environment != "" && s.EnvironmentID() != environment {
		config = config.With(warp.KeyEnvironmentID, environment)
		change(warp.KeyEnvironmentID, linesOf(s.EnvironmentID()), linesOf(environment))
	}
	names, _ := config.Secrets()
	all := names
	for _, name := range append([]string{e.desired.SecretName}, e.desired.Secrets...) {
		if !slices.Contains(all, name) {
			config = config.WithSecret(name)
			all = append(slices.Clip(all), name)
		}
	}
	if len(all) > len(names) {
		change(warp.KeySecrets, names, all)
	}
	m = m.With(warp.KeyConfig, json.RawMessage(config.String()))
	marks := maps.Clone(s.Metadata())
	if marks == nil {
		marks = make(map[string]string)
	}
	if marks[managedBy], marks[forEnvironment] = ourselves, environment; len(marks) <= mostMetadata {
		m = m.With(warp.KeyMetadata, marks)
	}
	return m, fields, nil
}

// StoredSchedule is the result for one schedule.
type StoredSchedule struct {
	ID, Name string // of one that is known to exist, or to have existed
	Change   Change // empty when it was not made, or when that is not known
	Paused   bool   // by a removal that did not get to delete it
	Err      error
}

// scheduleWrite is the write of one schedule under way.
type scheduleWrite struct {
	Applier
	plan        EnvironmentPlan
	environment string // UID
}

// persist creates, updates or keeps a schedule.
func (w scheduleWrite) persist(ctx context.Context, p SchedulePlan) StoredSchedule {
	stored := StoredSchedule{ID: p.ID, Name: p.Name}
	var now warp.Schedule
	switch p.Change {
	case Keep:
		now, stored.Change = p.observed, Keep
	case Update:
		now, stored.Change, stored.Err = w.update(ctx, p.observed)
	case Create:
		now, stored.Change, stored.Err = w.create(ctx)
	}
	if now.ID != "" {
		stored.ID, stored.Name = now.ID, now.Name()
	}
	if stored.Err == nil {
		w.Log.Info(fmt.Sprintf("schedule %s: %s", now, past(stored.Change)))
	}
	return stored
}

// update brings a schedule to the desired state. The API has no revision, so it looks
// before each write, and merges onto what is there. If the answer still differs, someone
// else may have written at the same time, and it writes again.
func (w scheduleWrite) update(ctx context.Context, current warp.Schedule) (warp.Schedule, Change, error) {
	lost, written := false, false // an answer; a write that was answered
	for try := 1; ; try++ {
		now, err := w.Reader.GetSchedule(ctx, w.plan.Owner, current.ID)
		if isGone(err) && !lost && !written {
			return current, "", fmt.Errorf("schedule %s is gone: %w", current, ErrRaced)
		}
		if err != nil {
			return current, "", staysLost(fmt.Errorf("get schedule %s: %w", current, err), lost)
		}
		if now.UpdatedAt() != current.UpdatedAt() && !lost {
			w.Log.Info(fmt.Sprintf("schedule %s was changed since it was read; merging again", now))
		}
		current = now
		request, fields, err := w.plan.editSchedule(now, w.environment)
		switch {
		case err != nil:
			return now, "", staysLost(err, lost)
		case len(fields) == 0 && (lost || written):
			return now, Update, nil
		case len(fields) == 0:
			return now, Keep, nil
		case try > tries:
			return now, "", fmt.Errorf("update schedule %s: Oz does not store what it is sent (%s), or someone else keeps changing it", now, fieldNames(fields))
		}
		now, err = w.send(ctx, current, request, fields)
		if err == nil {
			current, written = now, true
			switch _, left, err := w.plan.editSchedule(now, w.environment); {
			case err == nil && len(left) == 0:
				return now, Update, nil
			case err == nil && len(left) == 1 && left[0].Name == warp.KeySecrets:
				w.Log.Warn(fmt.Sprintf("Oz does not store a list of secrets for schedule %s; its runs get those that the environment lists", now))
				return now, Update, nil
			}
			continue
		}
		err = fmt.Errorf("update schedule %s: %w%s", current, err, whyNot(err))
		lost = lost || isLost(err)
		if again := isLost(err) || onlyEnables(fields) && isAlready(err); try == tries || !again {
			return current, "", staysLost(err, lost)
		}
		w.Log.Info(fmt.Sprintf("reading what Oz holds now: %v", err))
	}
}

// send writes what differs. When only enabled differs, it pauses or resumes: a PUT would
// reset fields that the API does not show.
func (w scheduleWrite) send(ctx context.Context, current warp.Schedule, request warp.Model, fields []Field) (now warp.Schedule, err error) {
	err = write(ctx, func(ctx context.Context) (err error) {
		if onlyEnables(fields) {
			now, err = w.Writer.EnableSchedule(ctx, w.plan.Owner, current.ID, w.plan.desired.Schedule.Enabled)
		} else {
			now, err = w.Writer.ReplaceSchedule(ctx, w.plan.Owner, current.ID, request)
		}
		return err
	})
	return now, err
}

func onlyEnables(fields []Field) bool { return len(fields) == 1 && fields[0].Name == warp.KeyEnabled }

// isAlready reports whether a refusal may say that a schedule is in the desired state.
func isAlready(err error) bool {
	refusal, refused := errors.AsType[*warp.Refusal](err)
	return refused && (refusal.Status == 400 || refusal.Status == 409)
}

func fieldNames(fields []Field) string {
	names := make([]string, len(fields))
	for i, field := range fields {
		names[i] = field.Name
	}
	return strings.Join(names, ", ")
}

// create creates the schedule and then looks whether another job did the same at the
// same time: of several the oldest stays, and the one that this process has just
// created goes. After a lost answer it looks before it sends anything again.
func (w scheduleWrite) create(ctx context.Context) (warp.Schedule, Change, error) {
	request, _, err := w.plan.editSchedule(warp.Schedule{}, w.environment)
	if err != nil {
		return warp.Schedule{}, "", err
	}
	lost := false
	for try := 1; ; try++ {
		var own warp.Schedule
		err := write(ctx, func(ctx context.Context) (err error) {
			own, err = w.Writer.CreateSchedule(ctx, w.plan.Owner, request)
			return err
		})
		if err == nil {
			return w.yield(ctx, own)
		}
		err = fmt.Errorf("create schedule %q: %w%s", w.plan.scheduleName(), err, whyNot(err))
		lost = lost || isLost(err)
		if try == tries || !isLost(err) {
			return warp.Schedule{}, "", staysLost(err, lost)
		}
		w.Log.Info(fmt.Sprintf("reading what Oz holds now: %v", err))
		found, lookErr := w.find(ctx)
		switch {
		case lookErr != nil:
			return warp.Schedule{}, "", fmt.Errorf("%w; looking for it afterwards: %w", err, lookErr)
		case len(found) > 1:
			return warp.Schedule{}, "", twins(w.plan.Name, found)
		case len(found) == 1:
			return w.settle(ctx, found[0], Create)
		}
	}
}

// find returns the schedules of ours, the oldest first.
func (w scheduleWrite) find(ctx context.Context) ([]warp.Schedule, error) {
	list, err := w.Reader.ListSchedules(ctx, w.plan.Owner)
	if err != nil {
		return nil, fmt.Errorf("list schedules: %w", err)
	}
	now := World{Connections: map[warp.Owner]Connections{w.plan.Owner: {Schedules: list}}}
	ours, _ := now.schedulesOf(w.plan.Owner, w.environment, w.plan.scheduleName())
	slices.SortFunc(ours, older)
	return ours, nil
}

// older orders schedules by their age, and those of one age in the same way for every
// process.
func older(a, b warp.Schedule) int {
	return cmp.Or(created(a).Compare(created(b)), cmp.Compare(a.ID, b.ID))
}

// created is when a schedule was created; one that does not tell is the oldest.
func created(s warp.Schedule) time.Time {
	at, _ := time.Parse(time.RFC3339Nano, s.CreatedAt())
	return at
}

// yield keeps the schedule that this process has just created if none is older, and
// else deletes it.
func (w scheduleWrite) yield(ctx context.Context, own warp.Schedule) (warp.Schedule, Change, error) {
	found, err := w.find(ctx)
	if err != nil {
		return own, Create, fmt.Errorf("look for duplicates of schedule %s: %w", own, err)
	}
	if len(found) == 0 || older(own, found[0]) <= 0 { // the list may not show it yet
		return own, Create, nil
	}
	w.Log.Warn(fmt.Sprintf("schedule %s was created at the same time and is older: deleting %s, which this job has just created", found[0], own.ID))
	if err := w.deleteSchedule(ctx, w.plan.Owner, own); err != nil {
		return own, Create, fmt.Errorf("%w; schedule %s is older and stays", err, found[0])
	}
	return w.settle(ctx, found[0], Keep)
}

// settle brings a schedule that turned up meanwhile to the desired state. Change is what
// it comes to when nothing has to be written.
func (w scheduleWrite) settle(ctx context.Context, found warp.Schedule, change Change) (warp.Schedule, Change, error) {
	_, fields, err := w.plan.editSchedule(found, w.environment)
	if err != nil || len(fields) == 0 {
		return found, change, err
	}
	now, updated, err := w.update(ctx, found)
	if change == Create && err == nil {
		updated = Create
	}
	return now, updated, err
}

// deleteSchedule deletes a schedule. It is not an error when it is gone already.
func (a Applier) deleteSchedule(ctx context.Context, owner warp.Owner, s warp.Schedule) error {
	return a.until(ctx, fmt.Sprintf("delete schedule %s", s),
		func(ctx context.Context) error { return a.Writer.DeleteSchedule(ctx, owner, s.ID) },
		func(bool) bool {
			_, err := a.Reader.GetSchedule(ctx, owner, s.ID)
			return isGone(err)
		})
}

// pauseSchedule pauses a schedule. It is not an error when it is gone already.
func (a Applier) pauseSchedule(ctx context.Context, owner warp.Owner, s warp.Schedule) error {
	return a.until(ctx, fmt.Sprintf("pause schedule %s", s),
		func(ctx context.Context) error {
			_, err := a.Writer.EnableSchedule(ctx, owner, s.ID, false)
			return err
		},
		func(bool) bool {
			now, err := a.Reader.GetSchedule(ctx, owner, s.ID)
			return isGone(err) || err == nil && !now.Enabled()
		})
}

// whyNot says what to do about a refusal, as the end of a message.
func whyNot(err error) string {
	refusal, refused := errors.AsType[*warp.Refusal](err)
	switch {
	case !refused:
		return ""
	case refusal.Kind == "feature_not_available":
		return "; the team's Warp plan does not include scheduled agents: change the plan, or leave schedule_cron out"
	case refusal.Status == 403:
		return "; warp_api_key may not manage schedules of this team: use an agent key of the team, or the key of a member who may"
	}
	return ""
}

// isGone reports whether REST says that there is no such thing.
func isGone(err error) bool {
	refusal, refused := errors.AsType[*warp.Refusal](err)
	return refused && refusal.Status == 404
}
