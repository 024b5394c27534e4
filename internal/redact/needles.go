package redact

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// needles is a set of texts, each found by its last bytes: eight when it has that many,
// else four. At a position where no needle ends, the search reads a single bit.
type needles struct {
	long, short map[uint64][][]byte
	marks       [1 << 10]uint64
}

func (n *needles) empty() bool { return len(n.long)+len(n.short) == 0 }

// add adds a text, which must have four bytes or more.
func (n *needles) add(text string) {
	needle := []byte(text)
	table, key := &n.short, uint64(0)
	if len(needle) >= 8 {
		table, key = &n.long, lastEight(needle)
	} else {
		key = lastFour(needle)
	}
	if *table == nil {
		*table = map[uint64][][]byte{}
	}
	list := (*table)[key]
	if slices.ContainsFunc(list, func(other []byte) bool { return bytes.Equal(other, needle) }) {
		return
	}
	at := slices.IndexFunc(list, func(other []byte) bool { return len(other) < len(needle) })
	if at < 0 {
		at = len(list)
	}
	(*table)[key] = slices.Insert(list, at, needle) // the longest first
	word, bit := mark(key)
	n.marks[word] |= bit
}

// ending returns the length of the longest needle at the end of text; 0 when there is none.
func (n *needles) ending(text []byte) int {
	if len(text) >= 8 && n.long != nil {
		if length := n.in(n.long, lastEight(text), text); length > 0 {
			return length
		}
	}
	if len(text) >= 4 && n.short != nil {
		return n.in(n.short, lastFour(text), text)
	}
	return 0
}

func (n *needles) in(table map[uint64][][]byte, key uint64, text []byte) int {
	if word, bit := mark(key); n.marks[word]&bit == 0 {
		return 0
	}
	for _, needle := range table[key] {
		if bytes.HasSuffix(text, needle) {
			return len(needle)
		}
	}
	return 0
}

func lastEight(text []byte) uint64 { return binary.LittleEndian.Uint64(text[len(text)-8:]) }
func lastFour(text []byte) uint64 {
	return uint64(binary.LittleEndian.Uint32(text[len(text)-4:]))
}

// mark returns the position of a key in the bits.
func mark(key uint64) (int, uint64) {
	hash := key * 0x9e3779b97f4a7c15 >> 48
	return int(hash >> 6), 1 << (hash & 63)
}
