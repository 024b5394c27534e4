package manifest

import "github.com/goccy/go-yaml/token"

// Bounds of a text for scanner and parser. A token takes 200 bytes. The parser recurses
// for each level, tag, document and key of a mapping, and Go ends a process whose stack
// is too deep. For each empty value the parser moves all later tokens.
const (
	mostMarks  = 1_000_000
	mostLevels = 100    // of lists and mappings in brackets, of tags, and columns of a list's dash
	mostKeys   = 1_000  // of one mapping
	mostParts  = 10     // directives, and beginnings and ends of documents
	mostEmpty  = 20_000 // values
)

// shape counts those properties of a file's tokens that are bounded.
type shape struct {
	line, start int         // of the key or dash that begins the current element, outside of brackets
	begins      bool        // the next token begins an element
	keys        map[int]int // number of keys, by column of each open mapping outside of brackets
	brackets    []bracket

	waiting     token.Type // a colon or dash without a value so far, else unknown
	waitsAt     token.Position
	name        bool // the next token is an anchor's name
	tags, parts int
	empty       int
}

// bracket is an open bracket.
type bracket struct {
	mapping bool
	keys    int
	colon   bool // since the last comma
}

// add takes the next token and says which bound is exceeded; empty for none.
func (s *shape) add(t *token.Token) string {
	if t.Type == token.CommentType {
		return ""
	}
	if len(s.brackets) == 0 && (s.begins || t.Position.Line > s.line) {
		s.line, s.start = t.Position.Line, t.Position.Column
	}
	s.begins = t.Type == token.SequenceEntryType || t.Type == token.MappingKeyType
	s.awaited(t)
	switch t.Type {
	case token.DocumentHeaderType, token.DocumentEndType, token.DirectiveType:
		s.parts++
	case token.TagType, token.AnchorType:
		s.tags++
	case token.SequenceStartType, token.MappingStartType:
		s.tags = 0
		s.brackets = append(s.brackets, bracket{mapping: t.Type == token.MappingStartType})
	case token.SequenceEndType, token.MappingEndType:
		s.ended()
		s.brackets = s.brackets[:max(0, len(s.brackets)-1)]
	case token.CollectEntryType:
		s.tags = 0
		s.ended()
	case token.SequenceEntryType:
		s.tags = 0
		s.deeper(t.Position.Column)
		if t.Position.Column > mostLevels {
			return "a list is indented too deep"
		}
	case token.MappingValueType:
		s.tags = 0
		if s.key() > mostKeys {
			return "a mapping has too many keys"
		}
	}
	switch {
	case len(s.brackets) > mostLevels:
		return "brackets are nested too deep"
	case s.tags > mostLevels:
		return "a value has too many tags"
	case s.parts > mostParts:
		return "it holds more than one document"
	case s.empty > mostEmpty:
		return "too many values are empty"
	}
	return ""
}

// key counts a key and returns how many its mapping has so far.
func (s *shape) key() int {
	if last := len(s.brackets) - 1; last >= 0 {
		s.brackets[last].keys++
		s.brackets[last].colon = true
		return s.brackets[last].keys
	}
	s.deeper(s.start)
	if s.keys == nil {
		s.keys = map[int]int{}
	}
	s.keys[s.start]++
	return s.keys[s.start]
}

// deeper ends the mappings that are indented deeper than a column.
func (s *shape) deeper(column int) {
	for at := range s.keys {
		if at > column {
			delete(s.keys, at)
		}
	}
}

// ended counts an element in brackets that is a key without a value.
func (s *shape) ended() {
	if last := len(s.brackets) - 1; last >= 0 && s.brackets[last].mapping {
		if !s.brackets[last].colon {
			s.empty++
		}
		s.brackets[last].colon = false
	}
}

// awaited counts an empty value: the next token is not deeper than its key or dash, or
// ends an element in brackets. Anchors and tags are not values.
func (s *shape) awaited(t *token.Token) {
	switch {
	case s.name:
		s.name = false
		return
	case t.Type == token.AnchorType:
		s.name = true
		return
	case t.Type == token.TagType:
		return
	}
	if s.waiting != token.UnknownType {
		ends := t.Type == token.CollectEntryType || t.Type == token.MappingEndType || t.Type == token.SequenceEndType
		listOfKey := s.waiting == token.MappingValueType && t.Type == token.SequenceEntryType && t.Position.Column == s.waitsAt.Column
		if ends || len(s.brackets) == 0 && t.Position.Line > s.waitsAt.Line && t.Position.Column <= s.waitsAt.Column && !listOfKey {
			s.empty++
		}
	}
	s.waiting = token.UnknownType
	switch t.Type {
	case token.MappingValueType:
		s.waiting, s.waitsAt = t.Type, token.Position{Line: t.Position.Line, Column: s.start}
	case token.SequenceEntryType:
		s.waiting, s.waitsAt = t.Type, *t.Position
	}
}
