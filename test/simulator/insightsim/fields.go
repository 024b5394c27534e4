package insightsim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode/utf16"
)

// Bounds of the documentation, in characters.
const (
	longestTitle    = 450 // and the summary of an annotation
	longestDetails  = 2000
	longestReporter = 450
	mostData        = 10
	mostInOne       = 100 // annotations in one request
	mostAnnotations = 1000
)

// Fields are a report's fields.
type Fields struct {
	Title      string  `json:"title"`
	Details    string  `json:"details"`
	ReportType string  `json:"report_type"`
	Reporter   string  `json:"reporter"`
	Link       string  `json:"link"`
	LogoURL    string  `json:"logo_url"`
	Result     string  `json:"result"`
	Data       []Datum `json:"data"`
}

// Datum is an element of a report's data.
type Datum struct {
	Title string          `json:"title"`
	Type  string          `json:"type"`
	Value json.RawMessage `json:"value"`
}

// Annotation is an annotation of a report.
type Annotation struct {
	ExternalID string `json:"external_id"`
	Type       string `json:"annotation_type"`
	Summary    string `json:"summary"`
	Details    string `json:"details"`
	Severity   string `json:"severity"`
	Result     string `json:"result"`
	Path       string `json:"path"`
	Line       *int   `json:"line"`
	Link       string `json:"link"`
}

func decode(body []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if decoder.More() {
		return errors.New("there is more than one value")
	}
	return nil
}

func length(text string) int { return len(utf16.Encode([]rune(text))) }

func readFields(body []byte) (Fields, error) {
	var f Fields
	if err := decode(body, &f); err != nil {
		return f, err
	}
	switch {
	case f.Title == "" || f.Details == "":
		return f, errors.New("title and details are required")
	case length(f.Title) > longestTitle:
		return f, fmt.Errorf("the title field cannot contain more than %d characters", longestTitle)
	case length(f.Details) > longestDetails:
		return f, fmt.Errorf("the details field cannot contain more than %d characters", longestDetails)
	case length(f.Reporter) > longestReporter:
		return f, fmt.Errorf("the reporter field cannot contain more than %d characters", longestReporter)
	case !slices.Contains([]string{"SECURITY", "COVERAGE", "TEST", "BUG"}, f.ReportType):
		return f, fmt.Errorf("report_type %q", f.ReportType)
	case !slices.Contains([]string{"", "PASSED", "FAILED", "PENDING"}, f.Result):
		return f, fmt.Errorf("result %q", f.Result)
	case f.Link != "" && !isPage(f.Link), f.LogoURL != "" && !isPage(f.LogoURL):
		return f, errors.New("a link is no URL")
	case len(f.Data) > mostData:
		return f, fmt.Errorf("the data field holds at most %d elements", mostData)
	}
	for _, d := range f.Data {
		if err := d.check(); err != nil {
			return f, err
		}
	}
	return f, nil
}

func isPage(text string) bool {
	page, err := url.Parse(text)
	return err == nil && page.Host != "" && (page.Scheme == "http" || page.Scheme == "https")
}

func (d Datum) check() error {
	var err error
	var number float64
	var text string
	switch d.Type {
	case "BOOLEAN":
		err = json.Unmarshal(d.Value, new(bool))
	case "DATE", "DURATION", "NUMBER":
		err = json.Unmarshal(d.Value, &number)
	case "PERCENTAGE":
		if err = json.Unmarshal(d.Value, &number); err == nil && (number < 0 || number > 100) {
			err = errors.New("no percentage")
		}
	case "TEXT":
		err = json.Unmarshal(d.Value, &text)
	case "LINK":
		var link struct{ Text, Href string }
		if err = decode(d.Value, &link); err == nil && (link.Text == "" || !isPage(link.Href)) {
			err = errors.New("no link")
		}
	default:
		return fmt.Errorf("data of type %q", d.Type)
	}
	if err == nil && d.Title == "" {
		err = errors.New("no title")
	}
	if err != nil {
		return fmt.Errorf("data %q of type %s: %w", d.Title, d.Type, err)
	}
	return nil
}

func readAnnotations(body []byte) ([]Annotation, error) {
	var list []Annotation
	if err := decode(body, &list); err != nil {
		return nil, err
	}
	if len(list) == 0 || len(list) > mostInOne {
		return nil, fmt.Errorf("one request takes from 1 to %d annotations", mostInOne)
	}
	seen := map[string]bool{}
	for _, a := range list {
		switch {
		case a.ExternalID == "" || seen[a.ExternalID]:
			return nil, fmt.Errorf("external_id %q needs to be unique", a.ExternalID)
		case !slices.Contains([]string{"VULNERABILITY", "CODE_SMELL", "BUG"}, a.Type):
			return nil, fmt.Errorf("annotation_type %q", a.Type)
		case a.Summary == "" || length(a.Summary) > longestTitle:
			return nil, fmt.Errorf("the summary field is required and cannot contain more than %d characters", longestTitle)
		case length(a.Details) > longestDetails:
			return nil, fmt.Errorf("the details field cannot contain more than %d characters", longestDetails)
		case !slices.Contains([]string{"", "LOW", "MEDIUM", "HIGH", "CRITICAL"}, a.Severity):
			return nil, fmt.Errorf("severity %q", a.Severity)
		case !slices.Contains([]string{"", "PASSED", "FAILED", "SKIPPED", "IGNORED"}, a.Result):
			return nil, fmt.Errorf("result %q", a.Result)
		case a.Line != nil && (*a.Line < 1 || a.Path == ""):
			return nil, fmt.Errorf("line %d of %q", *a.Line, a.Path)
		case a.Path != "" && (path.IsAbs(a.Path) || path.Clean(a.Path) != a.Path || strings.HasPrefix(a.Path, "..")):
			return nil, fmt.Errorf("path %q is not one relative to the repository", a.Path)
		case a.Link != "" && !isPage(a.Link):
			return nil, errors.New("the link is no URL")
		}
		seen[a.ExternalID] = true
	}
	return list, nil
}
